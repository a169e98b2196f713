//! `cedar-gate test`: the policies, held against the suites of `tests/policies`.

use std::fs;
use std::io::{self, IsTerminal, stderr};
use std::path::Path;
use std::thread;
use std::time::Duration;

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::finding::Finding;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch;
use cedar_gate::tools::github;
use cedar_gate::tools::suite::report::{self, CaseReport, Golden, Report};
use cedar_gate::tools::suite::{Filter, FilterTerm, RunOptions, SuiteErrors, Suites};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::check;
use crate::format::{FormatName, Known};
use crate::shell::{self, Answer, Failure};

mod coverage;
mod mutate;

#[derive(Clone, clap::Args)]
#[command(after_help = "\
A suite is a file in tests/policies, beside the bundle's policies and schema:

  [[case]]
  name       = \"clerks keep orders\"
  principals = [\"clara\", \"group:staff\"]   # of tests/policies/principals.toml
  allow      = [\"GET /orders\", \"PUT /orders/{orderId}\"]
  deny       = [\"PUT /orders/archive-*\"]    # exceptions; what is not in allow must be denied anyway

  [[case]]
  name       = \"the archive is frozen\"
  principals = [\"clara\"]
  requests   = [\"PUT /orders/archive-7\"]
  expect     = \"deny\"                       # allow, deny, { unauthorized = \"expired\" }, fault
  because    = \"archive-is-frozen\"          # the policy that decides

  [[case]]
  name       = \"what the gateway gets\"
  event      = \"orders.json\"                # of tests/policies/events; the token is put in
  token      = { principal = \"clara\", expires_in = -60 }
  response   = \"orders-expired.json\"        # of tests/policies/responses; --update writes it

Principals are claim sets, signed as their issuer would by keys that are made for the run, and
verified by the authorizer's own rules. A name that does not exist, a request that no route serves,
a case about nobody, two cases that contradict each other: each is an error, and nothing is run.
So is a decision that depends on a fact which nobody gives: write now = 2026-11-21T10:00:00Z or
facts = { source_ip = \"203.0.113.7\" } in [suite] or in the case, facts = { absent = [\"source_ip\"] }
for a request without one. An event carries its own facts.
JSON files in tests/policies are read as `cedar run-tests` reads them.

Exit codes: 0 all passed, 1 a test failed, 2 the tests could not be run, or none was selected.
--format knows text, json, junit, tap, github (annotations) and markdown (for a pull request).

Examples:
  cedar-gate test
  cedar-gate test --filter suite=orders --filter 'principal=cl*'
  cedar-gate test --filter policy=archive-is-frozen --fail-fast
  cedar-gate test --watch
  cedar-gate test --coverage --min-coverage 90
  cedar-gate test --coverage-format lcov > policies.info
  cedar-gate test --coverage --changed-since origin/main --min-coverage 100
  cedar-gate test --mutate
  cedar-gate test --mutate --sample 100 --seed 7 --budget 60 --min-score 95
  cedar-gate test --format junit > policies.xml")]
pub(crate) struct Args {
    /// Run some tests only: suite=, case=, principal=, route= or policy=, and a glob. Of one kind, any; of several, each.
    #[arg(long = "filter", value_name = "KIND=GLOB")]
    filter: Vec<FilterTerm>,
    /// Stop at the first failure, in the order of the files.
    #[arg(long)]
    fail_fast: bool,
    /// Write the responses that cases with `event` name, and show what changes.
    #[arg(long)]
    update: bool,
    /// Show every test, not only those that failed.
    #[arg(long, short)]
    verbose: bool,
    /// Run again whenever a file of the bundle or a test changes.
    #[arg(long, conflicts_with = "update")]
    watch: bool,
    #[command(flatten)]
    coverage: coverage::Args,
    #[command(flatten)]
    mutation: mutate::Args,
}

/// What the command writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
    Junit,
    Tap,
    Github,
    Markdown,
}

impl Known for Form {
    const ALL: &'static [(FormatName, Self)] = &[
        (FormatName::Text, Self::Text),
        (FormatName::Json, Self::Json),
        (FormatName::Junit, Self::Junit),
        (FormatName::Tap, Self::Tap),
        (FormatName::Github, Self::Github),
        (FormatName::Markdown, Self::Markdown),
    ];
}

const SCHEMA: &str = "cedar-gate/test/1";

/// What `test --format json` prints.
#[derive(Serialize)]
struct JsonReport<'a> {
    ok: bool,
    bundle: &'a str,
    /// What keeps the tests from being run.
    findings: Vec<FindingReport<'a>>,
    warnings: Vec<FindingReport<'a>>,
    #[serde(flatten)]
    report: &'a Report,
}

#[derive(Serialize)]
struct FindingReport<'a> {
    code: &'static str,
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
        let (code, help) = (finding.code.number(), finding.help.as_deref());
        Self { code, file: &finding.file, line, column, message: &finding.message, help }
    }
}

pub(crate) fn run(root: &Path, form: Form, args: &Args) -> Result<Answer, Failure> {
    if args.watch {
        return watch(root, form, args);
    }
    once(root, form, args)
}

/// How often the files are looked at, and for how long at most nobody sees a change.
const GLANCE: Duration = Duration::from_millis(300);

/// Runs the tests again and again. Files are read anew and compared by their digest: a few milliseconds, on every file
/// system, also where one is mounted into a container and tells nothing of its changes.
fn watch(root: &Path, form: Form, args: &Args) -> Result<Answer, Failure> {
    loop {
        let seen = digest(root);
        match once(root, form, args) {
            Ok(_) => {}
            Err(Failure::Closed) => return Err(Failure::Closed),
            Err(failure) => shell::report(&failure),
        }
        shell::talk("watching for changes; end with Ctrl-C");
        while digest(root) == seen {
            thread::sleep(GLANCE);
        }
    }
}

/// What stands in the files now; nothing where they cannot be read.
fn digest(root: &Path) -> Option<[String; 2]> {
    let (bundle, tests) = (fetch::read_bundle(root).ok()?, fetch::read_policy_tests(root).ok()?);
    Some([bundle.digest(), tests.digest()])
}

fn once(root: &Path, form: Form, args: &Args) -> Result<Answer, Failure> {
    let mut files = shell::read_files(root)?;
    let bundle = match Bundle::load(&files) {
        Ok(bundle) => bundle,
        Err(errors) => return Err(Failure::Bundle(Box::new((errors, files)))),
    };
    let tests = fetch::read_policy_tests(root).map_err(|error| Failure::Message(error.to_string()))?;
    for path in tests.paths() {
        files.insert(path, tests.bytes(path).unwrap_or_default());
    }
    let suites = match Suites::load(&bundle, &files, args.update) {
        Ok(suites) => suites,
        Err(errors) => return broken(&errors, &bundle, &files, form, &check::folder(root)),
    };
    let filter = Filter::new(args.filter.clone());
    let report = execute(&suites, &filter, args)?;
    if args.update {
        return update(root, form, args, &report);
    }
    if args.mutation.mutate && report.is_ok() {
        return mutate::run(form, &args.mutation, (&suites, &filter), &bundle, &files);
    }
    let answer = if report.is_ok() { Answer::Yes } else { Answer::No };
    match args.coverage.takes_stdout(form) {
        true => conclude(&report, &bundle),
        false => show(&report, &suites, (&bundle, &files), form, args, &check::folder(root))?,
    }
    if args.mutation.mutate {
        shell::talk("the tests fail as the policies are: mend that first, then --mutate");
    }
    if !args.coverage.is_wanted() {
        return Ok(answer);
    }
    let covered = coverage::run(root, form, &args.coverage, (&suites, &filter, &files), args.verbose)?;
    Ok(if answer == Answer::Yes { covered } else { answer })
}

/// Runs what is selected, with a bar on a terminal where it takes a while.
fn execute(suites: &Suites<'_>, filter: &Filter, args: &Args) -> Result<Report, Failure> {
    let selected = suites.selected(filter);
    if selected.is_empty() {
        let message = match filter.is_empty() {
            true => "every case is skipped: nothing was tested".to_owned(),
            false => format!("no test fits {filter}: nothing was tested; without --filter, all are run"),
        };
        return Err(Failure::Message(message));
    }
    let bar = match stderr().is_terminal() && selected.len() > WORTH_A_BAR {
        true => ProgressBar::new(selected.len() as u64),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} tests, {elapsed}") {
        bar.set_style(style);
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let options = RunOptions { threads, fail_fast: args.fail_fast };
    let report = suites.run(&selected, filter, options, &|| bar.inc(1));
    bar.finish_and_clear();
    Ok(report)
}

/// Fewer tests are done before a bar is seen.
const WORTH_A_BAR: usize = 2_000;

/// The tests themselves do not hold together.
fn broken(
    errors: &SuiteErrors,
    bundle: &Bundle,
    files: &SourceFiles,
    form: Form,
    folder: &str,
) -> Result<Answer, Failure> {
    match form {
        Form::Json => {
            let report = JsonReport {
                ok: false,
                bundle: bundle.digest(),
                findings: errors.errors.iter().map(FindingReport::from).collect(),
                warnings: errors.warnings.iter().map(FindingReport::from).collect(),
                report: &Report::default(),
            };
            shell::print_json(SCHEMA, &report)?;
        }
        Form::Github => {
            let findings: Vec<&Finding> = errors.warnings.iter().chain(&errors.errors).collect();
            shell::print(&shell::printable(&github::annotations(&findings, files, folder)))?;
        }
        Form::Tap => shell::print("TAP version 14\nBail out! the tests do not hold together\n")?,
        Form::Text | Form::Junit | Form::Markdown => {}
    }
    if form != Form::Json {
        shell::talk(shell::snippets(&errors.warnings, files).trim_end());
        shell::talk(shell::snippets(&errors.errors, files).trim_end());
    }
    let count = shell::count(errors.errors.len(), "error");
    shell::talk(&format!("{} {count} in the tests; none was run", "failed:".red().bold()));
    Ok(Answer::Unanswered)
}

/// Writes a report in the form that was asked for, and its summary.
fn show(
    report: &Report,
    suites: &Suites<'_>,
    (bundle, files): (&Bundle, &SourceFiles),
    form: Form,
    args: &Args,
    folder: &str,
) -> Result<(), Failure> {
    match form {
        Form::Text => shell::print(&tree(report, args.verbose))?,
        Form::Json => {
            let json = JsonReport {
                ok: report.is_ok(),
                bundle: bundle.digest(),
                findings: Vec::new(),
                warnings: suites.warnings.iter().map(FindingReport::from).collect(),
                report,
            };
            shell::print_json(SCHEMA, &json)?;
        }
        Form::Junit => shell::print(&report::junit(report).map_err(Failure::Message)?)?,
        Form::Tap => shell::print(&shell::printable(&report::tap(report)))?,
        Form::Github => {
            let warnings: Vec<&Finding> = suites.warnings.iter().collect();
            let text = github::annotations(&warnings, files, folder) + &report::github(report, folder);
            shell::print(&shell::printable(&text))?;
        }
        Form::Markdown => shell::print(&shell::printable(&report::markdown(report)))?,
    }
    if form != Form::Json && !suites.warnings.is_empty() {
        shell::talk(shell::snippets(&suites.warnings, files).trim_end());
    }
    conclude(report, bundle);
    Ok(())
}

/// All of it in one line, for whoever looks.
fn conclude(report: &Report, bundle: &Bundle) {
    let verdict = match report.is_ok() {
        true => "ok:".green().bold().to_string(),
        false => "failed:".red().bold().to_string(),
    };
    let suites = shell::count(report.suites.len(), "suite");
    shell::talk(&format!("{verdict} {} in {suites}; {}", report::summary(report), bundle.digest()));
}

/// Suites, their cases, and below a case what failed.
fn tree(report: &Report, verbose: bool) -> String {
    let mut text = String::new();
    for suite in &report.suites {
        let place = format!("{}: {} {} {}", suite.file, suite.api, suite.stage, suite.version);
        text += &format!("{} {}\n", shell::printable(&suite.name).bold(), shell::printable(&place).dimmed());
        for case in &suite.cases {
            text += &case_line(case);
            if verbose {
                for test in case.tests.iter().filter(|test| test.failure.is_none()) {
                    let what = shell::printable(&format!("{}  {}", test.principal, test.request));
                    text += &format!("      {} {what}\n", "✓".green());
                }
            }
            for (who, requests, lines) in failures(case) {
                let requests = match requests.as_slice() {
                    [first, second, third, _, ..] if !verbose => {
                        format!("{first}, {second}, {third} and {} more", requests.len() - 3)
                    }
                    all => all.join(", "),
                };
                text += &format!("      {} {}\n", "✗".red(), shell::printable(&format!("{who}  {requests}")));
                for line in lines {
                    text += &format!("          {}\n", shell::printable(&line));
                }
            }
        }
    }
    text
}

/// What failed in a case: who, for which requests, and how; what fails alike is told once.
fn failures(case: &CaseReport) -> Vec<(&str, Vec<&str>, Vec<String>)> {
    let mut found: Vec<(&str, Vec<&str>, Vec<String>)> = Vec::new();
    for test in &case.tests {
        let Some(failure) = &test.failure else { continue };
        let lines = failure.lines();
        match found.iter_mut().find(|(who, _, known)| *who == test.principal && *known == lines) {
            Some((_, requests, _)) => requests.push(&test.request),
            None => found.push((&test.principal, vec![&test.request], lines)),
        }
    }
    found
}

fn case_line(case: &CaseReport) -> String {
    let name = shell::printable(&case.name);
    match &case.skip {
        Some(why) => format!("  {} {name}: {}\n", "-".yellow(), shell::printable(why).dimmed()),
        None if case.failed == 0 => {
            let count = case.passed.to_string();
            format!("  {} {name} {}\n", "✓".green(), count.dimmed())
        }
        None => {
            let count = format!("{} of {} failed, line {}", case.failed, case.tests.len(), case.line);
            format!("  {} {name} {}\n", "✗".red(), count.red())
        }
    }
}

/// Writes the responses that are other than their files say, shows what changes, and runs the tests anew.
fn update(root: &Path, form: Form, args: &Args, report: &Report) -> Result<Answer, Failure> {
    let mut goldens: Vec<&Golden> =
        report.failures().filter_map(|(_, _, _, failure)| failure.golden.as_ref()).collect();
    goldens.sort_unstable_by(|one, other| one.file.cmp(&other.file));
    goldens.dedup();
    if let Some((one, _)) =
        goldens.iter().zip(goldens.iter().skip(1)).find(|(one, other)| one.file == other.file)
    {
        return Err(Failure::Message(format!(
            "two cases want different responses in `{}`: give each its own",
            one.file
        )));
    }
    for golden in &goldens {
        let path = root.join(&golden.file);
        write(&path, &golden.text)
            .map_err(|error| Failure::Message(format!("cannot write `{}`: {error}", path.display())))?;
        shell::talk(&format!("{} {}", "wrote".green().bold(), golden.file));
        shell::talk(shell::printable(golden.diff.trim_end()).as_str());
    }
    if goldens.is_empty() {
        shell::talk("every response is as its file says");
    }
    let anew = Args { update: false, ..args.clone() };
    once(root, form, &anew)
}

/// Writes a file, in a folder that is made if it is not there.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    shell::write_whole(path, text, shell::Readers::All)
}
