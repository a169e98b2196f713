//! A bundle as a git revision has it, read from git's store: the working tree is not looked at, nor changed.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use cedar_gate::bundle::source::SourceFiles;

use crate::shell::Failure;

/// The endings of a bundle's files.
const ENDINGS: [&str; 4] = [".cedar", ".cedarschema", ".toml", ".json"];

/// Whether git knows a commit by that name, in the repository that `root` is in.
pub(super) fn is_known(root: &Path, revision: &str) -> bool {
    commit(root, revision).is_ok()
}

/// The bundle at `root`, as a revision has it.
pub(crate) fn read(root: &Path, revision: &str) -> Result<SourceFiles, Failure> {
    let commit = commit(root, revision)?;
    // Names are relative to the folder that git runs in, so a bundle need not be the whole repository.
    let listed = git(root, &["ls-tree", "-r", "-z", &commit, "--", "policies", "schema"], b"")?;
    let listed = String::from_utf8(listed)
        .map_err(|_| Failure::Message(format!("`{revision}` has a file whose name is not UTF-8 text")))?;
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for entry in listed.split('\0').filter(|entry| !entry.is_empty()) {
        let (about, path) = entry.split_once('\t').unwrap_or_default();
        let mut about = about.split(' ');
        let (mode, _kind, id) = (about.next(), about.next(), about.next().unwrap_or_default());
        let is_hidden = path.split('/').any(|name| name.starts_with('.'));
        if is_hidden || !ENDINGS.iter().any(|ending| path.ends_with(ending)) {
            continue;
        }
        if mode == Some("120000") {
            return Err(Failure::Message(format!(
                "`{path}` of `{revision}` is a link, which is not followed"
            )));
        }
        wanted.push((path, id));
    }
    if wanted.is_empty() {
        return Err(Failure::Message(format!(
            "`{revision}` has no policies/ and schema/ at `{}`",
            root.display()
        )));
    }
    if wanted.len() > SourceFiles::MAX_FILES {
        let most = SourceFiles::MAX_FILES;
        return Err(Failure::Message(format!("`{revision}` has more than {most} files, which is the limit")));
    }
    let ids: String = wanted.iter().map(|(_, id)| format!("{id}\n")).collect();
    let blobs = git(root, &["cat-file", "--batch"], ids.as_bytes())?;
    let mut rest = blobs.as_slice();
    let mut files = SourceFiles::default();
    for (path, _) in wanted {
        let blob = next_blob(&mut rest)
            .ok_or_else(|| Failure::Message(format!("git does not give `{path}` of `{revision}`")))?;
        files.insert(path, blob);
    }
    Ok(files)
}

fn commit(root: &Path, revision: &str) -> Result<String, Failure> {
    let wanted = format!("{revision}^{{commit}}");
    let id = git(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted], b"");
    let id = id.map_err(|_| {
        Failure::Message(format!("git knows no revision `{revision}` at `{}`", root.display()))
    })?;
    Ok(String::from_utf8_lossy(&id).trim().to_owned())
}

/// `<id> blob <size>\n<bytes>\n` (git-cat-file(1), "BATCH OUTPUT").
fn next_blob<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (head, body) = (rest.get(..end)?, rest.get(end + 1..)?);
    let mut head = std::str::from_utf8(head).ok()?.split(' ').skip(1);
    (head.next() == Some("blob")).then_some(())?;
    let size: usize = head.next()?.parse().ok()?;
    let blob = body.get(..size)?;
    *rest = body.get(size + 1..)?;
    Some(blob)
}

fn git(root: &Path, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Message(format!("cannot ask git: {error}"));
    let mut child = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(&error))?;
    // It is fed beside, because it answers before it has read everything.
    let stdin = child.stdin.take();
    let input = input.to_owned();
    let fed = std::thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&input)));
    let mut output = Vec::new();
    let limit = SourceFiles::MAX_BYTES as u64 * 2;
    if let Some(stdout) = child.stdout.take() {
        stdout.take(limit).read_to_end(&mut output).map_err(|error| failed(&error))?;
    }
    let status = child.wait().map_err(|error| failed(&error))?;
    // Who ends early has said why by its status.
    let _ = fed.join();
    match status.success() {
        true => Ok(output),
        false => Err(Failure::Message(format!("git {} failed", arguments.first().unwrap_or(&"")))),
    }
}
