//! Findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format): what code scanning takes in.

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::digest;
use serde_json::{Value, json};

use crate::bundle::finding::{Code, Finding, Severity};
use crate::bundle::source::SourceFiles;

/// One run's log. `folder` is the bundle's, from where its reader's paths begin; empty for the same.
#[must_use]
pub fn log(findings: &[&Finding], files: &SourceFiles, folder: &str) -> Value {
    let codes: BTreeSet<Code> = findings.iter().map(|finding| finding.code).collect();
    let codes: Vec<Code> = codes.into_iter().collect();
    let mut seen = HashMap::new();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let index = codes.iter().position(|code| *code == finding.code);
            result(finding, index, files, folder, &mut seen)
        })
        .collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cedar-gate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().copied().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    let (title, why, remedy, example) = (code.title(), code.why(), code.remedy(), code.example());
    json!({
        "id": code.number(),
        "name": code.slug(),
        "shortDescription": { "text": title },
        "fullDescription": { "text": format!("{title}: {why}") },
        "help": {
            "text": format!("{why}. {remedy}. Example: {example}"),
            "markdown": format!("{why}\n\n**What to do:** {remedy}\n\n```text\n{example}\n```"),
        },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn result(
    finding: &Finding,
    rule_index: Option<usize>,
    files: &SourceFiles,
    folder: &str,
    seen: &mut HashMap<String, usize>,
) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri(&path_from(folder, &finding.file)) } });
    if let (Some((line, column)), Some((end_line, end_column))) = (finding.position, finding.end(files))
        && let Some(place) = place.as_object_mut()
    {
        let region = json!({
            "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column,
        });
        place.insert("region".to_owned(), region);
    }
    let fingerprint = fingerprint(finding);
    let count = seen.entry(fingerprint.clone()).or_default();
    *count += 1;
    json!({
        "ruleId": finding.code.number(),
        "ruleIndex": rule_index,
        "level": level(finding.severity()),
        "message": { "text": format!("{} ({})", finding.message, finding.remedy()) },
        "locations": [{ "physicalLocation": place }],
        "partialFingerprints": { "cedarGateFinding/v1": format!("{fingerprint}:{count}") },
    })
}

/// What stays the same while lines above it come and go: kind, file and message.
fn fingerprint(finding: &Finding) -> String {
    let text = format!("{}\0{}\0{}", finding.code.number(), finding.file, finding.message);
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

const fn level(severity: Severity) -> &'static str {
    // SARIF 2.1.0 §3.27.10 has the same three words.
    severity.as_str()
}

/// A path of the bundle as its reader has it.
#[must_use]
pub fn path_from(folder: &str, file: &str) -> String {
    match folder {
        "" => file.to_owned(),
        folder => format!("{}/{file}", folder.trim_end_matches('/')),
    }
}

/// RFC 3986 §3.3: what is no `pchar` is percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match char::from(byte) {
            plain if plain.is_ascii_alphanumeric() || "-._~/@!$&'()*+,;=".contains(plain) => uri.push(plain),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
