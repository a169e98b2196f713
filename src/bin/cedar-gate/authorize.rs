//! `authorize`: an event in, the Lambda's answer out.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use cedar_gate::authorizer::{Answered, Authorizer};
use cedar_gate::bundle::policies::PolicyVersion;
use cedar_gate::event::AuthorizerEvent;
use cedar_gate::record::{DecisionRecord, Outcome};
use cedar_gate::response::Reply;
use cedar_gate::time::Timestamp;
use owo_colors::OwoColorize;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Format;
use crate::shell::{self, Answer, Failure};

/// Answers an authorizer event by the bundle. stdout gets the exact bytes that the Lambda would answer, stderr a short why.
///
/// Exit codes: 0 allowed, 1 refused (403 or 401), 2 a fault (500).
#[derive(clap::Args)]
#[command(after_help = BATCH_HELP)]
pub(crate) struct Args {
    /// The event: a file, or - for stdin.
    #[arg(long, value_name = "FILE|-", required_unless_present = "batch", conflicts_with = "batch")]
    event: Option<String>,
    /// The moment to decide for: RFC 3339, or seconds since the epoch. Without it, the clock.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// The same as --format json: response, outcome and decision record in one document.
    #[arg(long)]
    json: bool,
    /// Read many events from stdin, one JSON line each.
    #[arg(long)]
    batch: bool,
}

const BATCH_HELP: &str = "\
With --batch, JSON lines in and out:
  in:  {\"event\": {…}, \"now\": \"2026-11-21T10:00:00Z\" | 1795255200, \"id\"?: …}
  out: {\"id\"?: …, \"outcome\": \"allow\" | \"deny\" | \"unauthorized\" | \"fault\", \"response\": {…} | null,
        \"error\": {\"errorType\", \"errorMessage\"} | null, \"record\": {…}}
  A line that is not understood gives {\"id\"?: …, \"error\": \"…\"} and no outcome.";

/// What `--format json` and `--batch` print.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    outcome: Outcome,
    response: Option<&'a RawValue>,
    error: Option<InvocationError<'a>>,
    record: &'a DecisionRecord,
}

/// What the runtime reports when an invocation fails.
#[derive(Serialize)]
struct InvocationError<'a> {
    #[serde(rename = "errorType")]
    error_type: &'static str,
    #[serde(rename = "errorMessage")]
    error_message: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchLine<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(default)]
    now: Option<Moment>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Text(String),
    Seconds(i64),
}

pub(crate) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    let authorizer = shell::load_authorizer(root)?;
    let Some(path) = &args.event else { return batch(&authorizer, args.now) };
    let event = shell::read_input(path, AuthorizerEvent::MAX_BYTES as u64)?;
    let now = args.now.map_or_else(shell::now, Ok)?;
    let answered = authorizer.answer(&event, now);
    if args.json || format == Format::Json {
        let response = response(&answered)?;
        shell::print_json(&report(None, &answered, response.as_deref()))?;
    } else {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&wire_bytes(&answered.reply)?)?;
        // The bytes are exact for a pipe; a person's terminal gets its line end.
        if stdout.is_terminal() {
            stdout.write_all(b"\n")?;
        }
        shell::talk(&why(&answered.record, &authorizer));
    }
    Ok(match answered.record.outcome {
        Outcome::Allow => Answer::Yes,
        Outcome::Deny | Outcome::Unauthorized => Answer::No,
        Outcome::Fault => Answer::Unanswered,
    })
}

fn batch(authorizer: &Authorizer, now: Option<Timestamp>) -> Result<Answer, Failure> {
    shell::each_line(|line| {
        let answer = line.clone().and_then(|line| batch_line(authorizer, now, line));
        answer.unwrap_or_else(|error| {
            let id = line
                .ok()
                .and_then(|line| serde_json::from_str::<Value>(line).ok())
                .and_then(|line| line.get("id").cloned());
            match id {
                Some(id) => serde_json::json!({ "id": id, "error": error }).to_string(),
                None => crate::batch::error_line(&error),
            }
        })
    })?;
    Ok(Answer::Yes)
}

fn batch_line(authorizer: &Authorizer, now: Option<Timestamp>, line: &str) -> Result<String, String> {
    let line: BatchLine<'_> = serde_json::from_str(line)
        .map_err(|error| format!("the line is not {{\"event\", \"now\"}}: {error}"))?;
    let now = match (line.now, now) {
        (Some(Moment::Seconds(seconds)), _) => Timestamp::from_unix_seconds(seconds),
        (Some(Moment::Text(text)), _) => {
            text.parse().map_err(|error: cedar_gate::time::TimestampError| error.to_string())?
        }
        (None, Some(now)) => now,
        (None, None) => shell::now().map_err(|_| "the clock cannot be read".to_owned())?,
    };
    let answered = authorizer.answer(line.event.get().as_bytes(), now);
    let response = response(&answered).map_err(|_| "the response is not JSON".to_owned())?;
    serde_json::to_string(&report(line.id, &answered, response.as_deref())).map_err(|error| error.to_string())
}

fn report<'a>(id: Option<Value>, answered: &'a Answered, response: Option<&'a RawValue>) -> Report<'a> {
    let error = match &answered.reply {
        Reply::Json(_) => None,
        Reply::Unauthorized => {
            Some(InvocationError { error_type: "Unauthorized", error_message: "Unauthorized" })
        }
        Reply::Fault(message) => Some(InvocationError { error_type: "Fault", error_message: message }),
    };
    Report { id, outcome: answered.record.outcome, response, error, record: &answered.record }
}

fn response(answered: &Answered) -> Result<Option<Box<RawValue>>, Failure> {
    match &answered.reply {
        Reply::Json(bytes) => {
            serde_json::from_slice(bytes).map(Some).map_err(|error| Failure::Message(error.to_string()))
        }
        Reply::Unauthorized | Reply::Fault(_) => Ok(None),
    }
}

/// What the Lambda posts to the Runtime API: the answer, or the error that API Gateway makes a 401 or a 500 of.
fn wire_bytes(reply: &Reply) -> Result<Vec<u8>, Failure> {
    let error = |error_type, error_message: &str| {
        serde_json::to_vec(&InvocationError { error_type, error_message })
            .map_err(|error| Failure::Message(error.to_string()))
    };
    match reply {
        Reply::Json(bytes) => Ok(bytes.clone()),
        Reply::Unauthorized => error("Unauthorized", "Unauthorized"),
        Reply::Fault(message) => error("Fault", message),
    }
}

/// A few lines for a person: what was asked, what decided and where it stands, what to do next.
pub(crate) fn why(record: &DecisionRecord, authorizer: &Authorizer) -> String {
    let word = match record.outcome {
        Outcome::Allow => "allow".green().bold().to_string(),
        Outcome::Deny => "deny".red().bold().to_string(),
        Outcome::Unauthorized => "unauthorized".yellow().bold().to_string(),
        Outcome::Fault => "fault".red().bold().to_string(),
    };
    let who = record.principal.as_deref().unwrap_or("an unknown caller");
    let what = record.action.as_deref().unwrap_or("an unknown operation");
    let roles = match record.roles.as_slice() {
        [] => "no role".to_owned(),
        roles => roles.join(", "),
    };
    let mut text = match &record.principal {
        Some(_) => format!("{word}: {who} ({roles}) asks for {what}"),
        None => format!("{word}: {}", record.reason),
    };
    let version = match (&record.api, &record.stage) {
        (Some(api), Some(stage)) => authorizer.bundle().active(api, stage),
        _ => None,
    };
    for policy in &record.policies {
        text.push_str(&format!("\n  by policy {policy}{}", place(version, policy)));
    }
    for error in &record.policy_errors {
        text.push_str(&format!("\n  a policy failed, so the answer is deny: {error}"));
    }
    if let Some(detail) = &record.detail {
        text.push_str(&format!("\n  {detail}"));
    }
    if record.reason == "no_permit" {
        text.push_str("\n  no policy permits it");
    }
    text
}

fn place(version: Option<&Arc<PolicyVersion>>, policy: &str) -> String {
    version
        .and_then(|version| version.note(policy))
        .map(|note| format!(" ({}:{})", note.file, note.line))
        .unwrap_or_default()
}
