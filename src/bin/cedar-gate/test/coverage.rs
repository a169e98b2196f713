//! `test --coverage`: which parts of the policies the tests try.

use std::path::Path;

use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::tools::coverage::{Coverage, CoverageReport, PolicyCoverage, percent};
use cedar_gate::tools::suite::{Filter, Suites};
use clap::ValueEnum;
use owo_colors::OwoColorize;
use serde::Serialize;

use super::Form;
use crate::plan::revision;
use crate::shell::{self, Answer, Failure};

const COVERAGE: &str = "Coverage";

#[derive(Clone, clap::Args)]
#[group(id = "coverage options")]
pub(super) struct Args {
    /// Say which parts of the policies the tests try: scopes, decisions, and each conjunct true and false.
    #[arg(long, help_heading = COVERAGE)]
    coverage: bool,
    /// Fail where less than this share of the points is tried, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = COVERAGE)]
    min_coverage: Option<u8>,
    /// How: annotated source, or alone on stdout as JSON or in the form of lcov.
    #[arg(long, value_enum, value_name = "FORM", help_heading = COVERAGE)]
    coverage_format: Option<CoverageForm>,
    /// Only of the policies whose text differs from a git revision's.
    #[arg(long, value_name = "REV", help_heading = COVERAGE)]
    changed_since: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CoverageForm {
    Text,
    Json,
    Lcov,
}

/// What `--coverage-format json` prints.
#[derive(Serialize)]
struct Report<'a> {
    percent: usize,
    minimum: Option<u8>,
    ok: bool,
    #[serde(flatten)]
    coverage: &'a CoverageReport,
}

impl Args {
    /// Whether coverage is asked for.
    pub(super) const fn is_wanted(&self) -> bool {
        self.coverage
            || self.min_coverage.is_some()
            || self.coverage_format.is_some()
            || self.changed_since.is_some()
    }

    /// Whether stdout belongs to coverage alone.
    pub(super) fn takes_stdout(&self, form: Form) -> bool {
        self.is_wanted() && self.form(form) != CoverageForm::Text
    }

    fn form(&self, form: Form) -> CoverageForm {
        self.coverage_format.unwrap_or(match form {
            Form::Json => CoverageForm::Json,
            Form::Text | Form::Junit | Form::Tap | Form::Github | Form::Markdown => CoverageForm::Text,
        })
    }
}

/// Shows what the selected tests try. No, where it is too little.
pub(super) fn run(
    root: &Path,
    form: Form,
    args: &Args,
    (suites, filter, files): (&Suites<'_>, &Filter, &SourceFiles),
    is_verbose: bool,
) -> Result<Answer, Failure> {
    let before = match &args.changed_since {
        Some(revision) => Some(revision::read(root, revision)?),
        None => None,
    };
    let mut coverage = Coverage::new(files);
    let mut failed = None;
    suites.study(&suites.selected(filter), &mut |one| {
        if let Err(error) = coverage.add(one.desk, &one.asked) {
            failed.get_or_insert(error);
        }
    });
    if let Some(error) = failed {
        return Err(Failure::Message(error.to_string()));
    }
    let report = coverage.report(before.as_ref());
    let is_enough = args.min_coverage.is_none_or(|least| report.percent() >= usize::from(least));
    match args.form(form) {
        CoverageForm::Lcov => shell::print(&report.lcov())?,
        CoverageForm::Json => {
            let (percent, minimum) = (report.percent(), args.min_coverage);
            shell::print_json(
                "cedar-gate/coverage/1",
                &Report { percent, minimum, ok: is_enough, coverage: &report },
            )?;
        }
        CoverageForm::Text => {
            let text = text(&report, files, is_verbose);
            match form {
                Form::Text => shell::print(&text)?,
                Form::Json | Form::Junit | Form::Tap | Form::Github | Form::Markdown => {
                    shell::talk(text.trim_end())
                }
            }
        }
    }
    let (covered, points) = (report.covered, report.points);
    let summary = format!("{} % of {points} points tried ({covered})", report.percent());
    match args.min_coverage.filter(|_| !is_enough) {
        None => shell::talk(&format!("{} {summary}", "coverage:".bold())),
        Some(least) => {
            shell::talk(&format!("{} {summary}, and --min-coverage wants {least} %", "failed:".red().bold()))
        }
    }
    Ok(if is_enough { Answer::Yes } else { Answer::No })
}

/// A line a policy, and the text of those that are not wholly tried.
fn text(report: &CoverageReport, files: &SourceFiles, is_verbose: bool) -> String {
    if report.policies.is_empty() {
        return "no policy is looked at: none has changed, or the tests ask for no decision\n".to_owned();
    }
    let mut text = format!("{}\n", "coverage".bold());
    for policy in &report.policies {
        let share = percent(policy.covered, policy.points);
        let share = format!("{share:>5} %");
        let share = match policy.covered == policy.points {
            true => share.green().to_string(),
            false => share.red().to_string(),
        };
        text +=
            &format!("{share}  {}{}\n", shell::printable(&policy.policy), shell::printable(&counts(policy)));
    }
    let shown = CoverageReport {
        policies: (report.policies.iter())
            .filter(|policy| is_verbose || policy.covered < policy.points)
            .cloned()
            .collect(),
        ..report.clone()
    };
    if !shown.policies.is_empty() {
        text += "[SD] its scope matched, it decided; [TF] a conjunct was true, was false; - never\n\n";
        text += &shell::printable(&shown.annotated(files));
    }
    text
}

fn counts(policy: &PolicyCoverage) -> String {
    format!(
        ": scope matched {}, applied {}, decided {}",
        policy.scope_matched, policy.applied, policy.decided
    )
}
