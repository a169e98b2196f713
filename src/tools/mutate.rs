//! Whether the tests would notice if the policies were other than they are: small mistakes are made in the policies one at a
//! time, and each is held against the tests.
//!
//! A mistake is an exact edit of one policy's text. It is noticed where a test fails. Where none does, the two states of the
//! policies are compared as [`plan`](super::plan) compares them: a mistake that changes no decision is no mistake, and one
//! that does is a gap, with a test that would notice it: one that was run, and passes without the mistake and fails with it.

mod suggestion;

use std::collections::BTreeSet;
use std::ops::Range;

use cedar_policy as cedar;
use serde::Serialize;
use similar::TextDiff;

use super::anatomy::{self, Anatomy, AnatomyClause, AnatomyError, tokens};
use super::desk::Desk;
use super::plan::{Effort, Plan, Side};
use super::suite::{self, Filter, RunOptions, Studied, Suites};
use super::trace::Place;
use crate::bundle::Bundle;
use crate::bundle::policies::PolicyVersion;
use crate::bundle::source::SourceFiles;
use crate::decision::{Decision, Engine};
use crate::entities::AccessRequest;

pub use suggestion::Suggestion;

/// A mistake that could be made in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mutant {
    /// The version of the policies.
    pub version: String,
    /// The policy's id.
    pub policy: String,
    /// Which kind of mistake.
    pub kind: MutantKind,
    /// Where it is made.
    pub place: Place,
    /// What would be the case, to follow "nobody would notice if".
    pub what: String,
    #[serde(skip)]
    edit: Range<usize>,
    #[serde(skip)]
    with: String,
    #[serde(skip)]
    span: Range<usize>,
}

/// The kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MutantKind {
    /// `permit` for `forbid`, or the other way round.
    FlipEffect,
    /// The policy is not there.
    DropPolicy,
    /// A conjunct is not there.
    DropConjunct,
    /// A conjunct says its opposite.
    NegateConjunct,
    /// The policy is for more principals.
    WidenPrincipal,
    /// It is for more actions.
    WidenAction,
    /// It is for more resources.
    WidenResource,
    /// `in` for `==`.
    EqualsToIn,
    /// Another role.
    SwapRole,
    /// A pattern matches everything.
    LoosenLike,
    /// The tenant is not looked at.
    RemoveTenant,
}

/// What became of a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum Fate {
    /// A test failed.
    Noticed {
        /// Which.
        by: String,
    },
    /// No test failed, and the decisions differ.
    Survived {
        /// A test that would notice; `None` where none was found that does.
        suggestion: Option<Suggestion>,
    },
    /// No test failed, and no decision differs.
    Equivalent {
        /// How many requests were tried where conditions differ; 0 where that is exact.
        requests: usize,
    },
    /// The mistake does not load: it would not go unnoticed.
    Invalid,
}

/// The policies, their tests, and what the tests ask for.
#[derive(Debug)]
pub struct Mutation<'s, 'b> {
    suites: &'s Suites<'b>,
    bundle: &'b Bundle,
    files: &'s SourceFiles,
    selected: Vec<usize>,
    studied: Vec<Studied<'s, 'b>>,
    /// The tests that are more than a decision on a request.
    others: Vec<usize>,
}

impl Mutant {
    /// The file with the mistake in it.
    fn applied(&self, files: &SourceFiles) -> Option<(String, String)> {
        let text = files.text(&self.place.file)?;
        let mutated = format!("{}{}{}", text.get(..self.edit.start)?, self.with, text.get(self.edit.end..)?);
        // The policy alone: the edit is within it.
        let policy = format!(
            "{}{}{}",
            text.get(self.span.start..self.edit.start)?,
            self.with,
            text.get(self.edit.end..self.span.end)?
        );
        Some((mutated, policy))
    }

    /// The edit as a unified diff.
    #[must_use]
    pub fn diff(&self, files: &SourceFiles) -> String {
        let before = files.text(&self.place.file).unwrap_or_default();
        let Some((after, _)) = self.applied(files) else { return String::new() };
        let diff = TextDiff::from_lines(before, &after);
        let (old, new) = (format!("a/{}", self.place.file), format!("b/{}", self.place.file));
        diff.unified_diff().context_radius(1).header(&old, &new).to_string()
    }
}

/// Every mistake that is tried in the policies of a version, in the order of their files.
///
/// # Errors
/// [`AnatomyError`]
pub fn mutants(version: &PolicyVersion, files: &SourceFiles) -> Result<Vec<Mutant>, AnatomyError> {
    let mut mutants = Vec::new();
    for policy in version.policies().policies() {
        let id = policy.id().to_string();
        let (anatomy, file, text) = Anatomy::of_policy(&id, version, files)?;
        let permits = policy.effect() == cedar::Effect::Permit;
        Maker { version, id, anatomy, file, text, mutants: &mut mutants }.make(permits);
    }
    mutants.sort_by(|one, other| {
        let key =
            |mutant: &Mutant| (mutant.place.file.clone(), mutant.span.start, mutant.edit.start, mutant.kind);
        key(one).cmp(&key(other)).then_with(|| one.with.cmp(&other.with))
    });
    Ok(mutants)
}

/// Some of the mistakes: the same for the same seed, in the same order.
#[must_use]
pub fn sample(mutants: Vec<Mutant>, most: usize, seed: u64) -> Vec<Mutant> {
    let mut numbered: Vec<(u64, usize)> = (0..mutants.len())
        .map(|index| (scattered(seed ^ (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)), index))
        .collect();
    numbered.sort_unstable();
    let chosen: BTreeSet<usize> = numbered.into_iter().take(most).map(|(_, index)| index).collect();
    mutants
        .into_iter()
        .enumerate()
        .filter(|(index, _)| chosen.contains(index))
        .map(|(_, mutant)| mutant)
        .collect()
}

/// SplitMix64's finalizer (Steele, Lea and Flood 2014): numbers that follow each other are far apart after it.
const fn scattered(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Makes the mistakes of one policy.
struct Maker<'m> {
    version: &'m PolicyVersion,
    id: String,
    anatomy: Anatomy,
    file: &'m str,
    text: &'m str,
    mutants: &'m mut Vec<Mutant>,
}

impl Maker<'_> {
    fn add(&mut self, kind: MutantKind, edit: Range<usize>, with: &str, what: String) {
        if self.text.get(edit.clone()) == Some(with) {
            return;
        }
        let (line, column) = anatomy::position(self.text, edit.start);
        self.mutants.push(Mutant {
            version: self.version.name.clone(),
            policy: self.id.clone(),
            kind,
            place: Place { file: self.file.to_owned(), line, column },
            what,
            edit,
            with: with.to_owned(),
            span: self.anatomy.span.clone(),
        });
    }

    fn part(&self, span: &Range<usize>) -> String {
        self.text.get(span.clone()).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn make(&mut self, permits: bool) {
        let id = self.id.clone();
        let (other, instead) = match permits {
            true => ("forbid", "forbade instead of permitting"),
            false => ("permit", "permitted instead of forbidding"),
        };
        let Anatomy { span, effect, principal, action, resource, clauses, .. } = self.anatomy.clone();
        self.add(MutantKind::FlipEffect, effect, other, format!("`{id}` {instead}"));
        self.add(MutantKind::DropPolicy, span.clone(), "", format!("`{id}` were not there"));
        self.scope(MutantKind::WidenPrincipal, &principal, "principal");
        self.scope(MutantKind::WidenAction, &action, "action");
        self.scope(MutantKind::WidenResource, &resource, "resource");
        for clause in &clauses {
            self.clause(clause);
        }
        self.words(span);
    }

    /// The scope for everything; for everything of the type, where it names one; and `in` for `==`.
    fn scope(&mut self, kind: MutantKind, span: &Range<usize>, anything: &str) {
        let id = self.id.clone();
        let written = self.part(span);
        let in_scope: Vec<(String, Range<usize>)> = tokens(self.text, span.clone())
            .into_iter()
            .map(|token| (token.text.to_owned(), token.start..token.end()))
            .collect();
        let find = |word: &str| in_scope.iter().position(|(text, _)| text == word);
        let looks_at_tenant = written.contains("Tenant::");
        let kind_of = |kind| if looks_at_tenant { MutantKind::RemoveTenant } else { kind };
        self.add(
            kind_of(kind),
            span.clone(),
            anything,
            format!("`{id}` were for every {anything}, not `{written}`"),
        );
        if let (Some(_), Some(at)) = (find("is"), find("in"))
            && let Some((_, before)) = at.checked_sub(1).and_then(|before| in_scope.get(before))
        {
            let what = format!("`{id}` were for every {anything} of the type, not `{written}`");
            self.add(kind_of(kind), before.end..span.end, "", what);
        }
        if let Some(at) = find("=")
            && let (Some((_, first)), Some((_, second))) = (in_scope.get(at), in_scope.get(at + 1))
        {
            let what = format!("`{id}` said `in` for `==` in `{written}`");
            self.add(MutantKind::EqualsToIn, first.start..second.end, "in", what);
        }
    }

    fn clause(&mut self, clause: &AnatomyClause) {
        let id = self.id.clone();
        for (index, conjunct) in clause.conjuncts.iter().enumerate() {
            let written = self.part(&conjunct.span);
            let (before, after) = (
                index.checked_sub(1).and_then(|before| clause.conjuncts.get(before)),
                clause.conjuncts.get(index + 1),
            );
            let edit = match (before, after) {
                (None, None) => clause.span.clone(),
                (None, Some(after)) => conjunct.span.start..after.span.start,
                (Some(before), _) => before.span.end..conjunct.span.end,
            };
            let kind = match written.contains("Tenant::") {
                true => MutantKind::RemoveTenant,
                false => MutantKind::DropConjunct,
            };
            let word = clause.kind.as_str();
            self.add(kind, edit, "", format!("`{id}` did not say `{written}` in its `{word}`"));
            let negated = format!("!({})", conjunct.text);
            let what = format!("`{id}` said the opposite of `{written}`");
            self.add(MutantKind::NegateConjunct, conjunct.span.clone(), &negated, what);
        }
    }

    /// Roles and patterns, wherever they stand.
    fn words(&mut self, span: Range<usize>) {
        let id = self.id.clone();
        let roles: Vec<String> = self.version.roles.names().map(str::to_owned).collect();
        let text = self.text;
        let all = tokens(text, span);
        for (index, token) in all.iter().enumerate() {
            let string = |ahead: usize| {
                all.get(index + ahead)
                    .filter(|token| token.text.starts_with('"'))
                    .map(|token| (token.text.to_owned(), token.start..token.end()))
            };
            let colons =
                || [1, 2].iter().all(|ahead| all.get(index + ahead).is_some_and(|colon| colon.text == ":"));
            match token.text {
                "Role" if colons() => {
                    let Some((name, place)) = string(3) else { continue };
                    for role in &roles {
                        let other = format!("{role:?}");
                        let what = format!("`{id}` were for role {other} instead of {name}");
                        self.add(MutantKind::SwapRole, place.clone(), &other, what);
                    }
                }
                "like" => {
                    let Some((pattern, place)) = string(1) else { continue };
                    let what = format!("the pattern {pattern} of `{id}` matched everything");
                    self.add(MutantKind::LoosenLike, place, "\"*\"", what);
                }
                _ => {}
            }
        }
    }
}

/// What one policy alone says to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    Permit,
    Forbid,
    Error,
}

/// A policy alone, or none.
struct Alone(cedar::PolicySet);

impl Alone {
    fn new(policy: Option<cedar::Policy>) -> Option<Self> {
        cedar::PolicySet::from_policies(policy).ok().map(Self)
    }

    fn says(&self, request: &AccessRequest) -> Says {
        let response = cedar::Authorizer::new().is_authorized(&request.request, &self.0, &request.entities);
        let diagnostics = response.diagnostics();
        match (diagnostics.errors().next(), diagnostics.reason().next(), response.decision()) {
            (Some(_), _, _) => Says::Error,
            (None, None, _) => Says::Nothing,
            (None, Some(_), cedar::Decision::Allow) => Says::Permit,
            (None, Some(_), cedar::Decision::Deny) => Says::Forbid,
        }
    }
}

/// The policies with a mistake in one of them.
struct Mutated {
    before: Alone,
    after: Alone,
    engine: Engine,
}

impl Mutated {
    /// `None` where the mistake does not parse, or does not pass the validation that every policy has to pass.
    fn new(
        mutant: &Mutant,
        version: &PolicyVersion,
        schema: &cedar::Schema,
        files: &SourceFiles,
    ) -> Option<Self> {
        let id = cedar::PolicyId::new(&mutant.policy);
        let policy = match mutant.kind {
            MutantKind::DropPolicy => None,
            _ => Some(cedar::Policy::parse(Some(id.clone()), mutant.applied(files)?.1).ok()?),
        };
        let after = Alone::new(policy.clone())?;
        let result = cedar::Validator::new(schema.clone()).validate_with_level(
            &after.0,
            cedar::ValidationMode::Strict,
            1,
        );
        if !result.validation_passed() {
            return None;
        }
        let others = version.policies().policies().filter(|known| *known.id() != id).cloned();
        let all = cedar::PolicySet::from_policies(others.chain(policy)).ok()?;
        let before = Alone::new(version.policies().policy(&id).cloned())?;
        Some(Self { before, after, engine: Engine::new(all).ok()? })
    }

    /// The decision on a request, where it can be another one than without the mistake.
    fn decide(&self, request: &AccessRequest) -> Option<Decision> {
        if self.before.says(request) == self.after.says(request) {
            return None;
        }
        let (action, resource) = (request.request.action()?, request.request.resource()?);
        let slice = self.engine.slice(action, resource, &request.entities).ok()?;
        Some(slice.decide(request))
    }
}

impl<'s, 'b> Mutation<'s, 'b> {
    /// Everything that is needed to try mistakes. `files` are those of the bundle, and those of the tests.
    #[must_use]
    pub fn new(
        suites: &'s Suites<'b>,
        bundle: &'b Bundle,
        files: &'s SourceFiles,
        selected: Vec<usize>,
    ) -> Self {
        let mut studied = Vec::new();
        suites.study(&selected, &mut |one| studied.push(one));
        let others = suites.beyond_requests(&selected);
        Self { suites, bundle, files, selected, studied, others }
    }

    /// Every mistake that is tried: in each version that the tests ask.
    ///
    /// # Errors
    /// [`AnatomyError`]
    pub fn mutants(&self) -> Result<Vec<Mutant>, AnatomyError> {
        let mut versions: Vec<&PolicyVersion> = self.suites.desks().iter().map(Desk::version).collect();
        versions.sort_by(|one, other| one.name.cmp(&other.name));
        versions.dedup_by(|one, other| one.name == other.name);
        let mut all = Vec::new();
        for version in versions {
            all.extend(mutants(version, self.files)?);
        }
        Ok(all)
    }

    /// The tests that are run.
    #[must_use]
    pub fn selected(&self) -> &[usize] {
        &self.selected
    }

    /// Tries a mistake.
    #[must_use]
    pub fn attempt(&self, mutant: &Mutant) -> Fate {
        let of_version = |desk: &&Desk<'_>| desk.version().name == mutant.version;
        let Some(desk) = self.suites.desks().iter().find(of_version) else { return Fate::Invalid };
        let Some(mutated) = Mutated::new(mutant, desk.version(), self.bundle.schema(), self.files) else {
            return Fate::Invalid;
        };
        let concerned = self.studied.iter().filter(|one| of_version(&one.desk) && !one.is_event);
        for one in concerned {
            if let Some(decision) = mutated.decide(&one.asked.request)
                && !self.suites.would_pass(one.test, &decision)
            {
                return Fate::Noticed { by: self.suites.describe(one.test) };
            }
        }
        let Some((text, _)) = mutant.applied(self.files) else { return Fate::Invalid };
        let mut files = self.files.clone();
        files.insert(mutant.place.file.clone(), text);
        let Ok(bundle) = Bundle::load(&without_tests(&files)) else { return Fate::Invalid };
        if let Some(by) = self.noticed_beyond_requests(&bundle, &files) {
            return Fate::Noticed { by };
        }
        self.compared(mutant, &mutated, &bundle, &files)
    }

    /// Events, and tests in Cedar's terms, are asked of the policies with the mistake as the suites ask them.
    fn noticed_beyond_requests(&self, bundle: &Bundle, files: &SourceFiles) -> Option<String> {
        if self.others.is_empty() {
            return None;
        }
        let suites = match Suites::load(bundle, files, false) {
            Ok(suites) => suites,
            Err(errors) => return errors.errors.first().map(ToString::to_string),
        };
        let options = RunOptions { threads: 1, fail_fast: true };
        let report = suites.run(&self.others, &Filter::new(Vec::new()), options, &|| {});
        let failed = report.failures().next();
        failed.map(|(suite, case, test, _)| {
            format!("{}, `{}`: {} {}", suite.file, case.name, test.principal, test.request)
        })
    }

    /// No test noticed: whether there is something to notice.
    fn compared(&self, mutant: &Mutant, mutated: &Mutated, bundle: &Bundle, files: &SourceFiles) -> Fate {
        let version = Some(mutant.version.as_str());
        let old = Side { name: "as it is", bundle: self.bundle, files: self.files, version, held: &[] };
        let new = Side { name: "mutated", bundle, files, version, held: &[] };
        let (known, differs) = self.of_the_tests(mutant, mutated, (bundle, files));
        if known.is_some() {
            return Fate::Survived { suggestion: known };
        }
        let Ok(plan) = Plan::new(old, new, Effort { each: 500, all: 20_000 }) else {
            return Fate::Survived { suggestion: None };
        };
        if plan.stages.iter().all(|stage| stage.changes.is_empty()) && !differs {
            let requests = plan.stages.iter().map(|stage| stage.compared.requests).sum();
            return Fate::Equivalent { requests };
        }
        Fate::Survived { suggestion: self.of_a_plan(mutant, &plan, (bundle, files)) }
    }
}

/// The files of the bundle alone: tests stand beside it.
fn without_tests(files: &SourceFiles) -> SourceFiles {
    let mut bundle = SourceFiles::default();
    for path in files.paths().filter(|path| !path.starts_with(suite::FOLDER)) {
        bundle.insert(path, files.bytes(path).unwrap_or_default());
    }
    bundle
}
