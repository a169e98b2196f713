//! `issuer probe`: asks an issuer for its keys as the authorizer would, and says what it would accept.

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use cedar_gate::bundle::Bundle;
use cedar_gate::credential::BearerToken;
use cedar_gate::fetch::http::{HttpClient, HttpError, REQUEST_TIMEOUT};
use cedar_gate::fetch::introspection::{IntrospectionClient, IntrospectionError};
use cedar_gate::fetch::keys::{KeyFetchError, PublishedSet};
use cedar_gate::fetch::secrets::MissingSecret;
use cedar_gate::fetch::{self, MetadataError};
use cedar_gate::jose::issuer::{KeyPlace, KeySource, PublishedKeys};
use cedar_gate::jose::{JwkSet, KeyId, TrustedIssuer};
use cedar_gate::time::Timestamp;
use owo_colors::OwoColorize;
use serde::Serialize;

use super::list::IssuerReport;
use crate::Format;
use crate::shell::{self, Answer, Failure};

const HELP: &str = "\
Asks for the issuer's metadata and keys, where its file does not pin them, and shows which tokens they verify.
Exit codes: 0 usable, 1 not usable, 2 could not be asked. With --all: 1 where one is not usable, else 2 where one could not be asked.

Examples:
  cedar-gate issuer probe acme
  cedar-gate issuer probe --all --format json";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The issuer: its name in policies/issuers.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// Every issuer of the bundle.
    #[arg(long)]
    all: bool,
}

/// How many issuers are asked at once.
const AT_ONCE: usize = 16;

/// What became of asking an issuer.
#[derive(Serialize)]
struct ProbeReport<'a> {
    #[serde(flatten)]
    issuer: IssuerReport<'a>,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<KeysFound>,
    #[serde(skip)]
    kind: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Usable,
    NotUsable,
    NotAsked,
}

/// Keys that verify tokens now.
#[derive(Serialize)]
struct KeysFound {
    /// Where they were published.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// After how many seconds they are asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh_seconds: Option<u64>,
    keys: Vec<KeyReport>,
    skipped: Vec<SkippedReport>,
}

#[derive(Serialize)]
struct KeyReport {
    kid: Option<String>,
    kty: &'static str,
    bits: usize,
    algorithms: Vec<&'static str>,
}

#[derive(Serialize)]
struct SkippedReport {
    kid: Option<String>,
    reason: String,
}

/// Why nothing can be verified, and what to do about it.
struct Obstacle {
    verdict: Verdict,
    reason: String,
    help: Option<String>,
}

pub(super) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    let mut bundle = shell::load_bundle(root)?;
    shell::add_development_keys(&mut bundle)?;
    let missing = fetch::read_secrets(&mut bundle);
    let issuers = chosen(&bundle, args.name.as_deref())?;
    let http = HttpClient::new();
    let reports: Vec<ProbeReport<'_>> =
        issuers.chunks(AT_ONCE).flat_map(|issuers| probe_all(issuers, &bundle, &missing, &http)).collect();
    match format {
        Format::Json => {
            shell::print_json("cedar-gate/issuer-probe/1", &serde_json::json!({ "issuers": reports }))?;
        }
        Format::Text => {
            let texts: Vec<String> = reports.iter().map(as_text).collect();
            shell::print(&texts.join("\n"))?;
        }
    }
    let any = |verdict| reports.iter().any(|report| report.verdict == verdict);
    Ok(match (any(Verdict::NotUsable), any(Verdict::NotAsked)) {
        (true, _) => Answer::No,
        (false, true) => Answer::Unanswered,
        (false, false) => Answer::Yes,
    })
}

/// The issuers of that name, or all; sorted.
fn chosen<'b>(bundle: &'b Bundle, name: Option<&str>) -> Result<Vec<&'b TrustedIssuer>, Failure> {
    let mut issuers: Vec<&TrustedIssuer> = bundle.issuers().by_key_set().collect();
    let Some(name) = name else { return Ok(issuers) };
    let known: Vec<&str> = bundle.issuers().by_name().map(TrustedIssuer::name).collect();
    let missing = format!("no issuer `{name}` in policies/issuers: there are {}", known.join(", "));
    issuers.retain(|issuer| issuer.name() == name);
    if issuers.is_empty() { Err(Failure::Message(missing)) } else { Ok(issuers) }
}

/// Asks issuers at the same time, so that a dead one delays the others by its time-out once.
fn probe_all<'b>(
    issuers: &[&'b TrustedIssuer],
    bundle: &'b Bundle,
    missing: &[MissingSecret],
    http: &HttpClient,
) -> Vec<ProbeReport<'b>> {
    thread::scope(|scope| {
        let probe = |issuer| {
            refuse_without_secret(issuer, missing)?;
            let keys = keys_of(issuer, bundle, http)?;
            introspect(issuer, bundle, http).map(|()| keys)
        };
        let probes: Vec<_> =
            issuers.iter().map(|issuer| (issuer, scope.spawn(move || probe(issuer)))).collect();
        let report = |(issuer, probe): (&&'b TrustedIssuer, thread::ScopedJoinHandle<'_, _>)| {
            let found = probe.join().unwrap_or_else(|_| Err(not_asked("it could not be asked".to_owned())));
            report(issuer, bundle, found)
        };
        probes.into_iter().map(report).collect()
    })
}

fn report<'b>(
    issuer: &'b TrustedIssuer,
    bundle: &Bundle,
    found: Result<KeysFound, Obstacle>,
) -> ProbeReport<'b> {
    let (verdict, reason, help, found) = match found {
        Ok(found) => (Verdict::Usable, None, None, Some(found)),
        Err(Obstacle { verdict, reason, help }) => (verdict, Some(reason), help, None),
    };
    let kind = match issuer.keys() {
        KeySource::Opaque => format!("{} that is no JWT", issuer.token_use()),
        _ => format!("{}, its header `typ` {}", issuer.token_use(), issuer.typ()),
    };
    ProbeReport { issuer: IssuerReport::new(issuer, bundle), verdict, reason, help, found, kind }
}

/// The keys that verify the issuer's tokens, asked for where they are published.
fn keys_of(issuer: &TrustedIssuer, bundle: &Bundle, http: &HttpClient) -> Result<KeysFound, Obstacle> {
    match issuer.keys() {
        KeySource::Published(published) => match PublishedSet::fetch(http, &published.place) {
            Ok(set) => Ok(KeysFound::published(&set, published)),
            Err(error) => Err(obstacle(&error, &published.place)),
        },
        KeySource::File(_) | KeySource::Inline(_) => {
            pinned(issuer, bundle).ok_or_else(|| not_asked("its keys are not loaded".to_owned()))
        }
        KeySource::Development => pinned(issuer, bundle).ok_or_else(|| Obstacle {
            verdict: Verdict::NotUsable,
            reason: "this machine has no development key yet".to_owned(),
            help: Some(format!("cedar-gate token mint --issuer {} --sub NAME makes it", issuer.name())),
        }),
        KeySource::Secret(_) | KeySource::Opaque => {
            Ok(KeysFound { url: None, fresh_seconds: None, keys: Vec::new(), skipped: Vec::new() })
        }
    }
}

fn refuse_without_secret(issuer: &TrustedIssuer, missing: &[MissingSecret]) -> Result<(), Obstacle> {
    let Some(missed) = missing.iter().find(|missed| missed.issuer == issuer.name()) else { return Ok(()) };
    let help = "on this machine, that is; the authorizer reads it where it runs";
    Err(Obstacle {
        verdict: Verdict::NotAsked,
        reason: missed.error.to_string(),
        help: Some(help.to_owned()),
    })
}

/// Asks an issuer about a made-up token, as it is asked about opaque ones: any answer shows that it knows who asks.
fn introspect(issuer: &TrustedIssuer, bundle: &Bundle, http: &HttpClient) -> Result<(), Obstacle> {
    let Some(rule) = issuer.introspection() else { return Ok(()) };
    let made_up = format!("{}cedar-gate-issuer-probe", rule.prefix().unwrap_or_default());
    let Some(token) = BearerToken::new(&made_up) else { return Ok(()) };
    let client = IntrospectionClient::new(http.clone());
    let now = Timestamp::from_unix_seconds(0);
    let report = client.ask(bundle.issuers(), &token, now, REQUEST_TIMEOUT);
    match report.map(|report| report.outcome) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(not_introspected(&error)),
    }
}

fn not_introspected(error: &IntrospectionError) -> Obstacle {
    let (verdict, help) = match error {
        IntrospectionError::NotAuthorized { .. } => (
            Verdict::NotUsable,
            "are `client_id` and `client_secret` those of a client that may introspect tokens?",
        ),
        IntrospectionError::Answer { .. }
        | IntrospectionError::Http { error: HttpError::Status { status: 300..=428 }, .. } => {
            (Verdict::NotUsable, "is `introspection.url` the issuer's introspection endpoint (RFC 7662)?")
        }
        IntrospectionError::Http { error, .. } => about_http(error, false),
        IntrospectionError::Secret(_) | IntrospectionError::BackingOff { .. } => {
            (Verdict::NotAsked, "try again")
        }
    };
    Obstacle { verdict, reason: error.to_string(), help: Some(help.to_owned()) }
}

/// Keys that stand in the bundle, or on this machine: they are believed at any moment.
fn pinned(issuer: &TrustedIssuer, bundle: &Bundle) -> Option<KeysFound> {
    let set = bundle.keys().keys_of(issuer.key_set(), Timestamp::from_unix_seconds(0))?;
    Some(KeysFound::of(set))
}

impl KeysFound {
    fn of(set: &JwkSet) -> Self {
        let name = |kid: Option<&KeyId>| kid.map(|kid| kid.as_str().to_owned());
        Self {
            url: None,
            fresh_seconds: None,
            keys: set
                .keys()
                .iter()
                .map(|key| KeyReport {
                    kid: name(key.key_id()),
                    kty: key.key_type(),
                    bits: key.bits(),
                    algorithms: key.algorithms().map(|algorithm| algorithm.as_str()).collect(),
                })
                .collect(),
            skipped: set
                .skipped()
                .iter()
                .map(|(kid, reason)| SkippedReport { kid: name(kid.as_ref()), reason: reason.to_string() })
                .collect(),
        }
    }

    fn published(published: &PublishedSet, keys: &PublishedKeys) -> Self {
        let max_age = Duration::from_secs(keys.max_age.get().unsigned_abs());
        Self {
            url: Some(published.url.to_string()),
            fresh_seconds: Some(published.believed_for(max_age).as_secs()),
            ..Self::of(&published.set)
        }
    }
}

fn not_asked(reason: String) -> Obstacle {
    Obstacle { verdict: Verdict::NotAsked, reason, help: None }
}

/// What an error says of the issuer: that it is not usable, or that nothing was learned of it.
fn obstacle(error: &KeyFetchError, place: &KeyPlace) -> Obstacle {
    let by_discovery = matches!(place, KeyPlace::Discovery { .. });
    let (verdict, help) = match error {
        KeyFetchError::Http { error, .. } => about_http(error, by_discovery),
        KeyFetchError::Metadata { error, .. } => (Verdict::NotUsable, about_metadata(error)),
        KeyFetchError::Keys { .. } => {
            (Verdict::NotUsable, "a JWK Set is expected there; keys = { url = \"…\" } names another address")
        }
        KeyFetchError::NoUsableKey { .. } => (
            Verdict::NotUsable,
            "it must publish a key for signatures: RSA of 2048 bits, P-256, P-384 or Ed25519",
        ),
    };
    Obstacle { verdict, reason: error.to_string(), help: Some(help.to_owned()) }
}

fn about_http(error: &HttpError, by_discovery: bool) -> (Verdict, &'static str) {
    match error {
        HttpError::NoRoots { .. } => {
            (Verdict::NotAsked, "install the system's root certificates, or name them in SSL_CERT_FILE")
        }
        HttpError::HostNotFound { .. } | HttpError::Connect { .. } => {
            (Verdict::NotAsked, "is the address right, and can it be reached from here?")
        }
        HttpError::Tls { .. } => {
            (Verdict::NotAsked, "a root certificate of one's own is trusted when SSL_CERT_FILE names it")
        }
        HttpError::TimedOut { .. } | HttpError::CutOff => {
            (Verdict::NotAsked, "try again; the authorizer waits no longer")
        }
        HttpError::Internal => (Verdict::NotAsked, "try again"),
        HttpError::Status { status: 429 | 500.. } => {
            (Verdict::NotAsked, "the issuer is in trouble: try again")
        }
        HttpError::Status { .. } if by_discovery => (
            Verdict::NotUsable,
            "it publishes no metadata there: keys = { url = \"…\" } names the address of its keys",
        ),
        HttpError::Status { .. } => {
            (Verdict::NotUsable, "it publishes no keys there: keys = { url = \"…\" } names another address")
        }
        HttpError::RedirectedAway { .. } | HttpError::TooManyRedirects => (
            Verdict::NotUsable,
            "keys = { url = \"…\" } names the address where they are, if that is whom you trust",
        ),
        HttpError::TooLarge { .. } | HttpError::NotHttp => {
            (Verdict::NotUsable, "is that the address of its keys? keys = { url = \"…\" } names another")
        }
    }
}

fn about_metadata(error: &MetadataError) -> &'static str {
    match error {
        MetadataError::WrongIssuer { .. } => {
            "`issuer` in its file must be the `iss` of its tokens, character by character; see one with: cedar-gate token inspect"
        }
        MetadataError::NotMetadata | MetadataError::Member { .. } => {
            "keys = { url = \"…\" } names the address of its keys, where it has no metadata"
        }
        MetadataError::KeysNotHttps { .. } => {
            "keys must be published where nobody on the way can replace them"
        }
    }
}

fn as_text(report: &ProbeReport<'_>) -> String {
    let issuer = &report.issuer;
    let mut text = format!("{} {}\n", issuer.name.bold(), issuer.issuer);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<9} {}", shell::printable(value));
    };
    if let Some(found) = &report.found {
        line("keys", &found.url.clone().unwrap_or_else(|| issuer.keys.in_short()));
        if let (Some(fresh), Some(max_age)) = (found.fresh_seconds, issuer.keys.max_age()) {
            let most = shell::duration(max_age);
            line(
                "believed",
                &format!("{}, then asked for again; {most} while it does not answer", shell::duration(fresh)),
            );
        }
        for key in &found.keys {
            let kid = key.kid.as_deref().map_or_else(|| "(no kid)".to_owned(), |kid| format!("`{kid}`"));
            line("", &format!("{kid} {} {} bits: {}", key.kty, key.bits, key.algorithms.join(" ")));
        }
        for skipped in &found.skipped {
            let kid = skipped.kid.as_deref().map_or_else(|| "(no kid)".to_owned(), |kid| format!("`{kid}`"));
            line("skipped", &format!("{kid}: {}", skipped.reason));
        }
    }
    if let Some(asked) = &issuer.introspection {
        line("asked", &asked.in_short());
    }
    line("accepts", &report.kind);
    line("audience", &issuer.audience_in_words());
    line("tenant", &issuer.tenants_in_words());
    line("roles", &issuer.roles_in_words());
    let verdict = match report.verdict {
        Verdict::Usable => "usable".green().bold().to_string(),
        Verdict::NotUsable => "not usable:".red().bold().to_string(),
        Verdict::NotAsked => "not asked:".yellow().bold().to_string(),
    };
    text.push_str(&verdict);
    if let Some(reason) = &report.reason {
        text.push_str(&format!(" {}", shell::printable(reason)));
    }
    if let Some(help) = &report.help {
        text.push_str(&format!("\n  help: {help}"));
    }
    text.push('\n');
    text
}
