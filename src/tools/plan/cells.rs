//! The decisions that change: cell by cell of the two matrices, with a request for each change that both sides decided.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::arn::Verb;
use crate::decision::Effect;
use crate::path::RequestPath;
use crate::route::{Operation, OperationId, Segment, TemplateKind};

use super::super::cases::{Case, Cases};
use super::super::condition::Condition;
use super::super::desk::{AskError, Desk, Target};
use super::super::matrix::{Cell, Matrix, May, Part, Row, who};
use super::super::people::{Held, Person, named_tenants};
use super::together::RoleSets;
use super::{Effort, PlanError, Side, Verdict};

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
    /// Roles that are named together and were not looked at, because there were too many.
    pub role_sets_left_out: usize,
}

/// A side: its name, its stage, and who may do what in it.
struct Board<'d, 'b> {
    desk: &'d Desk<'b>,
    matrix: Matrix,
}

/// Compares two stages.
pub(super) fn compare(
    (old_side, old): (Side<'_>, &Desk<'_>),
    (new_side, new): (Side<'_>, &Desk<'_>),
    effort: Effort,
) -> Result<(Vec<Change>, Compared), PlanError> {
    let roles: BTreeSet<&str> = old.version().roles.names().chain(new.version().roles.names()).collect();
    let tenants: BTreeSet<String> =
        named_tenants(old.version()).into_iter().chain(named_tenants(new.version())).collect();
    let together = RoleSets::new([old.version(), new.version()], [old_side.held, new_side.held]);
    let mut people = Person::all(roles, tenants.clone());
    let alone = people.len();
    people.extend(together.people(&tenants));
    let board = |name: &str, desk| match Matrix::new(desk, people.clone(), &|_| true) {
        Ok(matrix) => Ok(Board { desk, matrix }),
        Err(error) => Err(PlanError::Matrix { side: name.to_owned(), error }),
    };
    let (old, new) = (board(old_side.name, old)?, board(new_side.name, new)?);
    let singles = singles(&people, alone);
    let mut groups = groups(&old, &new, alone);
    groups.iter_mut().for_each(|group| group.leave_out_alike(&singles));
    groups.retain(|group| !group.people.is_empty());
    let searched = groups.iter().filter(|group| group.is_open()).count();
    let each = effort.each.min(effort.all / searched.max(1)).max(1);
    let mut compared =
        Compared { cells: groups.iter().map(|group| group.people.len()).sum(), ..Compared::default() };
    compared.role_sets_left_out = together.left_out;
    let mut changes: Vec<Change> = Vec::new();
    // What becomes of the single roles, operation by operation: their groups come first.
    let mut verdicts: HashMap<(usize, usize), Verdict> = HashMap::new();
    for group in &mut groups {
        let Some(found) = group.compare(&old, &new, each) else { continue };
        if group.is_open() {
            compared.by_cases += group.people.len();
            compared.requests += found.cases;
            compared.alike_as_far_as_seen +=
                if found.verdict == Verdict::Same { group.people.len() } else { 0 };
        }
        if found.verdict == Verdict::Same {
            continue;
        }
        if !group.is_together {
            verdicts.extend(group.people.iter().map(|person| ((group.number, *person), found.verdict)));
            changes.push(group.change(people.get(..alone).unwrap_or_default(), 0, found));
            continue;
        }
        let told = group.people.first().copied();
        group.leave_out_explained(&singles, &verdicts, found.verdict);
        // An example is about somebody who is told of.
        let found = match group.people.first().copied() == told {
            true => Some(found),
            false => group.compare(&old, &new, each),
        };
        if let (Some(found), false) = (found, group.people.is_empty()) {
            changes.push(group.change(people.get(alone..).unwrap_or_default(), alone, found));
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
    /// The operation's number, the same for all its groups.
    number: usize,
    operation: &'m Operation,
    rows: [Option<&'m Row>; 2],
    cells: [Option<&'m Cell>; 2],
    people: Vec<usize>,
    /// Whether they hold roles together.
    is_together: bool,
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

/// Of each of the people who hold roles together, those who hold one of them or none, of their kind and tenant.
fn singles(people: &[Person], alone: usize) -> HashMap<usize, Vec<usize>> {
    let known: HashMap<&Person, usize> = people.iter().take(alone).zip(0..).collect();
    let together = people.iter().enumerate().skip(alone);
    let of = |person: &Person| {
        let Held::Together { roles, .. } = &person.roles else { return Vec::new() };
        let held = roles.iter().map(|role| Held::One(role.clone())).chain([Held::Nothing]);
        let single = held.map(|roles| Person { roles, ..person.clone() });
        single.filter_map(|single| known.get(&single).copied()).collect()
    };
    together.map(|(index, person)| (index, of(person))).collect()
}

fn groups<'m>(old: &'m Board<'_, 'm>, new: &'m Board<'_, 'm>, alone: usize) -> Vec<Group<'m>> {
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
        group_row(operation, [row, new.matrix.row(operation.id())], route, alone, &mut groups);
    }
    for operation in old.desk.operations().iter().filter(|operation| !taken.contains(&operation.id())) {
        let row = served_by(operation, new.desk).and_then(|after| new.matrix.row(after));
        group_row(operation, [old.matrix.row(operation.id()), row], SameRoute::Some, alone, &mut groups);
    }
    groups
}

fn group_row<'m>(
    operation: &'m Operation,
    rows: [Option<&'m Row>; 2],
    route: SameRoute,
    alone: usize,
    groups: &mut Vec<Group<'m>>,
) {
    let number = groups.last().map_or(0, |group| group.number + 1);
    let people = rows.iter().flatten().map(|row| row.cells().count()).max().unwrap_or_default();
    let mut known: BTreeMap<(bool, [Option<usize>; 2]), Group<'m>> = BTreeMap::new();
    for person in 0..people {
        let is_together = person >= alone;
        let cells = rows.map(|row| row.and_then(|row| row.cell(person)));
        let group = known.entry((is_together, indices(rows, person))).or_insert_with(|| Group {
            number,
            operation,
            rows,
            cells,
            people: Vec::new(),
            is_together,
            route,
        });
        group.people.push(person);
    }
    groups.extend(known.into_values());
}

/// Which of the different cells of each side somebody's are.
fn indices(rows: [Option<&Row>; 2], person: usize) -> [Option<usize>; 2] {
    rows.map(|row| row.and_then(|row| row.index(person)))
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

    /// Leaves out whose cells are those of one of their single roles, before and after.
    fn leave_out_alike(&mut self, singles: &HashMap<usize, Vec<usize>>) {
        let rows = self.rows;
        self.people.retain(|person| {
            let of = singles.get(person).into_iter().flatten();
            !of.clone().any(|single| indices(rows, *single) == indices(rows, *person))
        });
    }

    /// Leaves out those of whom the same policies speak as of their single roles, where these tell of the change already.
    fn leave_out_explained(
        &mut self,
        singles: &HashMap<usize, Vec<usize>>,
        verdicts: &HashMap<(usize, usize), Verdict>,
        verdict: Verdict,
    ) {
        let (rows, number) = (self.rows, self.number);
        self.people.retain(|person| {
            let Some(singles) = singles.get(person) else { return true };
            let of_singles = singles.iter().filter_map(|single| verdicts.get(&(number, *single)).copied());
            let is_told = matches!(of_singles.fold(Verdict::Same, Verdict::and), told if told == verdict || told == Verdict::Both);
            let speaks_alike = rows.into_iter().flatten().all(|row| {
                let cells: Vec<&Cell> = singles.iter().filter_map(|single| row.cell(*single)).collect();
                row.cell(*person).is_some_and(|cell| {
                    consists_of(&cell.permits, cells.iter().map(|cell| cell.permits.as_slice()))
                        && consists_of(&cell.forbids, cells.iter().map(|cell| cell.forbids.as_slice()))
                })
            });
            !(is_told && speaks_alike)
        });
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

    /// `people` are those of their sort, of whom the first has the number `from`.
    fn change(&self, people: &[Person], from: usize, found: Found) -> Change {
        let some: Vec<usize> = self.people.iter().filter_map(|person| person.checked_sub(from)).collect();
        let deciding = self.cells.map(|cell| {
            let deciding = cell.map(Cell::deciding).unwrap_or_default();
            deciding.into_iter().map(str::to_owned).collect()
        });
        let may =
            self.cells.map(|cell| cell.map_or_else(|| "not served".to_owned(), |cell| cell.may.to_string()));
        Change {
            operation: self.operation.name().to_owned(),
            who: who(people, &some, !self.is_together),
            people: self.people.len(),
            verdict: found.verdict,
            may,
            deciding,
            cases: self.is_open().then_some(found.cases),
            examples: found.examples,
        }
    }
}

/// Whether some policies are those of others together, each under a condition that one of them has.
fn consists_of<'p>(parts: &[Part], of: impl Iterator<Item = &'p [Part]>) -> bool {
    let of: Vec<&Part> = of.flatten().collect();
    parts.iter().all(|part| of.contains(&part))
        && of.iter().all(|one| parts.iter().any(|part| part.policy == one.policy))
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
