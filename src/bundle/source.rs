//! The files of a bundle, in memory, and the digest that names them.

use std::collections::BTreeMap;

use aws_lc_rs::digest;

/// The files of a bundle by their path in it (`policies/v1/orders.cedar`), in one fixed order.
#[derive(Clone, Debug, Default)]
pub struct SourceFiles {
    files: BTreeMap<String, Vec<u8>>,
}

impl SourceFiles {
    /// The most files that one bundle may hold.
    pub const MAX_FILES: usize = 20_000;
    /// The most bytes that the files of one bundle may hold together.
    pub const MAX_BYTES: usize = 64 * 1024 * 1024;

    /// Adds or replaces a file. `path` is relative to the bundle, with `/` between its parts.
    pub fn insert(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), bytes.into());
    }

    /// Whether a file stands at `path`.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The file at `path` as it is.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The text of the file at `path`; `None` where it is missing or not UTF-8.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.bytes(path).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The paths below `folder` (`policies/v1/`) that end in `suffix` and stand in no deeper folder.
    pub fn paths_in<'a>(&'a self, folder: &'a str, suffix: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.keys().map(String::as_str).filter(move |path| {
            path.strip_prefix(folder).is_some_and(|name| name.ends_with(suffix) && !name.contains('/'))
        })
    }

    /// The names of the folders directly below `folder`, each once.
    pub fn folders_in<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        let mut last = None;
        self.files.keys().filter_map(move |path| {
            let (name, _) = path.strip_prefix(folder)?.split_once('/')?;
            (last.replace(name) != Some(name)).then_some(name)
        })
    }

    /// The names of the policy versions: the folders of `policies/` but for the one of the issuers.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.folders_in("policies/").filter(|folder| *folder != "issuers")
    }

    /// The SHA-256 over every file's path and content, as `sha256:<64 hex digits>`.
    #[must_use]
    pub fn digest(&self) -> String {
        digest_of(self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
    }

    /// The SHA-256 over the policies and roles of one version, as `sha256:<64 hex digits>`: over the content of its
    /// `*.cedar` files and its `roles.toml`, and their names in its folder. So it is the same after the folder was renamed,
    /// and for two versions of which one is a copy of the other.
    #[must_use]
    pub fn version_digest(&self, version: &str) -> String {
        let folder = format!("policies/{version}/");
        let files = self.files.iter().filter_map(|(path, bytes)| {
            let name = path.strip_prefix(&folder).filter(|name| !name.contains('/'))?;
            (name == "roles.toml" || name.ends_with(".cedar")).then_some((name, bytes.as_slice()))
        });
        digest_of(files)
    }
}

/// Each part is preceded by its length, so that no two different sets of files have the same text to hash.
fn digest_of<'f>(files: impl Iterator<Item = (&'f str, &'f [u8])>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    let hex: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> SourceFiles {
        let mut files = SourceFiles::default();
        pairs.iter().for_each(|(path, text)| files.insert(*path, *text));
        files
    }

    #[test]
    fn the_digest_names_paths_and_contents_and_no_order() {
        let one = files(&[("a", "1"), ("b", "2")]);
        assert_eq!(one.digest(), files(&[("b", "2"), ("a", "1")]).digest());
        assert_ne!(one.digest(), files(&[("a", "2"), ("b", "1")]).digest());
        assert_ne!(files(&[("ab", "c")]).digest(), files(&[("a", "bc")]).digest());
        assert!(one.digest().starts_with("sha256:") && one.digest().len() == 71);
    }

    #[test]
    fn the_digest_of_a_version_names_its_policies_and_roles_and_nothing_else() {
        let v1 = [("policies/v1/a.cedar", "1"), ("policies/v1/roles.toml", "2")];
        let digest =
            |more: &[(&str, &str)], version: &str| files(&[&v1, more].concat()).version_digest(version);
        let first = digest(&[], "v1");
        assert!(first.starts_with("sha256:") && first.len() == 71);
        for nothing_to_it in ["policies/v1/notes.json", "policies/v10/a.cedar", "policies/versions.toml"] {
            assert_eq!(digest(&[(nothing_to_it, "3")], "v1"), first, "{nothing_to_it}");
        }
        for changed in ["policies/v1/b.cedar", "policies/v1/a.cedar", "policies/v1/roles.toml"] {
            assert_ne!(digest(&[(changed, "3")], "v1"), first, "{changed}");
        }
        let copied = [("policies/v2/a.cedar", "1"), ("policies/v2/roles.toml", "2")];
        assert_eq!(digest(&copied, "v2"), first);
    }

    #[test]
    fn folders_and_files_are_listed_one_level_deep() {
        let files =
            files(&[("policies/v1/a.cedar", ""), ("policies/v1/x/b.cedar", ""), ("policies/v2/c.cedar", "")]);
        assert_eq!(files.folders_in("policies/").collect::<Vec<_>>(), ["v1", "v2"]);
        assert_eq!(files.paths_in("policies/v1/", ".cedar").collect::<Vec<_>>(), ["policies/v1/a.cedar"]);
    }
}
