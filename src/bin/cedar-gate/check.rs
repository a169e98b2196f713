//! `check`: whether the bundle holds together.

use std::collections::BTreeMap;
use std::path::Path;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::deployment::Api;
use cedar_gate::bundle::finding::Finding;
use cedar_gate::bundle::propagation::Delay;
use cedar_gate::jose::{TrustedIssuer, TrustedIssuers};
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
}

#[derive(Serialize)]
struct IssuerDelayReport<'a> {
    issuer: &'a str,
    #[serde(flatten)]
    delay: DelayReport,
}

#[derive(Serialize)]
struct DelayReport {
    seconds: u64,
    terms: BTreeMap<&'static str, u64>,
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
                    bundle.deployment().apis.iter().map(|api| ApiDelays::of(api, bundle.issuers())).collect()
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

/// A delay that depends on the issuer, where there is one.
type OfIssuer = fn(&Api, &TrustedIssuer) -> Option<Delay>;

impl<'a> ApiDelays<'a> {
    fn of(api: &'a Api, issuers: &'a TrustedIssuers) -> Self {
        let longest = |of: OfIssuer| Delay::longest(of, api, issuers).map(IssuerDelayReport::from);
        Self {
            api: &api.name,
            revocation: DelayReport::from(&Delay::of_revocation(api)),
            removed_key: longest(Delay::of_removed_key),
            inactive_token: longest(Delay::of_inactive_token),
        }
    }
}

/// A line for each different sum, with the APIs that it is about.
fn delays_as_text(bundle: &Bundle) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for api in &bundle.deployment().apis {
        let mut add = |what: &str, delay: &Delay| {
            let line = format!("{what} is refused within {delay}");
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, apis)) => apis.push(&api.name),
                None => lines.push((line, vec![&api.name])),
            }
        };
        let longest = |of: OfIssuer| Delay::longest(of, api, bundle.issuers());
        let revoked = Delay::of_revocation(api);
        match longest(Delay::of_removed_key) {
            Some((_, removed)) if removed == revoked => {
                add("a revoked token, or one by a removed key,", &revoked);
            }
            Some((issuer, removed)) => {
                add("a revoked token", &revoked);
                add(&format!("a token by a removed key of `{}`", issuer.name()), &removed);
            }
            None => add("a revoked token", &revoked),
        }
        if let Some((issuer, inactive)) = longest(Delay::of_inactive_token) {
            add(&format!("a token that `{}` calls inactive", issuer.name()), &inactive);
        }
    }
    lines.into_iter().map(|(line, apis)| format!("  {line}; {}", apis.join(", "))).collect()
}
