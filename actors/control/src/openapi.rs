//! The description of the API in OpenAPI 3.1, made of the table that serves it.

use serde_json::{Map, Value, json};

use crate::openmetrics;
use crate::routes::{Entry, Kind, Parameter, ROUTES};
use crate::schemas;

/// The document, for a wrapper of this version.
pub fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for entry in ROUTES {
        let path = paths.entry(entry.path).or_insert_with(|| json!({}));
        path[entry.method.to_lowercase()] = operation(entry);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "coproc",
            "version": version,
            "summary": "The control API of a running wrapper.",
            "description": "Served on the control socket, and with tokens on the ports of \
                            `control.listen`. Which role an operation needs stands at \
                            `x-coproc-role`; each role may do what the one before it may: read, \
                            operate, admin.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://localhost/", "description": "The control socket, or a port" }],
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "At ports; on the socket the kernel says who asks.",
                },
            },
        },
    })
}

fn operation(entry: &Entry) -> Value {
    let in_path = entry.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": { "type": "string", "minLength": 1 },
        }))
    });
    let parameters: Vec<_> = in_path.chain(entry.query.iter().map(in_query)).collect();
    let mut operation = json!({
        "operationId": entry.id,
        "summary": entry.summary,
        "x-coproc-role": entry.role.as_str(),
        "responses": responses(entry),
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = entry.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schemas::named(body) } },
        });
    }
    if entry.open {
        operation["security"] = json!([{}]);
    }
    operation
}

fn in_query(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        "integer" => json!({ "type": "integer", "minimum": 0 }),
        words if words.contains('|') => {
            json!({ "type": "string", "enum": words.split('|').collect::<Vec<_>>() })
        }
        kind => json!({ "type": kind }),
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "schema": schema,
    })
}

fn responses(entry: &Entry) -> Value {
    let content = |kind: &str, schema: Value| {
        let mut content = Map::new();
        content.insert(kind.to_owned(), json!({ "schema": schema }));
        Value::from(content)
    };
    let text = || json!({ "type": "string" });
    let good = match entry.answer {
        Kind::Json(schema) => {
            json!({ "description": "Done.", "content": content("application/json", schemas::named(schema)) })
        }
        Kind::Lines(schema) => json!({
            "description": format!("One JSON object of the schema `{schema}` a line."),
            "content": content("application/x-ndjson", text()),
        }),
        Kind::Health => json!({
            "description": "Nothing is wrong.",
            "content": content("text/plain", json!({ "const": "ok\n" })),
        }),
        Kind::Metrics => json!({
            "description": "The text of OpenMetrics.",
            "content": content(openmetrics::CONTENT_TYPE, text()),
        }),
    };
    let mut responses = json!({ "200": good });
    let refusal = |why: &str| json!({ "description": why, "content": content("application/json", schemas::named("Error")) });
    if entry.streams {
        responses["200"]["content"]["text/event-stream"] = json!({ "schema": text() });
    }
    if entry.answer == Kind::Health {
        responses["503"] = json!({
            "description": "A line for each that is not well.",
            "content": content("text/plain", text()),
        });
        return responses;
    }
    if !entry.open {
        responses["401"] = refusal("At a port: a token is missing, or not known.");
        responses["403"] = refusal("The role is not enough; the sentence names the one that is.");
        responses["429"] = refusal("At a port: too many wrong tokens came from there.");
    }
    for (status, why) in entry.refusals() {
        responses[status] = refusal(why);
    }
    responses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::find;

    /// What the document holds is served, and what is served it holds.
    #[test]
    fn the_document_and_the_routes_are_one() {
        let document = document("1.2.3");
        let mut described = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let method = method.to_uppercase();
                let (entry, _) = find(false, &method, path).unwrap();
                assert_eq!(operation["operationId"], entry.id, "{method} {path}");
                described += 1;
            }
        }
        assert_eq!(described, ROUTES.len());
        let mut ids: Vec<_> = ROUTES.iter().map(|entry| entry.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ROUTES.len(), "names are unique");
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(all) => all.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document("1.2.3");
        let mut found = Vec::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for reference in &found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{reference}");
        }
        // Lines are text to OpenAPI, which names their schema in words.
        for name in schemas.keys().filter(|name| !["Event", "LogLine"].contains(&name.as_str())) {
            assert!(
                found.iter().any(|reference| reference.ends_with(&format!("/{name}"))),
                "{name}"
            );
        }
    }
}
