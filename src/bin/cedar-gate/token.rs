//! `token`: development tokens, made and looked into.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_gate::bundle::BundleFacts;
use cedar_gate::credential::BearerToken;
use cedar_gate::entities::principal_id;
use cedar_gate::jose::{self, TokenError, VerifiedClaims};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{TokenRequest, mint_for};
use clap::Subcommand;
use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Format;
use crate::keys::{Fetched, Keys, Network};
use crate::remedy;
use crate::shell::{self, Answer, Failure};

/// A year, in seconds: who needs a longer development token mints another.
const MAX_TTL: i64 = 366 * 24 * 3600;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token of a development issuer, signed with this machine's own key pair.
    Mint(MintArgs),
    /// Show what a token says and what the authorizer makes of it; never its signature.
    Inspect(InspectArgs),
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cedar-gate token mint --issuer dev --sub alice --role clerk --tenant acme
  cedar-gate token mint --issuer dev --sub bob --tenant acme --claim department=support --ttl 60
  cedar-gate token mint --issuer dev --sub billing --client-id billing --tenant acme

The last is a machine's own token. The private key, made on first use, stays in CEDAR_GATE_HOME, or else in cedar-gate below XDG_CONFIG_HOME or ~/.config.")]
pub(crate) struct MintArgs {
    /// The issuer: the alias of a development issuer in policies/issuers.
    #[arg(long)]
    issuer: String,
    /// Whom the token speaks for.
    #[arg(long)]
    sub: String,
    /// A role to claim; repeat it for more.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A scope; repeat it for more.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The tenant, where the issuer's file takes it from a claim.
    #[arg(long)]
    tenant: Option<String>,
    /// The client that gets the token; the same as --sub makes a machine's own token.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A further claim; the value is JSON, or else text. Wins over the others.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = parse_claim)]
    claims: Vec<(String, Value)>,
    /// How long the token is valid.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(i64).range(1..=MAX_TTL))]
    ttl: i64,
    /// The moment of issue: RFC 3339, or seconds since the epoch. Without it, the clock.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 the authorizer accepts it, 1 it does not, 2 could not answer.

Issuers are asked for their keys, where the bundle has none; --offline forbids it.

Examples:
  cedar-gate token inspect \"$TOKEN\"
  cedar-gate token mint --issuer dev --sub alice --tenant acme | cedar-gate token inspect")]
pub(crate) struct InspectArgs {
    /// The token, or - for stdin.
    #[arg(value_name = "TOKEN|-", default_value = "-")]
    token: String,
    /// The moment to judge for: RFC 3339, or seconds since the epoch. Without it, the clock.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    #[command(flatten)]
    network: Network,
}

/// What `token inspect --format json` prints.
#[derive(Serialize)]
struct Report {
    header: Value,
    claims: Value,
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<PrincipalReport>,
}

#[derive(Serialize)]
struct PrincipalReport {
    id: String,
    kind: &'static str,
    tenant: Option<String>,
    roles: Vec<String>,
    refused_roles: Vec<String>,
    scopes: Vec<String>,
}

pub(crate) fn run(root: &Path, format: Format, command: &Command) -> Result<Answer, Failure> {
    match command {
        Command::Mint(args) => mint(root, format, args),
        Command::Inspect(args) => inspect(root, format, args),
    }
}

fn mint(root: &Path, format: Format, args: &MintArgs) -> Result<Answer, Failure> {
    let bundle = shell::load_bundle(root)?;
    let issuer = shell::issuer_named(&bundle, &args.issuer)?;
    if !issuer.development() {
        let message = format!(
            "issuer `{}` is no development issuer: only its provider can sign for it; take one whose file says keys = \"development\"",
            args.issuer
        );
        return Err(Failure::Message(message));
    }
    for role in args.roles.iter().filter(|role| !issuer.grantable_roles().contains(role)) {
        shell::talk(&format!(
            "note: issuer `{}` may not confer role `{role}`; it will gain nothing",
            args.issuer
        ));
    }
    let key = shell::development_key()?;
    let issued_at = args.now.map_or_else(shell::now, Ok)?;
    let request = TokenRequest {
        subject: args.sub.clone(),
        client_id: args.client_id.clone(),
        roles: args.roles.clone(),
        scopes: args.scopes.clone(),
        tenant: args.tenant.clone(),
        issued_at,
        expires_at: Timestamp::from_unix_seconds(issued_at.unix_seconds().saturating_add(args.ttl)),
        claims: args.claims.iter().cloned().collect::<Map<String, Value>>(),
    };
    let token = mint_for(issuer, &key, &request).map_err(|error| Failure::Message(error.to_string()))?;
    match format {
        Format::Text => shell::print(&format!("{token}\n"))?,
        Format::Json => shell::print_json("cedar-gate/token-mint/1", &serde_json::json!({ "token": token }))?,
    }
    Ok(Answer::Yes)
}

fn inspect(root: &Path, format: Format, args: &InspectArgs) -> Result<Answer, Failure> {
    let mut bundle = shell::load_bundle(root)?;
    let text = match args.token.as_str() {
        "-" => String::from_utf8(shell::read_input("-", 1024 * 1024)?)
            .map_err(|_| Failure::Message("the token is not text".to_owned()))?,
        token => token.to_owned(),
    };
    // The key is read after the token: `cedar-gate token mint`, which makes it, may be what writes to this pipe.
    shell::add_keys(&mut bundle)?;
    let text = text.trim();
    let text = text.strip_prefix("Bearer ").unwrap_or(text);
    let now = args.now.map_or_else(shell::now, Ok)?;
    let keys = Keys::of(&bundle, args.network);
    let (verified, fetched) = verify(text, &bundle, &keys, now);
    let mut parts = text.split('.');
    let (header, claims) = (decoded(parts.next()), decoded(parts.next()));
    let refused = verified.as_ref().err();
    let report = Report {
        accepted: verified.is_ok(),
        reason: refused.map(TokenError::slug),
        detail: refused.map(ToString::to_string),
        help: refused.and_then(|error| remedy::for_token(error, &claims, &bundle, &fetched, now)),
        principal: verified.as_ref().ok().map(principal),
        header,
        claims,
    };
    match format {
        Format::Json => shell::print_json("cedar-gate/token-inspect/1", &report)?,
        Format::Text => shell::print(&as_text(&report))?,
    }
    Ok(if report.accepted { Answer::Yes } else { Answer::No })
}

/// Verifies as the authorizer does, by what is fetched where it is needed.
pub(crate) fn verify(
    text: &str,
    bundle: &BundleFacts,
    keys: &Keys,
    now: Timestamp,
) -> (Result<VerifiedClaims, TokenError>, Fetched) {
    let Some(token) = BearerToken::new(text) else {
        let error = match text {
            "" => TokenError::Missing,
            text => TokenError::TooLarge { bytes: text.len() },
        };
        return (Err(error), Fetched::Nothing);
    };
    let verify = |said| jose::verify_token(&token, bundle.issuers(), &keys.ring(), said, now);
    let verified = verify(None);
    let Some(need) = verified.as_ref().err().and_then(TokenError::need) else {
        return (verified, Fetched::Nothing);
    };
    let (fetched, said) = keys.fetch(&need, bundle.issuers(), now);
    (verify(said.as_ref()), fetched)
}

fn principal(claims: &VerifiedClaims) -> PrincipalReport {
    PrincipalReport {
        id: principal_id(claims),
        kind: match claims.kind() {
            jose::PrincipalKind::User => "User",
            jose::PrincipalKind::Client => "Client",
        },
        tenant: claims.tenant().map(str::to_owned),
        roles: claims.roles().to_vec(),
        refused_roles: claims.refused_roles().to_vec(),
        scopes: claims.scopes().to_vec(),
    }
}

fn as_text(report: &Report) -> String {
    let mut text = shell::printable(&format!("header {:#}\nclaims {:#}\n", report.header, report.claims));
    match (&report.principal, &report.reason, &report.detail) {
        (Some(principal), _, _) => {
            let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
            text.push_str(&format!(
                "{} {}::{:?}\n",
                "accepted:".green().bold(),
                principal.kind,
                principal.id
            ));
            text.push_str(&format!("  tenant {}\n", principal.tenant.as_deref().unwrap_or("none")));
            text.push_str(&format!("  roles  {}\n", list(&principal.roles)));
            if !principal.refused_roles.is_empty() {
                let refused = list(&principal.refused_roles);
                text.push_str(&format!(
                    "  not conferred, because the issuer's file does not grant them: {refused}\n"
                ));
            }
            text.push_str(&format!("  scopes {}\n", list(&principal.scopes)));
        }
        (None, reason, detail) => {
            let reason = reason.unwrap_or("refused");
            text.push_str(&format!(
                "{} {reason}: {}\n",
                "refused:".red().bold(),
                detail.as_deref().unwrap_or_default()
            ));
            if let Some(help) = &report.help {
                text.push_str(&format!("  help: {}\n", shell::printable(help)));
            }
        }
    }
    text
}

/// A part of the token as JSON, or null where it is none.
pub(crate) fn decoded(part: Option<&str>) -> Value {
    part.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or(Value::Null)
}

pub(crate) fn parse_claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}
