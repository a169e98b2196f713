//! `bundle diff`: in what two bundles differ, as they are written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::open_built;
use owo_colors::OwoColorize;
use serde::Serialize;
use similar::TextDiff;

use super::{message, release};
use crate::Format;
use crate::shell::{self, Answer, Failure};

const SCHEMA: &str = "cedar-gate/bundle-diff/1";

pub(super) const HELP: &str = "\
Each side is a built bundle or a folder with policies/ and schema/ in it. Files are compared as they
are written, comments included. What a change grants and takes away says `cedar-gate plan OLD NEW`,
which takes built bundles, too.

Exit codes: 0 the same files, 1 they differ, 2 could not answer.

Examples:
  cedar-gate bundle diff released.cgb release.cgb
  cedar-gate bundle diff released.cgb .";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What is now.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// What is to be.
    #[arg(value_name = "NEW")]
    new: PathBuf,
}

#[derive(Serialize)]
struct Report<'a> {
    old: SideReport<'a>,
    new: SideReport<'a>,
    same: bool,
    files: Vec<FileChange>,
}

#[derive(Serialize)]
struct SideReport<'a> {
    bundle: &'a Path,
    digest: String,
    release: Option<u64>,
}

#[derive(Serialize)]
struct FileChange {
    path: String,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// One side, read.
struct Side<'a> {
    path: &'a Path,
    files: SourceFiles,
    release: Option<u64>,
}

impl<'a> Side<'a> {
    fn read(path: &'a Path) -> Result<Self, Failure> {
        if path.is_dir() {
            return Ok(Self { path, files: shell::read_files(path)?, release: None });
        }
        let file = open_built(path, None).map_err(message)?;
        Ok(Self { path, release: file.head().release, files: file.source_files().map_err(message)? })
    }

    fn report(&self) -> SideReport<'a> {
        SideReport { bundle: self.path, digest: self.files.digest(), release: self.release }
    }
}

pub(super) fn run(format: Format, args: &Args) -> Result<Answer, Failure> {
    let (old, new) = (Side::read(&args.old)?, Side::read(&args.new)?);
    let paths: BTreeSet<&str> = old.files.paths().chain(new.files.paths()).collect();
    let files: Vec<FileChange> =
        paths.into_iter().filter_map(|path| change(path, &old.files, &new.files)).collect();
    let report = Report { same: files.is_empty(), old: old.report(), new: new.report(), files };
    match format {
        Format::Json => shell::print_json(SCHEMA, &report)?,
        Format::Text => shell::print(&as_text(&report))?,
    }
    Ok(if report.same { Answer::Yes } else { Answer::No })
}

fn change(path: &str, old: &SourceFiles, new: &SourceFiles) -> Option<FileChange> {
    let change = match (old.bytes(path), new.bytes(path)) {
        (Some(old), Some(new)) if old == new => return None,
        (Some(_), Some(_)) => "changed",
        (None, _) => "added",
        (_, None) => "removed",
    };
    let text = |files: &SourceFiles| files.text(path).map(str::to_owned);
    let texts = match change {
        "added" => Some(String::new()).zip(text(new)),
        "removed" => text(old).zip(Some(String::new())),
        _ => text(old).zip(text(new)),
    };
    let diff = texts.map(|(old, new)| {
        TextDiff::from_lines(&old, &new).unified_diff().context_radius(3).header(path, path).to_string()
    });
    Some(FileChange { path: path.to_owned(), change, diff })
}

fn as_text(report: &Report<'_>) -> String {
    let mut text = String::new();
    for (mark, side) in [("-", &report.old), ("+", &report.new)] {
        let name = side.bundle.display();
        text.push_str(&format!("{mark} {name}  {}\n  {}\n", release(side.release), side.digest));
    }
    if report.same {
        text.push_str("the same files\n");
    }
    for FileChange { path, change, diff } in &report.files {
        text.push_str(&format!("\n{} {}\n", change.bold(), shell::printable(path)));
        for line in diff.iter().flat_map(|diff| diff.lines()) {
            let line = shell::printable(line);
            match line.as_bytes().first() {
                Some(b'+') => text.push_str(&format!("{}\n", line.green())),
                Some(b'-') => text.push_str(&format!("{}\n", line.red())),
                _ => text.push_str(&format!("{line}\n")),
            }
        }
    }
    text
}
