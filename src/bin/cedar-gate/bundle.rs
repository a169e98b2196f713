//! `bundle`: the file that is released. Built from the sources, signed, held against them, looked into.

mod differ;
mod inspect;

use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::built::{self, BuiltError, BuiltFile, Signature, SigningKey, TrustedKeys};
use cedar_gate::bundle::finding::{Finding, Severity};
use cedar_gate::fetch::{FetchError, SIGNATURES, open_built};
use cedar_gate::tools::cache_safety;
use cedar_gate::tools::release::{KeyFile, Release, build_loaded, verify};
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::Format;
use crate::shell::{self, Answer, Failure, Readers};

/// The forms of `--format json`.
const BUILD_SCHEMA: &str = "cedar-gate/bundle-build/1";
const SIGN_SCHEMA: &str = "cedar-gate/bundle-sign/1";
const VERIFY_SCHEMA: &str = "cedar-gate/bundle-verify/1";
const KEY_SCHEMA: &str = "cedar-gate/bundle-key/1";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Build the file that is released from the sources.
    #[command(after_help = "\
The sources are loaded and validated as by `cedar-gate check`; what is an error there, also of kept
answers, is one here. The file holds the sources as they are written, and an index of the policies,
so that it is opened and not parsed. The same sources make the same bytes.

An authorizer that runs goes from a release to a higher one alone: number them, say by the pipeline's
own count.

Exit codes: 0 built, 2 not.

Examples:
  cedar-gate bundle build --out release.cgb --release 43
  cedar-gate bundle build --out release.cgb --release 43 --key release-key.json")]
    Build(BuildArgs),
    /// Make a key pair that signs bundles, or print the public half of one.
    #[command(after_help = "\
Prints the public key: what CEDAR_GATE_BUNDLE_KEYS of the function is set to. It may name several,
with spaces or commas between them: to change keys, add the new one, release with it, then take
out the old one. Its id is the thumbprint of RFC 7638.

Exit codes: 0 printed, 2 not.

Examples:
  cedar-gate bundle key --new release-key.json
  cedar-gate bundle key release-key.json")]
    Key(KeyArgs),
    /// Sign a built bundle.
    #[command(after_help = "\
Ed25519 (RFC 8032). The signature is put behind the bundle, and changes nothing before it; a second
key adds a second one. With --detached it is written to FILE.sig, which is looked for beside FILE.

Exit codes: 0 signed, 2 not.

Examples:
  cedar-gate bundle sign release.cgb --key release-key.json
  printenv RELEASE_KEY | cedar-gate bundle sign release.cgb --key -")]
    Sign(SignArgs),
    /// Say whether a built bundle is whole, who signed it, and whether its index is that of its policies.
    #[command(after_help = "\
Every byte is held against its digest; with --trust, a signature of one of the keys is asked for; and
the sources that it holds are built once more, which has to give the same bytes.

Exit codes: 0 all is well, 1 it is not, 2 could not answer.

Examples:
  cedar-gate bundle verify release.cgb --trust \"$(cedar-gate bundle key release-key.json)\"
  cedar-gate bundle verify release.cgb")]
    Verify(VerifyArgs),
    /// Show what a built bundle is and what it holds.
    #[command(after_help = inspect::HELP)]
    Inspect(inspect::Args),
    /// Show in what two bundles differ: built ones, or folders.
    #[command(after_help = differ::HELP)]
    Diff(differ::Args),
}

#[derive(clap::Args)]
pub(crate) struct BuildArgs {
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// The number of the release.
    #[arg(long, value_name = "NUMBER")]
    release: Option<u64>,
    /// The private key to sign it with, or - for stdin; see `cedar-gate bundle key`.
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct KeyArgs {
    /// A private key.
    #[arg(value_name = "FILE", required_unless_present = "new", conflicts_with = "new")]
    file: Option<String>,
    /// Make one, and write it here. What stands there is never written over.
    #[arg(long, value_name = "FILE")]
    new: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct SignArgs {
    /// The built bundle.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The private key, or - for stdin.
    #[arg(long, value_name = "FILE")]
    key: String,
    /// Write the signature beside the bundle.
    #[arg(long)]
    detached: bool,
}

#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    /// The built bundle.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Public keys, of which one has to have signed it. Without them, whoever signed it is only listed.
    #[arg(long, value_name = "KEYS")]
    trust: Option<TrustedKeys>,
    /// Do not build its sources once more.
    #[arg(long)]
    no_rebuild: bool,
}

pub(crate) fn run(root: &Path, format: Format, command: &Command) -> Result<Answer, Failure> {
    match command {
        Command::Build(args) => build(root, format, args),
        Command::Key(args) => key(format, args),
        Command::Sign(args) => sign(format, args),
        Command::Verify(args) => verified(format, args),
        Command::Inspect(args) => inspect::run(format, args),
        Command::Diff(args) => differ::run(format, args),
    }
}

fn message(error: impl std::fmt::Display) -> Failure {
    Failure::Message(error.to_string())
}

#[derive(Serialize)]
struct BuildReport<'a> {
    file: &'a Path,
    bytes: usize,
    release: Option<u64>,
    digest: &'a str,
    seal: &'a str,
    signed_by: Option<String>,
    policies: usize,
    versions: &'a [built::BuiltVersion],
}

fn build(root: &Path, format: Format, args: &BuildArgs) -> Result<Answer, Failure> {
    // Before the work: who cannot sign should not wait for it.
    let key = args.key.as_deref().map(read_key).transpose()?;
    let files = shell::read_files(root)?;
    let bundle = Bundle::load(&files).map_err(|errors| Failure::Bundle(Box::new((errors, files.clone()))))?;
    let authorizer = Authorizer::new(bundle).map_err(message)?;
    let kept = cache_safety::check(&authorizer, &files).map_err(message)?;
    let unsafe_ones: Vec<Finding> = kept
        .into_iter()
        .map(|found| found.finding)
        .filter(|finding| finding.severity() == Severity::Error)
        .collect();
    if !unsafe_ones.is_empty() {
        shell::talk(shell::snippets(&unsafe_ones, &files).trim_end());
        return Err(Failure::Message(
            "nothing is built: the bundle has errors; run: cedar-gate check".to_owned(),
        ));
    }
    let bundle = authorizer.read_bundle().ok_or_else(|| message("the bundle has no sources"))?;
    let mut bytes = build_loaded(bundle, &files, &Release::new(args.release)).map_err(message)?;
    // What is released has been opened once.
    let opened = BuiltFile::open(Box::new(bytes.clone()), &[], None).map_err(message)?;
    let signed_by = match &key {
        None => None,
        Some(key) => {
            bytes.extend(key.sign(&bytes).map_err(message)?.to_bytes());
            Some(key.public().id())
        }
    };
    write(&args.out, &bytes)?;
    let head = opened.head();
    let policies = head.versions.iter().map(|version| version.policies as usize).sum();
    if format == Format::Json {
        let (digest, seal) = (head.digest.as_str(), opened.seal());
        let (release, versions) = (head.release, head.versions.as_slice());
        let report = BuildReport {
            file: &args.out,
            bytes: bytes.len(),
            release,
            digest,
            seal,
            signed_by,
            policies,
            versions,
        };
        shell::print_json(BUILD_SCHEMA, &report)?;
        return Ok(Answer::Yes);
    }
    shell::print(&format!(
        "{}  {}, {}, {}, {}\n  {}\n",
        args.out.display().bold(),
        release(head.release),
        shell::count(head.versions.len(), "version"),
        shell::count(policies, "policy"),
        size(bytes.len() as u64),
        head.digest
    ))?;
    match signed_by {
        Some(id) => shell::talk(&format!("signed by {id}")),
        None => shell::talk(&format!(
            "it is not signed: cedar-gate bundle sign {} --key FILE",
            args.out.display()
        )),
    }
    Ok(Answer::Yes)
}

fn release(number: Option<u64>) -> String {
    number.map_or_else(|| "no release number".to_owned(), |number| format!("release {number}"))
}

/// In the unit that a person reads.
fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size with one decimal")]
    let kilobytes = bytes as f64 / 1024.0;
    match bytes {
        0..1_048_576 => format!("{kilobytes:.1} KB"),
        _ => format!("{:.1} MB", kilobytes / 1024.0),
    }
}

#[derive(Serialize)]
struct KeyReport {
    key: String,
    id: String,
}

fn key(format: Format, args: &KeyArgs) -> Result<Answer, Failure> {
    let key = match (&args.new, &args.file) {
        (Some(path), _) => new_key(path)?,
        (None, Some(file)) => read_key(file)?,
        (None, None) => return Err(message("name a key, or make one with --new FILE")),
    };
    let report = KeyReport { key: key.public().to_string(), id: key.public().id() };
    match format {
        Format::Json => shell::print_json(KEY_SCHEMA, &report)?,
        Format::Text => {
            shell::print(&format!("{}\n", report.key))?;
            shell::talk(&format!("its id is {}", report.id));
        }
    }
    Ok(Answer::Yes)
}

fn new_key(path: &Path) -> Result<SigningKey, Failure> {
    let (key, jwk) = KeyFile::generate().map_err(message)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(jwk.as_bytes()));
    written.map_err(|error| Failure::Message(format!("cannot write `{}`: {error}", path.display())))?;
    shell::talk(&format!("wrote {}, which is secret", path.display()));
    Ok(key)
}

/// The private key in a file, or on stdin.
fn read_key(file: &str) -> Result<SigningKey, Failure> {
    const MOST: u64 = 16 * 1024;
    let bytes = shell::read_input(file, MOST)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    KeyFile::read(&text).map_err(|error| {
        let name = if file == "-" { "stdin".to_owned() } else { format!("`{file}`") };
        Failure::Message(format!("{name}: {error}"))
    })
}

#[derive(Serialize)]
struct SignReport<'a> {
    file: &'a Path,
    seal: &'a str,
    key: String,
    signatures: Vec<String>,
}

fn sign(format: Format, args: &SignArgs) -> Result<Answer, Failure> {
    let key = read_key(&args.key)?;
    let bytes = read(&args.file)?;
    let file =
        BuiltFile::open(Box::new(bytes.clone()), &[], None).map_err(|error| about(&args.file, &error))?;
    // Nobody should put their name under what is damaged.
    file.check().map_err(|error| about(&args.file, &error))?;
    let signature = key.sign(&bytes).map_err(|error| about(&args.file, &error))?;
    let unsigned = usize::try_from(file.unsigned_bytes()).unwrap_or(bytes.len());
    let written = match args.detached {
        true => {
            let mut beside = args.file.as_os_str().to_owned();
            beside.push(SIGNATURES);
            let beside = PathBuf::from(beside);
            let before = if beside.exists() { read(&beside)? } else { Vec::new() };
            let signatures =
                with(&Signature::read_all(&before).map_err(|error| about(&beside, &error))?, &signature);
            write(&beside, &signatures.iter().flat_map(Signature::to_bytes).collect::<Vec<_>>())?;
            signatures
        }
        false => {
            let signatures = with(file.signatures(), &signature);
            let mut signed = bytes.get(..unsigned).unwrap_or_default().to_vec();
            signed.extend(signatures.iter().flat_map(Signature::to_bytes));
            write(&args.file, &signed)?;
            signatures
        }
    };
    let ids: Vec<String> = written.iter().map(Signature::key_id).collect();
    match format {
        Format::Json => {
            let report =
                SignReport { file: &args.file, seal: file.seal(), key: signature.key_id(), signatures: ids };
            shell::print_json(SIGN_SCHEMA, &report)?;
        }
        Format::Text => {
            shell::print(&format!("{}  signed by {}\n", args.file.display().bold(), ids.join(", ")))?;
        }
    }
    Ok(Answer::Yes)
}

/// The signatures with one more, in place of one of the same key.
fn with(signatures: &[Signature], one: &Signature) -> Vec<Signature> {
    let others = signatures.iter().filter(|other| other.key_id() != one.key_id()).cloned();
    others.chain([one.clone()]).collect()
}

#[derive(Serialize)]
struct VerifyReport<'a> {
    file: &'a Path,
    ok: bool,
    problem: Option<String>,
    release: Option<u64>,
    digest: Option<&'a str>,
    seal: Option<&'a str>,
    signed_by: Option<String>,
    rebuilt: bool,
}

fn verified(format: Format, args: &VerifyArgs) -> Result<Answer, Failure> {
    let file = match open_built(&args.file, args.trust.as_ref()) {
        Ok(file) => Ok(file),
        Err(FetchError::Built { error: BuiltError::Unreadable { reason }, path }) => {
            return Err(about(&path, &reason));
        }
        Err(FetchError::Built { error, .. }) => Err(error.to_string()),
        Err(error) => return Err(message(error)),
    };
    let file = file.and_then(|file| {
        file.check().map_err(|error| format!("the file is damaged: {error}"))?;
        if !args.no_rebuild {
            let bytes = file.bytes().map_err(|error| error.to_string())?;
            verify(&bytes, &file).map_err(|error| error.to_string())?;
        }
        Ok(file)
    });
    let (opened, problem) = match &file {
        Ok(file) => (Some(file), None),
        Err(problem) => (None, Some(problem.clone())),
    };
    let signed_by = opened.and_then(|file| file.signed_by()).map(|key| key.id());
    match format {
        Format::Json => {
            let report = VerifyReport {
                file: &args.file,
                ok: problem.is_none(),
                problem,
                release: opened.and_then(|file| file.head().release),
                digest: opened.map(|file| file.head().digest.as_str()),
                seal: opened.map(BuiltFile::seal),
                signed_by,
                rebuilt: opened.is_some() && !args.no_rebuild,
            };
            shell::print_json(VERIFY_SCHEMA, &report)?;
        }
        Format::Text => shell::print(&as_text(args, opened, problem.as_deref(), signed_by.as_deref()))?,
    }
    Ok(if opened.is_some() { Answer::Yes } else { Answer::No })
}

fn as_text(
    args: &VerifyArgs,
    file: Option<&BuiltFile>,
    problem: Option<&str>,
    signed_by: Option<&str>,
) -> String {
    let (name, mut text) = (args.file.display(), String::new());
    let Some(file) = file else {
        let problem = shell::printable(problem.unwrap_or_default());
        return format!("{} {name}: {problem}\n", "refused:".red().bold());
    };
    text.push_str(&format!("{} {name}: {}\n", "whole:".green().bold(), release(file.head().release)));
    match (signed_by, file.signatures()) {
        (Some(id), _) => text.push_str(&format!("  signed by {id}, which is trusted\n")),
        (None, []) => text.push_str("  not signed\n"),
        (None, signatures) => {
            let ids: Vec<String> = signatures.iter().map(Signature::key_id).collect();
            text.push_str(&format!("  says to be signed by {}; --trust checks it\n", ids.join(", ")));
        }
    }
    if !args.no_rebuild {
        text.push_str("  its sources make the same bytes\n");
    }
    text
}

fn about(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Message(format!("`{}`: {error}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = built::MAX_BYTES + (Signature::BYTES * Signature::MOST) as u64;
    let read = fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|error| Failure::Message(format!("cannot read `{}`: {error}", path.display())))?;
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    shell::write_whole(path, bytes, Readers::All)
        .map_err(|error| Failure::Message(format!("cannot write `{}`: {error}", path.display())))
}
