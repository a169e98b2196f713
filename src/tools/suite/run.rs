//! Runs the tests: each principal is verified once, tests are shared among threads, and the report is the same whatever
//! thread was first.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::authorizer::{Answered, EventQuestion};
use crate::bundle::deployment::AnswerScope;
use crate::decision::{Decision, Effect, Engine, EngineAnswer, PolicyError};
use crate::entities::{EntityError, HttpFacts, Principal};
use crate::event::AuthorizerEvent;
use crate::jose::TokenError;
use crate::record::Outcome;
use crate::tools::desk::{AskError, Desk, Target};
use crate::tools::trace::{Fact, Trace, Tracer};

use super::expect::{Got, Mismatch, Reading, Stated, pretty};
use super::filter::Subject;
use super::report::{CaseReport, Failure, Golden, Report, SuiteReport, TestReport};
use super::{Caller, Filter, Question, Suites, Test, events};

/// How tests are run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// How many threads share the work.
    pub threads: usize,
    /// Whether the first failure, in the order of the files, is the last that is reported.
    pub fail_fast: bool,
}

/// Stack of a thread that evaluates policies, which call themselves once for each part of an expression.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// The most failures that are explained: who has more reads the first.
const MOST_EXPLAINED: usize = 200;

/// The principals of the desks, by desk and caller.
type Principals = HashMap<(usize, usize), Result<Principal, EntityError>>;

impl Suites<'_> {
    /// How many tests there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tests.len()
    }

    /// Whether there is nothing to run: every case is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    /// The tests that a filter selects, by their number.
    #[must_use]
    pub fn selected(&self, filter: &Filter) -> Vec<usize> {
        let tests = self.tests.iter().enumerate();
        tests.filter(|(_, test)| self.is_selected(test, filter)).map(|(index, _)| index).collect()
    }

    /// Whether a filter selects a case that is left out. What it would ask is not known.
    fn is_skipped_case_selected(&self, suite: &str, case: &str, filter: &Filter) -> bool {
        let policies = |_: &dyn Fn(&str) -> bool| false;
        filter.selects(&Subject { suite, case, principal: "", routes: &[], policies: &policies })
    }

    fn is_selected(&self, test: &Test, filter: &Filter) -> bool {
        if filter.is_empty() {
            return true;
        }
        let Some(suite) = self.suites.get(test.suite) else { return false };
        let case = suite.cases.get(test.case).map_or("", |case| case.name.as_str());
        let place = match &test.question {
            Question::Request { desk, request, .. } => Some((*desk, request)),
            Question::Event { desk, request: Some(request), .. } => Some((*desk, request)),
            Question::Event { request: None, .. } | Question::Token { .. } | Question::Cedar { .. } => None,
        };
        let operation = place
            .and_then(|(desk, request)| self.desks.get(desk)?.operations().get(request.operation.index()));
        let routes: Vec<&str> = [Some(test.request.as_str()), operation.map(|operation| operation.name())]
            .into_iter()
            .flatten()
            .collect();
        let policies = |matches: &dyn Fn(&str) -> bool| {
            let named = test.expected.because.iter().flat_map(|because| because.policies());
            let slice = place.and_then(|(desk, request)| self.desks.get(desk)?.operation(request.operation));
            let mut can_apply = slice.into_iter().flat_map(|(_, slice)| slice.policies());
            named.into_iter().any(|policy| matches(policy))
                || can_apply.any(|policy| matches(policy.id().as_ref()))
        };
        filter.selects(&Subject {
            suite: &suite.name,
            case,
            principal: &test.principal,
            routes: &routes,
            policies: &policies,
        })
    }

    /// Runs these tests. `done` is called after each, from whatever thread.
    #[must_use]
    pub fn run(
        &self,
        selected: &[usize],
        filter: &Filter,
        options: RunOptions,
        done: &(dyn Fn() + Sync),
    ) -> Report {
        let principals = self.principals(selected);
        let next = AtomicUsize::new(0);
        let first_failure = AtomicUsize::new(usize::MAX);
        let results: Mutex<Vec<(usize, TestReport)>> = Mutex::new(Vec::with_capacity(selected.len()));
        let work = || {
            let mut found = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(test) = selected.get(at).and_then(|index| self.tests.get(*index)) else { break };
                // Tests are handed out in their order, so all that stand before a failure are run.
                if options.fail_fast && at > first_failure.load(Ordering::Relaxed) {
                    break;
                }
                let report = self.test(test, &principals);
                if report.failure.is_some() {
                    first_failure.fetch_min(at, Ordering::Relaxed);
                }
                found.push((at, report));
                done();
            }
            if let Ok(mut results) = results.lock() {
                results.extend(found);
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..options.threads.max(1))
                .filter_map(|_| {
                    std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).ok()
                })
                .collect();
            work();
            // A thread that panicked has said so itself, and its tests are missing, which counts as a failure.
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        let mut results = results.into_inner().unwrap_or_default();
        results.sort_unstable_by_key(|(at, _)| *at);
        let last = match options.fail_fast {
            true => first_failure.into_inner(),
            false => usize::MAX,
        };
        let expected = selected.len().min(last.saturating_add(1));
        results.retain(|(at, _)| *at <= last);
        let failures = results.iter_mut().filter_map(|(at, report)| {
            let test = selected.get(*at).and_then(|index| self.tests.get(*index))?;
            Some((test, report.failure.as_mut()?))
        });
        for (test, failure) in failures.take(MOST_EXPLAINED) {
            failure.why = self.explain(test, failure, &principals);
        }
        self.report(selected, results, expected, filter)
    }

    /// Each principal of each desk that is asked, once.
    fn principals(&self, selected: &[usize]) -> Principals {
        let mut principals = Principals::new();
        for test in selected.iter().filter_map(|index| self.tests.get(*index)) {
            let Question::Request { desk, caller, .. } = &test.question else { continue };
            let key = (*desk, *caller);
            if principals.contains_key(&key) {
                continue;
            }
            if let (Some(desk), Some(Caller { verified: Ok(claims), .. })) =
                (self.desks.get(*desk), self.callers.get(*caller))
            {
                principals.insert(key, desk.factory().principal(claims));
            }
        }
        principals
    }

    /// Runs one test. Why it failed is found afterwards, and not for all.
    fn test(&self, test: &Test, principals: &Principals) -> TestReport {
        let got = self.ask(test, principals);
        let reading = Reading { context: &events::context, allows: &events::document_allows };
        let mismatches = test.expected.mismatches(&got, &reading);
        let golden = self.golden(test, &mismatches, &got);
        let failure = (!mismatches.is_empty()).then(|| Failure { mismatches, got, why: Vec::new(), golden });
        TestReport { principal: test.principal.clone(), request: test.request.clone(), failure }
    }

    /// The response file that would have to be written, where it is all that is not as expected.
    fn golden(&self, test: &Test, mismatches: &[Mismatch], got: &Got) -> Option<Golden> {
        let file = test.expected.response.as_ref()?.file.clone()?;
        let of_response = mismatches.iter().find(|mismatch| mismatch.of == "response")?;
        let text = pretty(got.response.as_ref()?);
        Some(Golden { file, text, diff: of_response.diff.clone().unwrap_or_default() })
    }

    /// What came of a question.
    fn ask(&self, test: &Test, principals: &Principals) -> Got {
        match &test.question {
            Question::Token { caller } => match self.callers.get(*caller).map(|caller| &caller.verified) {
                Some(Err(error)) => unauthorized(error),
                Some(Ok(_)) => got("allow", "believed", None),
                None => internal("the caller is missing"),
            },
            Question::Request { desk, caller, request, facts } => {
                let (Some(place), Some(known)) = (self.desks.get(*desk), self.callers.get(*caller)) else {
                    return internal("the stage is missing");
                };
                if let Err(error) = &known.verified {
                    return unauthorized(error);
                }
                let principal = match principals.get(&(*desk, *caller)) {
                    Some(Ok(principal)) => principal,
                    Some(Err(error)) => return got("deny", "claims_do_not_fit", Some(error.to_string())),
                    None => return internal("the principal is missing"),
                };
                match place.ask(principal, request.target(), facts.clone()) {
                    Ok(asked) => of_decision(&asked.decision),
                    Err(AskError::NoRoute) => got("deny", "no_route", None),
                    Err(AskError::Entity(error)) => got("deny", "facts_do_not_fit", Some(error.to_string())),
                    Err(error @ AskError::NotPrepared) => internal(&error.to_string()),
                }
            }
            Question::Event { authorizer, desk, caller, event, now, .. } => {
                let Some(authorizer) = self.authorizers.get(*authorizer) else {
                    return internal("the authorizer is missing");
                };
                let presented =
                    caller.and_then(|caller| self.callers.get(caller)).map(|caller| &caller.presented);
                let event = match (presented, self.desks.get(*desk)) {
                    (Some(presented), Some(desk)) => {
                        match events::with_token(event, &desk.api().token, presented.token.expose()) {
                            Ok(event) => event,
                            Err(error) => return internal(&format!("the event takes no token: {error}")),
                        }
                    }
                    (None, _) | (_, None) => (**event).clone(),
                };
                let evidence = self.claimant.evidence(presented);
                of_answer(authorizer.answer_with(event.to_string().as_bytes(), evidence, *now))
            }
            Question::Cedar { desk, test } => {
                let Some(place) = self.desks.get(*desk) else { return internal("the stage is missing") };
                let answer = Engine::new(place.version().policies().clone())
                    .and_then(|engine| engine.evaluate(&test.request, &test.entities));
                answer.map_or_else(|error| internal(&error.to_string()), of_engine)
            }
        }
    }

    /// What made an answer what it is: the policies that decided, with the facts that they read, and of a request that
    /// nothing permits the permit that came nearest. Where no policy was asked there is nothing to say.
    fn explain(&self, test: &Test, failure: &Failure, principals: &Principals) -> Vec<String> {
        let (desk, explained) = match &test.question {
            Question::Token { .. } => return Vec::new(),
            Question::Request { desk, caller, request, facts } => {
                let principal =
                    principals.get(&(*desk, *caller)).and_then(|principal| principal.as_ref().ok());
                let traced = principal
                    .and_then(|principal| self.traced(*desk, principal, request.target(), facts.clone()));
                (*desk, traced.map(|traced| traced.words))
            }
            Question::Event { desk, caller, .. } => {
                (*desk, caller.and_then(|caller| self.explain_answer(test, *desk, caller, failure)))
            }
            Question::Cedar { desk, .. } => (*desk, None),
        };
        explained.unwrap_or_else(|| {
            let place = self.desks.get(desk);
            let policies = failure.got.policies.iter();
            place
                .into_iter()
                .flat_map(|place| policies.clone().map(|policy| by_policy(place, policy)))
                .collect()
        })
    }

    /// The same of an event's answer, where the pipeline came to a decision: of the asked request, and of each other one
    /// that the document was expected to speak of.
    fn explain_answer(
        &self,
        test: &Test,
        desk: usize,
        caller: usize,
        failure: &Failure,
    ) -> Option<Vec<String>> {
        let decided = match failure.got.outcome {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            _ => return None,
        };
        let place = self.desks.get(desk)?;
        let claims = self.callers.get(caller)?.verified.as_ref().ok()?;
        let principal = place.factory().principal(claims).ok()?;
        let mut words = Vec::new();
        if failure.mismatches.iter().any(|mismatch| mismatch.of != "document") {
            let question = self.event_question(test)?;
            let target = match &question.path {
                Some(path) => Target::Method(&question.verb, path),
                None => Target::Connect,
            };
            let traced = self.traced(desk, &principal, target, question.facts)?;
            words.extend(traced.words);
            words.extend(disagreement(place, traced.effect, decided));
        }
        for Stated { arn, request, covered } in &test.expected.document {
            let allows =
                failure.got.response.as_ref().and_then(|answer| events::document_allows(answer, arn));
            let Some(allows) = allows.filter(|allows| allows != covered) else { continue };
            // A document knows nothing of the request that it is applied to but its method and path.
            let Some(traced) = self.traced(desk, &principal, request.target(), HttpFacts::default()) else {
                continue;
            };
            words.push(format!("{}:", request.text));
            let says = if allows { Effect::Allow } else { Effect::Deny };
            let lines = traced.words.into_iter().chain(disagreement(place, traced.effect, says));
            words.extend(lines.map(|line| format!("  {line}")));
        }
        Some(words)
    }

    /// A request decided once more, with what made the decision so.
    fn traced(
        &self,
        desk: usize,
        principal: &Principal,
        target: Target<'_>,
        facts: HttpFacts,
    ) -> Option<Traced> {
        let place = self.desks.get(desk)?;
        let asked = place.ask(principal, target, facts).ok()?;
        let trace = self.tracer(desk)?.trace(&asked).ok()?;
        Some(Traced { effect: asked.decision.effect(), words: of_trace(place, &trace, &asked.decision) })
    }

    /// What the event of a test asks, with its token in it.
    pub(super) fn event_question(&self, test: &Test) -> Option<EventQuestion<'_>> {
        let Question::Event { authorizer, desk, caller, event, now, .. } = &test.question else {
            return None;
        };
        let presented = &self.callers.get((*caller)?)?.presented;
        let sources = &self.desks.get(*desk)?.api().token;
        let text = events::with_token(event, sources, presented.token.expose()).ok()?.to_string();
        let event = AuthorizerEvent::parse(&text).ok()?;
        self.authorizers.get(*authorizer)?.question(&event, *now).ok()
    }

    /// What cuts a desk's policies into their parts; made when the first test fails.
    fn tracer(&self, desk: usize) -> Option<&Tracer> {
        let make = || Tracer::new(self.desks.get(desk)?.version(), self.files).ok();
        self.tracers.get(desk)?.get_or_init(make).as_ref()
    }

    fn report(
        &self,
        selected: &[usize],
        results: Vec<(usize, TestReport)>,
        expected: usize,
        filter: &Filter,
    ) -> Report {
        let mut by_case: HashMap<(usize, usize), Vec<TestReport>> = HashMap::new();
        let run = results.len();
        for (at, report) in results {
            if let Some(test) = selected.get(at).and_then(|index| self.tests.get(*index)) {
                by_case.entry((test.suite, test.case)).or_default().push(report);
            }
        }
        let mut report = Report {
            missing: expected.saturating_sub(run),
            not_run: selected.len() - expected,
            ..Report::default()
        };
        for (suite_index, suite) in self.suites.iter().enumerate() {
            let mut cases = Vec::new();
            for (case_index, case) in suite.cases.iter().enumerate() {
                let tests = by_case.remove(&(suite_index, case_index)).unwrap_or_default();
                let is_skipped =
                    case.skip.is_some() && self.is_skipped_case_selected(&suite.name, &case.name, filter);
                if tests.is_empty() && !is_skipped {
                    continue;
                }
                let failed = tests.iter().filter(|test| test.failure.is_some()).count();
                let passed = tests.len() - failed;
                report.passed += passed;
                report.failed += failed;
                report.skipped += usize::from(is_skipped);
                cases.push(CaseReport {
                    name: case.name.clone(),
                    description: case.description.clone(),
                    line: case.position.0,
                    column: case.position.1,
                    skip: case.skip.clone(),
                    passed,
                    failed,
                    tests,
                });
            }
            if !cases.is_empty() {
                report.suites.push(SuiteReport {
                    name: suite.name.clone(),
                    description: suite.description.clone(),
                    file: suite.file.clone(),
                    api: suite.api.clone(),
                    stage: suite.stage.clone(),
                    version: suite.version.clone(),
                    cases,
                });
            }
        }
        report
    }
}

fn got(outcome: &'static str, reason: &str, detail: Option<String>) -> Got {
    let reason = reason.to_owned();
    Got { outcome, reason, detail, policies: Vec::new(), policy_errors: Vec::new(), response: None }
}

fn unauthorized(error: &TokenError) -> Got {
    got("unauthorized", error.slug(), Some(error.to_string()))
}

fn internal(what: &str) -> Got {
    got("fault", "internal", Some(what.to_owned()))
}

fn error_text(error: &PolicyError) -> String {
    format!("{}: {}", error.policy, error.message)
}

pub(super) fn of_decision(decision: &Decision) -> Got {
    let (outcome, reason) =
        match (decision.effect(), decision.errors().is_empty(), decision.determining().is_empty()) {
            (Effect::Allow, _, _) => ("allow", "policy"),
            (Effect::Deny, false, _) => ("deny", "policy_error"),
            (Effect::Deny, true, true) => ("deny", "no_permit"),
            (Effect::Deny, true, false) => ("deny", "policy"),
        };
    let mut got = got(outcome, reason, None);
    got.policies = decision.determining().to_vec();
    got.policy_errors = decision.errors().iter().map(error_text).collect();
    got
}

/// Cedar's own answer, an error being no refusal.
fn of_engine(answer: EngineAnswer) -> Got {
    let (outcome, reason) = match (answer.decision, answer.reasons.is_empty()) {
        (Effect::Allow, _) => ("allow", "policy"),
        (Effect::Deny, true) => ("deny", "no_permit"),
        (Effect::Deny, false) => ("deny", "policy"),
    };
    let mut got = got(outcome, reason, None);
    got.policies = answer.reasons;
    got.policy_errors = answer.errors.iter().map(error_text).collect();
    got
}

fn of_answer(answered: Answered) -> Got {
    let record = answered.record;
    let outcome = match record.outcome {
        Outcome::Allow => "allow",
        Outcome::Deny => "deny",
        Outcome::Unauthorized => "unauthorized",
        Outcome::Fault => "fault",
    };
    let response = events::response(&answered.reply, &record);
    let mut got = got(outcome, record.reason, record.detail);
    got.response = Some(response);
    got.policies = record.policies;
    got.policy_errors = record.policy_errors;
    got
}

/// A decision, and what made it so.
struct Traced {
    effect: Effect,
    words: Vec<String>,
}

/// Where an answer does not say of a request what the policies say, and why.
fn disagreement(desk: &Desk<'_>, policies: Effect, answer: Effect) -> Option<String> {
    let words = |effect| match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    if policies == answer {
        return None;
    }
    let said = format!("the policies {} it, the document does not", words(policies));
    Some(match desk.api().scope {
        AnswerScope::Request => format!("{said}: it is about the asked method alone"),
        AnswerScope::Api => format!("{said}: cedar-gate authorize --why-document says why"),
    })
}

/// Where a policy stands that decided.
fn by_policy(desk: &Desk<'_>, policy: &str) -> String {
    match desk.version().note(policy) {
        Some(note) => format!("by policy {policy} ({}:{})", note.file, note.line),
        None => format!("by policy {policy}"),
    }
}

/// A trace in words.
fn of_trace(desk: &Desk<'_>, trace: &Trace, decision: &Decision) -> Vec<String> {
    let mut words = Vec::new();
    for id in decision.determining() {
        words.push(by_policy(desk, id));
        let clauses = trace.policy(id).into_iter().flat_map(|policy| &policy.clauses);
        let mut facts: Vec<&Fact> =
            clauses.flat_map(|clause| &clause.conjuncts).flat_map(|conjunct| &conjunct.facts).collect();
        facts.dedup();
        words.extend(facts.into_iter().map(|fact| format!("  {fact}")));
    }
    for error in decision.errors() {
        words.push(format!("policy {} cannot be evaluated: {}", error.policy, error.message));
    }
    if decision.determining().is_empty() && decision.errors().is_empty() {
        match trace.nearest_permit().filter(|policy| policy.speaks_of_it()) {
            None => words.push("no permit speaks of this operation".to_owned()),
            Some(nearest) => {
                words.push(format!("nearest: policy {} ({}), but for", nearest.policy, nearest.place));
                for failed in nearest.failed() {
                    let facts: Vec<String> = failed.facts().iter().map(ToString::to_string).collect();
                    words.push(format!("  {} ({}): {}", failed.text(), failed.place(), facts.join(", ")));
                }
            }
        }
    }
    words
}
