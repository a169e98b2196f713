//! Decision records, read back from a log: as the authorizer wrote them, or as CloudWatch Logs and its exports wrap them.
//!
//! | a line | where it comes from |
//! |---|---|
//! | `{"type":"decision",…}` | the authorizer's stdout |
//! | `2026-11-21T12:00:00.250Z {"type":"decision",…}` | an export to S3, `aws logs tail`: anything may stand before it |
//! | `{"message":"{…}"}`, `{"@message":"{…}"}` | a query of Logs Insights, other shippers |
//! | `{"logEvents":[{"message":"{…}"}]}` | a subscription: Firehose, Kinesis, Lambda |
//! | `"message": "{…}",` | `aws logs filter-log-events`, whose JSON document has one member a line |
//! | `{"record":{"type":"decision",…}}` | `cedar-gate authorize --batch` |
//!
//! Whatever else stands in a log is passed over.

use serde::Deserialize;
use serde_json::Value;

use crate::record::facts::{RecordedFacts, RecordedPath};

/// What a decision record says, as far as it is needed to decide once more.
#[derive(Clone, Debug, Deserialize)]
pub struct LoggedDecision {
    /// The moment that was decided for, RFC 3339.
    pub timestamp: String,
    /// What the caller got.
    pub outcome: String,
    /// Why, as a stable word.
    pub reason: String,
    /// The API's alias.
    pub api: Option<String>,
    /// The stage.
    pub stage: Option<String>,
    /// The asked method.
    pub verb: Option<String>,
    /// The asked path.
    pub path: Option<RecordedPath>,
    /// The operation.
    pub action: Option<String>,
    /// The route's template.
    pub route: Option<String>,
    /// Who asked.
    pub principal: Option<String>,
    /// The roles that the issuer conferred.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The other facts.
    pub facts: Option<RecordedFacts>,
    /// The policies that determined the decision.
    #[serde(default)]
    pub policies: Vec<String>,
    /// The version that decided.
    pub policy_version: Option<String>,
    /// The digest of the bundle that decided.
    #[serde(default)]
    pub bundle: String,
    /// The gateway's request id.
    pub request_id: Option<String>,
}

/// What was found in a line.
#[derive(Debug)]
pub enum Found {
    /// A decision record.
    Decision(Box<LoggedDecision>),
    /// One that is not understood, and why.
    Broken(String),
}

/// How deep records are looked for in what wraps them: a subscription's `logEvents`, whose `message` holds a line.
const MAX_DEPTH: usize = 4;

/// The decision records in a line of a log; none where it holds something else.
#[must_use]
pub fn read_line(line: &str) -> Vec<Found> {
    let mut found = Vec::new();
    read_text(line.trim(), MAX_DEPTH, &mut found);
    found
}

fn read_text(text: &str, depth: usize, found: &mut Vec<Found>) {
    // Cheap, because most lines of other kinds have no such word in them.
    if !text.contains("decision") {
        return;
    }
    if let Some(member) = text.strip_prefix("\"message\":") {
        if let Ok(message) = serde_json::from_str::<String>(member.trim().trim_end_matches(',')) {
            read_text(&message, depth, found);
        }
        return;
    }
    let Some(start) = text.find('{') else { return };
    let json = text.get(start..).unwrap_or_default();
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
    if let Some(Ok(value)) = values.next() {
        read_value(value, depth, found);
    }
}

fn read_value(value: Value, depth: usize, found: &mut Vec<Found>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let Value::Object(mut members) = value else { return };
    if members.get("type").and_then(Value::as_str) == Some("decision") {
        found.push(match serde_json::from_value(Value::Object(members)) {
            Ok(decision) => Found::Decision(Box::new(decision)),
            Err(error) => Found::Broken(error.to_string()),
        });
        return;
    }
    for name in ["message", "@message", "log", "record"] {
        match members.remove(name) {
            Some(Value::String(text)) => return read_text(&text, depth, found),
            Some(value @ Value::Object(_)) => return read_value(value, depth, found),
            Some(_) | None => {}
        }
    }
    for name in ["logEvents", "events"] {
        if let Some(Value::Array(events)) = members.remove(name) {
            events.into_iter().for_each(|event| read_value(event, depth, found));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RECORD: &str = r#"{"type":"decision","level":"INFO","timestamp":"2026-11-21T12:00:00Z","outcome":"allow","reason":"policy","bundle":"sha256:00"}"#;

    fn count(line: &str) -> (usize, usize) {
        let found = read_line(line);
        let decisions = found.iter().filter(|found| matches!(found, Found::Decision(_))).count();
        (decisions, found.len() - decisions)
    }

    #[test]
    fn a_record_is_found_in_whatever_wraps_it() {
        let two = json!({ "messageType": "DATA_MESSAGE", "logEvents": [{ "message": RECORD }, { "message": RECORD }] });
        for (line, expected) in [
            (RECORD.to_owned(), (1, 0)),
            (format!("2026-11-21T12:00:00.250Z {RECORD}"), (1, 0)),
            (format!("2026-11-21T12:00:00.250Z\t8476a536-e9f4\tINFO\t{RECORD} trailing"), (1, 0)),
            (json!({ "message": RECORD }).to_string(), (1, 0)),
            (json!({ "message": format!("{RECORD}\n"), "timestamp": 1 }).to_string(), (1, 0)),
            (json!({ "@timestamp": "x", "@message": RECORD }).to_string(), (1, 0)),
            (two.to_string(), (2, 0)),
            (format!("            \"message\": {},", json!(RECORD)), (1, 0)),
            (format!(r#"{{"schema":"cedar-gate/authorize/1","record":{RECORD}}}"#), (1, 0)),
            (r#"{"type":"decision","timestamp":7}"#.to_owned(), (0, 1)),
            (r#"{"type":"shadow","disagreement":"wider","decision":1}"#.to_owned(), (0, 0)),
            ("START RequestId: 8476a536 decision".to_owned(), (0, 0)),
            (r#"{"message":"decision"}"#.to_owned(), (0, 0)),
            ("{ decision".to_owned(), (0, 0)),
            (String::new(), (0, 0)),
        ] {
            assert_eq!(count(&line), expected, "{line}");
        }
    }

    #[test]
    fn what_wraps_itself_ends() {
        let mut line = RECORD.to_owned();
        for _ in 0..20 {
            line = json!({ "message": line }).to_string();
        }
        assert_eq!(count(&line), (0, 0));
    }
}
