//! The command line as a person meets it: transcripts in `tests/cli/*.txt`, run against the real binary.
//!
//! Each transcript has a fresh copy of the example bundle as its working directory, and a development key that is fixed.
//! A line begins with
//!
//! ```text
//! $ a command for `sh`; the next lines are what it gets and gives
//! < a line of its stdin
//! | a line of its stdout
//! ! a line of its stderr
//! ? its exit code
//! \ where the last line of stdout has no line end
//! ```
//!
//! and any other line is a remark. `UPDATE_GOLDEN=1 cargo test cli::` writes what was found; its diff is the review.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_cedar-gate");
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// How long one command may take. None of them needs a second; who hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn the_command_line_does_what_its_transcripts_say() {
    let folder = Path::new(REPOSITORY).join("tests/cli");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    assert!(!paths.is_empty(), "no transcript in {}", folder.display());
    let differences: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = paths.iter().map(|path| scope.spawn(|| check(path))).collect();
        runs.into_iter().filter_map(|run| run.join().unwrap()).collect()
    });
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Runs a transcript; the first place where it says something else than what happens.
fn check(path: &Path) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap();
    let found = replay(&expected);
    if expected == found {
        return None;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, found).unwrap();
        return None;
    }
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut expected_lines = expected.lines();
    let mut command = "";
    for (index, found) in found.lines().enumerate() {
        if found.starts_with("$ ") {
            command = found;
        }
        let expected = expected_lines.next().unwrap_or("(its end)");
        if expected != found {
            return Some(format!(
                "tests/cli/{name}:{}\n  {command}\n  expected {expected}\n  found    {found}\n\
                 UPDATE_GOLDEN=1 writes what was found",
                index + 1
            ));
        }
    }
    Some(format!("tests/cli/{name}: there is more expected after `{command}` than was found"))
}

/// The transcript as it happens now.
fn replay(transcript: &str) -> String {
    let place = Place::new();
    let mut found = String::new();
    let mut lines = transcript.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(found, "{line}").unwrap();
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let mut stdin = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("< ") || *line == "<") {
            writeln!(found, "{line}").unwrap();
            writeln!(stdin, "{}", line.strip_prefix("< ").unwrap_or_default()).unwrap();
        }
        while lines
            .next_if(|line| {
                ["| ", "! ", "? ", "\\ "].iter().any(|mark| line.starts_with(mark))
                    || ["|", "!"].contains(line)
            })
            .is_some()
        {}
        found.push_str(&place.run(command, stdin));
    }
    found
}

/// Where a transcript is played: a copy of the example bundle, and a home with the fixed development key.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        let repository = Path::new(REPOSITORY);
        for part in ["policies", "schema", "tests/policies"] {
            copy(&repository.join(part), &place.bundle().join(part));
        }
        let home = place.root.path().join("home");
        fs::create_dir(&home).unwrap();
        let key = home.join("development-key.json");
        fs::copy(repository.join("tests/tokens/keys/acme-1.test-key.json"), &key).unwrap();
        // The key of RFC 8037, appendix A.1.
        let release_key = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        fs::write(home.join("release-key.json"), release_key).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        }
        place
    }

    fn bundle(&self) -> PathBuf {
        self.root.path().join("bundle")
    }

    /// What a command gives, in the transcript's form.
    fn run(&self, command: &str, stdin: String) -> String {
        let binaries = Path::new(BINARY).parent().unwrap().to_str().unwrap();
        let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
        let child = Command::new("sh")
            .args(["-c", command])
            .current_dir(self.bundle())
            .env_clear()
            .env("PATH", path)
            .env("CEDAR_GATE_HOME", self.root.path().join("home"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr, code) = outcome(child, stdin, command);
        let mut found = String::new();
        for (mark, text) in [('|', self.fixed(&stdout)), ('!', self.fixed(&stderr))] {
            for line in text.lines() {
                writeln!(found, "{}", format!("{mark} {line}").trim_end()).unwrap();
            }
            if mark == '|' && !text.is_empty() && !text.ends_with('\n') {
                found.push_str("\\ no line end\n");
            }
        }
        for line in stderr.lines() {
            assert!(!line.contains("panicked"), "`{command}` panicked: {stderr}");
            assert!(!line.contains(".eyJ"), "`{command}` tells a token on stderr: {line}");
        }
        assert!(!(stdout + &stderr).contains('\u{1b}'), "`{command}` writes escape sequences");
        writeln!(found, "? {code}").unwrap();
        found
    }

    /// The text without what differs from run to run: the temporary folder, and the digests of the bundle and of its
    /// versions as they are now, which have to be the right ones. A version that is a copy has the name of the first.
    fn fixed(&self, text: &str) -> String {
        let text = text.replace(self.root.path().to_str().unwrap(), "[tmp]");
        match cedar_gate::fetch::read_bundle(&self.bundle()) {
            Ok(files) => files.folders_in("policies/").fold(
                text.replace(&files.digest(), "[digest]"),
                |text, version| {
                    text.replace(&files.version_digest(version), &format!("[digest of {version}]"))
                },
            ),
            Err(_) => text,
        }
    }
}

/// Gives a child its stdin and takes what it says, until it ends.
fn outcome(mut child: Child, stdin: String, command: &str) -> (String, String, i32) {
    let mut pipe = child.stdin.take().unwrap();
    // Who does not read its stdin closes it, and that is no failure.
    thread::spawn(move || drop(pipe.write_all(stdin.as_bytes())));
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("`{command}` did not end within {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let code = status.code().unwrap_or_else(|| panic!("`{command}` was ended by a signal: {status}"));
    (stdout.join().unwrap(), stderr.join().unwrap(), code)
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}
