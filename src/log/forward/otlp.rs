//! Batches of lines to a collector that speaks OTLP over HTTP, as JSON.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coproc_core::output::{Level, LogLine};
use serde_json::{Value, json};

use super::courier::{Failure, Transport};
use super::http::{Answer, post};
use crate::log::config::Collector;

/// A batch: so many lines, or what has come in so long.
const BATCH: (usize, Duration) = (512, Duration::from_secs(1));

pub(super) struct Otlp {
    place: Collector,
    /// Lines of a head, each with its end.
    headers: String,
    resource: Vec<Value>,
}

impl Otlp {
    pub(super) fn new(
        place: Collector,
        resource: &BTreeMap<String, String>,
        headers: &BTreeMap<String, String>,
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let resource = resource.iter().map(|(name, value)| attribute(name, value)).collect();
        Self { place, headers, resource }
    }
}

impl Transport for Otlp {
    fn batch(&self) -> (usize, Duration) {
        BATCH
    }

    fn send(&mut self, lines: &[LogLine], patience: Duration) -> (usize, Result<(), Failure>) {
        let body = body(lines, &self.resource);
        let head = format!("Content-Type: application/json\r\n{}", self.headers);
        let result = match post(&self.place, &head, body.as_bytes(), patience) {
            Ok(Answer { status: 200..300, .. }) => return (lines.len(), Ok(())),
            // The four that the protocol lets one try again.
            Ok(Answer { status: status @ (429 | 502 | 503 | 504), retry_after }) => {
                Err(Failure::Later(format!("HTTP {status}"), retry_after))
            }
            Ok(Answer { status, .. }) => Err(Failure::Never(format!("HTTP {status}"))),
            Err(error) => Err(error.into()),
        };
        (0, result)
    }
}

/// An `ExportLogsServiceRequest` in the JSON of protobuf.
fn body(lines: &[LogLine], resource: &[Value]) -> String {
    let records: Vec<Value> = lines.iter().map(record).collect();
    let scope = json!({ "name": "coproc", "version": env!("CARGO_PKG_VERSION") });
    json!({
        "resourceLogs": [{
            "resource": { "attributes": resource },
            "scopeLogs": [{ "scope": scope, "logRecords": records }],
        }],
    })
    .to_string()
}

fn record(line: &LogLine) -> Value {
    let nanos = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
    };
    let time = nanos(line.time);
    let body = match std::str::from_utf8(&line.text) {
        Ok(text) => json!({ "stringValue": text }),
        Err(_) => {
            let mut bytes = Vec::new();
            crate::log::format::base64(&line.text, &mut bytes);
            json!({ "bytesValue": String::from_utf8_lossy(&bytes) })
        }
    };
    let mut attributes = vec![attribute("logger", &line.logger)];
    attributes.extend(line.stream.map(|stream| attribute("log.iostream", stream.as_str())));
    attributes.extend(line.part.mark().map(|mark| attribute("part", mark)));
    json!({
        "timeUnixNano": time,
        "observedTimeUnixNano": time,
        "severityNumber": severity(line.level),
        "severityText": line.level.as_str(),
        "body": body,
        "attributes": attributes,
    })
}

fn attribute(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

/// The first number of each range, and the last one for a bug.
fn severity(level: Level) -> u8 {
    match level {
        Level::Trace => 1,
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
        Level::Fatal => 21,
        Level::Panic => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coproc_core::output::{Part, Stream};

    #[test]
    fn a_request() {
        let line = |text: &[u8], stream, part| LogLine {
            time: UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_250),
            logger: "agent".into(),
            stream,
            level: Level::Error,
            text: text.into(),
            part,
            missed: 0,
        };
        let lines = [
            line(b"it \"fails\"\0", Some(Stream::Stderr), Part::Whole),
            line(b"\xFF", None, Part::End),
        ];
        let text = body(&lines, &[attribute("service.name", "shop")]);
        let value: Value = serde_json::from_str(&text).unwrap();
        let attributes = &value["resourceLogs"][0]["resource"]["attributes"];
        assert_eq!(*attributes, json!([attribute("service.name", "shop")]));
        let records = &value["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
        assert_eq!(
            records[0],
            json!({
                "timeUnixNano": "1700000000000000250",
                "observedTimeUnixNano": "1700000000000000250",
                "severityNumber": 17,
                "severityText": "error",
                "body": { "stringValue": "it \"fails\"\0" },
                "attributes": [attribute("logger", "agent"), attribute("log.iostream", "stderr")],
            })
        );
        assert_eq!(records[1]["body"], json!({ "bytesValue": "/w==" }));
        assert_eq!(
            records[1]["attributes"],
            json!([attribute("logger", "agent"), attribute("part", "end")])
        );
    }
}
