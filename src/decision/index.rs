//! Which policies of a set can apply to a request, found by their scopes and not by asking each.
//!
//! A scope names at most one entity or type for the principal, one for the resource, and some for the action. Each policy
//! stands under two keys: one for its principal, and one for its action or its resource, whichever tells more. A request has
//! few keys – who asks and what it is in, what is asked and what that is in – so it looks up few pairs, however many policies
//! there are. What a key does not tell of the scope is tested on each policy that is found.
//!
//! # Laid out flat
//! The index is a [`Section`]: it is written once, and read where it lies, in a built bundle as in memory. All are numbers of
//! 32 bits, little-endian, and begin with where the parts begin:
//! ```text
//! names     slots of a hash table, each a hash and a number (0: free), so that a name that is not there is found to be so
//!           in one place; then by number, where the name stands in the texts
//! keys      by key of the principal: where its targets begin, and how many they are
//! targets   the key, where its places begin, and how many they are
//! pairs     slots of a hash table of the keys of principals with many targets: both keys, where their places begin, and how
//!           many they are (0: free)
//! places    of policies in the order of the set
//! scopes    by place: what the scope says beyond the two keys
//! actions   the keys of the actions that scopes name
//! texts     of entities: type, a zero byte, id; of types: the type
//! ```
//! A number of a name is found by the whole name, never by its hash alone.

use std::collections::{BTreeMap, HashMap};

use cedar_policy as cedar;

use crate::bundle::built::{Damaged, Section};

/// The policies of a set, by scope; named by their place in the set's order.
#[derive(Clone, Debug)]
pub(super) struct ScopeIndex {
    section: Section,
    layout: Layout,
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
    /// Sorted.
    keys: Vec<Key>,
}

/// An entity or type that a scope names, and how: 0 for anything, or three times the number of what is named and one of
/// [`IS`], [`EQ`] and [`IN`].
type Key = u32;

const ANYTHING: Key = 0;
const IS: u32 = 0;
const EQ: u32 = 1;
const IN: u32 = 2;

/// Of a number that stands in no index, any key: nothing is under it.
const fn key(number: u32, how: u32) -> Key {
    number.wrapping_mul(3).wrapping_add(how)
}

/// Up to so many targets of a principal's key are gone through.
const FEW_TARGETS: u32 = 16;

/// Where a pair of keys is looked for first.
const fn mixed(principal: Key, target: Key) -> u32 {
    let mixed = ((principal as u64) << 32 | target as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

/// In place of how many actions a scope names: it names none, and is met by any.
const ANY_ACTION: u32 = u32::MAX;

/// Bytes of what stands in the parts.
const SLOT: usize = 8;
const NAME: usize = 8;
const KEYED: usize = 8;
const TARGET: usize = 16;
const PAIR: usize = 16;
const SCOPE: usize = 32;

/// Where the parts begin, in bytes, and how many there are.
#[derive(Clone, Copy, Debug)]
struct Layout {
    policies: u32,
    slots: u32,
    slots_at: usize,
    names_at: usize,
    keys: u32,
    keys_at: usize,
    targets_at: usize,
    pairs: u32,
    pairs_at: usize,
    places_at: usize,
    scopes_at: usize,
    actions_at: usize,
    texts_at: usize,
}

/// What a scope says beyond the keys that its policy stands under.
#[derive(Clone, Copy, Debug)]
struct Rest {
    principal_kind: u32,
    resource: Key,
    resource_kind: u32,
    actions_at: u32,
    actions: u32,
}

impl ScopeIndex {
    /// Puts the policies of a set in order.
    ///
    /// # Errors
    /// [`Damaged`] where there are more than numbers.
    pub(super) fn new<'p>(policies: impl IntoIterator<Item = &'p cedar::Policy>) -> Result<Self, Damaged> {
        Self::open(Section::of_memory(write(policies)?))
    }

    /// The index that stands in a section.
    ///
    /// # Errors
    /// [`Damaged`] where none does.
    pub(super) fn open(section: Section) -> Result<Self, Damaged> {
        let [policies, slots, keys, pairs, parts @ ..] = section.numbers::<13>(0)?;
        if !slots.is_power_of_two() || !pairs.is_power_of_two() {
            return Err(Damaged::new("its index is none"));
        }
        let [slots_at, names_at, keys_at, targets_at, pairs_at, places_at, scopes_at, actions_at, texts_at] =
            parts.map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        let layout = Layout {
            policies,
            slots,
            slots_at,
            names_at,
            keys,
            keys_at,
            targets_at,
            pairs,
            pairs_at,
            places_at,
            scopes_at,
            actions_at,
            texts_at,
        };
        Ok(Self { section, layout })
    }

    /// Its bytes.
    #[cfg(feature = "cli")]
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Damaged> {
        self.section.all()
    }

    /// How many policies it knows.
    pub(super) fn len(&self) -> usize {
        self.layout.policies as usize
    }

    /// What the scopes can tell of an entity that is in all of `ancestors`.
    pub(super) fn known<'u>(
        &self,
        uid: &cedar::EntityUid,
        ancestors: impl IntoIterator<Item = &'u cedar::EntityUid>,
    ) -> Result<Known, Damaged> {
        let own = self.number(uid.type_name(), Some(uid.id()))?;
        let mut within: Vec<u32> = own.into_iter().collect();
        for group in ancestors {
            within.extend(self.number(group.type_name(), Some(group.id()))?);
        }
        Ok(Known { kind: self.number(uid.type_name(), None)?, own, within })
    }

    /// The same of what is asked for.
    pub(super) fn known_target(&self, action: Known, resource: Known) -> KnownTarget {
        let mut keys: Vec<Key> = [ANYTHING].into_iter().chain(resource.keys()).chain(action.keys()).collect();
        keys.sort_unstable();
        KnownTarget { action, resource, keys }
    }

    /// The places of the policies whose scope is true of a request, in their order, each once.
    pub(super) fn candidates(&self, principal: &Known, target: &KnownTarget) -> Result<Vec<usize>, Damaged> {
        let mut found = Vec::with_capacity(8);
        for of_principal in [ANYTHING].into_iter().chain(principal.keys()) {
            self.find(of_principal, principal, target, &mut found)?;
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The places of the policies that can apply to what is asked for, whoever asks.
    pub(super) fn reachable(&self, target: &KnownTarget) -> Result<Vec<usize>, Damaged> {
        let mut reachable = Vec::new();
        for place in 0..self.len() {
            if self.is_met_by(&self.rest(place)?, target)? {
                reachable.push(place);
            }
        }
        Ok(reachable)
    }

    /// The policies under one key of the principal, and any of the target.
    fn find(
        &self,
        of_principal: Key,
        principal: &Known,
        target: &KnownTarget,
        found: &mut Vec<usize>,
    ) -> Result<(), Damaged> {
        if of_principal >= self.layout.keys {
            return Ok(());
        }
        let [from, count] = self.section.numbers(self.layout.keys_at + of_principal as usize * KEYED)?;
        // Few are gone through; among many the few of the request are looked for.
        if count <= FEW_TARGETS {
            for number in from..from.saturating_add(count) {
                let [of_target, places @ ..] = self.target(number)?;
                if target.keys.binary_search(&of_target).is_ok() {
                    self.take(places, principal, target, found)?;
                }
            }
            return Ok(());
        }
        for of_target in &target.keys {
            let places = self.pair(of_principal, *of_target)?;
            self.take(places, principal, target, found)?;
        }
        Ok(())
    }

    /// Where the places of a pair of keys begin, and how many they are.
    fn pair(&self, of_principal: Key, of_target: Key) -> Result<[u32; 2], Damaged> {
        let (hash, last) = (mixed(of_principal, of_target), self.layout.pairs - 1);
        for step in 0..self.layout.pairs {
            let slot = hash.wrapping_add(step) & last;
            let [principal, target, from, count] =
                self.section.numbers(self.layout.pairs_at + slot as usize * PAIR)?;
            if count == 0 {
                break;
            }
            if (principal, target) == (of_principal, of_target) {
                return Ok([from, count]);
            }
        }
        Ok([0, 0])
    }

    /// Key, where its places begin, and how many they are.
    fn target(&self, number: u32) -> Result<[u32; 3], Damaged> {
        self.section.numbers(self.layout.targets_at + number as usize * TARGET)
    }

    /// Those places whose scope is true in all.
    fn take(
        &self,
        [from, count]: [u32; 2],
        principal: &Known,
        target: &KnownTarget,
        found: &mut Vec<usize>,
    ) -> Result<(), Damaged> {
        for number in from..from.saturating_add(count) {
            let [place] = self.section.numbers(self.layout.places_at + number as usize * 4)?;
            let place = place as usize;
            let rest = self.rest(place)?;
            let is_of_kind = rest.principal_kind == 0 || principal.kind == Some(rest.principal_kind);
            if is_of_kind && self.is_met_by(&rest, target)? {
                found.push(place);
            }
        }
        Ok(())
    }

    fn rest(&self, place: usize) -> Result<Rest, Damaged> {
        if place >= self.len() {
            return Err(Damaged::new("its index names a policy that is not there"));
        }
        let [principal_kind, resource, resource_kind, actions_at, actions] =
            self.section.numbers(self.layout.scopes_at + place * SCOPE)?;
        Ok(Rest { principal_kind, resource, resource_kind, actions_at, actions })
    }

    fn is_met_by(&self, rest: &Rest, target: &KnownTarget) -> Result<bool, Damaged> {
        let is_met = (rest.resource_kind == 0 || target.resource.kind == Some(rest.resource_kind))
            && (rest.resource == ANYTHING || target.resource.meets(rest.resource));
        if !is_met || rest.actions == ANY_ACTION {
            return Ok(is_met);
        }
        for number in rest.actions_at..rest.actions_at.saturating_add(rest.actions) {
            let [action] = self.section.numbers(self.layout.actions_at + number as usize * 4)?;
            if target.action.meets(action) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The number of an entity, or without an id of a type; `None` where no scope names it.
    fn number(
        &self,
        kind: &cedar::EntityTypeName,
        id: Option<&cedar::EntityId>,
    ) -> Result<Option<u32>, Damaged> {
        let text = NameText::of(kind, id);
        let hash = text.hash();
        let last = self.layout.slots - 1;
        for step in 0..self.layout.slots {
            let slot = hash.wrapping_add(step) & last;
            let [other, number] = self.section.numbers(self.layout.slots_at + slot as usize * SLOT)?;
            if number == 0 {
                return Ok(None);
            }
            if other == hash && self.is_named(number, &text)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn is_named(&self, number: u32, text: &NameText<'_>) -> Result<bool, Damaged> {
        let [at, length] = self.section.numbers(self.layout.names_at + number as usize * NAME)?;
        if length as usize != text.len() {
            return Ok(false);
        }
        Ok(text.is(&self.section.bytes(self.layout.texts_at + at as usize, length as usize)?))
    }
}

impl Known {
    fn keys(&self) -> impl Iterator<Item = Key> {
        let kind = self.kind.map(|kind| key(kind, IS));
        let own = self.own.map(|own| key(own, EQ));
        kind.into_iter().chain(own).chain(self.within.iter().map(|group| key(*group, IN)))
    }

    fn meets(&self, named: Key) -> bool {
        let (number, how) = (named / 3, named % 3);
        if how == IS {
            self.kind == Some(number)
        } else if how == EQ {
            self.own == Some(number)
        } else {
            self.within.contains(&number)
        }
    }
}

/// The name of an entity or of a type.
struct NameText<'n> {
    kind: std::borrow::Cow<'n, str>,
    id: Option<&'n str>,
}

impl<'n> NameText<'n> {
    fn of(kind: &'n cedar::EntityTypeName, id: Option<&'n cedar::EntityId>) -> Self {
        let kind = match kind.namespace_components().next() {
            None => kind.basename().into(),
            Some(_) => kind.to_string().into(),
        };
        Self { kind, id: id.map(cedar::EntityId::unescaped) }
    }

    fn len(&self) -> usize {
        self.kind.len() + self.id.map_or(0, |id| id.len() + 1)
    }

    /// FNV-1a, 32 bits, with a last stir. What is in the table its author chose; who asks cannot add to it.
    fn hash(&self) -> u32 {
        let id = self.id.into_iter().flat_map(|id| [0].into_iter().chain(id.bytes()));
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = self.kind.bytes().chain(id).fold(0x811c_9dc5, step);
        (hash ^ hash >> 15).wrapping_mul(0x85eb_ca6b) ^ hash >> 13
    }

    /// Whether that is the name. A type's name has no zero byte, so the first one ends it.
    fn is(&self, bytes: &[u8]) -> bool {
        match (bytes.strip_prefix(self.kind.as_bytes()), self.id) {
            (Some(rest), Some(id)) => {
                rest.split_first().is_some_and(|(zero, rest)| *zero == 0 && rest == id.as_bytes())
            }
            (Some(rest), None) => rest.is_empty(),
            (None, _) => false,
        }
    }

    fn write(&self, texts: &mut Vec<u8>) {
        texts.extend_from_slice(self.kind.as_bytes());
        if let Some(id) = self.id {
            texts.push(0);
            texts.extend_from_slice(id.as_bytes());
        }
    }
}

/// The index of policies in their order, as bytes.
fn write<'p>(policies: impl IntoIterator<Item = &'p cedar::Policy>) -> Result<Vec<u8>, Damaged> {
    let mut scopes = Scopes::default();
    for policy in policies {
        scopes.add(policy);
    }
    scopes.write().ok_or_else(|| Damaged::new("there are more policies than an index can hold"))
}

/// The scopes of policies while they are gathered.
#[derive(Default)]
struct Scopes {
    names: Names,
    buckets: BTreeMap<(Key, Key), Vec<u32>>,
    rests: Vec<Rest>,
    actions: Vec<Key>,
}

/// Entities and types that scopes name, each with a number from 1.
#[derive(Default)]
struct Names {
    numbers: HashMap<Vec<u8>, u32>,
    hashes: Vec<u32>,
    spans: Vec<[usize; 2]>,
    texts: Vec<u8>,
}

impl Names {
    fn number(&mut self, kind: &cedar::EntityTypeName, id: Option<&cedar::EntityId>) -> u32 {
        let name = NameText::of(kind, id);
        let mut text = Vec::with_capacity(name.len());
        name.write(&mut text);
        let next = u32::try_from(self.spans.len()).unwrap_or(u32::MAX).saturating_add(1);
        match self.numbers.get(&text) {
            Some(number) => *number,
            None => {
                self.hashes.push(name.hash());
                self.spans.push([self.texts.len(), text.len()]);
                self.texts.extend_from_slice(&text);
                self.numbers.insert(text, next);
                next
            }
        }
    }

    fn uid(&mut self, uid: &cedar::EntityUid) -> u32 {
        self.number(uid.type_name(), Some(uid.id()))
    }
}

impl Scopes {
    fn add(&mut self, policy: &cedar::Policy) {
        let place = u32::try_from(self.rests.len()).unwrap_or(u32::MAX);
        let names = &mut self.names;
        let (principal, principal_kind) = match policy.principal_constraint() {
            cedar::PrincipalConstraint::Any => (ANYTHING, 0),
            cedar::PrincipalConstraint::Is(kind) => (key(names.number(&kind, None), IS), 0),
            cedar::PrincipalConstraint::Eq(uid) => (key(names.uid(&uid), EQ), 0),
            cedar::PrincipalConstraint::In(uid) => (key(names.uid(&uid), IN), 0),
            cedar::PrincipalConstraint::IsIn(kind, uid) => {
                (key(names.uid(&uid), IN), names.number(&kind, None))
            }
        };
        let (resource, resource_kind) = match policy.resource_constraint() {
            cedar::ResourceConstraint::Any => (ANYTHING, 0),
            cedar::ResourceConstraint::Is(kind) => (key(names.number(&kind, None), IS), 0),
            cedar::ResourceConstraint::Eq(uid) => (key(names.uid(&uid), EQ), 0),
            cedar::ResourceConstraint::In(uid) => (key(names.uid(&uid), IN), 0),
            cedar::ResourceConstraint::IsIn(kind, uid) => {
                (key(names.uid(&uid), IN), names.number(&kind, None))
            }
        };
        let action: Option<Vec<Key>> = match policy.action_constraint() {
            cedar::ActionConstraint::Any => None,
            cedar::ActionConstraint::Eq(uid) => Some(vec![key(names.uid(&uid), EQ)]),
            cedar::ActionConstraint::In(uids) => {
                Some(uids.iter().map(|uid| key(names.uid(uid), IN)).collect())
            }
        };
        // One action tells more than a resource, a resource more than groups of actions, and those more than nothing.
        let targets: Vec<Key> = match (&action, resource) {
            (Some(actions), _) if matches!(actions.as_slice(), [one] if one % 3 == EQ) => actions.clone(),
            (Some(actions), ANYTHING) => actions.clone(),
            (None, ANYTHING) => vec![ANYTHING],
            (_, resource) => vec![resource],
        };
        for target in targets {
            let bucket = self.buckets.entry((principal, target)).or_default();
            if bucket.last() != Some(&place) {
                bucket.push(place);
            }
        }
        let actions_at = u32::try_from(self.actions.len()).unwrap_or(u32::MAX);
        let actions = match &action {
            None => ANY_ACTION,
            Some(named) => u32::try_from(named.len()).unwrap_or(ANY_ACTION - 1),
        };
        self.actions.extend(action.into_iter().flatten());
        self.rests.push(Rest { principal_kind, resource, resource_kind, actions_at, actions });
    }

    /// All parts, one behind the other; `None` where a number is too large.
    fn write(self) -> Option<Vec<u8>> {
        let Self { names, buckets, rests, actions } = self;
        let numbered: Vec<[u32; 2]> =
            names.hashes.iter().copied().zip(1..).map(|(hash, number)| [hash, number]).collect();
        let slots = hashed(&numbered, [0; 2], |[hash, _]| *hash)?;
        let keys = u32::try_from(names.spans.len()).ok()?.checked_add(1)?.checked_mul(3)?;
        let mut keyed: Vec<[u32; 2]> = vec![[0, 0]; keys as usize];
        let (mut targets, mut places) = (Vec::<[u32; 4]>::new(), Vec::<u32>::new());
        let mut pairs = Vec::new();
        for ((principal, target), of_both) in buckets {
            let number = u32::try_from(targets.len()).ok()?;
            let [from, count] = keyed.get_mut(principal as usize)?;
            if *count == 0 {
                *from = number;
            }
            *count += 1;
            let of_both_at = u32::try_from(places.len()).ok()?;
            let of_both_count = u32::try_from(of_both.len()).ok()?;
            targets.push([target, of_both_at, of_both_count, 0]);
            pairs.push([principal, target, of_both_at, of_both_count]);
            places.extend(of_both);
        }
        pairs.retain(|[principal, ..]| {
            keyed.get(*principal as usize).is_some_and(|[_, count]| *count > FEW_TARGETS)
        });
        let pairs = hashed(&pairs, [0; 4], |[principal, target, ..]| mixed(*principal, *target))?;
        let spans = std::iter::once([0, 0]).chain(names.spans);
        let spans: Vec<[u32; 2]> = spans
            .map(|[at, length]| Some([u32::try_from(at).ok()?, u32::try_from(length).ok()?]))
            .collect::<Option<_>>()?;
        let scopes = rests.iter().map(|rest| {
            [rest.principal_kind, rest.resource, rest.resource_kind, rest.actions_at, rest.actions, 0, 0, 0]
        });
        let parts: [Vec<u8>; 9] = [
            bytes(slots.iter().flatten()),
            bytes(spans.iter().flatten()),
            bytes(keyed.iter().flatten()),
            bytes(targets.iter().flatten()),
            bytes(pairs.iter().flatten()),
            bytes(&places),
            bytes(scopes.collect::<Vec<_>>().iter().flatten()),
            bytes(&actions),
            names.texts,
        ];
        let counts = [rests.len(), slots.len(), keyed.len(), pairs.len()];
        let mut head: Vec<u32> =
            counts.iter().map(|count| u32::try_from(*count).ok()).collect::<Option<_>>()?;
        // The longest of the records that are read at once must not go over the end of a block.
        let mut at = SCOPE * 2;
        for part in &parts {
            head.push(u32::try_from(at).ok()?);
            at = (at + part.len()).next_multiple_of(SCOPE);
        }
        let mut written = bytes(&head);
        for part in parts {
            written.resize(written.len().next_multiple_of(SCOPE).max(SCOPE * 2), 0);
            written.extend(part);
        }
        Some(written)
    }
}

/// A hash table that is at most half full.
fn hashed<const N: usize>(
    records: &[[u32; N]],
    free: [u32; N],
    hash: impl Fn(&[u32; N]) -> u32,
) -> Option<Vec<[u32; N]>> {
    let slots = (records.len() * 2).max(2).next_power_of_two();
    let mut table = vec![free; slots];
    let last = u32::try_from(slots).ok()? - 1;
    for record in records {
        let mut slot = hash(record) & last;
        while table.get(slot as usize)? != &free {
            slot = slot.wrapping_add(1) & last;
        }
        *table.get_mut(slot as usize)? = *record;
    }
    Some(table)
}

fn bytes<'n>(numbers: impl IntoIterator<Item = &'n u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| number.to_le_bytes()).collect()
}
