//! `eval --batch` and `jws --batch`: the contracts for test suites outside, JSON lines in and out.

use cedar_gate::tools::{eval, jws_batch};
use clap::Args;

use crate::shell::{self, Answer, Failure};

/// Reads JSON lines from stdin and writes one JSON line for each:
///
/// in: {"id", "policies": "<cedar>", "schema": "<cedarschema>"|null, "entities": [...],
///      "requests": [{"principal": {"type", "id"}|null, "action": {...}, "resource": {...}, "context": {...}, "validate": bool}]}
/// out: {"id", "results": [{"decision": "allow"|"deny", "reason": ["policy0"], "errors": ["policy3"]}], "validates": bool, "error"?}
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct EvalArgs {
    /// Read many tests from stdin, one JSON line each.
    #[arg(long, required = true)]
    batch: bool,
}

/// Reads JSON lines from stdin and writes one JSON line for each:
///
/// in: {"id", "jwks": {"keys": [...]}, "jws": "<compact serialization>"}
/// out: {"id", "valid": true|false, "reason"?: "<word>", "detail"?: "<words>", "error"?}
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct JwsArgs {
    /// Read many tests from stdin, one JSON line each.
    #[arg(long, required = true)]
    batch: bool,
}

pub(crate) fn eval(args: &EvalArgs) -> Result<Answer, Failure> {
    debug_assert!(args.batch, "the flag is required");
    shell::each_line(|line| match line {
        Ok(line) => eval::answer_line(line),
        Err(error) => error_line(&error),
    })?;
    Ok(Answer::Yes)
}

pub(crate) fn jws(args: &JwsArgs) -> Result<Answer, Failure> {
    debug_assert!(args.batch, "the flag is required");
    shell::each_line(|line| match line {
        Ok(line) => jws_batch::answer_line(line),
        Err(error) => error_line(&error),
    })?;
    Ok(Answer::Yes)
}

/// The answer to a line that is no line of text.
pub(crate) fn error_line(error: &str) -> String {
    serde_json::json!({ "error": error }).to_string()
}
