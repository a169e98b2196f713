//! `eval --batch` and `jws --batch`: the contracts for test suites outside, JSON lines in and out.

use cedar_gate::tools::{eval, jws_batch};
use clap::Args;

use crate::shell::{self, Answer, Failure};

const EVAL_HELP: &str = r#"JSON lines on stdin and stdout:
  in:  {"id", "policies": "<cedar>", "schema"?: "<cedarschema>" | null,
        "entities"?: [<Cedar's entity JSON>, …],
        "requests": [{"principal": {"type", "id"} | null, "action": {"type", "id"},
                      "resource": {"type", "id"} | null, "context"?: {…}, "validate"?: true}, …]}
  out: {"id", "results": [{"decision": "allow" | "deny", "reason": ["policy0"],
                           "errors": ["policy3"]}, …], "validates": true | false, "error"?: "…"}
  A policy without @id is policy0, policy1, … in the order of the text. A request that cannot be
  used has {"error": "…"} in its place in "results"; a line that cannot be used has "error" and no
  results. The exit code is 0 when every line was answered.

Example:
  cedar-gate eval --batch < tests.jsonl > answers.jsonl"#;

const JWS_HELP: &str = r#"JSON lines on stdin and stdout:
  in:  {"id", "jwks": {"keys": [<JWK>, …]}, "jws": "<compact serialization>"}
  out: {"id", "valid": true | false, "reason"?: "<word>", "detail"?: "<words>", "error"?: "…"}
  A line that cannot be used has "error" and no "valid". Claims are not looked at: not even "exp".
  The exit code is 0 whenever every line was answered.

Example:
  cedar-gate jws --batch < tests.jsonl > answers.jsonl"#;

#[derive(Args)]
#[command(after_help = EVAL_HELP)]
pub(crate) struct EvalArgs {
    /// Read many tests from stdin, one JSON line each.
    #[arg(long, required = true)]
    batch: bool,
}

#[derive(Args)]
#[command(after_help = JWS_HELP)]
pub(crate) struct JwsArgs {
    /// Read many tests from stdin, one JSON line each.
    #[arg(long, required = true)]
    batch: bool,
}

pub(crate) fn eval(args: &EvalArgs) -> Result<Answer, Failure> {
    debug_assert!(args.batch, "the flag is required");
    each_test(eval::answer_line)
}

pub(crate) fn jws(args: &JwsArgs) -> Result<Answer, Failure> {
    debug_assert!(args.batch, "the flag is required");
    each_test(jws_batch::answer_line)
}

fn each_test(answer: fn(&str) -> String) -> Result<Answer, Failure> {
    shell::each_line(|line| line.map_or_else(|error| error_line(&error), answer))?;
    Ok(Answer::Yes)
}

/// The answer to a line that is no line of text.
pub(crate) fn error_line(error: &str) -> String {
    serde_json::json!({ "error": error }).to_string()
}
