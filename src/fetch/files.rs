//! The files of a bundle, and of this machine's development key.

use std::env;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::origin::FileStamp;

use crate::bundle::BundleFacts;
#[cfg(not(unix))]
use crate::bundle::built;
use crate::bundle::built::{BuiltError, BuiltFile, ReadAt, Signature, TrustedKeys};
use crate::bundle::source::SourceFiles;
use crate::jose::JwkSet;

/// Why a bundle's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The path does not lead to a folder.
    #[error("no bundle at `{path}`: expected a folder with `policies` and `schema` in it")]
    NoBundle {
        /// The path that was tried.
        path: PathBuf,
    },
    /// Something of a bundle's file kinds that is no file: a pipe or a device would be read for ever.
    #[error("cannot read `{path}`: it is not a regular file")]
    NotAFile {
        /// What stands there.
        path: PathBuf,
    },
    /// A name that a bundle's file cannot have. To leave the file out silently could leave a policy out.
    #[error("cannot read `{path}`: {expected}")]
    Name {
        /// The file.
        path: PathBuf,
        /// How it must be named.
        expected: &'static str,
    },
    /// Folders in folders, or a link that leads back to a folder above it.
    #[error(
        "`{path}` stands too deep, or a link leads back: a bundle's folders are policies/<version>, policies/issuers and schema"
    )]
    TooDeep {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder could not be read.
    #[error("cannot read `{path}`: {error}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's word.
        error: io::Error,
    },
    /// The file is no built bundle that may be used.
    #[error("`{path}`: {error}")]
    Built {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: BuiltError,
    },
    /// The bundle holds more than is ever read.
    #[error("the bundle at `{path}` is too large: at most {files} files of {bytes} bytes together")]
    TooLarge {
        /// The bundle.
        path: PathBuf,
        /// The most files.
        files: usize,
        /// The most bytes.
        bytes: usize,
    },
}

/// A built file, read where it is asked.
#[cfg(unix)]
#[derive(Debug)]
struct OpenFile {
    file: fs::File,
    size: u64,
}

#[cfg(unix)]
impl ReadAt for OpenFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<(), String> {
        use std::os::unix::fs::FileExt;
        self.file.read_exact_at(into, at).map_err(|error| error.to_string())
    }
}

/// Opens a built file. What of it is used stays what it was, whatever becomes of the path.
#[expect(clippy::disallowed_methods, reason = "this module is where files are read")]
pub(super) fn built_file(path: &Path) -> Result<Box<dyn ReadAt>, FetchError> {
    let unreadable = |error| FetchError::Unreadable { path: path.to_owned(), error };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(FetchError::NotAFile { path: path.to_owned() });
    }
    #[cfg(unix)]
    {
        let file = fs::File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        Ok(Box::new(OpenFile { file, size }))
    }
    #[cfg(not(unix))]
    {
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(built::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(Box::new(bytes))
    }
}

/// The signatures that stand beside a built file, under its name with [`SIGNATURES`]; none where there is no such file.
#[expect(clippy::disallowed_methods, reason = "this module is where files are read")]
pub(super) fn detached_signatures(path: &Path) -> Result<Vec<u8>, FetchError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(SIGNATURES);
    let beside = PathBuf::from(beside);
    let unreadable = |error| FetchError::Unreadable { path: beside.clone(), error };
    let file = match fs::File::open(&beside) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let most = (Signature::BYTES * Signature::MOST) as u64;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// What ends the name of the file with the signatures of a built file beside it.
pub const SIGNATURES: &str = ".sig";

/// What tells a file from another at its path.
pub(super) fn file_stamp(path: &Path) -> Result<FileStamp, FetchError> {
    let metadata =
        fs::metadata(path).map_err(|error| FetchError::Unreadable { path: path.to_owned(), error })?;
    #[cfg(unix)]
    let inode = {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let inode = (0, 0);
    Ok(FileStamp { inode, size: metadata.len(), modified: metadata.modified().ok() })
}

/// The endings of a bundle's files.
const ENDINGS: [&str; 4] = [".cedar", ".cedarschema", ".toml", ".json"];

/// How many folders may stand in each other below the bundle. A bundle has two, `policies/<version>`; what stands
/// deeper is read so that it can be named as out of place, and a link that leads back to a folder above it ends here.
const MAX_DEPTH: usize = 4;

/// Opens a built file with the signatures that it has or that stand beside it.
///
/// # Errors
/// [`FetchError`], also where it is no built bundle, or none of the trusted keys signed it.
pub fn open_built(path: &Path, trusted: Option<&TrustedKeys>) -> Result<BuiltFile, FetchError> {
    BuiltFile::open(built_file(path)?, &detached_signatures(path)?, trusted)
        .map_err(|error| FetchError::Built { path: path.to_owned(), error })
}

/// The sources that a built file at `root` holds, or reads `policies/` and `schema/` below it: text of the kinds that a bundle is made of (`.cedar`, `.cedarschema`,
/// `.toml`, `.json`), without hidden files, and without `schema/**/*.schema.json`: those describe the files to editors, and
/// decide nothing.
///
/// # Errors
/// [`FetchError`].
pub fn read_bundle(root: &Path) -> Result<SourceFiles, FetchError> {
    if root.is_file() {
        let file = open_built(root, None)?;
        return file
            .source_files()
            .map_err(|damaged| FetchError::Built { path: root.to_owned(), error: damaged.into() });
    }
    let folders = ["policies", "schema"];
    if !folders.iter().all(|folder| root.join(folder).is_dir()) {
        return Err(FetchError::NoBundle { path: root.to_owned() });
    }
    read_folders(root, &folders)
}

/// Reads `tests/policies/` below `root`, what the policies of a bundle are tested by: files of the same kinds. None where
/// there is no such folder.
///
/// # Errors
/// [`FetchError`].
pub fn read_policy_tests(root: &Path) -> Result<SourceFiles, FetchError> {
    match root.join("tests/policies").is_dir() {
        true => read_folders(root, &["tests/policies"]),
        false => Ok(SourceFiles::default()),
    }
}

/// Reads the files of folders below `root`.
fn read_folders(root: &Path, folders: &[&str]) -> Result<SourceFiles, FetchError> {
    let mut files = SourceFiles::default();
    let mut budget = Budget { root, files: 0, bytes: 0 };
    let mut open: Vec<(String, PathBuf)> =
        folders.iter().map(|name| ((*name).to_owned(), root.join(name))).collect();
    while let Some((name, folder)) = open.pop() {
        if name.split('/').count() > MAX_DEPTH {
            return Err(FetchError::TooDeep { path: folder });
        }
        for (file, path) in entries(&folder)? {
            let inside = format!("{name}/{file}");
            if path.is_dir() {
                budget.spend(0)?;
                open.push((inside, path));
            } else if !is_for_editors(&inside) && has_ending(&file, &path)? {
                files.insert(inside, read_file(&path, &mut budget)?);
            }
        }
    }
    Ok(files)
}

/// Whether a file is a JSON Schema by which editors complete others.
fn is_for_editors(path: &str) -> bool {
    path.starts_with("schema/") && path.ends_with(".schema.json")
}

/// The entries of a folder that are not hidden, each with its name, sorted.
#[expect(clippy::disallowed_methods, reason = "this module is where files are read")]
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, FetchError> {
    let unreadable = |error| FetchError::Unreadable { path: folder.to_owned(), error };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| FetchError::Name { path: entry.path(), expected: "its name is not UTF-8 text" })?;
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    // In one order on every file system, so that of two mistakes the same one is named.
    entries.sort_unstable();
    Ok(entries)
}

/// Whether a file is of a bundle's kinds. `admin.CEDAR` is refused and not passed over: its author thinks it is read.
fn has_ending(name: &str, path: &Path) -> Result<bool, FetchError> {
    let lower_case = name.to_lowercase();
    match ENDINGS.iter().find(|ending| lower_case.ends_with(*ending)) {
        None => Ok(false),
        Some(ending) if name.ends_with(*ending) => Ok(true),
        Some(_) => {
            Err(FetchError::Name { path: path.to_owned(), expected: "its ending must be in lower case" })
        }
    }
}

/// Reads a regular file, and never more of it than the bundle may still hold, whatever its size was said to be.
#[expect(clippy::disallowed_methods, reason = "this module is where files are read")]
fn read_file(path: &Path, budget: &mut Budget<'_>) -> Result<Vec<u8>, FetchError> {
    let unreadable = |error| FetchError::Unreadable { path: path.to_owned(), error };
    // Asked before it is opened: to open a pipe waits for somebody who writes to it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(FetchError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(budget.bytes_left().saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    budget.spend(bytes.len() as u64)?;
    Ok(bytes)
}

/// The file with the public half of this machine's development key, in [`development_home`].
pub const DEVELOPMENT_JWKS: &str = "development.jwks.json";

/// The folder of this machine's development key, outside of any repository: `CEDAR_GATE_HOME`, or `cedar-gate` in
/// `XDG_CONFIG_HOME` or `~/.config`. `None` where none of them is set; an empty one is as good as none, else a private
/// key would be written to the working directory, which may be a repository.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this module is where settings of the machine are read")]
pub fn development_home() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    folder("CEDAR_GATE_HOME")
        .or_else(|| folder("XDG_CONFIG_HOME").map(|folder| folder.join("cedar-gate")))
        .or_else(|| folder("HOME").map(|folder| folder.join(".config/cedar-gate")))
}

/// The public half of this machine's development key; `None` where none has been made.
///
/// # Errors
/// [`FetchError::Unreadable`], also where the file is no key set.
#[expect(clippy::disallowed_methods, reason = "this module is where files are read")]
fn read_development_keys() -> Result<Option<JwkSet>, FetchError> {
    let Some(path) = development_home().map(|folder| folder.join(DEVELOPMENT_JWKS)) else { return Ok(None) };
    match fs::read(&path) {
        Ok(bytes) => match JwkSet::from_json(&bytes) {
            Ok(keys) => Ok(Some(keys)),
            Err(error) => Err(FetchError::Unreadable { path, error: io::Error::other(error) }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FetchError::Unreadable { path, error }),
    }
}

/// Gives a development bundle's issuers this machine's public key, where one has been made. A bundle for production has no
/// issuer that trusts it, and nothing is read.
///
/// # Errors
/// [`FetchError::Unreadable`], also where the file is no key set.
pub fn add_development_keys(bundle: &mut BundleFacts) -> Result<(), FetchError> {
    if bundle.wants_development_keys()
        && let Some(keys) = read_development_keys()?
    {
        bundle.add_development_keys(keys);
    }
    Ok(())
}

struct Budget<'r> {
    root: &'r Path,
    files: usize,
    bytes: u64,
}

impl Budget<'_> {
    fn bytes_left(&self) -> u64 {
        (SourceFiles::MAX_BYTES as u64).saturating_sub(self.bytes)
    }

    fn spend(&mut self, bytes: u64) -> Result<(), FetchError> {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.files <= SourceFiles::MAX_FILES && self.bytes <= SourceFiles::MAX_BYTES as u64 {
            return Ok(());
        }
        Err(FetchError::TooLarge {
            path: self.root.to_owned(),
            files: SourceFiles::MAX_FILES,
            bytes: SourceFiles::MAX_BYTES,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_bundle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_bundle(folder.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "no bundle at `{}`: expected a folder with `policies` and `schema` in it",
                folder.path().display()
            )
        );
    }

    #[expect(clippy::disallowed_methods, reason = "the test writes the files that it reads")]
    fn bundle() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("policies/v1")).unwrap();
        fs::create_dir(folder.path().join("schema")).unwrap();
        fs::write(folder.path().join("policies/v1/a.cedar"), "x").unwrap();
        folder
    }

    /// `expected` with `…` for the bundle's folder.
    fn check(folder: &tempfile::TempDir, expected: &str) {
        let error = read_bundle(folder.path()).unwrap_err().to_string();
        assert_eq!(error.replace(folder.path().to_str().unwrap(), "…"), expected);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test writes the files that it reads")]
    fn hidden_files_and_other_kinds_are_left_alone() {
        let folder = bundle();
        for name in ["policies/v1/.a.cedar.swp", "policies/v1/notes.txt", "schema/routes.toml"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let files = read_bundle(folder.path()).unwrap();
        assert!(files.contains("policies/v1/a.cedar") && files.contains("schema/routes.toml"));
        assert!(!files.contains("policies/v1/.a.cedar.swp") && !files.contains("policies/v1/notes.txt"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test writes the files that it reads")]
    fn a_policy_whose_name_hides_it_is_named() {
        let folder = bundle();
        fs::write(folder.path().join("policies/v1/b.Cedar"), "x").unwrap();
        check(&folder, "cannot read `…/policies/v1/b.Cedar`: its ending must be in lower case");
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_links_that_lead_back_end_at_once() {
        use std::os::unix::fs::symlink;
        let folder = bundle();
        symlink("/dev/zero", folder.path().join("policies/v1/b.cedar")).unwrap();
        check(&folder, "cannot read `…/policies/v1/b.cedar`: it is not a regular file");
        let folder = bundle();
        symlink("..", folder.path().join("policies/back")).unwrap();
        check(
            &folder,
            "`…/policies/back/policies/back/schema` stands too deep, or a link leads back: a bundle's folders are policies/<version>, policies/issuers and schema",
        );
    }
}
