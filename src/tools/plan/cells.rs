//! The decisions that change: cell by cell of the two matrices, with a request for each change that both sides decided.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::arn::Verb;
use crate::decision::Effect;
use crate::path::RequestPath;
use crate::route::{Operation, OperationId, Segment, TemplateKind};

use super::super::cases::{Case, Cases};
use super::super::condition::Condition;
use super::super::desk::{AskError, Desk, Target};
use super::super::matrix::{Cell, Matrix, May, who};
use super::super::people::{Person, named_tenants};
use super::{Effort, PlanError, Verdict};

/// Some people may do something with an operation that they might not before, or the other way round.
#[derive(Clone, Debug)]
pub struct Change {
    /// The operation's name; the old one's where it was removed.
    pub operation: String,
    /// Who.
    pub who: String,
    /// How many of the people.
    pub people: usize,
    /// Whether they may do more, less, or something of each.
    pub verdict: Verdict,
    /// What they might do, and what they may.
    pub may: [String; 2],
    /// The policies that decided, and that decide.
    pub deciding: [Vec<String>; 2],
    /// How many requests were decided by both sides to find it; `None` where it is exact.
    pub cases: Option<usize>,
    /// A request for each direction in which it changes.
    pub examples: Vec<Example>,
}

/// A request that one side allows and the other does not; both were asked.
#[derive(Clone, Debug)]
pub struct Example {
    /// Who asks.
    pub person: Person,
    /// What else is known of them and of the request, where it matters.
    pub case: Case,
    /// The verb; `None` for a WebSocket's connect.
    pub verb: Option<Verb>,
    /// What each side says.
    pub asked: [Asked; 2],
}

/// What a side says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Allow or deny.
    pub effect: Effect,
    /// The policies that determined it, or could not be evaluated.
    pub policies: Vec<String>,
    /// Whether the side has an operation that serves it.
    pub is_served: bool,
}

/// How cells were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// All cells: one for each of the people and each operation.
    pub cells: usize,
    /// Those of them whose conditions differ, so that they were compared by generated requests alone.
    pub by_cases: usize,
    /// How many requests that were, each decided by both sides.
    pub requests: usize,
    /// The cells that were compared by requests and showed no difference, which is no proof: operation and people.
    pub alike_as_far_as_seen: usize,
}

/// A side: its name, its stage, and who may do what in it.
struct Board<'d, 'b> {
    desk: &'d Desk<'b>,
    matrix: Matrix,
}

/// Compares two stages.
pub(super) fn compare(
    (old_name, old): (&str, &Desk<'_>),
    (new_name, new): (&str, &Desk<'_>),
    effort: Effort,
) -> Result<(Vec<Change>, Compared), PlanError> {
    let roles: BTreeSet<&str> = old.version().roles.names().chain(new.version().roles.names()).collect();
    let tenants: BTreeSet<String> =
        named_tenants(old.version()).into_iter().chain(named_tenants(new.version())).collect();
    let people = Person::all(roles, tenants);
    let board = |name: &str, desk| match Matrix::new(desk, people.clone(), &|_| true) {
        Ok(matrix) => Ok(Board { desk, matrix }),
        Err(error) => Err(PlanError::Matrix { side: name.to_owned(), error }),
    };
    let (old, new) = (board(old_name, old)?, board(new_name, new)?);
    let groups = groups(&old, &new);
    let searched = groups.iter().filter(|group| group.is_open()).count();
    let each = effort.each.min(effort.all / searched.max(1)).max(1);
    let mut compared =
        Compared { cells: groups.iter().map(|group| group.people.len()).sum(), ..Compared::default() };
    let mut changes: Vec<Change> = Vec::new();
    for group in &groups {
        let Some(found) = group.compare(&old, &new, each) else { continue };
        if group.is_open() {
            compared.by_cases += group.people.len();
            compared.requests += found.cases;
            compared.alike_as_far_as_seen +=
                if found.verdict == Verdict::Same { group.people.len() } else { 0 };
        }
        if found.verdict != Verdict::Same {
            changes.push(group.change(&people, found));
        }
    }
    let order = |verdict: Verdict| match verdict {
        Verdict::Wider => 0,
        Verdict::Both => 1,
        Verdict::Narrower => 2,
        Verdict::Same => 3,
    };
    // The sort keeps the order of the route table.
    changes.sort_by_key(|change| order(change.verdict));
    Ok((changes, compared))
}

/// People whose cells of an operation are the same before, and the same after.
struct Group<'m> {
    operation: &'m Operation,
    cells: [Option<&'m Cell>; 2],
    people: Vec<usize>,
    route: SameRoute,
}

/// What the routes of the two operations have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SameRoute {
    /// The template: the same requests, with the same parameters.
    Template,
    /// What it matches; the parameters have other names.
    Requests,
    /// Some requests, as far as is known.
    Some,
}

/// What came of comparing the cells of a group.
struct Found {
    verdict: Verdict,
    cases: usize,
    examples: Vec<Example>,
}

fn groups<'m>(old: &'m Board<'_, 'm>, new: &'m Board<'_, 'm>) -> Vec<Group<'m>> {
    let shaped: HashMap<(Option<&str>, String), OperationId> =
        old.desk.operations().iter().map(|operation| (shape(operation), operation.id())).collect();
    let mut taken: BTreeSet<OperationId> = BTreeSet::new();
    let mut groups = Vec::new();
    for operation in new.desk.operations() {
        let same = shaped.get(&shape(operation)).copied();
        taken.extend(same);
        let before = same.or_else(|| served_by(operation, old.desk));
        let row = before.and_then(|before| old.matrix.row(before));
        let template = same.and_then(|id| old.desk.operations().get(id.index())).map(Operation::template);
        let route = match template {
            Some(template) if template == operation.template() => SameRoute::Template,
            Some(_) => SameRoute::Requests,
            None => SameRoute::Some,
        };
        group_row(operation, [row, new.matrix.row(operation.id())], route, &mut groups);
    }
    for operation in old.desk.operations().iter().filter(|operation| !taken.contains(&operation.id())) {
        let row = served_by(operation, new.desk).and_then(|after| new.matrix.row(after));
        group_row(operation, [old.matrix.row(operation.id()), row], SameRoute::Some, &mut groups);
    }
    groups
}

fn group_row<'m>(
    operation: &'m Operation,
    rows: [Option<&'m super::super::matrix::Row>; 2],
    route: SameRoute,
    groups: &mut Vec<Group<'m>>,
) {
    let people = rows.iter().flatten().map(|row| row.cells().count()).max().unwrap_or_default();
    let mut known: BTreeMap<[Option<usize>; 2], Group<'m>> = BTreeMap::new();
    for person in 0..people {
        let key = rows.map(|row| row.and_then(|row| row.index(person)));
        let cells = rows.map(|row| row.and_then(|row| row.cell(person)));
        known
            .entry(key)
            .or_insert_with(|| Group { operation, cells, people: Vec::new(), route })
            .people
            .push(person);
    }
    groups.extend(known.into_values());
}

/// Verb and template, whatever the parameters are called.
fn shape(operation: &Operation) -> (Option<&str>, String) {
    let template = operation.template();
    let text = match template.kind() {
        TemplateKind::Default | TemplateKind::Connect => template.as_str().to_owned(),
        TemplateKind::Path => template
            .segments()
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Parameter(_) => "/{}".to_owned(),
                Segment::Greedy(_) => "/{+}".to_owned(),
            })
            .collect(),
    };
    (operation.verb().map(Verb::as_str), text)
}

/// The operation of a stage that serves what an operation of the other side serves, or some of it.
fn served_by(operation: &Operation, desk: &Desk<'_>) -> Option<OperationId> {
    let path: String = operation
        .template()
        .segments()
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => format!("/{text}"),
            Segment::Parameter(_) | Segment::Greedy(_) => "/x1".to_owned(),
        })
        .collect();
    let path: RequestPath = if path.is_empty() { "/" } else { &path }.parse().ok()?;
    let matched = match operation.verb() {
        Some(verb) => desk.route(Target::Method(verb, &path)),
        None => desk.route(Target::Connect),
    };
    matched.map(|matched| matched.operation().id())
}

impl Group<'_> {
    fn may(&self) -> [&May; 2] {
        self.cells.map(|cell| cell.map_or(&May::Never, |cell| &cell.may))
    }

    /// Whether no rule says what differs, so that requests are tried.
    fn is_open(&self) -> bool {
        match self.may() {
            [May::Always, May::Always] | [May::Never, May::Never] => false,
            [May::Always, May::Never] | [May::Never, May::Always] => {
                self.route == SameRoute::Some && self.is_served_by_both()
            }
            [one, other] => self.route != SameRoute::Template || !one.says_the_same(other),
        }
    }

    fn is_served_by_both(&self) -> bool {
        self.cells.iter().all(Option::is_some)
    }

    /// `None` where nothing differs.
    fn compare(&self, old: &Board<'_, '_>, new: &Board<'_, '_>, most: usize) -> Option<Found> {
        let [before, after] = self.may();
        let certain = match (before, after, self.is_open()) {
            (May::Never, May::Always, false) => Some(Verdict::Wider),
            (May::Always, May::Never, false) => Some(Verdict::Narrower),
            (_, _, false) => return None,
            (_, _, true) => None,
        };
        // What one side never allows can only widen, and so on.
        let (can_widen, can_narrow) =
            (*before != May::Always && *after != May::Never, *before != May::Never && *after != May::Always);
        let conditions: Vec<&Condition> = self
            .cells
            .iter()
            .flatten()
            .flat_map(|cell| cell.permits.iter().chain(&cell.forbids))
            .map(|part| &part.condition)
            .collect();
        let person = old.matrix.people().get(*self.people.first()?)?;
        let vocabulary = new.desk.bundle().vocabulary();
        let cases = Cases::new(&conditions, person, self.operation, vocabulary);
        let (mut wider, mut narrower, mut tried) = (None, None, 0);
        for case in cases.up_to(most) {
            if (!can_widen || wider.is_some()) && (!can_narrow || narrower.is_some()) {
                break;
            }
            let (Some(before), Some(after)) =
                (ask(old.desk, person, self.operation, &case), ask(new.desk, person, self.operation, &case))
            else {
                continue;
            };
            tried += 1;
            let found = match (before.effect, after.effect) {
                (Effect::Deny, Effect::Allow) => &mut wider,
                (Effect::Allow, Effect::Deny) => &mut narrower,
                (Effect::Allow, Effect::Allow) | (Effect::Deny, Effect::Deny) => continue,
            };
            if found.is_none() {
                let (person, verb) = (person.clone(), self.operation.verb().cloned());
                *found = Some(Example { person, case, verb, asked: [before, after] });
            }
        }
        let seen = match (&wider, &narrower) {
            (None, None) => Verdict::Same,
            (Some(_), None) => Verdict::Wider,
            (None, Some(_)) => Verdict::Narrower,
            (Some(_), Some(_)) => Verdict::Both,
        };
        let examples = wider.into_iter().chain(narrower).collect();
        Some(Found { verdict: certain.unwrap_or(seen), cases: tried, examples })
    }

    fn change(&self, people: &[Person], found: Found) -> Change {
        let deciding = self.cells.map(|cell| {
            let deciding = cell.map(Cell::deciding).unwrap_or_default();
            deciding.into_iter().map(str::to_owned).collect()
        });
        let may =
            self.cells.map(|cell| cell.map_or_else(|| "not served".to_owned(), |cell| cell.may.to_string()));
        Change {
            operation: self.operation.name().to_owned(),
            who: who(people, &self.people, true),
            people: self.people.len(),
            verdict: found.verdict,
            may,
            deciding,
            cases: self.is_open().then_some(found.cases),
            examples: found.examples,
        }
    }
}

/// What a stage says to a case; `None` where the request cannot be made.
fn ask(desk: &Desk<'_>, person: &Person, operation: &Operation, case: &Case) -> Option<Asked> {
    let roles = &desk.version().roles;
    let entity = person.entity(&case.id, &case.attributes, desk.bundle().vocabulary(), roles).ok()?;
    let target = match (operation.verb(), &case.path) {
        (Some(verb), Some(path)) => Target::Method(verb, path),
        (None, None) => Target::Connect,
        (Some(_), None) | (None, Some(_)) => return None,
    };
    match desk.ask(&entity, target, case.facts.clone()) {
        Ok(asked) => {
            let decision = asked.decision;
            let errors = decision.errors().iter().map(|error| error.policy.clone());
            let policies = decision.determining().iter().cloned().chain(errors).collect();
            Some(Asked { effect: decision.effect(), policies, is_served: true })
        }
        Err(AskError::NoRoute) => {
            Some(Asked { effect: Effect::Deny, policies: Vec::new(), is_served: false })
        }
        Err(AskError::Entity(_) | AskError::NotPrepared) => None,
    }
}
