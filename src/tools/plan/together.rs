//! Roles that count for more together than each of them: those that one policy of either side names, all that it names and
//! some of them; those that somebody is known to hold; and each of these, or a single role, with the roles of a `forbid` that
//! one side alone has.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy as cedar;

use crate::bundle::policies::PolicyVersion;

use super::super::people::{Held, KINDS, Person, named_roles, role_sets};
use super::articles::same;

/// The most that are looked at: each is a principal of each kind and tenant for each operation.
const MOST: usize = 128;

/// Of how many roles of one policy every part is looked at; of more, the pairs and all but one.
const MOST_PARTED: usize = 4;

/// Roles that are held together.
pub(super) struct RoleSets {
    sets: Vec<BTreeSet<String>>,
    /// How many were too many.
    pub(super) left_out: usize,
}

impl RoleSets {
    /// Those of two versions, and those that are `held`.
    pub(super) fn new(versions: [&PolicyVersion; 2], held: [&[Vec<String>]; 2]) -> Self {
        let mut sets: BTreeSet<BTreeSet<String>> = BTreeSet::new();
        for roles in versions.into_iter().flat_map(role_sets) {
            sets.extend(parts(&roles));
        }
        sets.extend(held.into_iter().flatten().map(|roles| roles.iter().cloned().collect()));
        let known = || versions.into_iter().flat_map(|version| version.roles.names());
        let single = known().map(|role| BTreeSet::from([role.to_owned()]));
        let with: Vec<BTreeSet<String>> = sets.iter().cloned().chain(single).collect();
        for role in changed_forbids(versions) {
            sets.extend(with.iter().map(|set| set.iter().cloned().chain([role.clone()]).collect()));
        }
        // What comes to the same roles on both sides is one; what comes to one role, or to all, is compared anyway.
        let closures = |roles: &mut dyn Iterator<Item = &str>| {
            let roles: Vec<&str> = roles.collect();
            versions.map(|version| {
                let all = roles.iter().flat_map(|role| version.roles.closure(role));
                all.collect::<BTreeSet<&str>>()
            })
        };
        let mut seen: BTreeSet<[BTreeSet<&str>; 2]> =
            known().map(|role| closures(&mut std::iter::once(role))).collect();
        seen.insert(closures(&mut known()));
        seen.insert(Default::default());
        // The fewest roles first: what is left out is what fewest hold.
        let mut by_size: BTreeMap<usize, Vec<BTreeSet<String>>> = BTreeMap::new();
        for set in sets {
            by_size.entry(set.len()).or_default().push(set);
        }
        let mut sets: Vec<BTreeSet<String>> = by_size.into_values().flatten().collect();
        sets.retain(|set| {
            let set = set.iter().filter_map(|role| known().find(|known| known == role));
            seen.insert(closures(&mut set.into_iter()))
        });
        let left_out = sets.len().saturating_sub(MOST);
        sets.truncate(MOST);
        Self { sets, left_out }
    }

    /// Those who hold them: of each kind, of no tenant and of each of `tenants`.
    pub(super) fn people(&self, tenants: &BTreeSet<String>) -> Vec<Person> {
        let mut people = Vec::new();
        for tenant in std::iter::once(None).chain(tenants.iter().cloned().map(Some)) {
            for kind in KINDS {
                people.extend(self.sets.iter().map(|set| Person {
                    kind,
                    roles: Held::together(set.iter().cloned()),
                    tenant: tenant.clone(),
                }));
            }
        }
        people
    }
}

/// Some roles, and parts of them that are more than one.
fn parts(roles: &[String]) -> Vec<BTreeSet<String>> {
    let chosen = |is_in: &dyn Fn(usize) -> bool| -> BTreeSet<String> {
        roles.iter().enumerate().filter(|(index, _)| is_in(*index)).map(|(_, role)| role.clone()).collect()
    };
    let mut parts = Vec::new();
    if roles.len() <= MOST_PARTED {
        parts.extend((1..1_usize << roles.len()).map(|bits| chosen(&|index| bits >> index & 1 == 1)));
    } else {
        parts.push(chosen(&|_| true));
        for one in 0..roles.len() {
            parts.push(chosen(&|index| index != one));
            parts.extend((0..one).map(|other| chosen(&|index| index == one || index == other)));
        }
    }
    parts.retain(|part| part.len() > 1);
    parts
}

/// The roles that a `forbid` names which is not the same on both sides.
fn changed_forbids([before, after]: [&PolicyVersion; 2]) -> BTreeSet<String> {
    let of = |one: &PolicyVersion, other: &PolicyVersion| -> Vec<String> {
        let forbids = one.policies().policies().filter(|policy| policy.effect() == cedar::Effect::Forbid);
        let is_there = |policy: &cedar::Policy| {
            other.policies().policy(policy.id()).is_some_and(|other| same(policy, other))
        };
        forbids.filter(|policy| !is_there(policy)).flat_map(named_roles).collect()
    };
    of(before, after).into_iter().chain(of(after, before)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;
    use crate::bundle::source::SourceFiles;
    use crate::tools::scaffold::{NewApi, NewBundle, SOME_ROUTES, files};

    /// The sets of roles of two sides with the roles `a` to `f`, of which `a` includes `b`.
    fn sets(old: &str, new: &str, held: &[&[&str]]) -> (Vec<String>, usize) {
        let load = |policies: &str| {
            let (kind, api, account, id) = (NewApi::Rest, "shop", "123456789012", "a1b2c3d4e5");
            let new = NewBundle { api, kind, account, id, stage: "prod", routes: SOME_ROUTES };
            let mut source = SourceFiles::default();
            files(&new).unwrap().into_iter().for_each(|(path, text)| source.insert(path, text));
            let role = |name| format!("[{name}]\ndescription = \"A role.\"\n");
            let roles: String = ["b", "c", "d", "e", "f", "reader", "writer"].map(role).concat();
            source.insert("policies/v1/roles.toml", format!("{roles}{}includes = [\"b\"]\n", role("a")));
            source.insert("policies/v1/api.cedar", policies);
            Bundle::load(&source).unwrap_or_else(|errors| panic!("{errors}"))
        };
        let (old, new) = (load(old), load(new));
        let versions = [&old, &new].map(|bundle| bundle.policy_versions().next().unwrap());
        let held: Vec<Vec<String>> =
            held.iter().map(|roles| roles.iter().map(|role| (*role).to_owned()).collect()).collect();
        let sets = RoleSets::new(versions, [&[], &held]);
        let people = sets.people(&BTreeSet::new());
        let users = people.iter().take(people.len() / 2).map(|person| person.roles.as_str().to_owned());
        (users.collect(), sets.left_out)
    }

    fn naming(effect: &str, roles: &[&str]) -> String {
        let roles: Vec<String> = roles.iter().map(|role| format!("principal in Role::\"{role}\"")).collect();
        let id = roles.concat().replace(|char: char| !char.is_alphanumeric(), "-");
        format!(
            "@id(\"{effect}{id}\") {effect} (principal, action, resource) when {{ {} }};\n",
            roles.join(" && ")
        )
    }

    #[test]
    fn roles_count_together_that_are_named_held_or_forbidden() {
        let three = naming("permit", &["c", "d", "e"]);
        assert_eq!(sets(&three, &three, &[]).0, ["c + d", "c + e", "d + e", "c + d + e"]);
        assert_eq!(sets("", &naming("permit", &["c", "d"]), &[]).0, ["c + d"]);
        assert_eq!(sets("", "", &[&["d", "c"], &["c", "d", "gone"], &["e"]]).0, ["c + d"]);
        // Who has `a` has `b`.
        assert_eq!(sets("", "", &[&["a", "b"], &["a", "b", "c"], &["a", "c"]]).0, ["a + c"]);
        let forbid = naming("forbid", &["c"]);
        assert_eq!(sets(&forbid, &forbid, &[]).0, Vec::<String>::new());
        let with_forbidden = sets(&forbid, "", &[&["d", "e"]]).0;
        for set in ["c + d", "c + f", "a + c", "c + d + e", "d + e"] {
            assert!(with_forbidden.iter().any(|known| known == set), "{set} in {with_forbidden:?}");
        }
        assert_eq!(sets(&naming("permit", &["b", "c", "d", "e", "f"]), "", &[]).0.len(), 10 + 5 + 1);
    }
}
