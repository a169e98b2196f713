//! `policies/<version>/roles.toml`: the roles that exist, and which role includes which.
//!
//! ```toml
//! [admin]
//! description = "Runs the shop."     # what the role means, for the people who review policies
//! includes    = ["clerk"]            # who is an admin is a clerk too
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::finding::{Code, Findings, meant};
use super::is_name;
use super::source::SourceFiles;

/// The roles of one policy version, sorted by name.
#[derive(Clone, Debug)]
pub struct Roles {
    roles: Arc<[Role]>,
}

#[derive(Clone, Debug)]
struct Role {
    name: String,
    description: String,
    /// All that it includes, directly or through another, without itself; sorted.
    includes: Vec<String>,
}

/// A role as a built bundle has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltRole {
    /// Its name.
    pub name: String,
    /// All that it includes, directly or through another, without itself; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleFile {
    description: String,
    #[serde(default)]
    includes: Vec<Spanned<String>>,
}

impl Roles {
    /// Whether the role exists.
    #[must_use]
    pub fn contains(&self, role: &str) -> bool {
        self.place(role).is_some()
    }

    /// Where the role stands among them.
    pub(crate) fn place(&self, role: &str) -> Option<usize> {
        self.roles.binary_search_by(|known| known.name.as_str().cmp(role)).ok()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.roles.len()
    }

    fn get(&self, role: &str) -> Option<&Role> {
        self.roles.get(self.place(role)?)
    }

    /// The names of the roles, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| role.name.as_str())
    }

    /// What the role means, in the words of its file.
    #[must_use]
    pub fn description(&self, role: &str) -> Option<&str> {
        self.get(role).map(|role| role.description.as_str())
    }

    /// The role itself and every role it includes, directly or through another, sorted; nothing for an unknown role.
    pub fn closure(&self, role: &str) -> impl Iterator<Item = &str> {
        self.get(role).into_iter().flat_map(|role| {
            let before = role.includes.partition_point(|included| *included < role.name);
            let (before, after) = role.includes.split_at_checked(before).unwrap_or_default();
            before.iter().chain([&role.name]).chain(after).map(String::as_str)
        })
    }

    /// As a built bundle has them.
    #[cfg(feature = "cli")]
    pub(crate) fn to_built(&self) -> Vec<BuiltRole> {
        let built = |role: &Role| BuiltRole { name: role.name.clone(), includes: role.includes.clone() };
        self.roles.iter().map(built).collect()
    }

    /// Those of a built bundle, which were checked when it was built; without what they mean.
    pub(crate) fn of_built(roles: Vec<BuiltRole>) -> Self {
        let role = |BuiltRole { name, includes }| Role { name, description: String::new(), includes };
        let mut roles: Vec<Role> = roles.into_iter().map(role).collect();
        roles.sort_by(|one, other| one.name.cmp(&other.name));
        Self { roles: roles.into() }
    }

    /// Reads the file at `path`; what is wrong goes to `findings`.
    pub(crate) fn load(path: &str, files: &SourceFiles, findings: &mut Findings<'_>) -> Option<Self> {
        let Some(text) = files.text(path) else {
            findings.note(
                Code::RolesMissing,
                path,
                None,
                "the file that names the roles is missing",
                "add it: `[clerk]`, then `description = \"…\"`".to_owned(),
            );
            return None;
        };
        let file: BTreeMap<Spanned<String>, RoleFile> = findings.toml(path, text)?;
        let before = findings.len();
        let includes: BTreeMap<&str, Vec<&str>> = file
            .iter()
            .map(|(name, role)| {
                (
                    name.get_ref().as_str(),
                    role.includes.iter().map(|include| include.get_ref().as_str()).collect(),
                )
            })
            .collect();
        for (name, role) in &file {
            if !is_name(name.get_ref()) {
                let message = format!("`{}` cannot be a role's name", name.get_ref().escape_debug());
                findings.note(
                    Code::RoleName,
                    path,
                    Some(name.span()),
                    message,
                    "use 1 to 64 of A-Z a-z 0-9 . _ -".to_owned(),
                );
            }
            for include in &role.includes {
                if !includes.contains_key(include.get_ref().as_str()) {
                    let message = format!(
                        "role `{}` includes `{}`, which is not defined",
                        name.get_ref(),
                        include.get_ref()
                    );
                    let meant = meant(include.get_ref(), includes.keys().copied());
                    let help = meant.map(|name| format!("did you mean `{name}`?"));
                    findings.note(Code::RoleIncludesUnknown, path, Some(include.span()), message, help);
                }
            }
            if reachable(name.get_ref(), &includes).contains(name.get_ref().as_str()) {
                let message = format!("role `{}` includes itself", name.get_ref());
                findings.note(Code::RoleCircle, path, Some(name.span()), message, None);
            }
        }
        if findings.len() > before {
            return None;
        }
        let mut roles: Vec<Role> = file
            .iter()
            .map(|(name, role)| {
                let includes = reachable(name.get_ref(), &includes).into_iter().map(str::to_owned).collect();
                Role { name: name.get_ref().clone(), description: role.description.clone(), includes }
            })
            .collect();
        roles.sort_by(|one, other| one.name.cmp(&other.name));
        Some(Self { roles: roles.into() })
    }
}

/// The roles that `role` includes, directly or through another.
fn reachable<'r>(role: &str, includes: &BTreeMap<&str, Vec<&'r str>>) -> BTreeSet<&'r str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = includes.get(role).cloned().unwrap_or_default();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(includes.get(next).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Roles, String> {
        let mut files = SourceFiles::default();
        files.insert("roles.toml", text);
        let mut findings = Findings::new(&files);
        let roles = Roles::load("roles.toml", &files, &mut findings);
        findings.finish(roles).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_role_holds_what_it_includes_however_far_away() {
        let roles = load(
            "[a]\ndescription=''\nincludes=['b']\n[b]\ndescription=''\nincludes=['c']\n[c]\ndescription=''",
        )
        .unwrap();
        assert_eq!(roles.closure("a").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(roles.closure("c").collect::<Vec<_>>(), ["c"]);
        assert_eq!(roles.closure("x").count(), 0);
    }

    #[test]
    fn what_does_not_hold_together_is_refused_where_it_stands() {
        for (text, expected) in [
            (
                "[a]\ndescription=''\nincludes=['b']",
                "roles.toml:3:11: CG0123: role `a` includes `b`, which is not defined",
            ),
            ("[a]\ndescription=''\nincludes=['a']", "roles.toml:1:2: CG0124: role `a` includes itself"),
            (
                "['a b']\ndescription=''",
                "roles.toml:1:2: CG0122: `a b` cannot be a role's name (use 1 to 64 of A-Z a-z 0-9 . _ -)",
            ),
            ("[a]\n", "roles.toml:1:1: CG0005: missing field `description`"),
        ] {
            assert_eq!(load(text).unwrap_err(), expected);
        }
    }
}
