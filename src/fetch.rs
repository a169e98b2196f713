//! Reading what stands outside: the files of a bundle. The only module of the library with input and output.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
    /// A file or folder could not be read.
    #[error("cannot read `{path}`: {error}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's word.
        error: io::Error,
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

/// Reads `policies/` and `schema/` below `root`: text of the kinds that a bundle is made of (`.cedar`, `.cedarschema`,
/// `.toml`, `.json`), without hidden files.
///
/// # Errors
/// [`FetchError`].
#[expect(clippy::disallowed_methods, reason = "this module is where files are read")]
pub fn read_bundle(root: &Path) -> Result<SourceFiles, FetchError> {
    let mut files = SourceFiles::default();
    let mut budget = Budget { root, files: 0, bytes: 0 };
    let mut open: Vec<(String, PathBuf)> =
        ["policies", "schema"].map(|name| (name.to_owned(), root.join(name))).into();
    if !open.iter().all(|(_, folder)| folder.is_dir()) {
        return Err(FetchError::NoBundle { path: root.to_owned() });
    }
    while let Some((name, folder)) = open.pop() {
        let unreadable = |error| FetchError::Unreadable { path: folder.clone(), error };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(file) =
                path.file_name().and_then(|file| file.to_str()).filter(|file| !file.starts_with('.'))
            else {
                continue;
            };
            let inside = format!("{name}/{file}");
            if path.is_dir() {
                open.push((inside, path));
            } else if [".cedar", ".cedarschema", ".toml", ".json"].iter().any(|ending| file.ends_with(ending))
            {
                let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                budget.spend(size)?;
                let bytes =
                    fs::read(&path).map_err(|error| FetchError::Unreadable { path: path.clone(), error })?;
                files.insert(inside, bytes);
            }
        }
    }
    Ok(files)
}

/// The file with the public half of this machine's development key, in [`development_home`].
pub const DEVELOPMENT_JWKS: &str = "development.jwks.json";

/// The folder of this machine's development key, outside of any repository: `CEDAR_GATE_HOME`, or `cedar-gate` in
/// `XDG_CONFIG_HOME` or `~/.config`. `None` where none of them is set.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this module is where settings of the machine are read")]
pub fn development_home() -> Option<PathBuf> {
    let folder = |name, below: &str| env::var_os(name).map(|folder| PathBuf::from(folder).join(below));
    folder("CEDAR_GATE_HOME", "")
        .or_else(|| folder("XDG_CONFIG_HOME", "cedar-gate"))
        .or_else(|| folder("HOME", ".config/cedar-gate"))
}

/// The public half of this machine's development key; `None` where none has been made.
///
/// # Errors
/// [`FetchError::Unreadable`], also where the file is no key set.
#[expect(clippy::disallowed_methods, reason = "this module is where files are read")]
pub fn read_development_keys() -> Result<Option<JwkSet>, FetchError> {
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

struct Budget<'r> {
    root: &'r Path,
    files: usize,
    bytes: u64,
}

impl Budget<'_> {
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

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test writes the files that it reads")]
    fn hidden_files_and_other_kinds_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("policies/v1")).unwrap();
        fs::create_dir(folder.path().join("schema")).unwrap();
        for name in
            ["policies/v1/a.cedar", "policies/v1/.a.cedar.swp", "policies/v1/notes.txt", "schema/routes.toml"]
        {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let files = read_bundle(folder.path()).unwrap();
        assert!(files.contains("policies/v1/a.cedar") && files.contains("schema/routes.toml"));
        assert!(!files.contains("policies/v1/.a.cedar.swp") && !files.contains("policies/v1/notes.txt"));
    }
}
