//! What the commands share: reading a bundle, the clock, the development key, and how a failure is shown.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::finding::{BundleErrors, Finding, Severity};
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::{self, FetchError};
use cedar_gate::jose::{Algorithm, JwkSet, TrustedIssuer};
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

impl Failure {
    /// What is written to stdout does not arrive.
    fn unwritten(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Message(format!("cannot write to stdout: {error}")),
        }
    }
}

/// Prints the help or the version that was asked for, or says on stderr what is wrong with the command line.
pub(crate) fn usage(usage: &clap::Error) -> ExitCode {
    let printed = usage.print().and_then(|()| io::stdout().flush());
    match (printed, usage.use_stderr()) {
        (Err(error), _) => {
            report(&Failure::unwritten(error));
            Answer::Unanswered
        }
        (Ok(()), true) => Answer::Unanswered,
        (Ok(()), false) => Answer::Yes,
    }
    .into()
}

/// Says on stderr why a command could not answer.
pub(crate) fn report(failure: &Failure) {
    let mut stderr = anstream::stderr();
    // Where stderr is gone there is nobody to tell.
    let _ = match failure {
        Failure::Message(message) => writeln!(stderr, "{} {}", "error:".red().bold(), printable(message)),
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

/// The most findings that are drawn: who has more needs the first ones first.
const MAX_SNIPPETS: usize = 50;

/// The longest line that is drawn, in bytes. The longest rule of a person's own stays far below.
const MAX_DRAWN_LINE: usize = 400;

/// The findings with the lines they are about.
pub(crate) fn snippets(findings: &[Finding], files: &SourceFiles) -> String {
    drawn(findings, files, false)
}

/// The same, and why each kind of finding matters, where it is met first.
pub(crate) fn explained(findings: &[Finding], files: &SourceFiles) -> String {
    drawn(findings, files, true)
}

fn drawn(findings: &[Finding], files: &SourceFiles, explained: bool) -> String {
    // Nothing is wrapped: the terminal does that, and what a help text says can be copied whole.
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode())
        .with_wrap_lines(false)
        .with_width(usize::from(u16::MAX))
        .with_links(false);
    let mut text = String::new();
    let mut told = HashSet::new();
    for finding in findings.iter().take(MAX_SNIPPETS) {
        if handler.render_report(&mut text, diagnostic(finding, files).as_ref()).is_err() {
            text.push_str(&printable(&finding.to_string()));
        }
        if explained && told.insert(finding.code) {
            text.push_str(&format!("   {} {}\n", "why:".cyan(), finding.code.why()));
        }
        text.push_str(&format!("  {} {}\n\n", "help:".cyan(), printable(finding.remedy())));
    }
    match findings.len().saturating_sub(MAX_SNIPPETS) {
        0 => {}
        more => text.push_str(&format!("and {more} more; cedar-gate check --format json has all of them\n")),
    }
    text
}

/// A finding with its lines, or without them where they are too long to be read.
fn diagnostic(finding: &Finding, files: &SourceFiles) -> Report {
    let severity = match finding.severity() {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
        Severity::Note => miette::Severity::Advice,
    };
    let kind = format!("{}[{}]", finding.severity().as_str(), finding.code.number());
    let message = printable(&finding.message);
    let mut diagnostic = MietteDiagnostic::new(format!("{kind}: {message}")).with_severity(severity);
    let file = printable(&finding.file);
    let (Some(span), Some((line, column)), Some(text)) =
        (finding.span.clone(), finding.position, files.text(&finding.file))
    else {
        diagnostic.message = format!("{kind}: {file}: {message}");
        return Report::new(diagnostic);
    };
    // The lines of the span, and one before and after it.
    let height = text.get(span.clone()).map_or(0, |text| text.matches('\n').count()) + 3;
    if text.lines().skip(line.saturating_sub(2)).take(height).any(|line| line.len() > MAX_DRAWN_LINE) {
        diagnostic.message = format!("{kind}: {file}:{line}:{column}: {message}");
        return Report::new(diagnostic);
    }
    diagnostic.labels = Some(vec![LabeledSpan::new_with_span(None, span)]);
    Report::new(diagnostic).with_source_code(NamedSource::new(file, printable(text)))
}

/// The text without what a terminal would obey, or what would change the order in which it is read: escape sequences
/// and bidirectional marks in a file or a path must not write on the screen of who checks it. Every character keeps
/// its length, so that spans still fit.
pub(crate) fn printable(text: &str) -> String {
    let replaced = |char: char| match char {
        '\n' | '\t' | '\r' => char,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        char if char.is_control() && char.len_utf8() == 1 => '?',
        // The control characters of Latin-1, two bytes each.
        char if char.is_control() => '\u{b7}',
        char => char,
    };
    text.chars().map(replaced).collect()
}

/// Reads the files of the bundle at `root`.
pub(crate) fn read_files(root: &Path) -> Result<SourceFiles, Failure> {
    fetch::read_bundle(root).map_err(|error| match error {
        FetchError::NoBundle { .. } => Failure::Message(format!("{error}; name it with --bundle")),
        error => Failure::Message(error.to_string()),
    })
}

/// Reads and checks the bundle at `root`, without keys for its development issuers.
pub(crate) fn load_bundle(root: &Path) -> Result<Bundle, Failure> {
    let files = read_files(root)?;
    Bundle::load(&files).map_err(|errors| Failure::Bundle(Box::new((errors, files))))
}

/// The issuer with that alias.
pub(crate) fn issuer_named<'b>(bundle: &'b Bundle, alias: &str) -> Result<&'b TrustedIssuer, Failure> {
    bundle.issuers().named(alias).ok_or_else(|| {
        let known: Vec<&str> = bundle.issuers().by_name().map(TrustedIssuer::name).collect();
        let known = known.join(", ");
        Failure::Message(format!("no issuer `{alias}` in policies/issuers: there are {known}"))
    })
}

/// Gives the bundle's development issuers this machine's public key, where one has been made: what the Lambda does.
pub(crate) fn add_development_keys(bundle: &mut Bundle) -> Result<(), Failure> {
    fetch::add_development_keys(bundle).map_err(|error| {
        Failure::Message(format!("{error}; to have it written anew, run: cedar-gate token mint"))
    })
}

/// Gives the bundle what stands outside of it: development keys, and the secrets that issuers share. A secret that is not
/// there is missed when a token needs it.
pub(crate) fn add_keys(bundle: &mut Bundle) -> Result<(), Failure> {
    let _missed_when_needed = fetch::read_secrets(bundle);
    add_development_keys(bundle)
}

/// The public half of a development key, as verification wants it.
pub(crate) fn public_keys(key: &DevelopmentKey) -> Result<JwkSet, Failure> {
    JwkSet::from_json(key.public_jwks().to_string().as_bytes())
        .map_err(|error| Failure::Message(error.to_string()))
}

/// An authorizer over the bundle and what stands outside of it.
pub(crate) fn authorizer(mut bundle: Bundle) -> Result<Authorizer, Failure> {
    add_keys(&mut bundle)?;
    Authorizer::new(bundle).map_err(|error| Failure::Message(error.to_string()))
}

/// The clock.
#[expect(clippy::disallowed_methods, reason = "the command line is where the clock is read")]
pub(crate) fn now() -> Result<Timestamp, Failure> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| Failure::Message("the clock stands before 1970: set it, or give --now".to_owned()))?;
    Ok(Timestamp::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// This machine's development key, made now if there is none. The public half is written beside it: it is what the
/// Lambda and every other command verify by.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are read and written")]
pub(crate) fn development_key() -> Result<DevelopmentKey, Failure> {
    let folder = fetch::development_home().ok_or_else(|| {
        Failure::Message("no place for the development key: set CEDAR_GATE_HOME".to_owned())
    })?;
    make_private_folder(&folder).map_err(|error| cannot("make", &folder, &error))?;
    // Two that are started at once make one key: who comes second waits here, and finds it made. Where a file system
    // knows no locks, one of the two tokens would be refused, which says so.
    let lock = folder.join("development-key.lock");
    let held = fs::File::create(&lock).map_err(|error| cannot("write", &lock, &error))?;
    let _ = held.lock();
    let path = folder.join("development-key.json");
    let key = match read_development_key(&path)? {
        Some(key) => key,
        None => make_development_key(&path)?,
    };
    let public = folder.join(fetch::DEVELOPMENT_JWKS);
    let text = format!("{:#}\n", key.public_jwks());
    if fs::read_to_string(&public).is_ok_and(|written| written == text) {
        return Ok(key);
    }
    write_whole(&public, &text, Readers::All).map_err(|error| cannot("write", &public, &error))?;
    Ok(key)
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::Message(format!("cannot {verb} `{}`: {error}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
fn read_development_key(path: &Path) -> Result<Option<DevelopmentKey>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", path, &error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_err(|error| cannot("read", path, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Failure::Message(format!(
                "the private key `{}` can be read by others: run chmod 600 on it, or remove it to have a new one made",
                path.display()
            )));
        }
    }
    DevelopmentKey::from_json(&text).map(Some).map_err(|error| {
        Failure::Message(format!("`{}`: {error}; remove it to have a new one made", path.display()))
    })
}

fn make_development_key(path: &Path) -> Result<DevelopmentKey, Failure> {
    let key =
        DevelopmentKey::generate(Algorithm::Rs256).map_err(|error| Failure::Message(error.to_string()))?;
    write_whole(path, key.to_private_json(), Readers::Owner)
        .map_err(|error| cannot("write", path, &error))?;
    talk(&format!("made a development key pair: {}", path.display()));
    Ok(key)
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Who may read a file that is written new.
#[derive(Clone, Copy)]
pub(crate) enum Readers {
    /// Its owner alone.
    Owner,
    /// Whoever may read what its owner writes.
    All,
}

/// Writes beside the file and renames, so that a reader never meets half a file.
pub(crate) fn write_whole(path: &Path, text: impl AsRef<[u8]>, readers: Readers) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(match readers {
            Readers::Owner => 0o600,
            Readers::All => 0o666,
        });
    }
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(text.as_ref())?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // What is left is of no use; that it cannot be removed either adds nothing to what went wrong.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The same through a link, which goes on leading where it led.
pub(crate) fn write_through(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    write_whole(&fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), text, readers)
}

/// Holds a folder until the lock is dropped: another that asks for it waits. `None` where the system knows no locks on
/// folders, or there is no folder.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
pub(crate) fn lock_folder(folder: &Path) -> Option<fs::File> {
    let folder = fs::File::open(folder).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// Reads a file, or stdin for `-`, up to `limit` bytes.
#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
pub(crate) fn read_input(path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let (name, read) = match path {
        "-" => ("stdin".to_owned(), io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)),
        path => (
            format!("`{path}`"),
            fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)),
        ),
    };
    read.map_err(|error| Failure::Message(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::Message(format!("{name} is larger than {limit} bytes, which is the limit")));
    }
    Ok(bytes)
}

/// Answers each line of stdin with one line of stdout, and passes over empty ones. A line longer than `LINE_LIMIT` is
/// answered as one that is not understood, and skipped without being kept.
pub(crate) fn each_line(mut answer: impl FnMut(Result<&str, String>) -> String) -> Result<(), Failure> {
    const LINE_LIMIT: u64 = 32 * 1024 * 1024;
    let unread = |error| Failure::Message(format!("cannot read stdin: {error}"));
    let mut stdin = io::stdin().lock();
    let mut stdout = io::stdout().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut stdin).take(LINE_LIMIT).read_until(b'\n', &mut line).map_err(unread)?;
        if read == 0 {
            break;
        }
        let whole = line.ends_with(b"\n") || (read as u64) < LINE_LIMIT;
        if !whole {
            stdin.skip_until(b'\n').map_err(unread)?;
        }
        let text = match (whole, std::str::from_utf8(&line)) {
            (false, _) => Err(format!("the line is longer than {LINE_LIMIT} bytes")),
            (true, Err(_)) => Err("the line is not UTF-8".to_owned()),
            (true, Ok(text)) => Ok(text.trim()),
        };
        if text == Ok("") {
            continue;
        }
        let mut answer = answer(text);
        answer.push('\n');
        // A caller that waits for each answer before it asks the next question gets it.
        stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::unwritten)?;
    }
    Ok(())
}

/// Writes data to stdout, in colour where that is wanted. All of it has arrived, or it is a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::unwritten)
}

/// Writes bytes to stdout as they are, to a terminal with a line end after them.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let end: &[u8] = if stdout.is_terminal() { b"\n" } else { b"" };
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.write_all(end))
        .and_then(|()| stdout.flush())
        .map_err(Failure::unwritten)
}

/// Writes one JSON document to stdout, with the name of its form as its first member.
pub(crate) fn print_json(schema: &str, value: &impl serde::Serialize) -> Result<(), Failure> {
    #[derive(serde::Serialize)]
    struct Document<'a, T> {
        schema: &'a str,
        #[serde(flatten)]
        value: &'a T,
    }
    print_document(&Document { schema, value })
}

/// Writes one JSON document to stdout, as it is.
pub(crate) fn print_document(document: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::Message(error.to_string()))?;
    print(&format!("{text}\n"))
}

/// Says something on stderr.
pub(crate) fn talk(text: &str) {
    // Where stderr is gone there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A number and the noun it counts.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

/// Seconds in the largest unit that they fill: `90 s`, `15 min`, `36 h`, `9 days`.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800.. => format!("{} days", seconds / 86_400),
    }
}
