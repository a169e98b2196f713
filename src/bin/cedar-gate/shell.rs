//! What the commands share: reading a bundle, the clock, the development key, and how a failure is shown.

use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::finding::{BundleErrors, Finding};
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch;
use cedar_gate::jose::{Algorithm, JwkSet};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::DevelopmentKey;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use owo_colors::OwoColorize;

/// What a command found out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    Unanswered,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        Self::from(match answer {
            Answer::Yes => 0,
            Answer::No => 1,
            Answer::Unanswered => 2,
        })
    }
}

/// Why a command could not answer.
pub(crate) enum Failure {
    /// One line for the person who can act.
    Message(String),
    /// The bundle does not hold together.
    Bundle(Box<(BundleErrors, SourceFiles)>),
    /// Nobody reads what is written any more (`cedar-gate … | head`): no failure to speak of.
    Closed,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Message(error.to_string()),
        }
    }
}

/// Says on stderr why a command could not answer.
pub(crate) fn report(failure: &Failure) {
    let mut stderr = anstream::stderr();
    // Where stderr is gone there is nobody to tell.
    let _ = match failure {
        Failure::Message(message) => writeln!(stderr, "{} {message}", "error:".red().bold()),
        Failure::Bundle(bundle) => {
            let (errors, files) = bundle.as_ref();
            write!(stderr, "{}", snippets(errors.findings(), files)).and_then(|()| {
                writeln!(
                    stderr,
                    "{} the bundle does not hold together; run: cedar-gate check",
                    "error:".red().bold()
                )
            })
        }
        Failure::Closed => Ok(()),
    };
}

/// The findings with the lines they are about.
pub(crate) fn snippets(findings: &[Finding], files: &SourceFiles) -> String {
    let handler =
        GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_width(100).with_links(false);
    let mut text = String::new();
    for finding in findings {
        let mut diagnostic = MietteDiagnostic::new(finding.message.clone());
        diagnostic.help = finding.help.clone();
        let source = files.text(&finding.file).unwrap_or_default();
        let report = match (&finding.span, finding.position) {
            (Some(span), Some(_)) => {
                diagnostic.labels = Some(vec![LabeledSpan::new_with_span(None, span.clone())]);
                Report::new(diagnostic).with_source_code(NamedSource::new(&finding.file, source.to_owned()))
            }
            _ => {
                diagnostic.message = format!("{}: {}", finding.file, finding.message);
                Report::new(diagnostic)
            }
        };
        if handler.render_report(&mut text, report.as_ref()).is_err() {
            text.push_str(&finding.to_string());
        }
        text.push('\n');
    }
    text
}

/// Reads the files of the bundle at `root`.
pub(crate) fn read_files(root: &Path) -> Result<SourceFiles, Failure> {
    fetch::read_bundle(root).map_err(|error| Failure::Message(error.to_string()))
}

/// Reads and checks the bundle at `root`, and gives its development issuers this machine's public key.
pub(crate) fn load_bundle(root: &Path) -> Result<Bundle, Failure> {
    let files = read_files(root)?;
    let mut bundle = Bundle::load(&files).map_err(|errors| Failure::Bundle(Box::new((errors, files))))?;
    if bundle.wants_development_keys()
        && let Some(key) = read_development_key()?
    {
        bundle.add_development_keys(public_keys(&key)?);
    }
    Ok(bundle)
}

/// The public half of a development key, as verification wants it.
pub(crate) fn public_keys(key: &DevelopmentKey) -> Result<JwkSet, Failure> {
    JwkSet::from_json(key.public_jwks().to_string().as_bytes())
        .map_err(|error| Failure::Message(error.to_string()))
}

/// An authorizer over the bundle at `root`.
pub(crate) fn load_authorizer(root: &Path) -> Result<Authorizer, Failure> {
    Authorizer::new(load_bundle(root)?).map_err(|error| Failure::Message(error.to_string()))
}

/// The clock.
#[expect(clippy::disallowed_methods, reason = "the command line is where the clock is read")]
pub(crate) fn now() -> Result<Timestamp, Failure> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| Failure::Message("the clock stands before 1970: set it, or give --now".to_owned()))?;
    Ok(Timestamp::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// The file with this machine's development key, outside of any repository.
fn development_key_path() -> Result<PathBuf, Failure> {
    fetch::development_home()
        .map(|folder| folder.join("development-key.json"))
        .ok_or_else(|| Failure::Message("no place for the development key: set CEDAR_GATE_HOME".to_owned()))
}

/// This machine's development key, if one has been made.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
pub(crate) fn read_development_key() -> Result<Option<DevelopmentKey>, Failure> {
    let path = development_key_path()?;
    match fs::read_to_string(&path) {
        Ok(text) => DevelopmentKey::from_json(&text).map(Some).map_err(|error| {
            Failure::Message(format!("{}: {error}; remove it to have a new one made", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::Message(format!("cannot read {}: {error}", path.display()))),
    }
}

/// This machine's development key, made now if there is none. The public half is written beside it for the Lambda.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are written")]
pub(crate) fn development_key() -> Result<DevelopmentKey, Failure> {
    if let Some(key) = read_development_key()? {
        return Ok(key);
    }
    let path = development_key_path()?;
    let key =
        DevelopmentKey::generate(Algorithm::Rs256).map_err(|error| Failure::Message(error.to_string()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|error| Failure::Message(format!("cannot make {}: {error}", folder.display())))?;
    }
    write_private(&path, &key.to_private_json())
        .map_err(|error| Failure::Message(format!("cannot write {}: {error}", path.display())))?;
    let public = path.with_file_name(fetch::DEVELOPMENT_JWKS);
    fs::write(&public, format!("{:#}\n", key.public_jwks()))
        .map_err(|error| Failure::Message(format!("cannot write {}: {error}", public.display())))?;
    let _ = writeln!(anstream::stderr(), "made a development key pair: {}", path.display());
    Ok(key)
}

/// Writes a file that its owner alone can read, and that did not exist before.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(text.as_bytes())
}

/// Reads a file, or stdin for `-`, up to `limit` bytes.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
pub(crate) fn read_input(path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match path {
        "-" => io::stdin().lock().take(limit + 1).read_to_end(&mut bytes),
        path => fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| Failure::Message(format!("cannot read {path}: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::Message(format!("{path} is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Answers each line of stdin with one line of stdout; `true` where every line was understood. A line longer than
/// `LINE_LIMIT` is answered as one that is not understood, and skipped without being kept.
pub(crate) fn each_line(mut answer: impl FnMut(Result<&str, String>) -> String) -> Result<(), Failure> {
    const LINE_LIMIT: u64 = 32 * 1024 * 1024;
    let mut stdin = io::stdin().lock();
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut stdin).take(LINE_LIMIT).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let whole = line.ends_with(b"\n") || (read as u64) < LINE_LIMIT;
        if !whole {
            stdin.skip_until(b'\n')?;
        }
        let text = match (whole, std::str::from_utf8(&line)) {
            (false, _) => Err(format!("the line is longer than {LINE_LIMIT} bytes")),
            (true, Err(_)) => Err("the line is not UTF-8".to_owned()),
            (true, Ok(text)) => Ok(text.trim()),
        };
        if text == Ok("") {
            continue;
        }
        stdout.write_all(answer(text).as_bytes())?;
        stdout.write_all(b"\n")?;
        // A caller that waits for each answer before it asks the next question gets it.
        stdout.flush()?;
    }
    Ok(())
}

/// Writes data to stdout, in colour where that is wanted.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    Ok(anstream::stdout().write_all(text.as_bytes())?)
}

/// Writes one JSON document to stdout.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Message(error.to_string()))?;
    print(&format!("{text}\n"))
}

/// Says something on stderr.
pub(crate) fn talk(text: &str) {
    // Where stderr is gone there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{text}");
}
