//! What else the tests tell: the decisions they ask for, to see which parts of the policies they try, and whether a test
//! would notice another decision.

use std::collections::HashMap;

use crate::decision::Decision;
use crate::entities::{HttpFacts, Principal};
use crate::tools::desk::{Asked, Desk, Target};

use super::expect::Reading;
use super::run::of_decision;
use super::{Question, Suite, Suites, Test, events};

/// A test that asks for a decision, and the decision.
#[derive(Debug)]
pub struct Studied<'s, 'b> {
    /// The test's number.
    pub test: usize,
    /// The stage and version that are asked.
    pub desk: &'s Desk<'b>,
    /// Who asks, as the tests name them.
    pub who: &'s str,
    /// What for, as people write it.
    pub request: &'s str,
    /// The same, as a desk is asked.
    pub target: Target<'s>,
    /// Who asks.
    pub principal: Principal,
    /// The request's volatile facts.
    pub facts: HttpFacts,
    /// The request and its decision.
    pub asked: Asked<'b, 's>,
    /// Whether the whole authorizer is asked, so that a test can expect more than the decision.
    pub is_event: bool,
}

impl<'b> Suites<'b> {
    /// Asks anew for every decision that the tests ask for. Tests of tokens alone, and those in Cedar's own terms, ask for
    /// none.
    pub fn study<'s>(&'s self, selected: &[usize], visit: &mut dyn FnMut(Studied<'s, 'b>)) {
        let mut principals: HashMap<(usize, usize), Option<Principal>> = HashMap::new();
        for index in selected {
            let Some(test) = self.tests.get(*index) else { continue };
            let (desk, caller, request, is_event) = match &test.question {
                Question::Request { desk, caller, request, .. } => (*desk, *caller, request, false),
                Question::Event { desk, caller: Some(caller), request: Some(request), .. } => {
                    (*desk, *caller, request, true)
                }
                Question::Event { .. } | Question::Token { .. } | Question::Cedar { .. } => continue,
            };
            let Some(place) = self.desks.get(desk) else { continue };
            let principal = principals.entry((desk, caller)).or_insert_with(|| {
                let claims = self.callers.get(caller)?.verified.as_ref().ok()?;
                place.factory().principal(claims).ok()
            });
            let (Some(principal), Some(facts)) = (principal.clone(), self.facts(test)) else {
                continue;
            };
            if let Ok(asked) = place.ask(&principal, request.target(), facts.clone()) {
                let who = test.principal.as_str();
                let target = request.target();
                visit(Studied {
                    test: *index,
                    desk: place,
                    who,
                    request: &request.text,
                    target,
                    principal,
                    facts,
                    asked,
                    is_event,
                });
            }
        }
    }

    /// The volatile facts of a test's request.
    fn facts(&self, test: &Test) -> Option<HttpFacts> {
        match &test.question {
            Question::Request { facts, .. } => Some(facts.clone()),
            Question::Event { .. } => Some(self.event_question(test)?.facts),
            Question::Token { .. } | Question::Cedar { .. } => None,
        }
    }

    /// Whether a test about a request would still pass if this were the decision.
    #[must_use]
    pub fn would_pass(&self, test: usize, decision: &Decision) -> bool {
        let Some(test) = self.tests.get(test) else { return false };
        let reading = Reading { context: &events::context, allows: &events::document_allows };
        test.expected.mismatches(&of_decision(decision), &reading).is_empty()
    }

    /// A test, for people: `orders.toml, "a clerk …": clara, GET /orders`.
    #[must_use]
    pub fn describe(&self, test: usize) -> String {
        let Some(test) = self.tests.get(test) else { return String::new() };
        let suite = self.suites.get(test.suite);
        let file = suite.map_or("", |suite| suite.file.as_str());
        let case = suite.and_then(|suite| suite.cases.get(test.case)).map_or("", |case| case.name.as_str());
        format!("{file}, `{case}`: {} {}", test.principal, test.request)
    }

    /// The tests that are more than a decision on a request: events, and those in Cedar's own terms.
    #[must_use]
    pub fn beyond_requests(&self, selected: &[usize]) -> Vec<usize> {
        let is_more = |index: &&usize| {
            self.tests
                .get(**index)
                .is_some_and(|test| matches!(test.question, Question::Event { .. } | Question::Cedar { .. }))
        };
        selected.iter().filter(is_more).copied().collect()
    }

    /// The suites, in the order of their files.
    #[must_use]
    pub fn suites(&self) -> &[Suite] {
        &self.suites
    }

    /// The suite that a test belongs to.
    #[must_use]
    pub fn suite_of(&self, test: usize) -> Option<&Suite> {
        self.suites.get(self.tests.get(test)?.suite)
    }

    /// The stages and versions that are asked.
    #[must_use]
    pub fn desks(&self) -> &[Desk<'b>] {
        &self.desks
    }
}
