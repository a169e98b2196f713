//! From the grants of a principal to one document for the whole API, and its proof.

use std::collections::{BTreeSet, HashSet};

use super::candidates;
use super::cover::{Cost, Preference};
use super::guards;
use super::pattern::Pattern;
use super::problem::{Label, Problem, request_path};
use super::proof::Finding;
use super::solve::{Solution, Unsolved, solve};
use super::work::Work;
use super::written::Written;
use super::{IamPolicy, ResourceArn, StageWideArn};
use crate::arn::Verb;
use crate::bundle::deployment::ResourcePolicy;
use crate::decision::Effect;
use crate::grants::{Grant, GrantAnswer, Grants};
use crate::path::{PathEncoding, RequestPath};
use crate::route::{Operation, OperationId, RouteTable, Router, TemplateKind};

/// What of the document depends on the routes alone: made once for a table.
#[derive(Clone, Debug)]
pub struct PreparedRoutes {
    operations: usize,
    verbs: Vec<VerbRoutes>,
}

/// The operations of one verb.
#[derive(Clone, Debug)]
pub(super) struct VerbRoutes {
    pub(super) verb: Verb,
    pub(super) encoding: PathEncoding,
    /// In the order of the table.
    pub(super) operations: Vec<OperationId>,
    /// By operation: the paths of its template.
    pub(super) templates: Vec<Pattern>,
    /// What the templates give as candidates.
    candidates: BTreeSet<Pattern>,
}

impl PreparedRoutes {
    /// Prepares the operations that have a verb. `router` and `encoding` are those of the API's kind.
    #[must_use]
    pub fn new(routes: &RouteTable, router: Router, encoding: PathEncoding) -> Self {
        let mut verbs: Vec<VerbRoutes> = Vec::new();
        for operation in routes.operations() {
            let Some(verb) = operation.verb() else { continue };
            // REST APIs have no `$default`.
            if router == Router::Rest && operation.template().kind() == TemplateKind::Default {
                continue;
            }
            let place = verbs.iter().position(|known| known.verb == *verb).unwrap_or_else(|| {
                let verb = verb.clone();
                let (operations, templates, candidates) = (Vec::new(), Vec::new(), BTreeSet::new());
                verbs.push(VerbRoutes { verb, encoding, operations, templates, candidates });
                verbs.len() - 1
            });
            if let Some(of_verb) = verbs.get_mut(place) {
                of_verb.operations.push(operation.id());
                of_verb.templates.push(Pattern::of_template(operation.template()));
                of_verb.candidates.extend(candidates::of_template(operation.template()));
            }
        }
        Self { operations: routes.operations().len(), verbs }
    }
}

/// What is asked of the compiler.
#[derive(Clone, Copy, Debug)]
pub struct WholeApi<'q> {
    /// The route table.
    pub routes: &'q RouteTable,
    /// The same table, [prepared](PreparedRoutes::new) for the router.
    pub prepared: &'q PreparedRoutes,
    /// Whose precedence decides between routes.
    pub router: Router,
    /// What the principal may do.
    pub grants: &'q Grants,
    /// Where the API is.
    pub stage: &'q StageWideArn,
    /// With [`ResourcePolicy::Present`] the document ends with a Deny of all that it does not allow.
    pub resource_policy: ResourcePolicy,
    /// Whether `${*}` and `${?}` may be written (IAM user guide, "Policy variables"). That API Gateway expands them in the
    /// answer of an authorizer is not verified.
    pub escape_wildcards: bool,
    /// How large and how costly a document may be.
    pub limits: Limits,
}

impl<'q> WholeApi<'q> {
    /// The verbs of the table.
    pub(super) fn verbs(&self) -> impl Iterator<Item = &'q Verb> + Clone + use<'q> {
        self.prepared.verbs.iter().map(|verb| &verb.verb)
    }
}

/// How large and how costly a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest `Resource`, in characters.
    pub pattern_characters: usize,
    /// The longest document, in bytes of its JSON.
    pub document_bytes: usize,
    /// The most work, in words of bits looked at: it bounds time and memory and is the same on every machine.
    pub work: u64,
}

impl Limits {
    /// The limits unless the deployment sets others: [`ResourceArn::MAX_CHARS`]; 8,192 bytes, which API Gateway
    /// documents for resource policies only; and work for well under a tenth of a second.
    pub const DEFAULT: Self =
        Self { pattern_characters: ResourceArn::MAX_CHARS, document_bytes: 8_192, work: 20_000_000 };
}

/// A document for the whole API. It allows nothing that the grants do not: that has been proved for every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The document.
    pub policy: IamPolicy,
    /// What Cedar allows, or could allow, and the document does not; none if the document is exact.
    pub withheld: Vec<Withheld>,
    /// Requests that no route serves and that the document allows, one for each kind, like `GET /orders/1/x`.
    pub unserved: Vec<String>,
    /// What each pattern of the document stands for, in the document's order.
    pub patterns: Vec<PatternUse>,
    /// The length of the document's JSON.
    pub bytes: usize,
    /// Guesses that it took, for the verb that took most.
    pub rounds: usize,
    /// States that were explored.
    pub states: usize,
    /// Work that it took: see [`Limits::work`].
    pub work: u64,
}

impl Compiled {
    /// Whether the document says what Cedar says for every request that a route serves.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.withheld.is_empty()
    }

    /// Whether it does so, except for values that equal a literal segment of the table.
    #[must_use]
    pub fn is_exact_but_for_collisions(&self) -> bool {
        self.withheld.iter().all(|withheld| withheld.cause == WithheldCause::Collision)
    }
}

/// Requests that a document denies although Cedar allows them, or could.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Withheld {
    /// The operation that serves them.
    pub operation: OperationId,
    /// Why.
    pub cause: WithheldCause,
    /// A shortest such request, like `GET /users/me`.
    pub witness: String,
}

/// Why a document withholds a grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WithheldCause {
    /// No document of the patterns that are tried grants it and denies what it must.
    Inexpressible,
    /// A parameter's value is a literal segment of the table, and denying such values makes the rest expressible.
    Collision,
    /// Cedar's answer depends on these facts, which a request's ARN does not tell; sorted.
    NeedsFacts(Vec<String>),
    /// The document could not tell it from a text with `*`, `?` or a control character that a policy speaks of.
    Unwritable,
    /// The document would be too large: the costliest operations are left out.
    TooLarge,
}

/// A pattern of a document and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternUse {
    /// The pattern, as it stands in the document.
    pub pattern: String,
    /// Whether it is among the allowed or among the denied.
    pub effect: Effect,
    /// Allowed: the operations that it grants, in part or whole. Denied: the operations whose requests would be allowed
    /// without it. None for a guard against paths that are not in normal form, and for the refusal of the whole stage.
    pub operations: Vec<OperationId>,
}

/// Why there is no document. Whoever asked has to answer otherwise, and closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It would take more work than [`Limits::work`].
    #[error("the document for the whole API takes too much work")]
    WorkLimit,
    /// The prepared routes or the grants are those of another table.
    #[error("the grants or the prepared routes belong to another route table")]
    OtherTable,
    /// Not even the shortest document has room.
    #[error("the document for the whole API has {bytes} bytes, and there is nothing to leave out")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// A grant tests a parameter that its operation has not.
    #[error("a grant tests a parameter that its operation has not")]
    NoSuchParameter {
        /// The operation.
        operation: OperationId,
    },
    /// Cedar itself decides otherwise than the grants say.
    #[error("Cedar does not confirm the grants: {} for `{}`", expected.as_str(), witness.escape_debug())]
    Mismatch {
        /// The operation.
        operation: OperationId,
        /// The request, like `GET /users/me`.
        witness: String,
        /// What the grants say.
        expected: Effect,
    },
    /// A request stays allowed that must be denied.
    #[error("the document for the whole API cannot be proved: `{}`", witness.escape_debug())]
    Unproved {
        /// The request.
        witness: String,
    },
}

/// The smallest document that is found for the grants, and what it withholds.
///
/// `recheck` decides one request concretely with Cedar. It is asked for a witness of every class of paths that a
/// conditional grant tells apart, except those it says Unknown of, and once for each unconditional Allow; but not where
/// scopes alone decided, which are evaluated as they are.
///
/// # Errors
/// If there is no document, or it could not be proved, or Cedar decides otherwise than the grants say.
pub fn compile(
    question: &WholeApi<'_>,
    recheck: &dyn Fn(&Operation, &RequestPath) -> Option<Effect>,
) -> Result<Compiled, CompileError> {
    let mut work = Work::new(question.limits.work);
    let mut parts = Vec::new();
    for problem in problems(question)? {
        parts.push(Part::solved(question, problem, Preference::FewUnserved, &mut work)?);
    }
    let mut document = Document::of(question, &parts);
    if document.bytes > question.limits.document_bytes {
        for part in &mut parts {
            part.solve_again(question, Preference::Short, &mut work)?;
        }
        document = Document::of(question, &parts);
    }
    while document.bytes > question.limits.document_bytes {
        if !drop_costliest(question, &mut parts, document.bytes - question.limits.document_bytes, &mut work)?
        {
            return Err(CompileError::TooLarge { bytes: document.bytes });
        }
        document = Document::of(question, &parts);
    }
    read_back(question, &document.policy, &parts)?;
    for part in &parts {
        part.check(question, recheck, &mut work)?;
    }
    Ok(Compiled {
        withheld: parts.iter().flat_map(|part| part.withheld()).collect(),
        unserved: parts.iter().flat_map(Part::unserved).collect(),
        policy: document.policy,
        patterns: document.patterns,
        bytes: document.bytes,
        rounds: parts.iter().map(|part| part.solution.rounds).max().unwrap_or_default(),
        states: work.states,
        work: question.limits.work - work.left(),
    })
}

/// What was proved are patterns; this is what is written of them.
fn read_back(question: &WholeApi<'_>, policy: &IamPolicy, parts: &[Part<'_>]) -> Result<(), CompileError> {
    let written = Written::read(question, policy)?;
    for part in parts {
        for verb in &part.problem.verbs {
            if written.of_verb(&verb.verb) != part.solution.document {
                return Err(CompileError::Unproved { witness: format!("{} /", verb.verb) });
            }
        }
    }
    let guarded = parts.iter().flat_map(|part| part.problem.guarded.iter().copied()).collect();
    let granted: Vec<&Verb> =
        parts.iter().flat_map(|part| &part.problem.verbs).map(|verb| &verb.verb).collect();
    match written.fault(granted.into_iter(), &guarded, question.escape_wildcards) {
        Some(witness) => Err(CompileError::Unproved { witness }),
        None => Ok(()),
    }
}

/// One problem for each group of verbs with equal templates and grants.
pub(super) fn problems<'q>(question: &WholeApi<'q>) -> Result<Vec<Problem<'q>>, CompileError> {
    let is_of_table = question.prepared.operations == question.routes.operations().len();
    if !is_of_table || question.grants.operations().len() > question.prepared.operations {
        return Err(CompileError::OtherTable);
    }
    static NOTHING: Grant =
        Grant { permits: Vec::new(), forbids: Vec::new(), tests: Vec::new(), is_partially_evaluated: false };
    let mut problems: Vec<Problem<'q>> = Vec::new();
    for verb in &question.prepared.verbs {
        let grants: Vec<&Grant> = verb
            .operations
            .iter()
            .map(|operation| question.grants.of(*operation).unwrap_or(&NOTHING))
            .collect();
        let is_same = |problem: &&mut Problem<'_>| {
            problem.verbs.first().is_some_and(|known| known.templates == verb.templates)
                && problem.operations.iter().map(|asked| asked.grant).eq(grants.iter().copied())
        };
        match problems.iter_mut().find(is_same) {
            Some(problem) => problem.verbs.push(verb),
            None => problems.extend(Problem::new(question, verb, grants)?),
        }
    }
    Ok(problems)
}

/// A problem, its candidates and its solution.
struct Part<'q> {
    problem: Problem<'q>,
    candidates: Vec<Pattern>,
    solution: Solution,
}

impl<'q> Part<'q> {
    fn solved(
        question: &WholeApi<'q>,
        problem: Problem<'q>,
        preference: Preference,
        work: &mut Work,
    ) -> Result<Self, CompileError> {
        let candidates = candidates_of(question, &problem);
        let (problem, solution) = solution_of(question, problem, &candidates, preference, work)?;
        Ok(Self { problem, candidates, solution })
    }

    fn solve_again(
        &mut self,
        question: &WholeApi<'q>,
        preference: Preference,
        work: &mut Work,
    ) -> Result<(), CompileError> {
        self.solution = solve_one(question, &self.problem, &self.candidates, preference, work)?;
        Ok(())
    }

    /// The requests of a finding: one for each verb, with the operation that serves it.
    fn requests<'f>(
        &'f self,
        finding: &'f Finding,
    ) -> impl Iterator<Item = (Option<OperationId>, &'f str, String)> {
        self.problem.verbs.iter().map(move |verb| {
            let operation = finding.judgement.operation.and_then(|place| verb.operations.get(place).copied());
            (operation, finding.witness.as_str(), format!("{} {}", verb.verb, finding.witness))
        })
    }

    /// The first witness for each operation and cause; the findings come shortest first.
    fn withheld(&self) -> Vec<Withheld> {
        let mut seen = HashSet::new();
        let mut withheld = Vec::new();
        for finding in &self.solution.findings {
            let Some(cause) = self.cause(finding) else { continue };
            if seen.insert((finding.judgement.operation, finding.judgement.label)) {
                withheld.extend(self.requests(finding).filter_map(|(operation, _, witness)| {
                    Some(Withheld { operation: operation?, cause: cause.clone(), witness })
                }));
            }
        }
        withheld.sort();
        withheld
    }

    fn cause(&self, finding: &Finding) -> Option<WithheldCause> {
        let cause = match finding.judgement.label {
            Label::Deny | Label::Free => return None,
            Label::Unknown => {
                let asked =
                    finding.judgement.operation.and_then(|place| self.problem.operations.get(place))?;
                let facts = asked.grant.facts().into_iter().map(str::to_owned).collect();
                return Some(WithheldCause::NeedsFacts(facts));
            }
            Label::Allow => WithheldCause::Inexpressible,
            Label::Collision => WithheldCause::Collision,
            Label::Dropped => WithheldCause::TooLarge,
            Label::Unwritable => WithheldCause::Unwritable,
        };
        finding.is_withheld().then_some(cause)
    }

    fn unserved(&self) -> Vec<String> {
        let is_unserved = |finding: &&Finding| finding.judgement.label == Label::Free && finding.is_allowed();
        let findings = self.solution.findings.iter().filter(is_unserved);
        findings.flat_map(|finding| self.requests(finding)).map(|(_, _, request)| request).collect()
    }

    /// Holds the grants against Cedar's own decisions, each of which is work too.
    fn check(
        &self,
        question: &WholeApi<'_>,
        recheck: &dyn Fn(&Operation, &RequestPath) -> Option<Effect>,
        work: &mut Work,
    ) -> Result<(), CompileError> {
        let mut asked_already = HashSet::new();
        for finding in &self.solution.findings {
            let place = finding.judgement.operation;
            let Some(asked) = place.and_then(|place| self.problem.operations.get(place)) else { continue };
            let expected = match finding.judgement.answer {
                Some(GrantAnswer::Allow) => Effect::Allow,
                Some(GrantAnswer::Deny) => Effect::Deny,
                Some(GrantAnswer::Unknown) | None => continue,
            };
            let is_conditional =
                asked.is_grantable && (!asked.grant.tests.is_empty() || !asked.grant.facts().is_empty());
            // A class of the grants can be several of the document's.
            let tests = if is_conditional { finding.targets.as_slice() } else { &[] };
            let is_worth_asking = is_conditional || expected == Effect::Allow;
            if !asked.grant.is_partially_evaluated
                || !is_worth_asking
                || !asked_already.insert((place, tests))
            {
                continue;
            }
            let Some(path) = request_path(&finding.witness) else { continue };
            for (operation, _, witness) in self.requests(finding) {
                let operation =
                    operation.and_then(|id| question.routes.operation(id)).ok_or(CompileError::OtherTable)?;
                work.spend(RECHECK).map_err(|_| CompileError::WorkLimit)?;
                if recheck(operation, &path) != Some(expected) {
                    return Err(CompileError::Mismatch { operation: operation.id(), witness, expected });
                }
            }
        }
        Ok(())
    }
}

/// What one decision of Cedar's takes, in the words of [`Limits::work`]: about 20 microseconds.
const RECHECK: usize = 7_000;

fn candidates_of(question: &WholeApi<'_>, problem: &Problem<'_>) -> Vec<Pattern> {
    let mut candidates = problem.verbs.first().map(|verb| verb.candidates.clone()).unwrap_or_default();
    for asked in problem.operations.iter().filter(|asked| !asked.readings.is_empty()) {
        if let Some(operation) = question.routes.operation(asked.id) {
            candidates.extend(candidates::of_tests(operation.template(), asked));
        }
    }
    let longest_verb = problem.verbs.iter().map(|verb| verb.verb.as_str().len()).max().unwrap_or_default();
    let prefix = question.stage.prefix().chars().count() + longest_verb;
    let fits = |pattern: &Pattern| prefix + pattern.tokens().len() <= question.limits.pattern_characters;
    candidates.into_iter().filter(fits).collect()
}

/// Solves the problem; if that leaves grants inexpressible, also with collisions spared, and takes what withholds less.
fn solution_of<'q>(
    question: &WholeApi<'q>,
    mut problem: Problem<'q>,
    candidates: &[Pattern],
    preference: Preference,
    work: &mut Work,
) -> Result<(Problem<'q>, Solution), CompileError> {
    let solution = solve_one(question, &problem, candidates, preference, work)?;
    if solution.inexpressible() == 0 {
        return Ok((problem, solution));
    }
    problem.spares_collisions = true;
    // There is a document already, so this may take a part of the work only, and fail.
    let mut part = work.half();
    let sparing = solve_one(question, &problem, candidates, preference, &mut part);
    work.take_back(&part);
    match sparing {
        Ok(sparing) if sparing.inexpressible() < solution.inexpressible() => Ok((problem, sparing)),
        Ok(_) | Err(CompileError::WorkLimit) => {
            problem.spares_collisions = false;
            Ok((problem, solution))
        }
        Err(error) => Err(error),
    }
}

fn solve_one(
    question: &WholeApi<'_>,
    problem: &Problem<'_>,
    candidates: &[Pattern],
    preference: Preference,
    work: &mut Work,
) -> Result<Solution, CompileError> {
    let cost = |pattern: &Pattern| cost(question, problem, pattern);
    solve(problem, candidates, &cost, preference, work).map_err(|unsolved| match unsolved {
        Unsolved::WorkLimit => CompileError::WorkLimit,
        Unsolved::Unproved(path) => {
            let verb = problem.verb().map_or("", Verb::as_str);
            CompileError::Unproved { witness: format!("{verb} {path}") }
        }
    })
}

/// What a pattern costs in a document: itself, its ARN's beginning, two quotes and a comma, for each verb.
fn cost(question: &WholeApi<'_>, problem: &Problem<'_>, pattern: &Pattern) -> Cost {
    let verbs: usize = problem.verbs.iter().map(|verb| verb.verb.as_str().len()).sum();
    let each = question.stage.prefix().len() + pattern.to_string().len() + 3;
    let once = verbs + each * problem.verbs.len();
    match question.resource_policy {
        ResourcePolicy::Present => Cost { allow: 2 * once, deny: once },
        ResourcePolicy::Absent => Cost { allow: once, deny: once },
    }
}

/// Leaves out operations until `excess` bytes are saved by estimate, the costliest first, and solves again. Whether there
/// was one to leave out.
fn drop_costliest<'q>(
    question: &WholeApi<'q>,
    parts: &mut [Part<'q>],
    excess: usize,
    work: &mut Work,
) -> Result<bool, CompileError> {
    let mut costs: Vec<(usize, usize, usize)> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        for (place, cost) in part.costs(question).into_iter().enumerate().filter(|(_, cost)| *cost > 0) {
            costs.push((cost, index, place));
        }
    }
    costs.sort_by_key(|(cost, index, place)| (std::cmp::Reverse(*cost), *index, *place));
    let mut saved = 0;
    let mut again = BTreeSet::new();
    for (cost, index, place) in costs {
        let asked = parts.get_mut(index).and_then(|part| part.problem.operations.get_mut(place));
        if let Some(asked) = asked {
            asked.is_dropped = true;
            again.insert(index);
        }
        saved += cost;
        if saved >= excess {
            break;
        }
    }
    for index in &again {
        if let Some(part) = parts.get_mut(*index) {
            part.solve_again(question, Preference::Short, work)?;
        }
    }
    Ok(!again.is_empty())
}

impl Part<'_> {
    /// By operation: its share of the bytes. An allowed pattern is shared by the operations that it grants, the denied
    /// ones by all that are granted.
    fn costs(&self, question: &WholeApi<'_>) -> Vec<usize> {
        let mut costs = vec![0; self.problem.operations.len()];
        let document = &self.solution.document;
        let mut share = |operations: &BTreeSet<usize>, bytes: usize| {
            for place in operations {
                if let Some(cost) = costs.get_mut(*place) {
                    *cost += bytes.div_ceil(operations.len());
                }
            }
        };
        let mut granted = BTreeSet::new();
        for (index, pattern) in document.allow.iter().enumerate() {
            let operations = self.allowed_by(index);
            share(&operations, cost(question, &self.problem, pattern).allow);
            granted.extend(operations);
        }
        let denied = document.deny.iter().map(|pattern| cost(question, &self.problem, pattern).deny).sum();
        share(&granted, denied);
        costs
    }

    /// The operations that an allowed pattern grants.
    fn allowed_by(&self, pattern: usize) -> BTreeSet<usize> {
        let granted = self.solution.findings.iter().filter(|finding| {
            finding.judgement.label.is_granted()
                && finding.is_allowed()
                && finding.allowed_by.contains(&pattern)
        });
        granted.filter_map(|finding| finding.judgement.operation).collect()
    }

    /// The operations whose requests would be allowed without a denied pattern.
    fn denied_by(&self, pattern: usize) -> BTreeSet<usize> {
        let denied = self.solution.findings.iter().filter(|finding| {
            !finding.allowed_by.is_empty()
                && finding.denied_by.contains(&pattern)
                && finding.judgement.label.must_be_denied()
        });
        denied.filter_map(|finding| finding.judgement.operation).collect()
    }
}

/// The parts put together.
struct Document {
    policy: IamPolicy,
    patterns: Vec<PatternUse>,
    bytes: usize,
}

impl Document {
    fn of(question: &WholeApi<'_>, parts: &[Part<'_>]) -> Self {
        let (mut allowed, mut denied) = (Vec::new(), Vec::new());
        for verb in &question.prepared.verbs {
            let has_verb =
                |part: &&Part<'_>| part.problem.verbs.iter().any(|of_part| of_part.verb == verb.verb);
            for part in parts.iter().filter(has_verb) {
                let written = |pattern: &Pattern, effect: Effect, places: BTreeSet<usize>| PatternUse {
                    pattern: format!("{}{}{pattern}", question.stage.prefix(), verb.verb),
                    effect,
                    operations: places
                        .iter()
                        .filter_map(|place| verb.operations.get(*place).copied())
                        .collect(),
                };
                let document = &part.solution.document;
                allowed.extend(
                    document
                        .allow
                        .iter()
                        .enumerate()
                        .map(|(index, pattern)| written(pattern, Effect::Allow, part.allowed_by(index))),
                );
                denied.extend(
                    document
                        .deny
                        .iter()
                        .enumerate()
                        .map(|(index, pattern)| written(pattern, Effect::Deny, part.denied_by(index))),
                );
            }
        }
        if parts.iter().any(|part| part.solution.document.allow.iter().any(Pattern::is_wild)) {
            let guarded = parts.iter().flat_map(|part| part.problem.guarded.iter().copied()).collect();
            denied.extend(guards::of(&guarded, question.escape_wildcards).into_iter().map(|guard| {
                PatternUse {
                    pattern: format!("{}{guard}", question.stage.prefix()),
                    effect: Effect::Deny,
                    operations: Vec::new(),
                }
            }));
        }
        let texts = |uses: &[PatternUse]| uses.iter().map(|one| one.pattern.clone()).collect::<Vec<String>>();
        let policy =
            IamPolicy::whole_api(question.stage, texts(&allowed), texts(&denied), question.resource_policy);
        let bytes = serde_json::to_string(&policy).map_or(usize::MAX, |text| text.len());
        if allowed.is_empty() {
            let pattern = question.stage.as_str().to_owned();
            denied = vec![PatternUse { pattern, effect: Effect::Deny, operations: Vec::new() }];
        }
        allowed.append(&mut denied);
        Self { policy, patterns: allowed, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::super::prove;
    use super::*;
    use crate::grants::{Clause, Formula, Glob, GlobPart, Outcomes, Subject, Test};
    use std::collections::BTreeMap;

    const PREFIX: &str = "arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/";

    /// A table and what is granted of it, written `GET /users/{id}` and `permit id=me; forbid ?mfa`.
    struct Case {
        operations: Vec<(String, String)>,
        routes: RouteTable,
        grants: Grants,
        router: Router,
    }

    impl Case {
        fn new(router: Router, operations: &[(String, String)]) -> Self {
            let mut methods: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (operation, _) in operations {
                let (verb, path) = operation.split_once(' ').unwrap();
                methods.entry(path).or_default().push(verb);
            }
            let route = |(path, verbs): (&&str, &Vec<&str>)| match *path {
                "$default" => "[[route]]\npath = \"$default\"\n".to_owned(),
                path => format!("[[route]]\npath = \"{path}\"\nmethods = {verbs:?}\n"),
            };
            let routes = RouteTable::from_toml(&methods.iter().map(route).collect::<String>()).unwrap();
            let rule = |operation: &Operation| {
                let verb = operation.verb().unwrap().as_str();
                let path = operation.template().as_str();
                let rule = |verb: &str| {
                    operations
                        .iter()
                        .find(|(name, _)| *name == format!("{verb} {path}"))
                        .map(|(_, rule)| rule)
                };
                grant(rule(verb).or(rule("ANY")).unwrap())
            };
            let grants = Grants::new(routes.operations().iter().map(rule).collect());
            Self { operations: operations.to_vec(), routes, grants, router }
        }

        fn of(operations: &[(&str, &str)]) -> Self {
            let owned = |(operation, rule): &(&str, &str)| ((*operation).to_owned(), (*rule).to_owned());
            Self::new(Router::Rest, &operations.iter().map(owned).collect::<Vec<_>>())
        }

        fn encoding(&self) -> PathEncoding {
            match self.router {
                Router::Rest => PathEncoding::Raw,
                Router::Http => PathEncoding::Decoded,
            }
        }

        fn ask<T>(&self, change: impl FnOnce(&mut WholeApi<'_>), ask: impl FnOnce(&WholeApi<'_>) -> T) -> T {
            let stage =
                ResourceArn::stage_wide("aws", "eu-west-1", "210987654321", "k3m9x2p7qa", "prod").unwrap();
            let prepared = PreparedRoutes::new(&self.routes, self.router, self.encoding());
            let mut question = WholeApi {
                routes: &self.routes,
                prepared: &prepared,
                router: self.router,
                grants: &self.grants,
                stage: &stage,
                resource_policy: ResourcePolicy::Absent,
                escape_wildcards: false,
                limits: Limits::DEFAULT,
            };
            change(&mut question);
            ask(&question)
        }

        fn compile(&self, change: impl FnOnce(&mut WholeApi<'_>)) -> Result<Compiled, CompileError> {
            self.ask(change, |question| compile(question, &|operation, path| self.decide(operation, path)))
        }

        /// By definition.
        fn answer(&self, operation: &Operation, path: &RequestPath) -> GrantAnswer {
            let verb = operation.verb().unwrap();
            let found = self.routes.find(self.router, verb, path).unwrap();
            assert_eq!(found.operation().id(), operation.id());
            let grant = self.grants.of(operation.id()).unwrap();
            grant.answer(&|test| {
                let test = &grant.tests[test];
                match &test.subject {
                    Subject::Path => test.glob.matches(path.as_str()),
                    Subject::Param(name) => {
                        let value = found.params().iter().find(|(param, _)| param == name).unwrap().1;
                        test.glob.matches(value)
                    }
                }
            })
        }

        fn decide(&self, operation: &Operation, path: &RequestPath) -> Option<Effect> {
            match self.answer(operation, path) {
                GrantAnswer::Allow => Some(Effect::Allow),
                GrantAnswer::Deny | GrantAnswer::Unknown => Some(Effect::Deny),
            }
        }
    }

    fn grant(rule: &str) -> Grant {
        let mut grant = Grant { is_partially_evaluated: true, ..Grant::default() };
        for clause in rule.split(';').map(str::trim).filter(|clause| !clause.is_empty()) {
            let (effect, condition) = clause.split_once(' ').unwrap_or((clause, ""));
            let mut formula = Formula::TRUE;
            for atom in condition.split('&').map(str::trim).filter(|atom| !atom.is_empty()) {
                let (negated, atom) = match atom.strip_prefix('!') {
                    Some(atom) => (true, atom),
                    None => (false, atom),
                };
                let part = match atom.strip_prefix('?') {
                    Some(fact) => Formula::Reads([fact.to_owned()].into()),
                    None if atom == "error" => Formula::Constant(Outcomes::ERROR),
                    None => {
                        let (name, sign) = atom.split_at(atom.find(['=', '~']).unwrap());
                        let glob = match sign.split_at(1) {
                            ("=", text) => Glob::text(text),
                            (_, glob) => Glob::new(glob.chars().map(|char| match char {
                                '*' => GlobPart::Any,
                                char => GlobPart::Char(char),
                            })),
                        };
                        let subject = match name {
                            "path" => Subject::Path,
                            name => Subject::Param(name.to_owned()),
                        };
                        grant.tests.push(Test { subject, glob });
                        Formula::Test(grant.tests.len() - 1)
                    }
                };
                formula = Formula::and(formula, if negated { Formula::negation(part) } else { part });
            }
            let clause = Clause { policy: clause.to_owned(), formula };
            match effect {
                "permit" => grant.permits.push(clause),
                "forbid" => grant.forbids.push(clause),
                other => panic!("{other}"),
            }
        }
        grant
    }

    /// The document without the ARNs' beginning and without the fixed guards; what is withheld.
    fn told(case: &Case, compiled: &Compiled) -> (Vec<String>, Vec<String>, Vec<String>) {
        let fixed = guards::of(&BTreeSet::new(), false);
        let patterns = |effect: Effect| -> Vec<String> {
            let of_effect = compiled.patterns.iter().filter(|one| one.effect == effect);
            let texts = of_effect.map(|one| one.pattern.strip_prefix(PREFIX).unwrap().to_owned());
            texts.filter(|text| !fixed.contains(text)).collect()
        };
        let withheld = compiled.withheld.iter().map(|withheld| {
            let operation = case.routes.operation(withheld.operation).unwrap();
            assert!(operation.name().starts_with(withheld.witness.split(' ').next().unwrap()));
            format!("{}: {:?}", withheld.witness, withheld.cause)
        });
        (patterns(Effect::Allow), patterns(Effect::Deny), withheld.collect())
    }

    fn check(operations: &[(&str, &str)], allowed: &[&str], denied: &[&str], withheld: &[&str]) {
        let case = Case::of(operations);
        let compiled = case.compile(|_| {}).unwrap();
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            told(&case, &compiled),
            (owned(allowed), owned(denied), owned(withheld)),
            "{operations:?}"
        );
    }

    #[test]
    fn shapes_that_have_an_exact_document() {
        check(&[("GET /orders", "permit")], &["GET/orders"], &[], &[]);
        check(&[("GET /", "permit"), ("GET /a", "")], &["GET/"], &[], &[]);
        check(
            &[("GET /orders/{id}", "permit"), ("GET /orders/export", "")],
            &["GET/orders/*"],
            &["GET/orders/export"],
            &[],
        );
        check(&[("GET /u/{id}", "permit id=bob")], &["GET/u/bob"], &[], &[]);
        check(&[("GET /u/{id}", "permit id~ab*; forbid id=abc")], &["GET/u/ab*"], &["GET/u/abc"], &[]);
        check(&[("GET /t/{t}/o/{o}", "permit t=acme & o~x*")], &["GET/t/acme/o/x*"], &[], &[]);
        check(&[("GET /u/{id}", "permit id~ab* & id~*bc")], &["GET/u/abc", "GET/u/ab*bc"], &[], &[]);
        check(&[("GET /{proxy+}", "permit"), ("GET /admin/{proxy+}", "")], &["GET/*"], &["GET/admin/*"], &[]);
        check(
            &[("GET /users/{id}/profile", "permit"), ("GET /users/{id}/settings", "permit id=me")],
            &["GET/users/me/settings", "GET/users/*/profile"],
            &[],
            &[],
        );
        check(
            &[("GET /{proxy+}", "permit path~/public/*"), ("GET /public/keys", "")],
            &["GET/public/*"],
            &["GET/public/keys"],
            &[],
        );
    }

    #[test]
    fn shapes_that_have_none() {
        let item = ("GET /o/{p}", "permit");
        check(
            &[item, ("GET /o/{p}/items", ""), ("GET /o/{p}/items/{q}", "permit")],
            &["GET/o/*"],
            &["GET/o/*/items"],
            &["GET /o/z/items/items: Collision"],
        );
        check(
            &[("GET /users/{id}", "permit"), ("GET /users/{id}/settings", "permit id=me")],
            &["GET/users/me/settings"],
            &[],
            &["GET /users/z: Inexpressible"],
        );
        check(
            &[item, ("GET /o/admin/{q}", ""), ("GET /o/admin/ping", "permit")],
            &["GET/o/admin/ping"],
            &[],
            &["GET /o/z: Inexpressible"],
        );
        check(
            &[("GET /{proxy+}", "permit; forbid proxy~a/* & !proxy~a/b/*")],
            &["GET/a/b/*"],
            &[],
            &["GET /z: Inexpressible"],
        );
    }

    #[test]
    fn what_depends_on_other_facts_is_withheld() {
        let ip = |witness: &str| format!("GET {witness}: NeedsFacts([\"ip\"])");
        check(&[("GET /o/{p}", "permit ?ip"), ("GET /p", "permit")], &["GET/p"], &[], &[&ip("/o/z")]);
        check(&[("GET /o/{p}", "permit; forbid p=x & ?ip")], &["GET/o/*"], &["GET/o/x"], &[&ip("/o/x")]);
        check(&[("GET /o/{p}", "permit; forbid ?ip & p=x")], &[], &["*"], &[&ip("/o/z")]);
        // An error in one of them would refuse both.
        check(&[("GET /o/{p}", "permit p=x; permit ?ip")], &[], &["*"], &[&ip("/o/z")]);
    }

    #[test]
    fn an_error_is_a_refusal() {
        check(&[("GET /o/{p}", "permit; forbid p=x & error")], &["GET/o/*"], &["GET/o/x"], &[]);
        check(&[("GET /o/{p}", "permit; permit p=x & error")], &["GET/o/*"], &["GET/o/x"], &[]);
        check(&[("GET /o/{p}", "permit; forbid error & p=x")], &[], &["*"], &[]);
    }

    #[test]
    fn literals_that_no_accepted_path_holds() {
        let withheld: &[&str] = &["GET /u/azb: Unwritable"];
        check(&[("GET /u/{id}", "permit id=*")], &[], &["*"], &[]);
        check(&[("GET /u/{id}", "permit; forbid id=a*b")], &["GET/u/*"], &["GET/u/a?b"], withheld);
        check(&[("GET /u/{id}", "permit; forbid id=a\"b")], &["GET/u/*"], &["*\"*"], &[]);
        check(&[("GET /u/{id}", "permit; forbid id=$x")], &["GET/u/*"], &["*$*"], &[]);
        check(&[("GET /u/{id}", "permit; forbid id=caf%C3%A9")], &["GET/u/*"], &["*é*"], &[]);
        check(&[("GET /u/{id}", "permit; forbid id=a%2Ab")], &["GET/u/*"], &["GET/u/a?b"], withheld);
        check(&[("GET /u/{id}", "permit; forbid id=a%61b")], &["GET/u/*"], &[], &[]);
        check(&[("GET /u/{id}", "permit; forbid id=a\nb")], &["GET/u/*"], &["GET/u/a?b"], withheld);
        // The other way round there is nothing to be lost.
        check(&[("GET /u/{id}", "permit; permit id=a*b")], &["GET/u/*"], &[], &[]);
        // Each alone changes nothing, both together do.
        check(&[("GET /u/{id}", "permit; forbid id=a*b & id~*\tb")], &["GET/u/*"], &["GET/u/a?b"], withheld);
        let case = Case::of(&[("GET /u/{id}", "permit; forbid id=a*b")]);
        let escaped = case.compile(|question| question.escape_wildcards = true).unwrap();
        assert_eq!(told(&case, &escaped).1, ["*${*}*", "*${?}*", "*${$}*"]);
        assert!(escaped.is_exact());
        assert_ne!(escaped.policy.effect_for(&format!("{PREFIX}GET/u/a*b")), Some(Effect::Allow));
        assert_eq!(escaped.policy.effect_for(&format!("{PREFIX}GET/u/axb")), Some(Effect::Allow));
    }

    #[test]
    fn a_document_for_an_api_with_resource_policy_ends_with_all_else() {
        let case = Case::of(&[("GET /orders/{id}", "permit"), ("GET /orders/export", "")]);
        let compiled = case.compile(|question| question.resource_policy = ResourcePolicy::Present).unwrap();
        let json = serde_json::to_string(&compiled.policy).unwrap();
        assert!(json.ends_with(&format!(
            r#"{{"Action":"execute-api:Invoke","Effect":"Deny","NotResource":["{PREFIX}GET/orders/*"]}}]}}"#
        )));
        assert_eq!(compiled.bytes, json.len());
        assert_eq!(compiled.policy.effect_for(&format!("{PREFIX}POST/orders")), Some(Effect::Deny));
        assert_eq!(compiled.policy.effect_for(&format!("{PREFIX}GET/orders/1")), Some(Effect::Allow));
    }

    #[test]
    fn nothing_granted_is_a_refusal_of_the_stage() {
        let case = Case::of(&[("GET /orders/{id}", "permit ?ip"), ("GET /x", "")]);
        let compiled = case.compile(|_| {}).unwrap();
        let stage =
            ResourceArn::stage_wide("aws", "eu-west-1", "210987654321", "k3m9x2p7qa", "prod").unwrap();
        assert_eq!(compiled.policy, IamPolicy::deny_stage(stage));
        assert_eq!(
            compiled.withheld.iter().map(|withheld| &withheld.cause).collect::<Vec<_>>(),
            [&WithheldCause::NeedsFacts(vec!["ip".to_owned()])]
        );
    }

    #[test]
    fn verbs_with_equal_grants_are_solved_once() {
        let rule = "permit id~ab*; forbid id=abc";
        let one = Case::of(&[("GET /u/{id}", rule)]).compile(|_| {}).unwrap();
        let seven = Case::of(&[("ANY /u/{id}", rule)]).compile(|_| {}).unwrap();
        assert_eq!(one.states, seven.states);
        assert_eq!(seven.policy.effect_for(&format!("{PREFIX}PATCH/u/abd")), Some(Effect::Allow));
        assert_eq!(seven.policy.effect_for(&format!("{PREFIX}PATCH/u/abc")), Some(Effect::Deny));
    }

    #[test]
    fn the_default_route_is_one_of_http_apis() {
        let rules = [("ANY $default".to_owned(), "permit".to_owned()), ("GET /a".to_owned(), String::new())];
        for (router, allowed) in [(Router::Rest, 0), (Router::Http, 7)] {
            let case = Case::new(router, &rules);
            let compiled = case.compile(|_| {}).unwrap();
            assert_eq!(told(&case, &compiled).0.len(), allowed);
            let get_a = compiled.policy.effect_for(&format!("{PREFIX}GET/a"));
            assert_eq!(get_a, Some(Effect::Deny));
        }
    }

    #[test]
    fn the_same_question_has_the_same_answer() {
        for seed in 0..20 {
            let bytes = || serde_json::to_string(&random_case(seed).compile(|_| {}).unwrap().policy).unwrap();
            assert_eq!(bytes(), bytes());
        }
    }

    #[test]
    fn patterns_stand_for_operations() {
        let case = Case::of(&[("GET /orders/{id}", "permit"), ("GET /orders/export", "")]);
        let compiled = case.compile(|_| {}).unwrap();
        let uses: Vec<(String, Vec<&str>)> = compiled
            .patterns
            .iter()
            .map(|one| {
                let names = one.operations.iter().map(|id| case.routes.operation(*id).unwrap().name());
                (one.pattern.replace(PREFIX, ""), names.collect())
            })
            .take(3)
            .collect();
        assert_eq!(
            uses,
            [
                ("GET/orders/*".to_owned(), vec!["GET /orders/{id}"]),
                ("GET/orders/export".to_owned(), vec!["GET /orders/export"]),
                ("*//*".to_owned(), vec![]),
            ]
        );
        assert_eq!(compiled.unserved, ["GET /orders/z/z"]);
    }

    #[test]
    fn a_document_that_is_too_large_leaves_out_the_costliest_operations() {
        let long = format!("GET /{}/{{id}}", "long".repeat(20));
        let operations = [
            (long.as_str(), "permit"),
            ("GET /a", "permit"),
            ("GET /b", "permit"),
            ("POST /a", "permit"),
            ("GET /{x}", ""),
            ("GET /{x}/{y}", ""),
        ];
        let case = Case::of(&operations);
        let whole = case.compile(|_| {}).unwrap();
        assert!(whole.is_exact());
        let less = case.compile(|question| question.limits.document_bytes = whole.bytes - 1).unwrap();
        let (allowed, _, withheld) = told(&case, &less);
        assert_eq!(allowed, ["GET/a", "GET/b", "POST/a"]);
        assert_eq!(withheld, [format!("GET /{}/z: TooLarge", "long".repeat(20))]);
        for bytes in 300..whole.bytes {
            let less = case.compile(|question| question.limits.document_bytes = bytes).unwrap();
            assert!(less.bytes <= bytes && !less.is_exact());
            check_by_definition(&case, &less, &paths());
        }
        let error = case.compile(|question| question.limits.document_bytes = 100).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the document for the whole API has 162 bytes, and there is nothing to leave out"
        );
    }

    #[test]
    fn patterns_have_a_longest_length() {
        let case = Case::of(&[("GET /orders/{id}", "permit"), ("GET /o", "permit")]);
        let short = |question: &mut WholeApi<'_>| question.limits.pattern_characters = PREFIX.len() + 8;
        let compiled = case.compile(short).unwrap();
        let (allowed, _, withheld) = told(&case, &compiled);
        assert_eq!(allowed, ["GET/*"]);
        assert_eq!(withheld, [""; 0]);
    }

    #[test]
    fn work_has_a_bound() {
        let case = Case::of(&[("GET /orders/{id}", "permit"), ("GET /orders/export", "")]);
        let spent = case.compile(|_| {}).unwrap().work;
        assert!(case.compile(|question| question.limits.work = spent).is_ok());
        let error = case.compile(|question| question.limits.work = spent - 1).unwrap_err();
        assert_eq!(error.to_string(), "the document for the whole API takes too much work");
    }

    #[test]
    fn what_cedar_does_not_confirm_is_no_document() {
        let case = Case::of(&[("GET /a", "permit"), ("GET /u/{id}", "permit id=me")]);
        let against = |refused: &str| {
            let decide = |operation: &Operation, path: &RequestPath| match case.decide(operation, path) {
                Some(_) if path.as_str() == refused => None,
                decided => decided,
            };
            case.ask(|_| {}, |question| compile(question, &decide))
        };
        assert!(against("/elsewhere").is_ok());
        for (path, expected) in [("/a", "Allow"), ("/u/me", "Allow"), ("/u/z", "Deny")] {
            assert_eq!(
                against(path).unwrap_err().to_string(),
                format!("Cedar does not confirm the grants: {expected} for `GET {path}`")
            );
        }
    }

    #[test]
    fn grants_of_another_table_are_refused() {
        let case = Case::of(&[("GET /a", "permit")]);
        let other = Case::of(&[("GET /a", "permit"), ("GET /b", "permit")]);
        let with = |grants: &Grants| {
            let case = Case {
                operations: Vec::new(),
                routes: case.routes.clone(),
                grants: grants.clone(),
                router: case.router,
            };
            case.compile(|_| {}).unwrap_err().to_string()
        };
        assert_eq!(with(&other.grants), "the grants or the prepared routes belong to another route table");
        assert_eq!(
            with(&Grants::new(vec![grant("permit nothing=x")])),
            "a grant tests a parameter that its operation has not"
        );
    }

    /// The parts of a document, for changing them.
    fn parts_of(compiled: &Compiled) -> (Vec<String>, Vec<String>) {
        let of_effect = |effect: Effect| {
            let of_effect = compiled.patterns.iter().filter(|one| one.effect == effect);
            of_effect.map(|one| one.pattern.clone()).collect::<Vec<_>>()
        };
        (of_effect(Effect::Allow), of_effect(Effect::Deny))
    }

    #[test]
    fn the_proof_refuses_seeded_faults() {
        let (mut dropped, mut widened, mut harmless) = (0, 0, 0);
        for seed in 0..30 {
            let case = random_case(seed);
            let compiled = case.compile(|_| {}).unwrap();
            let (allowed, denied) = parts_of(&compiled);
            if allowed.is_empty() {
                continue;
            }
            let proved = |allowed: &[String], denied: &[String]| {
                case.ask(
                    |_| {},
                    |question| {
                        let (allowed, denied) = (allowed.to_vec(), denied.to_vec());
                        let policy =
                            IamPolicy::whole_api(question.stage, allowed, denied, ResourcePolicy::Absent);
                        (prove(question, &policy), policy)
                    },
                )
            };
            assert_eq!(proved(&allowed, &denied).0, Ok(()));
            // No Deny is superfluous: without it something is allowed that must not be.
            for place in 0..denied.len() {
                let mut fewer = denied.clone();
                let fault = fewer.remove(place);
                assert!(proved(&allowed, &fewer).0.is_err(), "{fault} {allowed:?} {fewer:?}");
                dropped += 1;
            }
            for (place, pattern) in allowed.iter().enumerate() {
                let (branch, last) = pattern.rsplit_once('/').unwrap();
                let verb = pattern.strip_prefix(PREFIX).unwrap().split('/').next().unwrap();
                for wider in [
                    format!("{pattern}*"),
                    format!("{branch}/*"),
                    format!("{PREFIX}{verb}/*"),
                    format!("{PREFIX}*"),
                    format!("{branch}/*{last}"),
                ] {
                    let mut changed = allowed.clone();
                    changed[place] = wider;
                    let (proof, policy) = proved(&changed, &denied);
                    match proof {
                        Ok(()) => {
                            assert_eq!(wrongly_allowed(&case, &policy), None, "{changed:?} {denied:?}");
                            harmless += 1;
                        }
                        Err(_) => widened += 1,
                    }
                }
            }
        }
        assert!(dropped > 100 && widened > 50 && harmless > 10, "{dropped} {widened} {harmless}");
    }

    fn wrongly_allowed(case: &Case, policy: &IamPolicy) -> Option<String> {
        let verbs = ["GET", "POST", "DELETE"].map(|verb| verb.parse::<Verb>().unwrap());
        paths().into_iter().find_map(|path| {
            let request_path: RequestPath = path.parse().unwrap();
            verbs.iter().find_map(|verb| {
                let is_allowed = policy.effect_for(&format!("{PREFIX}{verb}{path}")) == Some(Effect::Allow);
                let found = case.routes.find(case.router, verb, &request_path)?;
                let is_granted = case.answer(found.operation(), &request_path) == GrantAnswer::Allow;
                (is_allowed && !is_granted).then(|| format!("{verb} {path}"))
            })
        })
    }

    /// A fixed sequence of numbers for a seed (Marsaglia, "Xorshift RNGs", 2003).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 11).unwrap() % bound
        }

        fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
            of[self.below(of.len())]
        }
    }

    fn random_case(seed: u64) -> Case {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let router = if numbers.below(2) == 0 { Router::Rest } else { Router::Http };
        let mut shapes = BTreeSet::new();
        let mut operations = Vec::new();
        for _ in 0..1 + numbers.below(6) {
            let (mut path, mut params) = (String::new(), Vec::new());
            let depth = numbers.below(4);
            for place in 0..depth {
                match numbers.below(10) {
                    0..=4 => path += &format!("/{}", numbers.one(&["a", "ab", "items", "x"])),
                    5..=8 => {
                        let name = ["p", "q", "r", "s"][params.len()];
                        params.push(name);
                        path += &format!("/{{{name}}}");
                    }
                    _ if place + 1 == depth => {
                        params.push("proxy");
                        path += "/{proxy+}";
                    }
                    _ => path += "/b",
                }
            }
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let verb = numbers.one(&["GET", "GET", "POST", "ANY"]);
            if !shapes.insert((verb.to_owned(), path.clone())) {
                continue;
            }
            let clauses = (0..1 + numbers.below(3)).map(|_| {
                let effect = numbers.one(&["permit", "permit", "permit", "forbid"]);
                let atoms =
                    (0..numbers.below(3)).map(|_| random_atom(&mut numbers, &params)).collect::<Vec<_>>();
                format!("{effect} {}", atoms.join(" & "))
            });
            let rule = clauses.collect::<Vec<_>>().join(";");
            operations.push((format!("{verb} {path}"), rule));
        }
        Case::new(router, &operations)
    }

    fn random_atom(numbers: &mut Numbers, params: &[&str]) -> String {
        let negation = numbers.one(&["", "", "!"]);
        let text = numbers.one(&["a", "ab", "abc", "b", "items", "x", "a/b"]);
        let glob = numbers.one(&["a*", "ab*", "*b", "*c", "a*c", "*b*", "i*", "a*b*"]);
        match numbers.below(12) {
            0 => format!("{negation}?mfa"),
            1 => format!("{negation}path~/{glob}"),
            2 => format!("{negation}path=/{text}"),
            choice if !params.is_empty() && choice < 8 => format!("{negation}{}={text}", numbers.one(params)),
            _ if !params.is_empty() => format!("{negation}{}~{glob}", numbers.one(params)),
            _ => format!("{negation}path~*{text}"),
        }
    }

    /// All paths of up to three segments of a few words, some that are refused, and some that are deep.
    fn paths() -> Vec<String> {
        let words = ["a", "ab", "abc", "items", "x", "zb"];
        let mut paths = vec!["/".to_owned()];
        let mut level = vec![String::new()];
        for _ in 0..3 {
            level = level.iter().flat_map(|path| words.map(|word| format!("{path}/{word}"))).collect();
            paths.extend(level.iter().cloned());
        }
        for path in ["/a/b/a/b", "/a/items/x/items/x", "/b/b/b/b/b", "/a/ab/abc/x/zzz/a"] {
            paths.push(path.to_owned());
        }
        paths
    }

    /// What the authorizer refuses by itself.
    const REFUSED: [&str; 12] = [
        "//",
        "/a/",
        "//a",
        "/a//b",
        "/./a",
        "/a/..",
        "/a/../b",
        "/%61",
        "/a/;x",
        "/a/.;/b",
        "/x/%2e%2e/a",
        "/a/.",
    ];

    fn check_by_definition(case: &Case, compiled: &Compiled, paths: &[String]) -> usize {
        let verbs = ["GET", "POST", "DELETE"].map(|verb| verb.parse::<Verb>().unwrap());
        let mut asked = 0;
        for path in paths {
            let request_path: RequestPath = path.parse().unwrap();
            for verb in &verbs {
                let arn = format!("{PREFIX}{verb}{path}");
                let is_allowed = compiled.policy.effect_for(&arn) == Some(Effect::Allow);
                let Some(found) = case.routes.find(case.router, verb, &request_path) else { continue };
                let answer = case.answer(found.operation(), &request_path);
                let wrong = match answer {
                    GrantAnswer::Allow => compiled.is_exact() && !is_allowed,
                    GrantAnswer::Deny | GrantAnswer::Unknown => is_allowed,
                };
                assert!(
                    !wrong,
                    "{verb} {path}: {answer:?}, allowed: {is_allowed}\n{:?} {:#?}\n{compiled:#?}",
                    case.router, case.operations
                );
                asked += 1;
            }
        }
        for path in REFUSED {
            let arn = format!("{PREFIX}GET{path}");
            assert_ne!(compiled.policy.effect_for(&arn), Some(Effect::Allow), "{path}\n{compiled:#?}");
        }
        asked
    }

    /// Collections, items, what belongs to items: what such tables look like, with rules drawn for each operation.
    fn realistic_case(seed: u64) -> Case {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let base = numbers.one(&["", "", "", "/tenants/{tenant}"]);
        let owner = if base.is_empty() { "id" } else { "tenant" };
        let mut paths = Vec::new();
        for resource in ["orders", "users", "invoices"].into_iter().take(2 + numbers.below(2)) {
            let (list, item) = (format!("{base}/{resource}"), format!("{base}/{resource}/{{id}}"));
            paths.extend([("GET", list.clone()), ("POST", list.clone())]);
            paths.extend(["GET", "PUT", "DELETE"].map(|verb| (verb, item.clone())));
            for rare in [format!("{list}/export"), format!("{item}/items"), format!("{item}/items/{{sub}}")] {
                if numbers.below(2) == 0 {
                    paths.push(("GET", rare));
                }
            }
        }
        paths.extend([("ANY", "/admin/{proxy+}".to_owned()), ("GET", "/health".to_owned())]);
        let rule = |path: &str, choice: usize| match choice {
            5 | 6 if path.contains(owner) => format!("permit {owner}=me"),
            7 if path.contains(owner) => format!("permit; forbid {owner}=root"),
            8.. => String::new(),
            _ => "permit".to_owned(),
        };
        let operations = paths.into_iter().map(|(verb, path)| {
            let rule = rule(&path, numbers.below(10));
            (format!("{verb} {path}"), rule)
        });
        let operations: Vec<(String, String)> = operations.collect();
        Case::new(Router::Rest, &operations)
    }

    /// Each template with values for its parameters that mean something somewhere, and what lies below.
    fn paths_of_templates(case: &Case) -> Vec<String> {
        let mut paths = BTreeSet::new();
        for operation in case.routes.operations() {
            let mut level = vec![String::new()];
            for segment in operation.template().segments() {
                let values = match segment {
                    crate::route::Segment::Literal(text) => vec![text.as_str()],
                    _ => vec!["z", "me", "root", "items", "orders", "export"],
                };
                let longer = |path: &String| {
                    values.iter().map(move |value| format!("{path}/{value}")).collect::<Vec<_>>()
                };
                level = level.iter().flat_map(longer).collect();
            }
            paths.extend(level.iter().cloned());
            paths.extend(level.iter().map(|path| format!("{path}/items")));
        }
        paths.into_iter().collect()
    }

    #[test]
    fn documents_say_what_the_grants_say() {
        let (mut asked, mut exact) = (0, 0);
        for seed in 0..150 {
            let case = random_case(seed);
            let compiled = case
                .compile(|_| {})
                .unwrap_or_else(|error| panic!("{error}: {:?} {:#?}", case.router, case.operations));
            asked += check_by_definition(&case, &compiled, &paths());
            exact += usize::from(compiled.is_exact());
        }
        for seed in 0..20 {
            let case = realistic_case(seed);
            let compiled = case.compile(|_| {}).unwrap();
            asked += check_by_definition(&case, &compiled, &paths_of_templates(&case));
            exact += usize::from(compiled.is_exact());
        }
        // So that neither the requests nor the documents are empty ones.
        assert!(asked > 10_000 && exact > 75, "{asked} requests, {exact} exact documents");
    }
}
