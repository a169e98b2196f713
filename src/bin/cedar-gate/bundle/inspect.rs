//! `bundle inspect`: what a built bundle is, and what it holds.

use std::fs;
use std::path::PathBuf;

use cedar_gate::bundle::BuiltBundle;
use cedar_gate::bundle::built::{BuiltFile, BuiltVersion, Signature};
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::open_built;
use owo_colors::OwoColorize;
use serde::Serialize;

use super::{message, release, size};
use crate::Format;
use crate::shell::{self, Answer, Failure};

const SCHEMA: &str = "cedar-gate/bundle-inspect/1";

pub(super) const HELP: &str = "\
Shows release and digest, who says to have signed it, the versions with what they decide, operations,
issuers, and every file that it holds. Files are as they were written. It is opened as the Lambda opens
it; whose signature it has to have is asked by `cedar-gate bundle verify --trust`.

Every other command that takes --bundle takes a built bundle, too.

Exit codes: 0 shown, 2 it cannot be opened.

Examples:
  cedar-gate bundle inspect release.cgb
  cedar-gate bundle inspect release.cgb --file policies/v1/orders.cedar
  cedar-gate bundle inspect release.cgb --extract sources
  cedar-gate --bundle release.cgb matrix";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The built bundle.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one of its files.
    #[arg(long = "file", value_name = "PATH", conflicts_with = "extract")]
    print: Option<String>,
    /// Write its files into a new folder.
    #[arg(long, value_name = "DIR")]
    extract: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a std::path::Path,
    bytes: u64,
    built_by: &'a str,
    cedar: &'a str,
    release: Option<u64>,
    digest: &'a str,
    seal: &'a str,
    signatures: Vec<String>,
    versions: Vec<VersionReport<'a>>,
    operations: usize,
    issuers: Vec<&'a str>,
    files: Vec<FileReport<'a>>,
}

#[derive(Serialize)]
struct VersionReport<'a> {
    #[serde(flatten)]
    version: &'a BuiltVersion,
    active: Vec<String>,
    shadow: Vec<String>,
}

#[derive(Serialize)]
struct FileReport<'a> {
    path: &'a str,
    bytes: usize,
}

pub(super) fn run(format: Format, args: &Args) -> Result<Answer, Failure> {
    let file = open_built(&args.file, None).map_err(message)?;
    let sources = file.source_files().map_err(message)?;
    if let Some(path) = &args.print {
        let text = sources.text(path).ok_or_else(|| {
            let known: Vec<&str> = sources.paths().collect();
            Failure::Message(format!("no file `{path}` in the bundle: there are {}", known.join(", ")))
        })?;
        shell::print(text)?;
        return Ok(Answer::Yes);
    }
    if let Some(folder) = &args.extract {
        extract(&sources, folder)?;
        shell::talk(&format!(
            "wrote {} into {}",
            shell::count(sources.paths().count(), "file"),
            folder.display()
        ));
        return Ok(Answer::Yes);
    }
    let bundle = BuiltBundle::open(file).map_err(message)?;
    let report = report(&bundle, &sources, args);
    match format {
        Format::Json => shell::print_json(SCHEMA, &report)?,
        Format::Text => shell::print(&as_text(&report))?,
    }
    Ok(Answer::Yes)
}

fn report<'a>(bundle: &'a BuiltBundle, sources: &'a SourceFiles, args: &'a Args) -> Report<'a> {
    let file: &BuiltFile = bundle.file();
    let head = file.head();
    let stages = |named: &dyn Fn(&str, &str) -> bool| {
        let apis = bundle.deployment().apis.iter();
        apis.flat_map(|api| api.stage_names().map(move |stage| (api.name.as_str(), stage)))
            .filter(|(api, stage)| named(api, stage))
            .map(|(api, stage)| format!("{api} {stage}"))
            .collect::<Vec<_>>()
    };
    let versions = head.versions.iter().map(|version| {
        let is = |named: Option<&str>| named == Some(version.name.as_str());
        VersionReport {
            version,
            active: stages(&|api, stage| is(bundle.versions().active(api, stage))),
            shadow: stages(&|api, stage| is(bundle.versions().shadow(api, stage))),
        }
    });
    Report {
        file: &args.file,
        bytes: file.unsigned_bytes() + (file.signatures().len() * Signature::BYTES) as u64,
        built_by: &head.built_by,
        cedar: &head.cedar,
        release: head.release,
        digest: &head.digest,
        seal: file.seal(),
        signatures: file.signatures().iter().map(Signature::key_id).collect(),
        versions: versions.collect(),
        operations: bundle.routes().operations().len(),
        issuers: bundle.issuers().by_name().map(|issuer| issuer.name()).collect(),
        files: sources
            .paths()
            .map(|path| FileReport { path, bytes: sources.bytes(path).map_or(0, <[u8]>::len) })
            .collect(),
    }
}

fn as_text(report: &Report<'_>) -> String {
    let mut text = format!(
        "{}  {}, {}\n  built by cedar-gate {} for Cedar {}\n  {}\n",
        report.file.display().bold(),
        release(report.release),
        size(report.bytes),
        report.built_by,
        report.cedar,
        report.digest
    );
    match report.signatures.as_slice() {
        [] => text.push_str("  not signed\n"),
        ids => text.push_str(&format!("  says to be signed by {}\n", ids.join(", "))),
    }
    let (operations, issuers) = (shell::count(report.operations, "operation"), report.issuers.join(", "));
    text.push_str(&format!("  {operations}; issuers: {issuers}\n\n"));
    for VersionReport { version, active, shadow } in &report.versions {
        let policies = shell::count(version.policies as usize, "policy");
        text.push_str(&format!("{}  {}\n  {policies}", version.name.bold(), version.digest));
        match active.as_slice() {
            [] => text.push_str(", active nowhere"),
            active => text.push_str(&format!(", active in {}", active.join(", "))),
        }
        match shadow.as_slice() {
            [] => text.push('\n'),
            shadow => text.push_str(&format!("; shadow in {}\n", shadow.join(", "))),
        }
    }
    text.push('\n');
    for FileReport { path, bytes } in &report.files {
        text.push_str(&format!("{bytes:>9}  {}\n", shell::printable(path)));
    }
    text
}

/// Writes files into a folder that does not exist yet.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are written")]
fn extract(sources: &SourceFiles, folder: &std::path::Path) -> Result<(), Failure> {
    let cannot = |path: &std::path::Path, error| {
        Failure::Message(format!("cannot write `{}`: {error}", path.display()))
    };
    fs::create_dir(folder).map_err(|error| cannot(folder, error))?;
    for path in sources.paths() {
        // What a bundle is built of has no such paths; what somebody else made may have.
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") || path.contains('\\') {
            return Err(Failure::Message(format!("`{}` is no path of a bundle", path.escape_debug())));
        }
        let to = folder.join(path);
        let written = to
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&to, sources.bytes(path).unwrap_or_default()));
        written.map_err(|error| cannot(&to, error))?;
    }
    Ok(())
}
