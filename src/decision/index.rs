//! Which policies of a set can apply to a request, found by their scopes and not by asking each.
//!
//! A scope names at most one entity or type for the principal, one for the resource, and some for the action. Each policy
//! stands under two keys: one for its principal, and one for its action or its resource, whichever tells more. A request has
//! few keys – who asks and what it is in, what is asked and what that is in – so it looks up few pairs, however many policies
//! there are. What a key does not tell of the scope is tested on each policy that is found.

use std::collections::HashMap;

use cedar_policy as cedar;

/// The policies of a set, by scope; named by their place in the set's order.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeIndex {
    /// Entities and types that scopes name, each with a number from 1.
    uids: HashMap<cedar::EntityUid, u32>,
    types: HashMap<cedar::EntityTypeName, u32>,
    buckets: HashMap<u64, Vec<u32>>,
    rests: Vec<Rest>,
}

/// What is known of an entity to a [`ScopeIndex`]: the numbers under which its scopes may speak of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The number of its type.
    kind: Option<u32>,
    /// Its own.
    own: Option<u32>,
    /// Its own, and those of what it is in.
    within: Vec<u32>,
}

/// The action and the resource of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownTarget {
    action: Known,
    resource: Known,
    keys: Vec<Key>,
}

/// What a scope says beyond the keys that its policy stands under.
#[derive(Clone, Debug)]
struct Rest {
    principal_kind: Option<u32>,
    resource: Option<Part>,
    resource_kind: Option<u32>,
    action: Option<Vec<Part>>,
}

/// An entity or type that a scope names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Is(u32),
    Eq(u32),
    In(u32),
}

/// One of the two keys of a policy: 0 for anything, or the number of what is named and how.
type Key = u32;

const ANYTHING: Key = 0;

impl Part {
    const fn key(self) -> Key {
        match self {
            Self::Is(number) => number * 3,
            Self::Eq(number) => number * 3 + 1,
            Self::In(number) => number * 3 + 2,
        }
    }
}

impl ScopeIndex {
    /// Puts the policies of a set in order.
    pub(super) fn new<'p>(policies: impl IntoIterator<Item = &'p cedar::Policy>) -> Self {
        let mut index = Self::default();
        for policy in policies {
            index.add(policy);
        }
        index
    }

    fn add(&mut self, policy: &cedar::Policy) {
        let place = u32::try_from(self.rests.len()).unwrap_or(u32::MAX);
        let (principal, principal_kind) = match policy.principal_constraint() {
            cedar::PrincipalConstraint::Any => (ANYTHING, None),
            cedar::PrincipalConstraint::Is(kind) => (Part::Is(self.kind(&kind)).key(), None),
            cedar::PrincipalConstraint::Eq(uid) => (Part::Eq(self.uid(&uid)).key(), None),
            cedar::PrincipalConstraint::In(uid) => (Part::In(self.uid(&uid)).key(), None),
            cedar::PrincipalConstraint::IsIn(kind, uid) => {
                (Part::In(self.uid(&uid)).key(), Some(self.kind(&kind)))
            }
        };
        let (resource, resource_kind) = match policy.resource_constraint() {
            cedar::ResourceConstraint::Any => (None, None),
            cedar::ResourceConstraint::Is(kind) => (Some(Part::Is(self.kind(&kind))), None),
            cedar::ResourceConstraint::Eq(uid) => (Some(Part::Eq(self.uid(&uid))), None),
            cedar::ResourceConstraint::In(uid) => (Some(Part::In(self.uid(&uid))), None),
            cedar::ResourceConstraint::IsIn(kind, uid) => {
                (Some(Part::In(self.uid(&uid))), Some(self.kind(&kind)))
            }
        };
        let action = match policy.action_constraint() {
            cedar::ActionConstraint::Any => None,
            cedar::ActionConstraint::Eq(uid) => Some(vec![Part::Eq(self.uid(&uid))]),
            cedar::ActionConstraint::In(uids) => {
                Some(uids.iter().map(|uid| Part::In(self.uid(uid))).collect())
            }
        };
        // One action tells more than a resource, a resource more than groups of actions, and those more than nothing.
        let targets: Vec<Key> = match (&action, resource) {
            (Some(actions), _) if matches!(actions.as_slice(), [Part::Eq(_)]) => {
                actions.iter().map(|part| part.key()).collect()
            }
            (_, Some(resource)) => vec![resource.key()],
            (Some(actions), None) => actions.iter().map(|part| part.key()).collect(),
            (None, None) => vec![ANYTHING],
        };
        for target in targets {
            let bucket = self.buckets.entry(pair(principal, target)).or_default();
            if bucket.last() != Some(&place) {
                bucket.push(place);
            }
        }
        self.rests.push(Rest { principal_kind, resource, resource_kind, action });
    }

    /// What the scopes can tell of an entity that is in all of `ancestors`.
    pub(super) fn known<'u>(
        &self,
        uid: &cedar::EntityUid,
        ancestors: impl IntoIterator<Item = &'u cedar::EntityUid>,
    ) -> Known {
        let own = self.uids.get(uid).copied();
        let groups = ancestors.into_iter().filter_map(|group| self.uids.get(group).copied());
        Known {
            kind: self.types.get(uid.type_name()).copied(),
            own,
            within: own.into_iter().chain(groups).collect(),
        }
    }

    /// The same of what is asked for.
    pub(super) fn known_target(&self, action: Known, resource: Known) -> KnownTarget {
        let keys = [ANYTHING].into_iter().chain(resource.keys()).chain(action.keys()).collect();
        KnownTarget { action, resource, keys }
    }

    /// The places of the policies whose scope is true of a request, in their order, each once.
    pub(super) fn candidates(&self, principal: &Known, target: &KnownTarget) -> Vec<u32> {
        let mut found = Vec::with_capacity(8);
        for of_principal in [ANYTHING].into_iter().chain(principal.keys()) {
            for of_target in &target.keys {
                let bucket = self.buckets.get(&pair(of_principal, *of_target));
                let places = bucket.into_iter().flatten().copied();
                found.extend(places.filter(|place| self.is_met(*place, principal, target)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The places of the policies that can apply to what is asked for, whoever asks.
    pub(super) fn reachable(&self, target: &KnownTarget) -> impl Iterator<Item = usize> {
        let met = self.rests.iter().map(move |rest| rest.is_met_by(target));
        met.enumerate().filter_map(|(place, is_met)| is_met.then_some(place))
    }

    fn is_met(&self, place: u32, principal: &Known, target: &KnownTarget) -> bool {
        let rest = usize::try_from(place).ok().and_then(|place| self.rests.get(place));
        rest.is_some_and(|rest| {
            rest.principal_kind.is_none_or(|kind| principal.kind == Some(kind)) && rest.is_met_by(target)
        })
    }

    fn uid(&mut self, uid: &cedar::EntityUid) -> u32 {
        let next = self.next();
        *self.uids.entry(uid.clone()).or_insert(next)
    }

    fn kind(&mut self, kind: &cedar::EntityTypeName) -> u32 {
        let next = self.next();
        *self.types.entry(kind.clone()).or_insert(next)
    }

    fn next(&self) -> u32 {
        u32::try_from(self.uids.len() + self.types.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

impl Rest {
    fn is_met_by(&self, target: &KnownTarget) -> bool {
        self.resource_kind.is_none_or(|kind| target.resource.kind == Some(kind))
            && self.resource.is_none_or(|part| target.resource.meets(part))
            && self.action.as_ref().is_none_or(|parts| parts.iter().any(|part| target.action.meets(*part)))
    }
}

impl Known {
    fn keys(&self) -> impl Iterator<Item = Key> {
        let kind = self.kind.map(|kind| Part::Is(kind).key());
        let own = self.own.map(|own| Part::Eq(own).key());
        kind.into_iter().chain(own).chain(self.within.iter().map(|group| Part::In(*group).key()))
    }

    fn meets(&self, part: Part) -> bool {
        match part {
            Part::Is(kind) => self.kind == Some(kind),
            Part::Eq(uid) => self.own == Some(uid),
            Part::In(group) => self.within.contains(&group),
        }
    }
}

const fn pair(principal: Key, target: Key) -> u64 {
    (principal as u64) << 32 | target as u64
}
