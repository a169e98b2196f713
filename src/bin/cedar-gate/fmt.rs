//! `fmt`: policies in one form.

use std::path::{Path, PathBuf};

use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::tools::format;
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure, Readers};

/// The form of `--format json`.
const SCHEMA: &str = "cedar-gate/fmt/1";

/// The most bytes of a file of policies.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Write nothing: show what would change, and fail if anything would.
    #[arg(long)]
    check: bool,
    /// Files of policies, `-` for stdin to stdout; without any, all policies of the bundle.
    #[arg(value_name = "FILE")]
    files: Vec<String>,
}

const HELP: &str = "\
Writes policies as Cedar's own formatter does, lines up to 100 characters where they can be broken.
What they mean stays the same, and so does every comment: a file where one would be lost is left as
it is. A file is written whole or not at all.

schema/gateway.cedarschema stays as it is: Cedar has no formatter for schemas that keeps comments.
schema/routes.cedarschema is generated: cedar-gate routes schema --write.

--format json writes a document with `ok` and `files`: of each its `file`, whether it `changed` (with
--check: would change), the `diff`, and the `error` for which it was left as it is.

Exit codes: 0 formatted, 1 with --check: something would change, 2 a file could not be read or parsed.

Examples:
  cedar-gate fmt
  cedar-gate fmt --check
  cedar-gate fmt policies/v2/orders.cedar
  cedar-gate fmt - < draft.cedar";

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    files: &'a [FileReport],
}

/// What became of a file.
#[derive(Serialize)]
struct FileReport {
    file: String,
    changed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    diff: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(root: &Path, format: Format, args: &Args) -> Result<Answer, Failure> {
    if args.files.iter().any(|file| file == "-") {
        return stdin(args);
    }
    let named: Vec<PathBuf> = match args.files.is_empty() {
        true => policies(&shell::read_files(root)?).map(|path| root.join(path)).collect(),
        false => args.files.iter().map(PathBuf::from).collect(),
    };
    let reports: Vec<FileReport> = named.iter().map(|path| one(path, args.check)).collect();
    let failed = reports.iter().filter(|report| report.error.is_some()).count();
    let changed = reports.iter().filter(|report| report.changed).count();
    let is_ok = failed == 0 && (changed == 0 || !args.check);
    match format {
        Format::Json => shell::print_json(SCHEMA, &Report { ok: is_ok, files: &reports })?,
        Format::Text => {
            for report in &reports {
                match &report.error {
                    Some(error) => {
                        shell::talk(&format!("{} {}: {error}", "error:".red().bold(), report.file));
                    }
                    None if args.check => shell::print(&coloured(&report.diff))?,
                    None if report.changed => shell::talk(&format!("formatted {}", report.file)),
                    None => {}
                }
            }
        }
    }
    if failed > 0 {
        shell::talk(&format!(
            "{} {} could not be formatted",
            "failed:".red().bold(),
            shell::count(failed, "file")
        ));
        return Ok(Answer::Unanswered);
    }
    match (args.check, changed) {
        (true, 1..) => {
            let what = shell::count(changed, "file");
            shell::talk(&format!("{} {what} would change; run: cedar-gate fmt", "failed:".red().bold()));
            Ok(Answer::No)
        }
        (true, 0) | (false, _) => {
            let what = shell::count(reports.len(), "file");
            shell::talk(&format!("{} {what}, {changed} changed", "ok:".green().bold()));
            Ok(Answer::Yes)
        }
    }
}

/// The files of policies in a bundle.
pub(crate) fn policies(files: &SourceFiles) -> impl Iterator<Item = &str> {
    files.paths().filter(|path| path.starts_with("policies/") && path.ends_with(".cedar"))
}

/// Formats a file; with `check` it is left as it is.
fn one(path: &Path, check: bool) -> FileReport {
    let file = path.to_string_lossy().trim_start_matches("./").to_owned();
    let refused = |error: String| FileReport {
        file: file.clone(),
        changed: false,
        diff: String::new(),
        error: Some(error),
    };
    let text = shell::read_input(&path.to_string_lossy(), MAX_BYTES).and_then(text_of);
    let text = match text {
        Ok(text) => text,
        Err(Failure::Message(message)) => return refused(message),
        Err(Failure::Bundle(_) | Failure::Closed) => return refused("it cannot be read".to_owned()),
    };
    let pretty = match format::policies(&text) {
        Ok(pretty) => pretty,
        Err(error) => return refused(error.to_string()),
    };
    let changed = pretty != text;
    if changed
        && !check
        && let Err(error) = shell::write_through(path, &pretty, Readers::All)
    {
        return refused(format!("it cannot be written: {error}"));
    }
    FileReport { diff: format::diff(&file, &text, &pretty), file, changed, error: None }
}

fn stdin(args: &Args) -> Result<Answer, Failure> {
    if args.files.len() > 1 {
        return Err(Failure::Message("`-` is stdin, and goes with no other file".to_owned()));
    }
    let text = text_of(shell::read_input("-", MAX_BYTES)?)?;
    let pretty = format::policies(&text).map_err(|error| Failure::Message(format!("stdin: {error}")))?;
    if !args.check {
        shell::print(&pretty)?;
        return Ok(Answer::Yes);
    }
    shell::print(&coloured(&format::diff("stdin", &text, &pretty)))?;
    Ok(if pretty == text { Answer::Yes } else { Answer::No })
}

fn text_of(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::Message("it is not UTF-8 text".to_owned()))
}

/// A diff with its added and removed lines in colour, and nothing in it that a terminal would obey.
fn coloured(diff: &str) -> String {
    let line = |line: &str| match line.chars().next() {
        Some('+') => format!("{}\n", line.green()),
        Some('-') => format!("{}\n", line.red()),
        _ => format!("{line}\n"),
    };
    shell::printable(diff).lines().map(line).collect()
}
