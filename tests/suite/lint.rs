//! What holds together and does not say what was meant is remarked, where it stands; and what is meant is not.

use std::collections::BTreeSet;
use std::path::Path;

use cedar_gate::bundle::finding::{Code, Finding, Severity};
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::bundle::{Bundle, ROUTES_SCHEMA, load_route_table};
use cedar_gate::tools::{github, lint, sarif};
use serde::{Deserialize, Serialize};

use crate::bundle::example;

#[derive(Deserialize, Serialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    what: String,
    /// Policies beside those of the example.
    #[serde(skip_serializing_if = "String::is_empty")]
    policies: String,
    /// A file in which one text stands instead of another.
    #[serde(skip_serializing_if = "String::is_empty")]
    file: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    says: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    instead: String,
    /// Files of policies that are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
    found: Vec<String>,
}

/// The example with what the case changes, and the schema of its routes in step.
fn changed(case: &Case) -> SourceFiles {
    let mut files = example();
    if !case.file.is_empty() {
        let text = files.text(&case.file).unwrap_or_else(|| panic!("{}: no {}", case.what, case.file));
        assert!(text.contains(&case.says), "{}: {} does not say {:?}", case.what, case.file, case.says);
        let text = text.replacen(&case.says, &case.instead, 1);
        files.insert(&case.file, text);
    }
    for name in &case.without {
        files.insert(format!("policies/v1/{name}.cedar"), "");
    }
    files.insert("policies/v1/more.cedar", case.policies.as_str());
    let generated = load_route_table(&files).unwrap().cedarschema();
    files.insert(ROUTES_SCHEMA, generated);
    files
}

fn found(case: &Case) -> (Vec<Finding>, SourceFiles) {
    let files = changed(case);
    let bundle = Bundle::load(&files).unwrap_or_else(|errors| panic!("{}: {errors}", case.what));
    (lint::check(&bundle, &files).unwrap(), files)
}

fn cases() -> (String, Cases) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bundle/lints.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let cases = toml::from_str(&text).unwrap();
    (text, cases)
}

#[test]
fn what_was_hardly_meant_is_remarked_where_it_stands() {
    let (text, mut cases) = cases();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for case in &mut cases.case {
        let (findings, _) = found(case);
        let lines = findings.iter().map(|finding| format!("{}: {finding}", finding.severity().as_str()));
        let lines: Vec<String> = lines.collect();
        if update {
            case.found = lines;
        } else {
            assert_eq!(lines, case.found, "{}", case.what);
        }
    }
    if update {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bundle/lints.toml");
        let head = text.lines().next().unwrap();
        std::fs::write(path, format!("{head}\n\n{}", toml::to_string_pretty(&cases).unwrap())).unwrap();
    }
}

/// Every code is given somewhere, and met somewhere in the data of the tests.
#[test]
fn every_code_is_used_and_has_a_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut code, mut data) = (String::new(), String::new());
    read_all(&root.join("src/bundle"), &mut code);
    read_all(&root.join("src/bundle.rs"), &mut code);
    read_all(&root.join("src/tools"), &mut code);
    for file in ["tests/bundle", "tests/cli", "tests/traps", "tests/suite/bundle.rs"] {
        read_all(&root.join(file), &mut data);
    }
    let used = |known: &&Code| !code.contains(&format!("Code::{known:?}"));
    assert_eq!(Code::ALL.iter().filter(used).collect::<Vec<_>>(), Vec::<&Code>::new(), "given nowhere");
    // A bundle that is refused without a reason would be a defect.
    let without = [Code::BundleUnreadable];
    // As it stands in a finding, not in the list of all codes.
    let is_met = |code: &Code| {
        let number = code.number();
        let forms = [format!(": {number}: "), format!("[{number}]"), format!("\"{number}\"),")];
        forms.iter().any(|form| data.contains(form))
    };
    let unmet = Code::ALL.iter().filter(|known| !without.contains(known) && !is_met(known));
    let unmet: Vec<String> = unmet.map(|code| format!("{} {}", code.number(), code.slug())).collect();
    assert_eq!(unmet, Vec::<String>::new(), "no case");
}

fn read_all(path: &Path, text: &mut String) {
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| read_all(&entry.unwrap().path(), text));
    } else if !path.ends_with("finding/code.rs") {
        text.push_str(&std::fs::read_to_string(path).unwrap());
    }
}

/// Findings of every kind of place: in a line, over lines, in a file, twice the same.
fn many_findings() -> (Vec<Finding>, SourceFiles) {
    let (_, mut cases) = cases();
    let policies = cases.case.iter().map(|case| case.policies.as_str()).collect::<Vec<_>>();
    let policies = policies.join("\n").replace("@id(\"anyone-orders\")\n@allow", "@id(\"allowed\")\n@allow");
    let case = Case { policies, ..cases.case.remove(0) };
    found(&case)
}

/// The members that SARIF 2.1.0 requires, and what code scanning reads.
#[test]
fn a_sarif_log_has_what_its_readers_need() {
    let (findings, files) = many_findings();
    assert!(findings.len() > 20, "{}", findings.len());
    let log = sarif::log(&findings.iter().collect::<Vec<_>>(), &files, "apis/orders in one");
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("/sarif-schema-2.1.0.json"));
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "cedar-gate");
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for rule in rules {
        for text in ["/shortDescription/text", "/fullDescription/text", "/help/text", "/help/markdown"] {
            assert!(rule.pointer(text).is_some_and(|text| !text.as_str().unwrap().is_empty()), "{rule}");
        }
        let level = rule.pointer("/defaultConfiguration/level").unwrap().as_str().unwrap();
        assert!(["error", "warning", "note"].contains(&level));
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings.len());
    let mut fingerprints = BTreeSet::new();
    for (result, finding) in results.iter().zip(&findings) {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!((&rule["id"], &rule["id"]), (&result["ruleId"], &finding.code.number().into()));
        assert_eq!(result["level"], finding.severity().as_str());
        assert!(result["message"]["text"].as_str().unwrap().starts_with(&finding.message));
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert_eq!(uri, format!("apis/orders%20in%20one/{}", finding.file));
        let number = |member: &str| place["region"][member].as_u64();
        let start = (number("startLine").unwrap(), number("startColumn").unwrap());
        assert!(start >= (1, 1) && start < (number("endLine").unwrap(), number("endColumn").unwrap()));
        let fingerprint = result["partialFingerprints"]["cedarGateFinding/v1"].as_str().unwrap();
        assert!(fingerprints.insert(fingerprint.to_owned()), "{fingerprint} twice");
    }
}

/// What is above a finding changes its line, and not what tells it from others.
#[test]
fn a_fingerprint_survives_lines_above_it() {
    let fingerprints = |policies: &str| {
        let case = Case { policies: policies.to_owned(), ..Case::default() };
        let (findings, files) = found(&case);
        let log = sarif::log(&findings.iter().collect::<Vec<_>>(), &files, "");
        let result = &log["runs"][0]["results"][0];
        (result["partialFingerprints"].clone(), result["locations"][0]["physicalLocation"]["region"].clone())
    };
    let policy = "@id(\"anyone\")\npermit (principal, action == Action::\"POST /admin/users\", resource);\n";
    let (before, before_at) = fingerprints(policy);
    let (after, after_at) = fingerprints(&format!("// A remark.\n\n{policy}"));
    assert_eq!(before, after);
    assert_ne!(before_at, after_at);
}

#[test]
fn an_annotation_stands_on_its_line() {
    let (findings, files) = many_findings();
    let text = github::annotations(&findings.iter().collect::<Vec<_>>(), &files, "");
    assert_eq!(text.lines().count(), findings.len());
    for (line, finding) in text.lines().zip(&findings) {
        let (at, column) = finding.position.unwrap();
        let command = if finding.severity() == Severity::Note { "notice" } else { "warning" };
        let start =
            format!("::{command} file={},line={at},endLine={at},col={column},endColumn=", finding.file);
        assert!(line.starts_with(&start), "{line}\n{start}");
        assert!(line.contains(&format!(",title={} ", finding.code.number())), "{line}");
    }
}
