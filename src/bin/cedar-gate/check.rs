//! `check`: whether the bundle holds together.

use std::path::Path;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::finding::Finding;
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
            };
            shell::print_json("cedar-gate/check/1", &report)?;
        }
        Format::Text => shell::print(&shell::snippets(findings, &files))?,
    }
    let Ok(bundle) = loaded else {
        shell::talk(&format!("{} {}", "failed:".red().bold(), shell::count(findings.len(), "finding")));
        return Ok(Answer::No);
    };
    let summary = summary(&bundle);
    // A bundle that loads can be answered by; this is the last step that the Lambda takes before its first request.
    Authorizer::new(bundle).map_err(|error| Failure::Message(error.to_string()))?;
    shell::talk(&format!("{} {summary}", "ok:".green().bold()));
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
    format!(
        "{}, {}, {}, {}; {}",
        versions.join(", "),
        shell::count(bundle.routes().operations().len(), "operation"),
        shell::count(bundle.issuers().iter().count(), "issuer"),
        shell::count(bundle.deployment().apis.len(), "API"),
        bundle.digest()
    )
}
