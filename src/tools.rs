//! What people who write policies need beside the authorizer: pure functions, called by the command line.

pub mod anatomy;
pub mod cache_safety;
pub mod cases;
pub mod claimant;
pub mod condition;
pub mod coverage;
pub mod decision_log;
pub mod desk;
pub mod eval;
pub mod explain;
pub mod format;
pub mod github;
pub mod issuer_file;
pub mod jws_batch;
mod lineage;
pub mod lint;
pub mod matrix;
pub mod mint;
pub mod mutate;
pub mod openapi;
pub mod people;
pub mod plan;
pub mod release;
pub mod replay;
pub mod sarif;
pub mod scaffold;
pub mod suite;
pub mod trace;
pub mod versions_file;
pub mod whole_api;
pub mod why_document;

use serde_json::Value;

use crate::authorizer::Authorizer;
use crate::bundle::Bundle;

/// The bundle of an authorizer, as it was read from its sources.
///
/// # Errors
/// In words, where the authorizer answers by a built bundle, which has to be read from its sources first.
fn sources(authorizer: &Authorizer) -> Result<&Bundle, String> {
    authorizer.read_bundle().ok_or_else(|| "a built bundle has to be read from its sources first".to_owned())
}

/// The `id` of a batch line that could not be used otherwise; `None` where it is no JSON object or has none.
#[must_use]
pub fn id_of(line: &str) -> Option<Value> {
    serde_json::from_str::<Value>(line).ok()?.get("id").cloned()
}

/// The first of some names as a text, at most so many, and how many more there are.
fn some_of(names: &[String], most: usize) -> String {
    let named = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
