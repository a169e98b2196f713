//! A replay's report for people: text for a terminal, Markdown for a pull request.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cedar_gate::tools::replay::{Direction, Flip, Report};
use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::OwoColorize;

use crate::shell::{count, printable};

pub(super) fn text(report: &Report, top: usize) -> String {
    let mut text = String::new();
    for line in headline(report) {
        push(&mut text, &line);
    }
    for direction in [Direction::Wider, Direction::Narrower] {
        let flips = of(report, direction);
        if flips.is_empty() {
            continue;
        }
        let title = match direction {
            Direction::Wider => {
                format!("{} would be allowed that were denied", report.wider).red().bold().to_string()
            }
            Direction::Narrower => {
                format!("{} would be denied that were allowed", report.narrower).yellow().bold().to_string()
            }
        };
        text.push_str(&format!("\n{title}\n"));
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(HEADER);
        for flip in shown(&flips, top) {
            table.add_row(cells(flip).map(|cell| printable(&cell)));
        }
        text.push_str(&format!("{}\n", table.trim_fmt()));
        text.push_str(&more(flips.len(), top));
    }
    for (title, lines) in sections(report) {
        text.push_str(&format!("\n{title}\n"));
        for line in lines {
            push(&mut text, &format!("  {line}"));
        }
    }
    text
}

pub(super) fn markdown(report: &Report, top: usize) -> String {
    let mut text = "## Replay\n\n".to_owned();
    for line in headline(report) {
        let _ = writeln!(text, "{}  ", escaped(&line));
    }
    for direction in [Direction::Wider, Direction::Narrower] {
        let flips = of(report, direction);
        if flips.is_empty() {
            continue;
        }
        let title = match direction {
            Direction::Wider => format!("{} would be allowed that were denied", report.wider),
            Direction::Narrower => format!("{} would be denied that were allowed", report.narrower),
        };
        let _ =
            write!(text, "\n### {title}\n\n| {} |\n|{}\n", HEADER.join(" | "), " --- |".repeat(HEADER.len()));
        for flip in shown(&flips, top) {
            let _ = writeln!(text, "| {} |", cells(flip).map(|cell| escaped(&cell)).join(" | "));
        }
        let more = more(flips.len(), top);
        if !more.is_empty() {
            let _ = write!(text, "\n{more}");
        }
    }
    for (title, lines) in sections(report) {
        let _ = write!(text, "\n### {title}\n\n");
        for line in lines {
            let _ = writeln!(text, "- {}", escaped(&line));
        }
    }
    text
}

const HEADER: [&str; 6] = ["requests", "operation", "roles", "was decided by", "would be by", "for example"];

fn push(text: &mut String, line: &str) {
    text.push_str(&printable(line));
    text.push('\n');
}

/// What was replayed, and what came of it.
fn headline(report: &Report) -> Vec<String> {
    let versions: Vec<String> =
        report.versions.iter().map(|tried| format!("{} ({})", tried.version, tried.digest)).collect();
    let period =
        report.period.as_ref().map_or(String::new(), |period| format!(", {} to {}", period.from, period.to));
    let mut lines = vec![format!("{} records{period}", report.records)];
    if !versions.is_empty() {
        lines.push(format!("decided once more by {}", versions.join(", ")));
    }
    let mut counts = vec![format!("{} alike", report.same)];
    for (number, what) in [
        (report.wider, "wider"),
        (report.narrower, "narrower"),
        (report.undecided.values().sum(), "not decidable"),
        (report.no_decision.values().sum(), "without a decision"),
        (report.broken, "not understood"),
    ] {
        if number > 0 {
            counts.push(format!("{number} {what}"));
        }
    }
    lines.push(counts.join(", "));
    if report.other_reasons > 0 {
        lines.push(format!("{} of those alike by other policies than then", report.other_reasons));
    }
    lines
}

fn of(report: &Report, direction: Direction) -> Vec<&Flip> {
    report.flips.iter().filter(|flip| flip.direction == direction).collect()
}

fn shown<'f>(flips: &'f [&Flip], top: usize) -> impl Iterator<Item = &'f Flip> {
    let most = if top == 0 { flips.len() } else { top };
    flips.iter().take(most).copied()
}

fn more(flips: usize, top: usize) -> String {
    match flips.checked_sub(top).filter(|_| top > 0) {
        None | Some(0) => String::new(),
        Some(more) => format!("and {} more; --top 0 lists all\n", count(more, "kind")),
    }
}

fn cells(flip: &Flip) -> [String; 6] {
    let roles = if flip.roles.is_empty() { "–".to_owned() } else { flip.roles.join(", ") };
    let example = &flip.example;
    [
        flip.count.to_string(),
        flip.operation.clone(),
        roles,
        flip.was.join(", "),
        flip.now.join(", "),
        format!("{} {} {}", example.timestamp, example.principal, example.request),
    ]
}

/// What else there is to say, each with its title.
fn sections(report: &Report) -> Vec<(&'static str, Vec<String>)> {
    let mut sections = Vec::new();
    let counted = |counts: &BTreeMap<String, u64>| {
        let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
        counts.sort_by(|one, other| other.1.cmp(one.1));
        counts.into_iter().map(|(what, count)| format!("{count}  {what}")).collect::<Vec<_>>()
    };
    if report.has_flips() {
        for (title, flips) in [("flips by role", &report.by_role), ("flips by policy", &report.by_policy)] {
            let lines = flips
                .iter()
                .map(|(name, flips)| format!("{name}: {} wider, {} narrower", flips.wider, flips.narrower));
            sections.push((title, lines.collect()));
        }
    }
    if !report.undecided.is_empty() {
        sections.push(("not decidable from the record", counted(&report.undecided)));
    }
    if !report.no_decision.is_empty() {
        sections.push(("refused before a policy was asked", counted(&report.no_decision)));
    }
    let unused: Vec<String> =
        report.unused_permits().map(|unused| format!("{} ({})", unused.policy, unused.version)).collect();
    if report.allows == 0 && report.decided > 0 {
        let why = "the log holds no allows ([log] allow), so that a permit determined nothing says nothing";
        sections.push(("permits that determined no decision", vec![why.to_owned()]));
    } else if !unused.is_empty() {
        sections.push(("permits that determined no decision", unused));
    }
    sections
}

/// A text that is only text in a cell of a Markdown table.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '|' | '\\' | '`' | '*' | '_' | '<' | '[' | ']' | '#' => escaped.extend(['\\', character]),
            other => escaped.push(other),
        }
    }
    escaped
}
