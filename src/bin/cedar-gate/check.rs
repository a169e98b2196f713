//! `check`: whether the bundle holds together.

use std::collections::BTreeMap;
use std::path::Path;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::deployment::Api;
use cedar_gate::bundle::finding::Finding;
use cedar_gate::bundle::propagation::Delay;
use cedar_gate::jose::TrustedIssuer;
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure};

/// What `check --format json` prints.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<&'a str>,
    findings: Vec<FindingReport<'a>>,
    /// How soon each API refuses what is believed no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    delays: Option<Vec<ApiDelays<'a>>>,
}

#[derive(Serialize)]
struct ApiDelays<'a> {
    api: &'a str,
    revocation: DelayReport,
    /// Of the issuer where it takes longest; null where no issuer has keys that can be removed.
    removed_key: Option<IssuerDelayReport<'a>>,
    /// The same; null where no issuer is asked about opaque tokens.
    inactive_token: Option<IssuerDelayReport<'a>>,
    changed_policy: DelayReport,
    /// Of the issuer where it takes longest; null where there is no issuer.
    expired_token: Option<IssuerDelayReport<'a>>,
    /// The same.
    removed_role: Option<IssuerDelayReport<'a>>,
}

#[derive(Serialize)]
struct IssuerDelayReport<'a> {
    issuer: &'a str,
    #[serde(flatten)]
    delay: DelayReport,
}

#[derive(Serialize)]
struct DelayReport {
    /// Null where a term has no bound; so is that term.
    seconds: Option<u64>,
    terms: BTreeMap<&'static str, Option<u64>>,
}

impl<'a> From<(&'a TrustedIssuer, Delay)> for IssuerDelayReport<'a> {
    fn from((issuer, delay): (&'a TrustedIssuer, Delay)) -> Self {
        Self { issuer: issuer.name(), delay: DelayReport::from(&delay) }
    }
}

impl From<&Delay> for DelayReport {
    fn from(delay: &Delay) -> Self {
        let terms = delay.terms().iter().map(|term| (term.wait.slug(), term.seconds));
        Self { seconds: delay.seconds(), terms: terms.collect() }
    }
}

#[derive(Serialize)]
struct FindingReport<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

impl<'a> From<&'a Finding> for FindingReport<'a> {
    fn from(finding: &'a Finding) -> Self {
        let (line, column) = finding.position.unzip();
        Self { file: &finding.file, line, column, message: &finding.message, help: finding.help.as_deref() }
    }
}

pub(crate) fn run(root: &Path, format: Format) -> Result<Answer, Failure> {
    let files = shell::read_files(root)?;
    let loaded = Bundle::load(&files);
    let findings = match &loaded {
        Ok(_) => &[],
        Err(errors) => errors.findings(),
    };
    match format {
        Format::Json => {
            let report = Report {
                ok: findings.is_empty(),
                bundle: loaded.as_ref().ok().map(Bundle::digest),
                findings: findings.iter().map(FindingReport::from).collect(),
                delays: loaded.as_ref().ok().map(|bundle| {
                    bundle.deployment().apis.iter().map(|api| ApiDelays::of(api, bundle)).collect()
                }),
            };
            shell::print_json("cedar-gate/check/1", &report)?;
        }
        Format::Text => shell::print(&shell::snippets(findings, &files))?,
    }
    let Ok(bundle) = loaded else {
        shell::talk(&format!("{} {}", "failed:".red().bold(), shell::count(findings.len(), "finding")));
        return Ok(Answer::No);
    };
    let (summary, delays) = (summary(&bundle), delays_as_text(&bundle));
    // A bundle that loads can be answered by; this is the last step that the Lambda takes before its first request.
    Authorizer::new(bundle).map_err(|error| Failure::Message(error.to_string()))?;
    shell::talk(&format!("{} {summary}", "ok:".green().bold()));
    delays.iter().for_each(|line| shell::talk(line));
    Ok(Answer::Yes)
}

fn summary(bundle: &Bundle) -> String {
    let versions: Vec<String> = bundle
        .policy_versions()
        .map(|version| {
            format!(
                "{} in version {}",
                shell::count(version.policies().num_of_policies(), "policy"),
                version.name
            )
        })
        .collect();
    let revoked = match bundle.issuers().by_name().map(|issuer| issuer.revocations().len()).sum() {
        0 => String::new(),
        entries => format!(", {}", shell::count(entries, "revocation")),
    };
    format!(
        "{}, {}, {}{revoked}, {}; {}",
        versions.join(", "),
        shell::count(bundle.routes().operations().len(), "operation"),
        shell::count(bundle.issuers().by_name().count(), "issuer"),
        shell::count(bundle.deployment().apis.len(), "API"),
        bundle.digest()
    )
}

/// What is told about an API: how long each of these takes at most, and whose fault it is where it depends on the issuer.
struct Delays<'b> {
    revocation: Delay,
    removed_key: Option<(&'b TrustedIssuer, Delay)>,
    inactive_token: Option<(&'b TrustedIssuer, Delay)>,
    changed_policy: Delay,
    expired_token: Option<(&'b TrustedIssuer, Delay)>,
    removed_role: Option<(&'b TrustedIssuer, Delay)>,
}

impl<'b> Delays<'b> {
    fn of(api: &Api, bundle: &'b Bundle) -> Self {
        let (issuers, document) = (bundle.issuers(), &bundle.deployment().document);
        let expired =
            |api: &Api, issuer: &TrustedIssuer| Some(Delay::of_expired_token(api, issuer, document));
        let removed = |api: &Api, issuer: &TrustedIssuer| Some(Delay::of_removed_role(api, issuer));
        Self {
            revocation: Delay::of_revocation(api),
            removed_key: Delay::longest(Delay::of_removed_key, api, issuers),
            inactive_token: Delay::longest(Delay::of_inactive_token, api, issuers),
            changed_policy: Delay::of_changed_policy(api),
            expired_token: Delay::longest(expired, api, issuers),
            removed_role: Delay::longest(removed, api, issuers),
        }
    }

    /// What happens, and how long it takes at most.
    fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |what: &str, delay: &Delay| lines.push(format!("{what} within {delay}"));
        match &self.removed_key {
            Some((_, removed)) if *removed == self.revocation => {
                add("a revoked token, or one by a removed key, is refused", &self.revocation);
            }
            Some((issuer, removed)) => {
                add("a revoked token is refused", &self.revocation);
                add(&format!("a token by a removed key of `{}` is refused", issuer.name()), removed);
            }
            None => add("a revoked token is refused", &self.revocation),
        }
        if let Some((issuer, inactive)) = &self.inactive_token {
            add(&format!("a token that `{}` calls inactive is refused", issuer.name()), inactive);
        }
        if let Some((_, expired)) = &self.expired_token {
            add("an expired token is refused", expired);
        }
        if let Some((issuer, removed)) = &self.removed_role {
            add(&format!("a role that `{}` takes away is gone", issuer.name()), removed);
        }
        add("a changed policy decides", &self.changed_policy);
        lines
    }
}

impl<'a> ApiDelays<'a> {
    fn of(api: &'a Api, bundle: &'a Bundle) -> Self {
        let delays = Delays::of(api, bundle);
        Self {
            api: &api.name,
            revocation: DelayReport::from(&delays.revocation),
            removed_key: delays.removed_key.map(IssuerDelayReport::from),
            inactive_token: delays.inactive_token.map(IssuerDelayReport::from),
            changed_policy: DelayReport::from(&delays.changed_policy),
            expired_token: delays.expired_token.map(IssuerDelayReport::from),
            removed_role: delays.removed_role.map(IssuerDelayReport::from),
        }
    }
}

/// A line for each different sum, with the APIs that it is about.
fn delays_as_text(bundle: &Bundle) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for api in &bundle.deployment().apis {
        for line in Delays::of(api, bundle).lines() {
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, apis)) => apis.push(&api.name),
                None => lines.push((line, vec![&api.name])),
            }
        }
    }
    lines.into_iter().map(|(line, apis)| format!("  {line}; {}", apis.join(", "))).collect()
}
