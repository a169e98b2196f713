//! What came of the tests, in the forms that machines and forges read.

use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::writer::Writer;
use serde::Serialize;

use super::expect::{Got, Mismatch};
use crate::tools::github::{data, property};
use crate::tools::sarif::path_from;

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How many tests passed.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// How many cases are left out.
    pub skipped: usize,
    /// Tests after the first failure, which were not run.
    pub not_run: usize,
    /// Tests that should have been run and were not: a defect of ours.
    #[serde(skip)]
    pub missing: usize,
    /// The suites that have a test or a case that is left out.
    pub suites: Vec<SuiteReport>,
}

/// What came of a suite.
#[derive(Clone, Debug, Serialize)]
pub struct SuiteReport {
    /// What it calls itself.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its file, as a path in the bundle's folder.
    pub file: String,
    /// The API it is about.
    pub api: String,
    /// The stage.
    pub stage: String,
    /// The version of the policies.
    pub version: String,
    /// Its cases.
    pub cases: Vec<CaseReport>,
}

/// What came of a case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// What it is called.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its name stands in the file.
    pub line: usize,
    /// The same, in characters from 1.
    pub column: usize,
    /// Why it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// How many of its tests passed.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// Its tests: each principal with each request.
    pub tests: Vec<TestReport>,
}

/// What came of a test.
#[derive(Clone, Debug, Serialize)]
pub struct TestReport {
    /// Who asked.
    pub principal: String,
    /// What for.
    pub request: String,
    /// What is not as expected; without it, the test passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What is not as expected.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Each thing that is not.
    pub mismatches: Vec<Mismatch>,
    /// What was got.
    pub got: Got,
    /// What made it so, in words: the policies that decided, or what came nearest to a permit.
    pub why: Vec<String>,
    /// The response that would have to be written for the test to pass.
    #[serde(skip)]
    pub golden: Option<Golden>,
}

/// The text of a response file, and how it differs from what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    /// The file, as a path in the bundle's folder.
    pub file: String,
    /// What is to stand there.
    pub text: String,
    /// The lines that change.
    pub diff: String,
}

impl Failure {
    /// The failure as lines: what was expected, what was got, and why.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for mismatch in &self.mismatches {
            let of = match mismatch.of {
                "decision" => String::new(),
                "because" => "decided by ".to_owned(),
                of => format!("{of}: "),
            };
            lines.push(format!("expected {of}{}", mismatch.expected));
            lines.push(format!("got      {of}{}", mismatch.got));
            lines.extend(mismatch.diff.iter().flat_map(|diff| diff.lines()).map(|line| format!("  {line}")));
        }
        lines.extend(self.got.detail.clone());
        lines.extend(self.why.iter().cloned());
        lines
    }
}

impl Report {
    /// The failures, each with its suite and case.
    pub fn failures(&self) -> impl Iterator<Item = (&SuiteReport, &CaseReport, &TestReport, &Failure)> {
        self.suites.iter().flat_map(|suite| {
            suite.cases.iter().flat_map(move |case| {
                let failed = case.tests.iter().filter_map(|test| Some((test, test.failure.as_ref()?)));
                failed.map(move |(test, failure)| (suite, case, test, failure))
            })
        })
    }

    /// Whether every test that was to be run was run, and passed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failed == 0 && self.missing == 0
    }

    /// How many tests were run.
    #[must_use]
    pub fn run(&self) -> usize {
        self.passed + self.failed
    }
}

/// JUnit's XML, as continuous integration reads it: a `testsuite` a suite, a `testcase` a test.
///
/// # Errors
/// Where a text cannot stand in XML.
pub fn junit(report: &Report) -> Result<String, String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write_junit(&mut writer, report).map_err(|error| error.to_string())?;
    let text = String::from_utf8(writer.into_inner()).map_err(|error| error.to_string())?;
    Ok(plain(&text) + "\n")
}

fn write_junit(writer: &mut Writer<Vec<u8>>, report: &Report) -> std::io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let total = (report.run() + report.skipped).to_string();
    let (failed, skipped) = (report.failed.to_string(), report.skipped.to_string());
    let root = BytesStart::new("testsuites").with_attributes([
        ("name", "cedar-gate test"),
        ("tests", total.as_str()),
        ("failures", &failed),
        ("errors", "0"),
        ("skipped", &skipped),
    ]);
    writer.write_event(Event::Start(root))?;
    for suite in &report.suites {
        let count = |of: fn(&CaseReport) -> usize| suite.cases.iter().map(of).sum::<usize>();
        let skipped = count(|case| usize::from(case.skip.is_some()));
        let total = (count(|case| case.tests.len()) + skipped).to_string();
        let (failed, skipped) = (count(|case| case.failed).to_string(), skipped.to_string());
        let element = BytesStart::new("testsuite").with_attributes([
            ("name", suite.name.as_str()),
            ("file", &suite.file),
            ("tests", &total),
            ("failures", &failed),
            ("errors", "0"),
            ("skipped", &skipped),
        ]);
        writer.write_event(Event::Start(element))?;
        for case in &suite.cases {
            let line = case.line.to_string();
            let class = format!("{}.{}", suite.name, case.name);
            let test = |name: &str| {
                let attributes =
                    [("name", name), ("classname", &class), ("file", &suite.file), ("line", &line)];
                BytesStart::new("testcase").with_attributes(attributes)
            };
            if let Some(why) = &case.skip {
                writer.write_event(Event::Start(test(&case.name)))?;
                writer.write_event(Event::Empty(
                    BytesStart::new("skipped").with_attributes([("message", why.as_str())]),
                ))?;
                writer.write_event(Event::End(BytesEnd::new("testcase")))?;
            }
            for found in &case.tests {
                let name = format!("{} {}", found.principal, found.request);
                let Some(failure) = &found.failure else {
                    writer.write_event(Event::Empty(test(&name)))?;
                    continue;
                };
                writer.write_event(Event::Start(test(&name)))?;
                let message = in_one_line(failure);
                let element = BytesStart::new("failure")
                    .with_attributes([("message", message.as_str()), ("type", "mismatch")]);
                writer.write_event(Event::Start(element))?;
                writer.write_event(Event::Text(BytesText::new(&failure.lines().join("\n"))))?;
                writer.write_event(Event::End(BytesEnd::new("failure")))?;
                writer.write_event(Event::End(BytesEnd::new("testcase")))?;
            }
        }
        writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))
}

/// Without the characters that no XML may hold (XML 1.0 §2.2).
fn plain(text: &str) -> String {
    let allowed = |char: &char| {
        matches!(char, '\t' | '\n' | '\r') || (*char >= ' ' && !matches!(char, '\u{fffe}' | '\u{ffff}'))
    };
    text.chars().filter(allowed).collect()
}

fn in_one_line(failure: &Failure) -> String {
    let words: Vec<String> = failure
        .mismatches
        .iter()
        .map(|mismatch| match mismatch.of {
            "decision" => format!("expected {}, got {}", mismatch.expected, mismatch.got),
            "because" => format!("expected to be decided by {}, got {}", mismatch.expected, mismatch.got),
            of => format!("{of}: expected {}, got {}", mismatch.expected, mismatch.got),
        })
        .collect();
    words.join("; ")
}

/// The Test Anything Protocol, version 14.
#[must_use]
pub fn tap(report: &Report) -> String {
    let mut text = "TAP version 14\n".to_owned();
    text += &format!("1..{}\n", report.run() + report.skipped);
    let mut number = 0;
    // A `#` would begin a directive.
    let escaped = |text: &str| one_line(text).replace('\\', "\\\\").replace('#', "\\#");
    for suite in &report.suites {
        for case in &suite.cases {
            let name = escaped(&format!("{} / {}", suite.name, case.name));
            if let Some(why) = &case.skip {
                number += 1;
                text += &format!("ok {number} - {name} # SKIP {}\n", one_line(why));
            }
            for test in &case.tests {
                number += 1;
                let verdict = if test.failure.is_some() { "not ok" } else { "ok" };
                let what = escaped(&format!("{} {}", test.principal, test.request));
                text += &format!("{verdict} {number} - {name} / {what}\n");
                if let Some(failure) = &test.failure {
                    text += "  ---\n";
                    text += &format!("  message: {}\n", serde_json::Value::from(in_one_line(failure)));
                    text += &format!(
                        "  at: {}\n",
                        serde_json::Value::from(format!("{}:{}", suite.file, case.line))
                    );
                    text += "  why: |\n";
                    for line in failure.lines() {
                        text += &format!("    {}\n", one_line(&line));
                    }
                    text += "  ...\n";
                }
            }
        }
    }
    text
}

/// Commands of GitHub Actions that annotate the lines of the cases that failed. `folder` is the bundle's, from where its
/// reader's paths begin; empty for the same.
#[must_use]
pub fn github(report: &Report, folder: &str) -> String {
    let mut text = String::new();
    for (suite, case, test, failure) in report.failures() {
        let title = format!("{} / {}", suite.name, case.name);
        let lines = failure.lines().join("\n");
        text += &format!(
            "::error file={},line={},col={},title={}::{}\n",
            property(&path_from(folder, &suite.file)),
            case.line,
            case.column,
            property(&title),
            data(&format!("{} {}\n{lines}", test.principal, test.request))
        );
    }
    text += &format!("::notice title=cedar-gate test::{}\n", summary(report));
    text
}

/// A table of the suites and what failed, for a pull request.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mark = if report.is_ok() { "✅" } else { "❌" };
    let mut text = format!("### {mark} Policy tests: {}\n\n", summary(report));
    text += "| suite | API, stage, version | passed | failed | skipped |\n|---|---|---:|---:|---:|\n";
    for suite in &report.suites {
        let count = |of: fn(&CaseReport) -> usize| suite.cases.iter().map(of).sum::<usize>();
        text += &format!(
            "| {} | {}, {}, {} | {} | {} | {} |\n",
            cell(&suite.name),
            cell(&suite.api),
            cell(&suite.stage),
            cell(&suite.version),
            count(|case| case.passed),
            count(|case| case.failed),
            count(|case| usize::from(case.skip.is_some()))
        );
    }
    for (suite, case, test, failure) in report.failures() {
        text += &format!(
            "\n**{} / {}** ({}:{}): {} `{}`\n\n```diff\n",
            cell(&suite.name),
            cell(&case.name),
            suite.file,
            case.line,
            cell(&test.principal),
            one_line(&test.request)
        );
        for line in failure.lines() {
            let line = one_line(&line);
            let marked = match (line.strip_prefix("expected "), line.strip_prefix("got      ")) {
                (Some(expected), _) => format!("- {expected}"),
                (_, Some(got)) => format!("+ {got}"),
                (None, None) => format!("  {line}"),
            };
            text += &marked;
            text.push('\n');
        }
        text += "```\n";
    }
    text
}

fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// `24 passed, 1 failed, 2 cases skipped`.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut words = format!("{} passed, {} failed", report.passed, report.failed);
    match report.skipped {
        0 => {}
        1 => words += ", 1 case skipped",
        count => words += &format!(", {count} cases skipped"),
    }
    if report.not_run > 0 {
        words += &format!(", {} not run", report.not_run);
    }
    if report.missing > 0 {
        words += &format!(", {} lost", report.missing);
    }
    words
}
