//! `explain`: why a request is decided as it is.

use std::path::Path;

use cedar_gate::arn::Verb;
use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::{Bundle, BundleFacts};
use cedar_gate::credential;
use cedar_gate::entities::HttpFacts;
use cedar_gate::event::AuthorizerEvent;
use cedar_gate::jose::{TokenError, VerifiedClaims};
use cedar_gate::path::RequestPath;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::claimant::{ClaimSet, Claimant};
use cedar_gate::tools::desk::{Desk, Target};
use cedar_gate::tools::explain::{self, Explanation};
use cedar_gate::tools::trace::Tracer;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Format;
use crate::keys::{Fetched, Keys, Network};
use crate::remedy;
use crate::shell::{self, Answer, Failure};
use crate::token;

mod written;

/// The largest claim set and token that is read.
const MAX_BYTES: u64 = 1024 * 1024;

#[derive(clap::Args)]
#[command(after_help = HELP)]
#[command(group(clap::ArgGroup::new("known").args(["claims", "token", "event"])))]
pub(crate) struct Args {
    /// What is asked: a method and a path, or $connect.
    #[arg(value_name = "METHOD PATH", num_args = 0..=2, required_unless_present_any = ["event", "request"])]
    asked: Vec<String>,
    /// The same in one argument.
    #[arg(long, value_name = "'METHOD PATH'", conflicts_with_all = ["asked", "event"])]
    request: Option<String>,
    /// A role that the token names; repeat it for more.
    #[arg(long = "role", value_name = "ROLE", conflicts_with = "known", help_heading = WHO)]
    roles: Vec<String>,
    /// The tenant, where the issuer takes it from a claim.
    #[arg(long, conflicts_with = "known", help_heading = WHO)]
    tenant: Option<String>,
    /// Whom the token speaks for.
    #[arg(long, default_value = "somebody", conflicts_with = "known", help_heading = WHO)]
    sub: String,
    /// A machine with a token of its own, not a person.
    #[arg(long, conflicts_with = "known", help_heading = WHO)]
    client: bool,
    /// A scope; repeat it for more.
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with = "known", help_heading = WHO)]
    scopes: Vec<String>,
    /// A further claim as the issuer names it; the value is JSON, or else text.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = token::parse_claim, conflicts_with = "known", help_heading = WHO)]
    further: Vec<(String, Value)>,
    /// The issuer, by its alias. Without it, the first that may confer these roles in this tenant.
    #[arg(long, value_name = "ALIAS", conflicts_with_all = ["token", "event"], help_heading = WHO)]
    issuer: Option<String>,
    /// A claim set as the issuer signs it, as a JSON object; what it does not say comes from the issuer's file.
    #[arg(long, value_name = "FILE|-", requires = "issuer", help_heading = WHO)]
    claims: Option<String>,
    /// A real token.
    #[arg(long, value_name = "TOKEN|-", help_heading = WHO)]
    token: Option<String>,
    /// An event of the gateway: token, request and facts.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["asked", "api", "stage", "facts"], help_heading = WHO)]
    event: Option<String>,
    /// The API. Without it, the first in schema/authorizer.toml.
    #[arg(long, value_name = "ALIAS")]
    api: Option<String>,
    /// The stage. Without it, the API's first.
    #[arg(long)]
    stage: Option<String>,
    /// The version of the policies. Without it, the one that is active there.
    #[arg(long, value_name = "VERSION")]
    policy_version: Option<String>,
    /// A volatile fact: source_ip, client_cert_subject, headers.NAME, query.NAME, stage_variables.NAME.
    #[arg(long = "fact", value_name = "NAME=VALUE", value_parser = parse_fact)]
    facts: Vec<(String, String)>,
    /// The moment to decide for: RFC 3339, or seconds since the epoch. Without it, the clock.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// Show this policy alone, also where its scope does not match; repeat it for more.
    #[arg(long = "policy", value_name = "ID", conflicts_with = "all")]
    policies: Vec<String>,
    /// Show every policy, also those whose scope does not match.
    #[arg(long)]
    all: bool,
    /// One line that can go to a caller: no ids, no values.
    #[arg(long, conflicts_with_all = ["all", "policies"])]
    redacted: bool,
    #[command(flatten)]
    network: Network,
}

const WHO: &str = "Who asks";

const HELP: &str = r#"Whoever is made up here goes the whole way of a real token: the claims are signed with a key that was made for
the purpose, and verified by the authorizer's own rules. A role that the issuer may not confer is refused, and shown.

A policy's parts are marked: + holds, - does not, ! cannot be evaluated, . is not reached by Cedar.
The nearest permit is, of those whose action and resource match, the one with the fewest failed parts.

Exit codes: 0 allowed, 1 denied or the token refused, 2 could not answer.
With --format json: {"schema": "cedar-gate/explain/1", "outcome": "allow" | "deny" | "unauthorized", …}

Examples:
  cedar-gate explain --role clerk --tenant acme DELETE /orders/7
  cedar-gate explain --role clerk --tenant acme --policy admins-cancel-orders DELETE /orders/7
  cedar-gate explain --issuer acme-staff --claims alice.json GET /users/alice
  cedar-gate token mint --issuer dev --sub alice --role clerk | cedar-gate explain --token - GET /orders
  cedar-gate explain --event event.json
  cedar-gate explain --role clerk --tenant acme --redacted DELETE /orders/7"#;

/// What `--format json` prints.
#[derive(Serialize)]
struct Report<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    redacted: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a Explanation>,
}

/// Who asks, or why nobody is believed to.
enum Caller {
    Known(Box<VerifiedClaims>, Option<Map<String, Value>>),
    Refused { error: TokenError, help: Option<String> },
}

/// What is asked for.
struct Asking {
    api: Option<String>,
    stage: Option<String>,
    /// `None` is `$connect`.
    method: Option<(Verb, RequestPath)>,
    facts: HttpFacts,
}

pub(crate) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    let files = shell::read_files(root)?;
    let bundle = Bundle::load(&files).map_err(|errors| Failure::Bundle(Box::new((errors, files.clone()))))?;
    let now = args.now.map_or_else(shell::now, Ok)?;
    let (bundle, caller, asking) = match &args.event {
        Some(path) => of_event(bundle, path, args, now)?,
        None => {
            let asking = asking(args)?;
            let mut bundle = bundle;
            let caller = match &args.token {
                Some(token) => of_token(&mut bundle, token, args, now)?,
                None => made_up(&bundle, args, now)?,
            };
            (Loaded::Bundle(Box::new(bundle)), caller, asking)
        }
    };
    let bundle = bundle.bundle().ok_or_else(|| Failure::Message("the bundle has no sources".to_owned()))?;
    let (claims, said) = match caller {
        Caller::Known(claims, said) => (claims, said),
        Caller::Refused { error, help } => return refused(format, args, &error, help),
    };
    let desk =
        Desk::new(bundle, asking.api.as_deref(), asking.stage.as_deref(), args.policy_version.as_deref())
            .map_err(message)?;
    let tracer = Tracer::new(desk.version(), &files).map_err(message)?;
    let mut facts = asking.facts;
    if args.event.is_none() {
        facts = explain::read_facts(&desk, &args.facts).map_err(message)?;
        facts.time = facts.time.or_else(|| desk.factory().http_shape().time.then_some(now));
    }
    let target = match &asking.method {
        Some((verb, path)) => Target::Method(verb, path),
        None => Target::Connect,
    };
    let explanation =
        explain::explain(&desk, &tracer, (&claims, said.as_ref()), target, facts).map_err(message)?;
    known_policies(&args.policies, &explanation)?;
    let report = Report {
        outcome: explanation.effect,
        reason: None,
        detail: None,
        help: None,
        redacted: &explanation.redacted,
        explanation: Some(&explanation),
    };
    match (format, args.redacted) {
        (Format::Text, true) => shell::print(&format!("{}\n", shell::printable(&explanation.redacted)))?,
        (Format::Json, true) => print(&Report { explanation: None, ..report })?,
        (Format::Json, false) => print(&report)?,
        (Format::Text, false) => shell::print(&written::text(&explanation, &args.policies, args.all))?,
    }
    Ok(match explanation.effect {
        "allow" => Answer::Yes,
        _ => Answer::No,
    })
}

fn print(report: &Report<'_>) -> Result<(), Failure> {
    shell::print_json("cedar-gate/explain/1", report)
}

fn message(error: impl std::fmt::Display) -> Failure {
    Failure::Message(error.to_string())
}

/// The bundle, and what has become of it.
enum Loaded {
    Bundle(Box<Bundle>),
    Authorizer(Box<Authorizer>),
}

impl Loaded {
    fn bundle(&self) -> Option<&Bundle> {
        match self {
            Self::Bundle(bundle) => Some(bundle),
            Self::Authorizer(authorizer) => authorizer.read_bundle(),
        }
    }
}

fn known_policies(asked: &[String], explanation: &Explanation) -> Result<(), Failure> {
    let unknown = asked.iter().find(|id| explanation.policies.iter().all(|known| known.policy != **id));
    match unknown {
        None => Ok(()),
        Some(id) => {
            let known: Vec<&str> = explanation.policies.iter().map(|known| known.policy.as_str()).collect();
            Err(message(format!(
                "no policy `{id}` stands in version {}: there are {}",
                explanation.policy_version,
                known.join(", ")
            )))
        }
    }
}

/// The token is not believed: nothing more is asked.
fn refused(format: Format, args: &Args, error: &TokenError, help: Option<String>) -> Result<Answer, Failure> {
    const REDACTED: &str = "not permitted: the token is not accepted";
    let report = Report {
        outcome: "unauthorized",
        reason: Some(error.slug()).filter(|_| !args.redacted),
        detail: Some(error.to_string()).filter(|_| !args.redacted),
        help: help.filter(|_| !args.redacted),
        redacted: REDACTED,
        explanation: None,
    };
    match (format, args.redacted) {
        (Format::Json, _) => print(&report)?,
        (Format::Text, true) => shell::print(&format!("{REDACTED}\n"))?,
        (Format::Text, false) => shell::print(&written::refused(error, report.help.as_deref()))?,
    }
    Ok(Answer::No)
}

fn asking(args: &Args) -> Result<Asking, Failure> {
    let text = match &args.request {
        Some(request) => request.clone(),
        None => args.asked.join(" "),
    };
    let method = match text.trim() {
        "$connect" => None,
        text => {
            let (verb, path) = text.split_once(char::is_whitespace).ok_or_else(|| {
                message(format!(
                    "`{text}` is no request: give a method and a path, such as GET /orders/1, or $connect"
                ))
            })?;
            let path = path.trim();
            let verb = verb.to_ascii_uppercase().parse().map_err(message)?;
            let path =
                path.parse().map_err(|error| message(format!("`{path}` is refused as a path: {error}")))?;
            Some((verb, path))
        }
    };
    Ok(Asking { api: args.api.clone(), stage: args.stage.clone(), method, facts: HttpFacts::default() })
}

/// Somebody whose claims are given, signed as the issuer would.
fn made_up(bundle: &Bundle, args: &Args, now: Timestamp) -> Result<Caller, Failure> {
    let issuer = match &args.issuer {
        Some(alias) => shell::issuer_named(bundle, alias)?.name().to_owned(),
        None => issuer_for(bundle, args)?,
    };
    let mut set = ClaimSet::new(&issuer, &args.sub, now);
    set.request.roles.clone_from(&args.roles);
    set.request.scopes.clone_from(&args.scopes);
    set.request.tenant.clone_from(&args.tenant);
    set.request.client_id = args.client.then(|| args.sub.clone());
    set.request.claims = args.further.iter().cloned().collect();
    if let Some(path) = &args.claims {
        let bytes = shell::read_input(path, MAX_BYTES)?;
        set.request.claims = serde_json::from_slice(&bytes)
            .map_err(|error| message(format!("the claim set is not a JSON object: {error}")))?;
    }
    let claimant = Claimant::new(bundle).map_err(message)?;
    let presented = claimant.present(&set, now).map_err(message)?;
    let text = presented.token.expose();
    let said = match token::decoded(text.split('.').nth(1)) {
        Value::Object(said) => Some(said),
        _ => None,
    };
    Ok(match claimant.verify(&presented, now) {
        Ok(claims) => Caller::Known(Box::new(claims), said),
        Err(error) => {
            let claims = said.map_or(Value::Null, Value::Object);
            let help = no_tenant(bundle, &issuer, args)
                .or_else(|| remedy::for_token(&error, &claims, bundle, &Fetched::Nothing, now));
            Caller::Refused { error, help }
        }
    })
}

/// What to say to who gave no tenant, where the issuer's tokens need one.
fn no_tenant(bundle: &Bundle, issuer: &str, args: &Args) -> Option<String> {
    let issuer = bundle.issuers().named(issuer)?;
    if args.tenant.is_some() || args.claims.is_some() || issuer.tenant_claim().is_none() {
        return None;
    }
    Some(match issuer.tenants() {
        Some(tenants) => format!("give a tenant with --tenant: one of {}", tenants.join(", ")),
        None => "give a tenant with --tenant".to_owned(),
    })
}

/// The first issuer that may confer the roles in the tenant.
fn issuer_for(bundle: &Bundle, args: &Args) -> Result<String, Failure> {
    let able = bundle.issuers().by_name().find(|issuer| {
        let tenants = issuer.tenants();
        let confers = args.roles.iter().all(|role| issuer.grantable_roles().contains(role));
        let speaks = match (&args.tenant, &tenants) {
            (None, _) | (Some(_), None) => true,
            (Some(tenant), Some(known)) => known.contains(&tenant.as_str()),
        };
        confers && speaks
    });
    able.map(|issuer| issuer.name().to_owned()).ok_or_else(|| {
        let roles = match args.roles.is_empty() {
            true => "no role".to_owned(),
            false => format!("role {}", args.roles.join(" and ")),
        };
        let tenant = args.tenant.as_deref().map(|tenant| format!(" in tenant {tenant}")).unwrap_or_default();
        message(format!(
            "no issuer may confer {roles}{tenant}: see cedar-gate issuer list; --issuer ALIAS asks as one that refuses some of it"
        ))
    })
}

/// Who has a token.
fn of_token(bundle: &mut Bundle, text: &str, args: &Args, now: Timestamp) -> Result<Caller, Failure> {
    let text = match text {
        "-" => String::from_utf8(shell::read_input("-", MAX_BYTES)?)
            .map_err(|_| message("the token is not text"))?,
        text => text.to_owned(),
    };
    // The key is read after the token: `cedar-gate token mint`, which makes it, may be what writes to this pipe.
    shell::add_keys(bundle)?;
    let text = text.trim();
    let keys = Keys::of(bundle, args.network);
    Ok(verified(text.strip_prefix("Bearer ").unwrap_or(text), bundle, &keys, now))
}

fn verified(text: &str, bundle: &BundleFacts, keys: &Keys, now: Timestamp) -> Caller {
    let (verified, fetched) = token::verify(text, bundle, keys, now);
    let claims = token::decoded(text.split('.').nth(1));
    match verified {
        Ok(verified) => {
            let said = match claims {
                Value::Object(said) => Some(said),
                _ => None,
            };
            Caller::Known(Box::new(verified), said)
        }
        Err(error) => {
            let help = remedy::for_token(&error, &claims, bundle, &fetched, now);
            Caller::Refused { error, help }
        }
    }
}

/// Who asks for what by an event.
fn of_event(
    bundle: Bundle,
    path: &str,
    args: &Args,
    now: Timestamp,
) -> Result<(Loaded, Caller, Asking), Failure> {
    let bytes = shell::read_input(path, AuthorizerEvent::MAX_BYTES as u64)?;
    let authorizer = shell::authorizer(bundle)?;
    let keys = Keys::of(authorizer.bundle(), args.network);
    let text = AuthorizerEvent::text(&bytes);
    let event = AuthorizerEvent::parse(&text).map_err(message)?;
    let question = authorizer.question(&event, now).map_err(message)?;
    let asking = Asking {
        api: Some(question.api.name.clone()),
        stage: Some(question.stage.to_owned()),
        method: question.path.map(|path| (question.verb, path)),
        facts: question.facts,
    };
    let token = credential::find(&event, &question.api.token)
        .map_err(|error| message(format!("the event has no token to explain: {error}")))?;
    let caller = verified(token.expose(), authorizer.bundle(), &keys, now);
    Ok((Loaded::Authorizer(Box::new(authorizer)), caller, asking))
}

fn parse_fact(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let name = name.strip_prefix("context.http.").unwrap_or(name);
    Ok((name.to_owned(), value.to_owned()))
}
