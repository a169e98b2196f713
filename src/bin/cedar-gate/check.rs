//! `check`: whether the bundle holds together.

use std::collections::BTreeMap;
use std::path::Path;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::deployment::Api;
use cedar_gate::bundle::finding::Finding;
use cedar_gate::bundle::propagation::Delay;
use cedar_gate::jose::TrustedIssuers;
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
    removed_key: Option<RemovedKeyReport<'a>>,
}

#[derive(Serialize)]
struct RemovedKeyReport<'a> {
    issuer: &'a str,
    #[serde(flatten)]
    delay: DelayReport,
}

#[derive(Serialize)]
struct DelayReport {
    seconds: u64,
    terms: BTreeMap<&'static str, u64>,
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
    // An alias may stand for more than one `iss`, which share one list.
    let revoked: BTreeMap<&str, usize> =
        bundle.issuers().iter().map(|issuer| (issuer.name(), issuer.revocations().len())).collect();
    let revoked = match revoked.values().sum() {
        0 => String::new(),
        entries => format!(", {}", shell::count(entries, "revocation")),
    };
    format!(
        "{}, {}, {}{revoked}, {}; {}",
        versions.join(", "),
        shell::count(bundle.routes().operations().len(), "operation"),
        shell::count(bundle.issuers().iter().count(), "issuer"),
        shell::count(bundle.deployment().apis.len(), "API"),
        bundle.digest()
    )
}

impl<'a> ApiDelays<'a> {
    fn of(api: &'a Api, issuers: &'a TrustedIssuers) -> Self {
        let removed_key = Delay::of_any_removed_key(api, issuers);
        Self {
            api: &api.name,
            revocation: DelayReport::from(&Delay::of_revocation(api)),
            removed_key: removed_key
                .map(|(issuer, delay)| RemovedKeyReport { issuer: issuer.name(), delay: (&delay).into() }),
        }
    }
}

/// A line for each different sum, with the APIs that it is about.
fn delays_as_text(bundle: &Bundle) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    let mut add = |line: String, api| match lines.iter_mut().find(|(known, _)| *known == line) {
        Some((_, apis)) => apis.push(api),
        None => lines.push((line, vec![api])),
    };
    for api in &bundle.deployment().apis {
        let revoked = Delay::of_revocation(api);
        match Delay::of_any_removed_key(api, bundle.issuers()) {
            Some((_, removed)) if removed == revoked => {
                add(
                    format!("a revoked token, or one by a removed key, is refused within {revoked}"),
                    &api.name,
                );
            }
            Some((issuer, removed)) => {
                add(format!("a revoked token is refused within {revoked}"), &api.name);
                let issuer = issuer.name();
                add(format!("a token by a removed key of `{issuer}` is refused within {removed}"), &api.name);
            }
            None => add(format!("a revoked token is refused within {revoked}"), &api.name),
        }
    }
    lines.into_iter().map(|(line, apis)| format!("  {line}; {}", apis.join(", "))).collect()
}
