//! Who may do what: for each operation of a stage and for everyone whom the policies tell apart by their roles, allow, deny,
//! or the condition under which it is allowed.
//!
//! A cell is worked out from the policies whose scopes match: what is left of them ([`condition`](super::condition)) says
//! for every request of those people what Cedar says, the authorizer's rule included that a policy which cannot be
//! evaluated makes the answer a deny.

mod html;
mod written;

pub use html::page;
pub use written::{Facts, Line, PolicyFacts, code, csv, lines, markdown, plain};

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use cedar_policy as cedar;
use cedar_policy::pst::EntityUID;

use crate::entities::Principal;
use crate::route::OperationId;

use super::condition::{Condition, KnownOperation, KnownPrincipal, ReadPolicy};
use super::desk::Desk;
use super::people::{Held, KINDS, Person};

/// Who may do what in one stage under one version of the policies.
#[derive(Debug)]
pub struct Matrix {
    people: Vec<Person>,
    /// Whether somebody was left out, so that nobody is called everyone.
    is_part: bool,
    rows: Vec<Row>,
}

/// What everyone may do with one operation.
#[derive(Debug)]
pub struct Row {
    /// The operation.
    pub operation: OperationId,
    /// The different cells.
    cells: Vec<Cell>,
    /// The index of each person's cell.
    of: Vec<usize>,
}

/// What somebody may do with an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// In one word, or with its condition.
    pub may: May,
    /// The permits that can apply.
    pub permits: Vec<Part>,
    /// The forbids that can apply.
    pub forbids: Vec<Part>,
}

/// The answer of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum May {
    /// Every request is allowed.
    Always,
    /// None is.
    Never,
    /// Those are for which `when` is true and `unless` is not; where one of them fails, it is a deny.
    If(Box<Terms>),
}

/// The condition of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What must be true.
    pub when: Condition,
    /// What must not be.
    pub unless: Condition,
}

/// What one policy has to do with a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The policy's id.
    pub policy: String,
    /// When it applies.
    pub condition: Condition,
}

/// A policy of a form that cannot be looked into, which no loaded bundle has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy `{0}` cannot be looked into")]
pub struct MatrixError(String);

impl Matrix {
    /// What `people` may do in a stage with the operations that `is_asked` names.
    ///
    /// # Errors
    /// [`MatrixError`]
    pub fn new(
        desk: &Desk<'_>,
        people: Vec<Person>,
        is_asked: &dyn Fn(OperationId) -> bool,
    ) -> Result<Self, MatrixError> {
        let (vocabulary, roles) = (desk.bundle().vocabulary(), &desk.version().roles);
        let known = people.iter().map(|person| KnownPrincipal::new(person, vocabulary, roles)).collect();
        Self::of_known(desk, people, known, is_asked)
    }

    /// The same for principals with a name and attributes of their own.
    ///
    /// # Errors
    /// [`MatrixError`]
    pub fn of_principals(
        desk: &Desk<'_>,
        principals: Vec<(Person, Principal)>,
        is_asked: &dyn Fn(OperationId) -> bool,
    ) -> Result<Self, MatrixError> {
        let known = principals.iter().map(|(_, entity)| KnownPrincipal::of_entity(entity.entity())).collect();
        let people = principals.into_iter().map(|(person, _)| person).collect();
        Self::of_known(desk, people, known, is_asked)
    }

    fn of_known(
        desk: &Desk<'_>,
        people: Vec<Person>,
        known: Option<Vec<KnownPrincipal>>,
        is_asked: &dyn Fn(OperationId) -> bool,
    ) -> Result<Self, MatrixError> {
        let vocabulary = desk.bundle().vocabulary();
        let unreadable = |what: &str| MatrixError(what.to_owned());
        // A policy can apply to many operations, and is looked into once.
        let read: Option<HashMap<cedar::PolicyId, ReadPolicy>> = (desk.version().policies().policies())
            .map(|policy| Some((policy.id().clone(), ReadPolicy::new(policy)?)))
            .collect();
        let read = read.ok_or_else(|| unreadable(&desk.version().name))?;
        let known = known.ok_or_else(|| unreadable(&desk.version().name))?;
        let mut rows = Vec::new();
        for operation in desk.operations().iter().filter(|operation| is_asked(operation.id())) {
            let (entities, slice) =
                desk.operation(operation.id()).ok_or_else(|| unreadable(operation.name()))?;
            let place = (desk.api().name.as_str(), desk.stage());
            let asked = KnownOperation::new(operation, entities, place, vocabulary)
                .ok_or_else(|| unreadable(operation.name()))?;
            let mut policies: Vec<&ReadPolicy> =
                slice.policies().filter_map(|policy| read.get(policy.id())).collect();
            policies.sort_by(|one, other| one.id.cmp(&other.id));
            rows.push(Row::new(operation.id(), &asked, &policies, &known));
        }
        Ok(Self { people, is_part: false, rows })
    }

    /// The same for those of the people alone for whom `is_shown` says so.
    #[must_use]
    pub fn of_people(mut self, is_shown: &dyn Fn(&Person) -> bool) -> Self {
        let shown: Vec<bool> = self.people.iter().map(is_shown).collect();
        self.is_part |= shown.contains(&false);
        let mut keep = shown.iter();
        self.people.retain(|_| keep.next().copied().unwrap_or(false));
        for row in &mut self.rows {
            let mut keep = shown.iter();
            row.of.retain(|_| keep.next().copied().unwrap_or(false));
        }
        self
    }

    /// The people.
    #[must_use]
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// The operations, in the order of the route table.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of an operation.
    #[must_use]
    pub fn row(&self, operation: OperationId) -> Option<&Row> {
        let index = self.rows.binary_search_by_key(&operation, |row| row.operation).ok()?;
        self.rows.get(index)
    }

    /// The people in groups that no cell tells apart, each by their indices; in the order of the first of each.
    #[must_use]
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        for person in 0..self.people.len() {
            let column = self.rows.iter().filter_map(|row| row.of.get(person).copied()).collect();
            let group = *known.entry(column).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(group) {
                group.push(person);
            }
        }
        groups
    }

    /// Some of the people in words, as short as they can be: `admin, clerk (not of globex)`.
    #[must_use]
    pub fn who(&self, some: &[usize]) -> String {
        who(&self.people, some, !self.is_part)
    }
}

impl Row {
    fn new(
        operation: OperationId,
        asked: &KnownOperation,
        policies: &[&ReadPolicy],
        people: &[KnownPrincipal],
    ) -> Self {
        let mut named: Vec<EntityUID> = Vec::new();
        for policy in policies {
            policy.visit_entities(&mut |uid| {
                if !named.contains(uid) {
                    named.push(uid.clone());
                }
            });
        }
        let mut row = Self { operation, cells: Vec::new(), of: Vec::with_capacity(people.len()) };
        // Whom the policies cannot tell apart share a cell.
        let mut known: HashMap<_, usize> = HashMap::new();
        for person in people {
            let cell = *known.entry(person.signature(&named)).or_insert_with(|| {
                let cell = Cell::new(policies.iter().copied(), person, asked);
                row.cells.iter().position(|known| *known == cell).unwrap_or_else(|| {
                    row.cells.push(cell);
                    row.cells.len() - 1
                })
            });
            row.of.push(cell);
        }
        row
    }

    /// Each person's cell, in the order of [`Matrix::people`].
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.of.iter().filter_map(|index| self.cells.get(*index))
    }

    /// A person's cell.
    #[must_use]
    pub fn cell(&self, person: usize) -> Option<&Cell> {
        self.cells.get(*self.of.get(person)?)
    }

    /// Which of the different cells a person's is.
    pub(super) fn index(&self, person: usize) -> Option<usize> {
        self.of.get(person).copied()
    }

    /// The different cells, by their indices.
    fn different(&self) -> &[Cell] {
        &self.cells
    }

    /// The different cells, each with those whose cell it is.
    pub fn shared(&self) -> impl Iterator<Item = (&Cell, Vec<usize>)> {
        let mut people: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (person, cell) in self.of.iter().enumerate() {
            people.entry(*cell).or_default().push(person);
        }
        people.into_iter().filter_map(|(cell, people)| Some((self.cells.get(cell)?, people)))
    }
}

impl Cell {
    fn new<'p>(
        policies: impl Iterator<Item = &'p ReadPolicy>,
        person: &KnownPrincipal,
        asked: &KnownOperation,
    ) -> Self {
        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for policy in policies {
            let condition = policy.left(person, asked);
            if condition.is_false() {
                continue;
            }
            let part = Part { policy: policy.id.clone(), condition };
            match policy.effect {
                cedar::Effect::Permit => permits.push(part),
                cedar::Effect::Forbid => forbids.push(part),
            }
        }
        Self { may: May::of(&permits, &forbids), permits, forbids }
    }

    /// The policies that decide it, or of which it depends, sorted. None where nothing permits it.
    #[must_use]
    pub fn deciding(&self) -> Vec<&str> {
        let certain = |parts: &'_ [Part], is_certain: bool| {
            let parts = parts.iter().filter(move |part| !is_certain || part.condition.is_true());
            parts.map(|part| part.policy.clone()).collect::<Vec<_>>()
        };
        let names = match &self.may {
            May::Always => certain(&self.permits, true),
            May::Never => certain(&self.forbids, true),
            May::If(_) => [certain(&self.permits, false), certain(&self.forbids, false)].concat(),
        };
        let parts = self.permits.iter().chain(&self.forbids).map(|part| part.policy.as_str());
        let mut deciding: Vec<&str> = parts.filter(|name| names.iter().any(|known| known == name)).collect();
        deciding.sort_unstable();
        deciding
    }
}

impl May {
    fn of(permits: &[Part], forbids: &[Part]) -> Self {
        let is_forbidden = forbids.iter().any(|part| part.condition.is_true());
        if permits.is_empty() || is_forbidden {
            return Self::Never;
        }
        let unless =
            forbids.iter().map(|part| part.condition.clone()).fold(Condition::of(false), Condition::any);
        // What may fail comes first, so that none of it is passed over; of several each but the first is looked at in any
        // case, because a failure is a deny.
        let (may_fail, safe): (Vec<&Condition>, Vec<&Condition>) =
            permits.iter().map(|part| &part.condition).partition(|condition| condition.may_fail());
        let any = may_fail.iter().chain(&safe).map(|condition| (*condition).clone());
        let any = any.fold(Condition::of(false), Condition::any);
        let when = may_fail
            .iter()
            .skip(1)
            .fold(any, |when, condition| when.and((*condition).clone().or(Condition::of(true))));
        let (when, unless) = match (permits, when.may_fail()) {
            ([_], false) => {
                let (when, but) = when.when_and_unless();
                (when, Condition::any(but, unless))
            }
            _ => (when, unless),
        };
        match when.is_true() && unless.is_false() {
            true => Self::Always,
            false => Self::If(Box::new(Terms { when, unless })),
        }
    }

    /// Whether the two are the same but for the order in which their conditions are written.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::If(one), Self::If(other)) => {
                one.when.says_the_same(&other.when) && one.unless.says_the_same(&other.unless)
            }
            (one, other) => one == other,
        }
    }

    /// `allow`, `deny` or `if`: for machines.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Always => "allow",
            Self::Never => "deny",
            Self::If(_) => "if",
        }
    }
}

/// `allow`, `deny`, `if principal.sub == context.params.userId`, `unless context.params.orderId like "archive-*"`
impl fmt::Display for May {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always | Self::Never => f.write_str(self.word()),
            Self::If(terms) => terms.fmt(f),
        }
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.when.is_true(), self.unless.is_false()) {
            (true, _) => write!(f, "unless {}", self.unless),
            (false, true) => write!(f, "if {}", self.when),
            (false, false) => write!(f, "if {} unless {}", self.when, self.unless),
        }
    }
}

impl Terms {
    /// The conditions as Cedar writes them behind a policy's scope: `when { … } unless { … }`.
    #[must_use]
    pub fn to_cedar(&self) -> String {
        let when = (!self.when.is_true()).then(|| format!("when {{ {} }}", self.when));
        let unless = (!self.unless.is_false()).then(|| format!("unless {{ {} }}", self.unless));
        when.into_iter().chain(unless).collect::<Vec<_>>().join(" ")
    }
}

/// Some of the people in words. Where `may_be_everyone`, all roles together are called everyone.
pub(super) fn who(people: &[Person], some: &[usize], may_be_everyone: bool) -> String {
    let is_named =
        |index: &&usize| people.get(**index).is_some_and(|person| matches!(person.roles, Held::Named { .. }));
    if some.iter().any(|index| is_named(&index)) {
        let named = some.iter().filter(is_named).filter_map(|index| people.get(*index));
        return named.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    }
    let mut held: Vec<&Held> = Vec::new();
    let mut tenants: Vec<Option<&str>> = Vec::new();
    for person in people {
        if !held.contains(&&person.roles) {
            held.push(&person.roles);
        }
        if !tenants.contains(&person.tenant.as_deref()) {
            tenants.push(person.tenant.as_deref());
        }
    }
    // For each tenant what is selected of each kind, in words.
    let in_words = |tenant: Option<&str>| {
        let [users, clients] = KINDS.map(|kind| {
            let roles: Vec<&Held> = some
                .iter()
                .filter_map(|index| people.get(*index))
                .filter(|person| person.kind == kind && person.tenant.as_deref() == tenant)
                .map(|person| &person.roles)
                .collect();
            match roles.len() == held.len() && may_be_everyone {
                true => "everyone".to_owned(),
                false => roles.iter().map(|held| held.as_str()).collect::<Vec<_>>().join(", "),
            }
        });
        match (users.is_empty(), clients.is_empty()) {
            (true, true) => String::new(),
            _ if users == clients => users,
            (false, true) => format!("User: {users}"),
            (true, false) => format!("Client: {clients}"),
            (false, false) => format!("User: {users}; Client: {clients}"),
        }
    };
    let mut texts: Vec<(String, Vec<Option<&str>>)> = Vec::new();
    for tenant in &tenants {
        let text = in_words(*tenant);
        match texts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, of)) => of.push(*tenant),
            None => texts.push((text, vec![*tenant])),
        }
    }
    let named = |of: &[Option<&str>]| of.iter().flatten().copied().collect::<Vec<_>>().join(", ");
    let said = texts.iter().filter(|(text, _)| !text.is_empty()).map(|(text, of)| match of.contains(&None) {
        _ if of.len() == tenants.len() => text.clone(),
        true => {
            let others: Vec<Option<&str>> =
                tenants.iter().filter(|tenant| !of.contains(tenant)).copied().collect();
            format!("{text} (not of {})", named(&others))
        }
        false => format!("{text} (of {})", named(of)),
    });
    said.collect::<Vec<_>>().join("; ")
}

impl Held {
    /// In words: `no role`, the role's name, `every role`; or the principal's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Nothing => "no role",
            Self::One(role) => role,
            Self::Everything => "every role",
            Self::Together { name, .. } | Self::Named { name, .. } => name,
        }
    }
}
