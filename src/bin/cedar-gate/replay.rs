//! `replay`: the decisions of a log, made once more by other policies.

mod input;
mod text;

use std::path::Path;

use cedar_gate::tools::decision_log::{Found, read_line};
use cedar_gate::tools::replay::{Replay, Report};

use crate::format::{FormatName, Known};
use crate::shell::{self, Answer, Failure};

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/replay/1";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Logs with decision records, as text or gzip; `-` for stdin.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<String>,
    /// The version of the policies to decide by; without it, the one that is active where a request was asked.
    #[arg(long = "version", value_name = "VERSION")]
    version: Option<String>,
    /// Which flips make the exit code 1.
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = FailOn::Any)]
    fail_on: FailOn,
    /// How many kinds of flips are listed; 0: all.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
}

/// What `replay` writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplayFormat {
    Text,
    Json,
    Markdown,
}

impl Known for ReplayFormat {
    const ALL: &'static [(FormatName, Self)] = &[
        (FormatName::Text, Self::Text),
        (FormatName::Json, Self::Json),
        (FormatName::Markdown, Self::Markdown),
    ];
}

/// Which flips make the exit code 1.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    Any,
    Widen,
    Never,
}

const HELP: &str = "\
Reads the decision records that the Lambda writes to its log and makes each decision once more: by
another version of this bundle (--version), or by another bundle (--bundle). Lists what would flip:
which requests that were denied would be allowed, and the other way round, by operation, role and
policy, each with an example; and the permits that determined no decision in all of the period.

A log is what CloudWatch Logs gives: lines of records, with or without something before them,
exports to S3 (.gz too), the output of `aws logs tail` and `aws logs filter-log-events`,
subscriptions, Logs Insights. Other lines are passed over.

What the record does not tell is not guessed. By default it has hashes of the e-mail address, the
claims, headers, query and address (`facts` of [log] in schema/authorizer.toml): equality is decided
as it was, also with what a policy writes; a policy that reads a hash by a pattern, an order or an
address range is not, and if that matters the request is counted as not decidable, with the policy
and the fact. Tokens are not verified once more: roles and tenant are those of then. What the
gateway answered from its cache has left no record, and `allow` of [log] may have kept a part of the
allows only.

Exit codes: 0 nothing flips (of what --fail-on names), 1 something does, 2 nothing could be decided.

Examples:
  aws logs tail /aws/lambda/authorizer --since 7d --format short > week.log
  cedar-gate replay week.log --version v2
  cedar-gate replay export/*.gz --version v2 --format markdown > comment.md
  cedar-gate --bundle ../candidate replay week.log --fail-on widen";

pub(crate) fn run(root: &Path, format: ReplayFormat, args: &Args) -> Result<Answer, Failure> {
    let bundle = shell::load_bundle(root)?;
    if let Some(version) = &args.version {
        let known: Vec<&str> = bundle.policy_versions().map(|known| known.name.as_str()).collect();
        if !known.contains(&version.as_str()) {
            let known = known.join(", ");
            return Err(Failure::Message(format!("no version `{version}` in policies/: there are {known}")));
        }
    }
    let mut replay = Replay::new(&bundle, args.version.as_deref());
    let lines = input::each_line(&args.logs, |line| {
        for found in read_line(line) {
            match found {
                Found::Decision(record) => replay.add(&record),
                Found::Broken(_) => replay.add_broken(),
            }
        }
    })?;
    let report = replay.finish();
    match format {
        ReplayFormat::Json => shell::print_json(SCHEMA, &report)?,
        ReplayFormat::Markdown => shell::print(&text::markdown(&report, args.top))?,
        ReplayFormat::Text => shell::print(&text::text(&report, args.top))?,
    }
    Ok(answer(&report, args.fail_on, lines))
}

fn answer(report: &Report, fail_on: FailOn, lines: u64) -> Answer {
    if report.decided == 0 {
        let what = match report.records {
            0 => format!(
                "no decision record in {}",
                shell::count(usize::try_from(lines).unwrap_or(usize::MAX), "line")
            ),
            _ => "no decision could be made once more".to_owned(),
        };
        shell::talk(&what);
        return Answer::Unanswered;
    }
    let fails = match fail_on {
        FailOn::Any => report.has_flips(),
        FailOn::Widen => report.wider > 0,
        FailOn::Never => false,
    };
    if fails { Answer::No } else { Answer::Yes }
}
