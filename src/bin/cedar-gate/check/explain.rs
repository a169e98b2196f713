//! `check --explain`: what a code means.

use cedar_gate::bundle::finding::{Code, SUBJECTS};
use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::OwoColorize;
use serde::Serialize;

use super::Format;
use crate::shell::{self, Answer, Failure};

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/explain/1";

#[derive(Serialize)]
struct CodeReport {
    code: &'static str,
    slug: &'static str,
    severity: &'static str,
    title: &'static str,
    why: &'static str,
    help: &'static str,
    example: &'static str,
}

impl From<&Code> for CodeReport {
    fn from(code: &Code) -> Self {
        Self {
            code: code.number(),
            slug: code.slug(),
            severity: code.severity().as_str(),
            title: code.title(),
            why: code.why(),
            help: code.remedy(),
            example: code.example(),
        }
    }
}

pub(super) fn run(name: &str, format: Format) -> Result<Answer, Failure> {
    let all = matches!(name, "all" | "list");
    let codes = match all {
        true => Code::ALL.to_vec(),
        false => vec![Code::named(name).ok_or_else(|| unknown(name))?],
    };
    match format {
        Format::Json => {
            let reports: Vec<CodeReport> = codes.iter().map(CodeReport::from).collect();
            shell::print_json(SCHEMA, &serde_json::json!({ "codes": reports }))?;
        }
        Format::Text if all => shell::print(&list())?,
        Format::Text => shell::print(&codes.iter().map(|code| page(*code)).collect::<String>())?,
        Format::Sarif | Format::Github => {
            let message = "--explain writes --format text or json: it is about no file";
            return Err(Failure::Message(message.to_owned()));
        }
    }
    Ok(Answer::Yes)
}

/// A name that is no code.
pub(super) fn unknown(name: &str) -> Failure {
    let name = shell::printable(name);
    Failure::Message(format!("`{name}` is no code of a finding; all of them: cedar-gate check --explain all"))
}

fn page(code: Code) -> String {
    let mut page = format!(
        "{} {} ({})\n{}\n\n  {}  {}\n  {} {}\n",
        code.number().bold(),
        code.slug().bold(),
        code.severity().as_str(),
        code.title(),
        "why:".cyan(),
        code.why(),
        "help:".cyan(),
        code.remedy()
    );
    match code.example().split_once(" => ") {
        Some((mistake, right)) => {
            page.push_str(&format!("\n  instead of  {mistake}\n  write       {right}\n"));
        }
        None => page.push_str(&format!("\n  for example  {}\n", code.example())),
    }
    page
}

/// All codes, by subject.
fn list() -> String {
    let mut text = String::new();
    for (digits, subject) in SUBJECTS {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let of_subject =
            |code: &&Code| code.number().strip_prefix("CG").is_some_and(|it| it.starts_with(digits));
        for code in Code::ALL.iter().filter(of_subject) {
            table.add_row([code.number(), code.severity().as_str(), code.slug(), code.title()]);
        }
        text.push_str(&format!("{subject}\n{}\n\n", table.trim_fmt()));
    }
    text.trim_end().to_owned() + "\n"
}
