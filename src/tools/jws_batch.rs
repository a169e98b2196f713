//! `jws --batch`: the authorizer's own verification of signatures, asked from outside, one JSON line a test.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::id_of;
use crate::jose::{JwkSet, verify_jws};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "{\"id\", \"jwks\", \"jws\"}")]
struct Test<'a> {
    id: Value,
    #[serde(borrow)]
    jwks: &'a RawValue,
    jws: String,
}

#[derive(Serialize)]
struct Outcome {
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
    /// Why it is not valid: a stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Why it is not valid, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Why the line could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Answers one line with one line (without its end): signature, header and key rules; no claim rules.
#[must_use]
pub fn answer_line(line: &str) -> String {
    let outcome = match serde_json::from_str::<Test<'_>>(line) {
        Ok(test) => run(test),
        Err(error) => Outcome {
            id: id_of(line).unwrap_or_default(),
            valid: None,
            reason: None,
            detail: None,
            error: Some(format!("the line is not a test: {error}")),
        },
    };
    serde_json::to_string(&outcome)
        .unwrap_or_else(|_| r#"{"error":"the outcome cannot be written"}"#.to_owned())
}

fn run(test: Test<'_>) -> Outcome {
    let invalid =
        |id, reason, detail| Outcome { id, valid: Some(false), reason: Some(reason), detail, error: None };
    let keys = match JwkSet::from_json(test.jwks.get().as_bytes()) {
        Ok(keys) => keys,
        // A key set that cannot be used verifies nothing.
        Err(error) => return invalid(test.id, "unusable_keys", Some(error.to_string())),
    };
    match verify_jws(&test.jws, &keys) {
        Ok(()) => Outcome { id: test.id, valid: Some(true), reason: None, detail: None, error: None },
        Err(error) => {
            // Where the key is unknown because it was refused, the refusal is what the reader needs.
            let skipped: Vec<String> = keys.skipped().iter().map(|(_, reason)| reason.to_string()).collect();
            let detail = match (error.slug(), skipped.is_empty()) {
                ("unknown_key", false) => {
                    format!("{error}; keys that cannot be used: {}", skipped.join("; "))
                }
                _ => error.to_string(),
            };
            invalid(test.id, error.slug(), Some(detail))
        }
    }
}
