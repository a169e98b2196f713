//! `authorize`: an event in, the Lambda's answer out.

use std::path::Path;
use std::sync::Arc;

use cedar_gate::authorizer::{Answered, Authorizer};
use cedar_gate::bundle::policies::PolicyVersion;
use cedar_gate::bundle::{Bundle, BundleFacts};
use cedar_gate::event::AuthorizerEvent;
use cedar_gate::jose::Need;
use cedar_gate::record::shadow::{Opinion, ShadowRecord};
use cedar_gate::record::{DecisionRecord, Outcome};
use cedar_gate::response::Reply;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::id_of;
use cedar_gate::tools::why_document::{DocumentReason, explain};
use owo_colors::OwoColorize;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Format;
use crate::keys::{Fetched, Keys, Network};
use crate::remedy;
use crate::shell::{self, Answer, Failure};

mod document;

#[derive(clap::Args)]
#[command(after_help = HELP)]
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
    /// Say statement by statement which grants the document stands for.
    #[arg(long, conflicts_with = "batch")]
    why_document: bool,
    /// Read many events from stdin, one JSON line each.
    #[arg(long)]
    batch: bool,
    #[command(flatten)]
    network: Network,
}

const HELP: &str = r#"stdout has the bytes of the Lambda's answer, stderr a short why.
Exit codes: 0 allowed, 1 refused (403 or 401), 2 a fault (500) or no answer.

With --json, one document as below; with --batch, JSON lines in and out:
  in:  {"event": {…}, "now"?: "2026-11-21T10:00:00Z" | 1795255200, "id"?: …}
  out: {"schema": "cedar-gate/authorize/1", "id"?: …,
        "outcome": "allow" | "deny" | "unauthorized" | "fault",
        "response": {…} | null, "error": {"errorType", "errorMessage"} | null, "record": {…}}
  With --why-document, "document": {"whole_api", "exact", "statements", "withheld", "unserved"} too.
  A line that is not understood gives {"schema", "id"?: …, "error": "…"} and no outcome;
  an empty line gives nothing. The exit code is 0 when every line was answered, however.

Examples:
  cedar-gate authorize --event event.json
  cedar-gate authorize --event event.json --now 2026-11-21T10:00:00Z --json
  TOKEN=$(cedar-gate token mint --issuer dev --sub alice --role clerk --tenant acme)
  ARN=arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders
  echo '{"type": "TOKEN", "authorizationToken": "Bearer '$TOKEN'", "methodArn": "'$ARN'"}' |
    cedar-gate authorize --event -"#;

/// The form of `--json` and `--batch`.
const SCHEMA: &str = "cedar-gate/authorize/1";

/// What `--format json` and `--batch` print.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    outcome: Outcome,
    response: Option<&'a RawValue>,
    error: Option<InvocationError<'a>>,
    record: &'a DecisionRecord,
    /// What a shadow version says that disagrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<DocumentReason>,
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
#[serde(deny_unknown_fields, expecting = "{\"event\", \"now\"?, \"id\"?}")]
struct BatchLine<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(default)]
    now: Option<Moment>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`now` is neither RFC 3339 text nor whole seconds since the epoch")]
enum Moment {
    Text(String),
    Seconds(i64),
}

pub(crate) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    let bundle = shell::load_bundle(root)?;
    let Some(path) = &args.event else {
        let asked = Asked::new(bundle, args.network)?;
        return batch(&asked, args.now);
    };
    // The key is read after the event: `cedar-gate token mint`, which makes it, may be what writes to this pipe.
    let event = shell::read_input(path, AuthorizerEvent::MAX_BYTES as u64)?;
    let Asked { authorizer, keys } = Asked::new(bundle, args.network)?;
    let now = args.now.map_or_else(shell::now, Ok)?;
    let (answered, fetched) = keys.answer(&authorizer, &event, now);
    let reason = args.why_document.then(|| explain(&authorizer, &answered));
    if args.json || format == Format::Json {
        let document = reason.flatten();
        let shadow = ask_shadow(&authorizer, &answered);
        shell::print_document(&Report { document, shadow, ..report(None, &answered) })?;
    } else {
        shell::print_bytes(&wire_bytes(&answered.reply)?)?;
        let why = why(&answered.record, &authorizer);
        let about_document = reason.map(|reason| document::as_text(reason.as_ref())).unwrap_or_default();
        let about_need = about_need(&answered, &fetched, authorizer.bundle());
        let about_shadow = ask_shadow(&authorizer, &answered).map(|shadow| about_shadow(&shadow));
        shell::talk(&format!("{why}{}{about_document}{about_need}", about_shadow.unwrap_or_default()));
    }
    Ok(match answered.record.outcome {
        Outcome::Allow => Answer::Yes,
        Outcome::Deny | Outcome::Unauthorized => Answer::No,
        Outcome::Fault => Answer::Unanswered,
    })
}

/// What the stage's shadow version says, where that disagrees.
fn ask_shadow(authorizer: &Authorizer, answered: &Answered) -> Option<ShadowRecord> {
    authorizer.ask_shadow(answered.shadow.as_ref()?, &answered.record)
}

/// A line more where it does.
fn about_shadow(record: &ShadowRecord) -> String {
    let Opinion { version, effect, policies, policy_errors, failure, .. } = &record.shadow;
    let why = match (failure, policy_errors.as_slice(), policies.as_slice()) {
        (Some(failure), _, _) => failure.clone(),
        (None, [error, ..], _) => format!("a policy failed: {error}"),
        (None, [], []) => "no policy permits it".to_owned(),
        (None, [], policies) => format!("by policy {}", policies.join(", ")),
    };
    let said = effect.unwrap_or("nothing");
    format!("\n  {}", shell::printable(&format!("the shadow {version} says {said}: {why}")))
}

/// A few lines more where something was needed and is not there.
fn about_need(answered: &Answered, fetched: &Fetched, bundle: &BundleFacts) -> String {
    let is_fault = answered.record.outcome == Outcome::Fault;
    let next = match answered.need.as_ref().filter(|_| is_fault) {
        None => None,
        Some(Need::Keys { key_set }) => bundle
            .issuers()
            .with_key_set(key_set)
            .map(|issuer| format!("next: {}", remedy::keys_unavailable(issuer, fetched))),
        Some(Need::Introspection { issuer, .. }) => {
            Some(format!("next: {}", remedy::introspection_unavailable(issuer, fetched)))
        }
    };
    let failure = fetched.failure().filter(|_| answered.need.is_some()).map(str::to_owned);
    failure.into_iter().chain(next).map(|line| format!("\n  {}", shell::printable(&line))).collect()
}

/// Who is asked, and the keys to answer by.
struct Asked {
    authorizer: Authorizer,
    keys: Keys,
}

impl Asked {
    fn new(bundle: Bundle, network: Network) -> Result<Self, Failure> {
        let authorizer = shell::authorizer(bundle)?;
        let keys = Keys::of(authorizer.bundle(), network);
        Ok(Self { authorizer, keys })
    }
}

fn batch(asked: &Asked, now: Option<Timestamp>) -> Result<Answer, Failure> {
    shell::each_line(|line| {
        let answer = line.clone().and_then(|line| batch_line(asked, now, line));
        answer.unwrap_or_else(|error| {
            let id = line.ok().and_then(id_of);
            match id {
                Some(id) => serde_json::json!({ "schema": SCHEMA, "id": id, "error": error }).to_string(),
                None => serde_json::json!({ "schema": SCHEMA, "error": error }).to_string(),
            }
        })
    })?;
    Ok(Answer::Yes)
}

fn batch_line(asked: &Asked, now: Option<Timestamp>, line: &str) -> Result<String, String> {
    let line: BatchLine<'_> =
        serde_json::from_str(line).map_err(|error| format!("the line is not understood: {error}"))?;
    let now = match (line.now, now) {
        (Some(Moment::Seconds(seconds)), _) => Timestamp::from_unix_seconds(seconds),
        (Some(Moment::Text(text)), _) => {
            text.parse().map_err(|error: cedar_gate::time::TimestampError| error.to_string())?
        }
        (None, Some(now)) => now,
        (None, None) => shell::now().map_err(|_| "the clock cannot be read".to_owned())?,
    };
    let (answered, _) = asked.keys.answer(&asked.authorizer, line.event.get().as_bytes(), now);
    let shadow = ask_shadow(&asked.authorizer, &answered);
    serde_json::to_string(&Report { shadow, ..report(line.id, &answered) }).map_err(|error| error.to_string())
}

fn report(id: Option<Value>, answered: &Answered) -> Report<'_> {
    let failed = |error_type, error_message| (None, Some(InvocationError { error_type, error_message }));
    let (response, error) = match &answered.reply {
        Reply::Json(json) => (Some(json.as_raw()), None),
        Reply::Unauthorized => failed("Unauthorized", Reply::UNAUTHORIZED),
        Reply::Fault(message) => failed("Fault", message),
    };
    Report {
        schema: SCHEMA,
        id,
        outcome: answered.record.outcome,
        response,
        error,
        record: &answered.record,
        shadow: None,
        document: None,
    }
}

/// What the Lambda posts to the Runtime API: the answer, or the error that API Gateway makes a 401 or a 500 of.
fn wire_bytes(reply: &Reply) -> Result<Vec<u8>, Failure> {
    let error = |error_type, error_message: &str| {
        serde_json::to_vec(&InvocationError { error_type, error_message })
            .map_err(|error| Failure::Message(error.to_string()))
    };
    match reply {
        Reply::Json(json) => Ok(json.as_str().into()),
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
    let mut text = format!("{word}: {}", asked(record));
    let version = match (&record.api, &record.stage) {
        (Some(api), Some(stage)) => authorizer.read_bundle().and_then(|bundle| bundle.active(api, stage)),
        _ => None,
    };
    let mut say = |line: &str| text.push_str(&format!("\n  {}", shell::printable(line)));
    for policy in &record.policies {
        say(&format!("by policy {policy}{}", place(version, policy)));
    }
    for error in &record.policy_errors {
        say(&format!("a policy failed, so the answer is deny: {error}"));
    }
    if let Some(detail) = &record.detail {
        say(detail);
    }
    if record.reason == "no_permit" {
        say("no policy permits it");
    }
    if record.reason == "withheld" {
        say(
            "Cedar allows it, but the document for the whole API, which the gateway keeps, does not state it",
        );
    }
    if let Some(next) = next_step(record) {
        say(&format!("next: {next}"));
    }
    text
}

/// Who asked for what, as far as it is known; else the word for why it is not.
fn asked(record: &DecisionRecord) -> String {
    let Some(who) = &record.principal else { return record.reason.to_owned() };
    let roles = match record.roles.as_slice() {
        [] => "no role".to_owned(),
        roles => roles.join(", "),
    };
    let what = record.action.as_deref().unwrap_or("an unknown operation");
    shell::printable(&format!("{who} ({roles}) asks for {what}"))
}

/// What to do about a refusal: the next command, or the line to write.
fn next_step(record: &DecisionRecord) -> Option<String> {
    let version = record.policy_version.as_deref().unwrap_or("<version>");
    let api = record.api.as_deref().unwrap_or("<api>");
    let next = match (record.outcome, record.reason) {
        (Outcome::Allow, _) => return None,
        (Outcome::Deny, "policy") => {
            "where that is wrong, change the policy and run: cedar-gate check".to_owned()
        }
        (Outcome::Deny, "no_permit") => {
            let action = record.action.as_deref().unwrap_or_default();
            format!("where it should be allowed, permit Action::{action:?} in policies/{version}/*.cedar and run: cedar-gate check")
        }
        (Outcome::Deny, "withheld") => {
            "see what it leaves out with: cedar-gate authorize --why-document; and what to do with: cedar-gate check"
                .to_owned()
        }
        (Outcome::Deny, "policy_error") => "mend that policy, then run: cedar-gate check".to_owned(),
        (Outcome::Deny, "no_route" | "route_mismatch") => {
            "compare the API with: cedar-gate routes list".to_owned()
        }
        (Outcome::Deny, "claims_do_not_fit") => {
            "compare schema/gateway.cedarschema with: cedar-gate token inspect".to_owned()
        }
        (Outcome::Deny, "context_too_large") => "shorten [context] in schema/authorizer.toml".to_owned(),
        (Outcome::Deny, _) => return None,
        (Outcome::Unauthorized, "missing_token" | "several_tokens" | "wrong_scheme") => {
            format!("see `token` of [[api]] `{api}` in schema/authorizer.toml: it says where the token stands")
        }
        (Outcome::Unauthorized, "unknown_issuer") => {
            "see who is trusted with: cedar-gate issuer list; and how to trust it with: cedar-gate token inspect".to_owned()
        }
        (Outcome::Unauthorized, _) => "look into the token with: cedar-gate token inspect".to_owned(),
        (Outcome::Fault, "unknown_api") => {
            "name it in an [[api]] of schema/authorizer.toml: account, id, stages".to_owned()
        }
        (Outcome::Fault, "unknown_stage") => {
            "add it to `stages` of that [[api]] in schema/authorizer.toml".to_owned()
        }
        (Outcome::Fault, "no_policy_version") => {
            "write `default = \"v1\"` in policies/versions.toml".to_owned()
        }
        (Outcome::Fault, "wrong_api_kind") => {
            "see `kind` of that [[api]] in schema/authorizer.toml".to_owned()
        }
        (Outcome::Fault, "malformed_event" | "malformed_arn") => {
            "give the JSON that API Gateway sends to an authorizer; see the example in: cedar-gate help authorize"
                .to_owned()
        }
        (Outcome::Fault, _) => return None,
    };
    Some(next)
}

fn place(version: Option<&Arc<PolicyVersion>>, policy: &str) -> String {
    version
        .and_then(|version| version.note(policy))
        .map(|note| format!(" ({}:{})", note.file, note.line))
        .unwrap_or_default()
}
