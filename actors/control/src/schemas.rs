//! What bodies and answers of the API look like, as JSON Schema. Answers may have further fields.

use serde_json::{Value, json};

/// A reference to one of them.
pub(crate) fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object with these fields, all of them required.
fn object(fields: Value) -> Value {
    let required: Vec<_> =
        fields.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
    json!({ "type": "object", "required": required, "properties": fields })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn or_null(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn seconds() -> Value {
    json!({ "type": "number", "minimum": 0 })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// All, by name.
pub(crate) fn all() -> Value {
    let state = |of: &[&str]| json!({ "enum": of });
    let coprocess_states =
        state(&["waiting", "starting", "running", "backoff", "stopping", "stopped", "failed"]);
    let main_states = state(&["waiting", "starting", "running", "stopping", "stopped"]);
    let probes =
        json!({ "type": ["object", "null"], "additionalProperties": { "type": "string" } });
    json!({
        "Error": object(json!({ "error": { "type": "string", "minLength": 1 } })),
        "Status": object(json!({
            "main": { "oneOf": [named("Main"), { "type": "null" }] },
            "coprocesses": list(named("Coprocess")),
        })),
        "Main": object(json!({
            "state": main_states,
            "pid": or_null("integer"),
            "uptime_s": or_null("number"),
            "ready": { "type": "boolean" },
            "probes": probes,
            "status": or_null("string"),
            "generation": or_null("integer"),
            "cpu_s": or_null("number"),
            "memory_bytes": or_null("integer"),
        })),
        "Coprocess": object(json!({
            "name": text(),
            "state": coprocess_states,
            "pid": or_null("integer"),
            "background": { "type": "boolean" },
            "policy": text(),
            "restarts": { "type": "integer", "minimum": 0 },
            "uptime_s": or_null("number"),
            "ready": { "type": "boolean" },
            "probes": probes,
            "status": or_null("string"),
            "last_exit": { "oneOf": [named("Exit"), { "type": "null" }] },
            "cpu_s": or_null("number"),
            "memory_bytes": or_null("integer"),
        })),
        "Exit": {
            "type": "object",
            "required": ["at"],
            "properties": {
                "code": { "type": "integer", "minimum": 0, "maximum": 255 },
                "signal": text(),
                "why": text(),
                "at": { "type": "string", "format": "date-time" },
            },
            "oneOf": [{ "required": ["code"] }, { "required": ["signal"] }],
        },
        "Why": object(json!({
            "leaving": or_null("object"),
            "processes": list(named("Reason")),
            "events": list(named("Held")),
            "behind": list(text()),
        })),
        "Reason": object(json!({
            "name": text(),
            "state": text(),
            "as_wanted": { "type": "boolean" },
            "reason": text(),
            "sentence": text(),
        })),
        "Held": object(json!({
            "event": text(),
            "step": { "enum": ["start", "stop-command", "stop"] },
            "by": list(text()),
            "held_s": seconds(),
            "sentence": text(),
        })),
        "Plan": object(json!({
            "limit_s": seconds(),
            "gone_s": seconds(),
            "strays_s": or_null("number"),
            "steps": list(named("Step")),
            "cut": list(text()),
        })),
        "Step": {
            "type": "object",
            "required": ["by_s", "who"],
            "properties": {
                "by_s": seconds(),
                "who": text(),
                "signal": text(),
                "action": { "enum": ["stop-command", "start", "drain"] },
                "limit_s": seconds(),
            },
            "oneOf": [{ "required": ["signal"] }, { "required": ["action"] }],
        },
        "Event": object(json!({
            "seq": { "type": "integer", "minimum": 1 },
            "time": { "type": "string", "format": "date-time" },
            "event": text(),
        })),
        "LogLine": object(json!({
            "time": { "type": "string", "format": "date-time" },
            "level": text(),
            "logger": text(),
            "stream": { "enum": ["stdout", "stderr", null] },
            "msg": text(),
        })),
        "Change": object(json!({
            "applied": { "type": "boolean" },
            "coprocesses": list(named("Changed")),
            "untouched": { "type": "integer", "minimum": 0 },
            "reordered": { "type": "boolean" },
            "exec_sockets": list(named("ChangedSocket")),
            "live": list(text()),
            "rendered": list(text()),
            "needs_new_start": list(text()),
            "lines": list(text()),
        })),
        "Changed": object(json!({
            "name": text(),
            "action": text(),
            "keys": list(text()),
        })),
        "ChangedSocket": object(json!({
            "name": text(),
            "action": { "enum": ["open", "close"] },
        })),
        "Reloaded": object(json!({ "reloaded": { "const": true } })),
        "EmitBody": object(json!({ "name": { "type": "string", "minLength": 1 } })),
        "Emitted": object(json!({ "event": text() })),
        // All replicas of a coprocess have a name besides their own.
        "Ordered": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": text(),
                "state": text(),
                "replicas": { "type": "object", "additionalProperties": { "type": "string" } },
            },
            "oneOf": [{ "required": ["state"] }, { "required": ["replicas"] }],
        },
        "SetBody": {
            "type": "object",
            "properties": {
                "restarts": { "type": ["string", "integer"] },
                "time_between_restarts": { "type": ["string", "integer"] },
                "background": { "type": ["string", "boolean", "integer"] },
            },
            "additionalProperties": false,
        },
        "Settings": object(json!({
            "name": text(),
            "set": { "type": "object", "additionalProperties": { "type": "string" } },
        })),
        "SignalBody": object(json!({
            "signal": {
                "anyOf": [
                    { "type": "string", "minLength": 1 },
                    { "type": "integer", "minimum": 1, "maximum": 64 },
                ],
            },
        })),
        "Signalled": object(json!({ "name": text(), "signal": text() })),
        "Description": object(json!({ "openapi": text(), "paths": { "type": "object" } })),
        "Session": { "type": "object" },
        "Keys": { "type": "object" },
    })
}
