//! `test --mutate`: whether the tests would notice a mistake in the policies.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::tools::mutate::{self, Fate, Mutant, Mutation, Suggestion};
use cedar_gate::tools::suite::{Filter, Suites};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use serde::Serialize;

use super::Form;
use crate::shell::{self, Answer, Failure};

const MUTATION: &str = "Mutation testing";

#[derive(Clone, clap::Args)]
#[group(id = "mutation options")]
pub(super) struct Args {
    /// Make small mistakes in the policies, one at a time, and say which of them no test would notice.
    #[arg(long, conflicts_with_all = ["update", "watch", "coverage"], help_heading = MUTATION)]
    pub(super) mutate: bool,
    /// Fail where a smaller share of the mistakes is noticed, in percent. Without it, each that is not fails.
    #[arg(long, value_name = "PERCENT", requires = "mutate", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = MUTATION)]
    min_score: Option<u8>,
    /// Stop after so long; the mistakes that were not tried are counted.
    #[arg(long, value_name = "SECONDS", requires = "mutate", value_parser = clap::value_parser!(u64).range(1..), help_heading = MUTATION)]
    budget: Option<u64>,
    /// Try so many of the mistakes, chosen by --seed.
    #[arg(long, value_name = "N", requires = "mutate", value_parser = clap::value_parser!(u32).range(1..), help_heading = MUTATION)]
    sample: Option<u32>,
    /// Which of the mistakes --sample chooses.
    #[arg(long, value_name = "S", requires = "sample", default_value_t = 0, help_heading = MUTATION)]
    seed: u64,
}

/// A mistake, and what became of it.
#[derive(Serialize)]
struct Trial {
    #[serde(flatten)]
    mutant: Mutant,
    #[serde(flatten)]
    fate: Fate,
    diff: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested_case: Option<String>,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    /// The share of the mistakes that were noticed, in whole percent, rounded down.
    score: usize,
    noticed: usize,
    survived: usize,
    equivalent: usize,
    invalid: usize,
    not_tried: usize,
    mutants: &'a [Trial],
}

/// Tries the mistakes. No, where too few are noticed.
pub(super) fn run(
    form: Form,
    args: &Args,
    (suites, filter): (&Suites<'_>, &Filter),
    bundle: &Bundle,
    files: &SourceFiles,
) -> Result<Answer, Failure> {
    if !matches!(form, Form::Text | Form::Json) {
        return Err(Failure::Message("`cedar-gate test --mutate` writes --format `text`, `json`".to_owned()));
    }
    let mutation = Mutation::new(suites, bundle, files, suites.selected(filter));
    let mut mutants = mutation.mutants().map_err(|error| Failure::Message(error.to_string()))?;
    if let Some(most) = args.sample {
        mutants = mutate::sample(mutants, usize::try_from(most).unwrap_or(usize::MAX), args.seed);
    }
    let all = mutants.len();
    let trials = tried(&mutation, mutants, args.budget.map(Duration::from_secs), files);
    let count = |is: fn(&Fate) -> bool| trials.iter().filter(|trial| is(&trial.fate)).count();
    let noticed = count(|fate| matches!(fate, Fate::Noticed { .. }));
    let survived = count(|fate| matches!(fate, Fate::Survived { .. }));
    let equivalent = count(|fate| matches!(fate, Fate::Equivalent { .. }));
    let invalid = count(|fate| matches!(fate, Fate::Invalid));
    let judged = noticed + survived;
    // Of nothing, all was noticed.
    let score = (noticed * 100).checked_div(judged).unwrap_or(100);
    let ok = match args.min_score {
        Some(least) => score >= usize::from(least),
        None => survived == 0,
    };
    let not_tried = all - trials.len();
    match form {
        Form::Json => {
            let report =
                Report { ok, score, noticed, survived, equivalent, invalid, not_tried, mutants: &trials };
            shell::print_json("cedar-gate/mutate/1", &report)?;
        }
        Form::Text | Form::Junit | Form::Tap | Form::Github | Form::Markdown => shell::print(&text(&trials))?,
    }
    let verdict = match ok {
        true => "ok:".green().bold().to_string(),
        false => "failed:".red().bold().to_string(),
    };
    let mut summary = format!("{verdict} {score} %: {noticed} of {judged} mistakes would be noticed");
    let rest = [
        (equivalent, "change no decision"),
        (invalid, "do not load"),
        (not_tried, "were not tried in the time that --budget gives"),
    ];
    for (count, what) in rest.into_iter().filter(|(count, _)| *count > 0) {
        summary += &format!("; {count} {what}");
    }
    shell::talk(&summary);
    Ok(if ok { Answer::Yes } else { Answer::No })
}

#[expect(clippy::disallowed_methods, reason = "the command line is where the clock is read")]
fn tried(
    mutation: &Mutation<'_, '_>,
    mutants: Vec<Mutant>,
    budget: Option<Duration>,
    files: &SourceFiles,
) -> Vec<Trial> {
    let bar = match stderr().is_terminal() {
        true => ProgressBar::new(mutants.len() as u64),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos} of {len} mistakes, {elapsed}, about {eta} more")
    {
        bar.set_style(style);
    }
    let start = Instant::now();
    let mut trials = Vec::new();
    for mutant in mutants {
        if budget.is_some_and(|budget| start.elapsed() >= budget) {
            break;
        }
        let fate = mutation.attempt(&mutant);
        let suggested_case = match &fate {
            Fate::Survived { suggestion: Some(suggestion) } => Some(suggestion.case()),
            Fate::Survived { suggestion: None }
            | Fate::Noticed { .. }
            | Fate::Equivalent { .. }
            | Fate::Invalid => None,
        };
        trials.push(Trial { diff: mutant.diff(files), mutant, fate, suggested_case });
        bar.inc(1);
    }
    bar.finish_and_clear();
    trials
}

fn text(trials: &[Trial]) -> String {
    let mut text = String::new();
    for trial in trials {
        let Fate::Survived { suggestion } = &trial.fate else { continue };
        text += &format!(
            "{} {}\n",
            "nobody would notice if".yellow().bold(),
            shell::printable(&trial.mutant.what)
        );
        text += &format!("  {}\n", shell::printable(&trial.mutant.place.to_string()));
        text += &indented(&trial.diff);
        match (suggestion, &trial.suggested_case) {
            (Some(suggestion), Some(case)) => {
                text += &format!("  {}\n", shell::printable(&asked(suggestion)));
                text += &format!("  a case for {} that would notice:\n", shell::printable(&suggestion.file));
                text += &indented(case);
            }
            (_, _) => text += "  no example was found that a case could be made of\n",
        }
        text.push('\n');
    }
    let equivalent: Vec<&Trial> =
        trials.iter().filter(|trial| matches!(trial.fate, Fate::Equivalent { .. })).collect();
    if !equivalent.is_empty() {
        text += "no decision would change if\n";
    }
    for trial in equivalent {
        let Fate::Equivalent { requests } = &trial.fate else { continue };
        let how = match requests {
            0 => "scopes and conditions say so".to_owned(),
            requests => format!("no difference found in {requests} requests"),
        };
        text += &format!("  {} ({}): {how}\n", shell::printable(&trial.mutant.what), trial.mutant.place);
    }
    text
}

fn asked(suggestion: &Suggestion) -> String {
    let instead = match suggestion.expect {
        "allow" => "deny",
        _ => "allow",
    };
    format!("{}: {} is {}, and would be {instead}", suggestion.who, suggestion.request, suggestion.expect)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {}\n", shell::printable(line))).collect()
}
