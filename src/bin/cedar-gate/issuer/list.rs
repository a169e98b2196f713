//! `issuer list`: who is trusted, and with what.

use std::path::Path;

use cedar_gate::bundle::Bundle;
use cedar_gate::jose::TrustedIssuer;
use cedar_gate::jose::issuer::{KeyPlace, KeySource};
use cedar_gate::time::Timestamp;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure};

/// What is said of an issuer, here and by `issuer probe`.
#[derive(Serialize)]
pub(super) struct IssuerReport<'a> {
    pub(super) name: &'a str,
    provider: &'static str,
    pub(super) issuer: &'a str,
    token_use: &'static str,
    /// `null`: any.
    audience: Option<Vec<&'a str>>,
    audience_claims: Vec<&'a str>,
    roles: &'a [String],
    roles_claim: Option<&'a str>,
    /// `null`: any.
    tenants: Option<Vec<&'a str>>,
    tenant_claim: Option<&'a str>,
    pub(super) keys: KeysReport<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) introspection: Option<IntrospectionReport<'a>>,
    development: bool,
}

/// How an issuer is asked about opaque tokens.
#[derive(Serialize)]
pub(super) struct IntrospectionReport<'a> {
    url: &'a str,
    client_id: &'a str,
    client_secret: String,
    /// `null`: all that are no JWT.
    prefix: Option<&'a str>,
}

/// Where an issuer's keys are.
#[derive(Serialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub(super) enum KeysReport<'a> {
    Development,
    File { file: &'a str, keys: usize },
    Inline { keys: usize },
    Url { url: &'a str, max_age: i64 },
    Discovery { url: &'a str, max_age: i64 },
    Secret { algorithm: &'static str, secret: String },
    None,
}

impl<'a> IssuerReport<'a> {
    pub(super) fn new(issuer: &'a TrustedIssuer, bundle: &Bundle) -> Self {
        Self {
            name: issuer.name(),
            provider: issuer.provider().as_str(),
            issuer: issuer.issuer(),
            token_use: issuer.token_use().as_str(),
            audience: issuer.audiences(),
            audience_claims: issuer.audience_claims(),
            roles: issuer.grantable_roles(),
            roles_claim: issuer.roles_claim(),
            tenants: issuer.tenants(),
            tenant_claim: issuer.tenant_claim(),
            keys: KeysReport::new(issuer, bundle),
            introspection: issuer.introspection().map(|asked| IntrospectionReport {
                url: asked.url.as_str(),
                client_id: asked.client_id(),
                client_secret: asked.client_secret.to_string(),
                prefix: asked.prefix(),
            }),
            development: issuer.development(),
        }
    }

    /// Whom a token must be for, and where it says so.
    pub(super) fn audience_in_words(&self) -> String {
        in_claim(&list_or_any(self.audience.as_deref()), &self.audience_claims.join("` or `"))
    }

    /// Whose people they are, and where a token says so.
    pub(super) fn tenants_in_words(&self) -> String {
        let tenants = list_or_any(self.tenants.as_deref());
        self.tenant_claim.map_or(tenants.clone(), |claim| in_claim(&tenants, claim))
    }

    /// What it may confer, and where a token says so.
    pub(super) fn roles_in_words(&self) -> String {
        match (self.roles, self.roles_claim) {
            ([], _) | (_, None) => "none".to_owned(),
            (roles, Some(claim)) => in_claim(&roles.join(", "), claim),
        }
    }
}

fn list_or_any(names: Option<&[&str]>) -> String {
    match names {
        None => "any".to_owned(),
        Some([]) => "none".to_owned(),
        Some(names) => names.join(", "),
    }
}

fn in_claim(values: &str, claim: &str) -> String {
    format!("{values} in `{claim}`")
}

impl IntrospectionReport<'_> {
    pub(super) fn in_short(&self) -> String {
        let Self { url, client_id, prefix, .. } = self;
        let tokens = prefix.map_or_else(
            || "every token that is no JWT".to_owned(),
            |prefix| format!("tokens that begin with `{prefix}`"),
        );
        format!("about {tokens}, at {url}, as `{client_id}`")
    }
}

impl<'a> KeysReport<'a> {
    fn new(issuer: &'a TrustedIssuer, bundle: &Bundle) -> Self {
        // Pinned keys are believed at any moment.
        let pinned = bundle.keys().keys_of(issuer.key_set(), Timestamp::from_unix_seconds(0));
        let keys = pinned.map_or(0, |set| set.keys().len());
        match issuer.keys() {
            KeySource::Development => Self::Development,
            KeySource::File(file) => Self::File { file: file.as_str(), keys },
            KeySource::Inline(_) => Self::Inline { keys },
            KeySource::Published(published) => {
                let max_age = published.max_age.get();
                match &published.place {
                    KeyPlace::Jwks(url) => Self::Url { url: url.as_str(), max_age },
                    KeyPlace::Discovery { url, .. } => Self::Discovery { url: url.as_str(), max_age },
                }
            }
            KeySource::Secret(shared) => {
                Self::Secret { algorithm: shared.algorithm.as_str(), secret: shared.source.to_string() }
            }
            KeySource::Opaque => Self::None,
        }
    }

    /// How long keys are believed at most, in seconds.
    pub(super) fn max_age(&self) -> Option<u64> {
        match self {
            Self::Url { max_age, .. } | Self::Discovery { max_age, .. } => Some(max_age.unsigned_abs()),
            Self::Development
            | Self::File { .. }
            | Self::Inline { .. }
            | Self::Secret { .. }
            | Self::None => None,
        }
    }

    /// A few words: an address is mostly below the `iss`, and is shown by `--format json` and `issuer probe`.
    pub(super) fn in_short(&self) -> String {
        match self {
            Self::Development => "this machine's development key".to_owned(),
            Self::File { file, keys } => format!("{file}, {}", shell::count(*keys, "key")),
            Self::Inline { keys } => format!("in its file, {}", shell::count(*keys, "key")),
            Self::Url { .. } => "fetched".to_owned(),
            Self::Discovery { .. } => "fetched by discovery".to_owned(),
            Self::Secret { algorithm, secret } => format!("{algorithm}, {secret}"),
            Self::None => "none, its tokens are opaque".to_owned(),
        }
    }
}

pub(super) fn run(root: &Path, format: Format) -> Result<Answer, Failure> {
    let bundle = shell::load_bundle(root)?;
    let mut issuers: Vec<IssuerReport<'_>> =
        bundle.issuers().iter().map(|issuer| IssuerReport::new(issuer, &bundle)).collect();
    issuers.sort_unstable_by_key(|report| (report.name, report.issuer));
    match format {
        Format::Json => {
            shell::print_json("cedar-gate/issuer-list/1", &serde_json::json!({ "issuers": issuers }))?;
        }
        Format::Text => shell::print(&shell::printable(&format!("{}\n", table(&issuers).trim_fmt())))?,
    }
    Ok(Answer::Yes)
}

fn table(issuers: &[IssuerReport<'_>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["name", "provider", "issuer", "tokens", "keys", "roles", "tenant"]);
    for issuer in issuers {
        table.add_row([
            issuer.name,
            issuer.provider,
            issuer.issuer,
            issuer.token_use,
            &issuer.keys.in_short(),
            &issuer.roles.join(" "),
            &tenants(issuer),
        ]);
    }
    table
}

fn tenants(issuer: &IssuerReport<'_>) -> String {
    match &issuer.tenants {
        None => "any".to_owned(),
        Some(tenants) => tenants.join(" "),
    }
}
