//! Whether the tests would notice if the policies were other than they are: small mistakes are made in the policies one at a
//! time, and each is held against the tests.
//!
//! A mistake is an exact edit of one policy's text. It is noticed where a test fails. Where none does, the two states of the
//! policies are compared as [`plan`](super::plan) compares them: a mistake that changes no decision is no mistake, and one
//! that does is a gap, with a request that shows it.

use std::collections::BTreeSet;
use std::ops::Range;

use cedar_policy as cedar;
use serde::Serialize;
use similar::TextDiff;

use super::anatomy::{self, Anatomy, AnatomyClause, AnatomyError, tokens};
use super::desk::{Desk, Target};
use super::people::named_tenants;
use super::plan::{Effort, Example, Plan, Side};
use super::suite::{self, Filter, RunOptions, Studied, Suites};
use super::trace::Place;
use crate::bundle::Bundle;
use crate::bundle::policies::PolicyVersion;
use crate::bundle::source::SourceFiles;
use crate::decision::{Decision, Effect, Engine};
use crate::entities::{AccessRequest, HttpFacts};
use crate::jose::{ClaimValue, PrincipalKind};

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
        /// A request that shows it.
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

/// A test that would notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// A principal of the tests, where one makes the difference.
    pub principal: Option<String>,
    /// Who asks, in words.
    pub who: String,
    /// `DELETE /orders/1`
    pub request: String,
    /// What the policies say as they are.
    pub expect: &'static str,
    /// How the principal would be declared in `tests/policies/principals.toml`, where it is none of the tests'.
    pub declaration: Option<String>,
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
struct Mutated<'v> {
    version: &'v PolicyVersion,
    before: Alone,
    after: Alone,
    engine: Engine,
}

impl<'v> Mutated<'v> {
    /// `None` where the mistake does not parse, or does not pass the validation that every policy has to pass.
    fn new(
        mutant: &Mutant,
        version: &'v PolicyVersion,
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
        Some(Self { version, before, after, engine: Engine::new(all) })
    }

    /// The decision on a request, where it can be another one than without the mistake.
    fn decide(&self, request: &AccessRequest) -> Option<Decision> {
        if self.before.says(request) == self.after.says(request) {
            return None;
        }
        let (action, resource) = (request.request.action()?, request.request.resource()?);
        let slice = self.engine.slice(action, resource, &request.entities).ok()?;
        Some(slice.decide(request, self.version))
    }
}

/// The most requests that are tried with the principals of the tests to find one for a suggestion.
const MOST_TRIED: usize = 20_000;

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
    fn compared(&self, mutant: &Mutant, mutated: &Mutated<'_>, bundle: &Bundle, files: &SourceFiles) -> Fate {
        let version = Some(mutant.version.as_str());
        let old = Side { name: "as it is", bundle: self.bundle, files: self.files, version, held: &[] };
        let new = Side { name: "mutated", bundle, files, version, held: &[] };
        let known = self.suggestion(mutant, mutated);
        if known.is_some() {
            return Fate::Survived { suggestion: known };
        }
        let Ok(plan) = Plan::new(old, new, Effort { each: 500, all: 20_000 }) else {
            return Fate::Survived { suggestion: None };
        };
        let mut changes = plan.stages.iter().flat_map(|stage| &stage.changes);
        let Some(change) = changes.next() else {
            let requests = plan.stages.iter().map(|stage| stage.compared.requests).sum();
            return Fate::Equivalent { requests };
        };
        let suggestion = change.examples.first().map(|example| {
            let path = example.case.path.as_ref().map_or("$connect", |path| path.as_str());
            let verb = example.verb.as_ref().map(|verb| format!("{verb} ")).unwrap_or_default();
            let [before, _] = &example.asked;
            Suggestion {
                principal: None,
                who: described(example),
                request: format!("{verb}{path}"),
                expect: expectation(before.effect),
                declaration: declaration(bundle, &mutant.version, example),
            }
        });
        Fate::Survived { suggestion }
    }

    /// A request of the tests that the mistake changes for one of their principals.
    fn suggestion(&self, mutant: &Mutant, mutated: &Mutated<'_>) -> Option<Suggestion> {
        let here: Vec<&Studied<'s, 'b>> =
            self.studied.iter().filter(|one| one.desk.version().name == mutant.version).collect();
        let mut names = BTreeSet::new();
        let people: Vec<&&Studied<'s, 'b>> = here.iter().filter(|one| names.insert(one.who)).collect();
        let mut requests = BTreeSet::new();
        let asked: Vec<&&Studied<'s, 'b>> = here.iter().filter(|one| requests.insert(one.request)).collect();
        let pairs = people.iter().flat_map(|person| asked.iter().map(move |request| (person, request)));
        for (person, request) in pairs.take(MOST_TRIED) {
            let target: Target<'_> = request.target;
            let Ok(before) = request.desk.ask(&person.principal, target, HttpFacts::default()) else {
                continue;
            };
            let Some(after) = mutated.decide(&before.request) else { continue };
            if after.effect() != before.decision.effect() {
                return Some(Suggestion {
                    principal: Some(person.who.to_owned()),
                    who: format!("{}", person.principal.uid()),
                    request: request.request.to_owned(),
                    expect: expectation(before.decision.effect()),
                    declaration: None,
                });
            }
        }
        None
    }
}

/// A principal that a comparison made up, in words, with the attributes that it was given.
fn described(example: &Example) -> String {
    let given = example.case.attributes.iter().filter(|(name, _)| *name != "sub" && *name != "issuer");
    let given: Vec<String> = given.map(|(name, value)| format!("{name} = {}", written(value))).collect();
    match given.is_empty() {
        true => format!("{} (`{}`)", example.person, example.case.id),
        false => format!("{} (`{}`, {})", example.person, example.case.id, given.join(", ")),
    }
}

/// The name of a principal that the tests do not have yet.
const NEWCOMER: &str = "somebody-new";

/// How that principal would be declared: by the first issuer that may say all this of somebody.
fn declaration(bundle: &Bundle, version: &str, example: &Example) -> Option<String> {
    let version = bundle.policy_versions().find(|known| known.name == version)?;
    let roles = example.person.named_roles(&version.roles);
    let given = example.case.attributes.iter();
    let claims: Vec<(&str, &ClaimValue)> =
        given.filter_map(|(name, value)| Some((name.strip_prefix("claims.")?, value))).collect();
    // Who is of no tenant stands for every tenant that no policy names.
    let named = named_tenants(version);
    let fits = |tenant: &str| match &example.person.tenant {
        Some(wanted) => wanted == tenant,
        None => !named.contains(tenant),
    };
    let issuer = bundle.issuers().by_name().find(|issuer| {
        let confers = roles.iter().all(|role| issuer.grantable_roles().iter().any(|known| known == role));
        let speaks = match issuer.tenants().as_deref() {
            None => true,
            Some([]) => example.person.tenant.is_none(),
            Some(tenants) => tenants.iter().any(|tenant| fits(tenant)),
        };
        let says = claims.iter().all(|(name, _)| issuer.attributes().any(|known| known == *name));
        confers && speaks && says
    })?;
    let tenant = issuer.tenant_claim().and_then(|_| match issuer.tenants() {
        None => example.person.tenant.clone(),
        Some(tenants) => tenants.into_iter().find(|tenant| fits(tenant)).map(str::to_owned),
    });
    let mut text = format!("[principal.{NEWCOMER}]\nissuer = {:?}\n", issuer.name());
    let sub = example.case.attributes.get("sub");
    match (example.person.kind, sub) {
        (PrincipalKind::Client, Some(ClaimValue::String(sub))) => text += &format!("client = {sub:?}\n"),
        (PrincipalKind::User, Some(ClaimValue::String(sub))) => text += &format!("sub    = {sub:?}\n"),
        (PrincipalKind::Client | PrincipalKind::User, _) => {}
    }
    if let Some(tenant) = tenant {
        text += &format!("tenant = {tenant:?}\n");
    }
    if !roles.is_empty() {
        text += &format!("roles  = {roles:?}\n");
    }
    let claims = claims.iter().filter_map(|(name, value)| {
        let (_, path) = issuer.attributes.iter().find(|(known, _)| **known == **name)?;
        Some(format!("{:?} = {}", path.as_str(), written(value)))
    });
    let claims: Vec<String> = claims.collect();
    if !claims.is_empty() {
        text += &format!("claims = {{ {} }}\n", claims.join(", "));
    }
    Some(text)
}

/// A claim's value as TOML and Cedar write it.
fn written(value: &ClaimValue) -> String {
    match value {
        ClaimValue::String(text) => format!("{text:?}"),
        ClaimValue::Long(number) => number.to_string(),
        ClaimValue::Bool(value) => value.to_string(),
        ClaimValue::Set(items) => format!("{items:?}"),
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

const fn expectation(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

impl Suggestion {
    /// What to write into the tests: the case, and before it the principal, where there is none yet.
    #[must_use]
    pub fn case(&self, mutant: &Mutant) -> String {
        let principal = self.principal.as_deref().unwrap_or(NEWCOMER);
        let about = match (&self.principal, &self.declaration) {
            (Some(_), _) => String::new(),
            (None, Some(declaration)) => format!("{declaration}\n"),
            (None, None) => format!("# {NEWCOMER}: {}\n", self.who),
        };
        let name = format!("{} decides about {}", mutant.policy, self.request);
        format!(
            "{about}[[case]]\nname       = {name:?}\nprincipals = [{principal:?}]\nrequests   = [{:?}]\nexpect     = {:?}\n",
            self.request, self.expect
        )
    }
}
