//! A document as it is written, read back: what is proved is the text, not what it was made from.

use std::collections::BTreeSet;

use super::compile::{CompileError, WholeApi, problems};
use super::guards;
use super::pattern::Pattern;
use super::proof::{Prover, VerbDocument};
use super::work::{Work, WorkLimit};
use super::{IamPolicy, Scope};
use crate::arn::Verb;
use crate::decision::Effect;

/// The patterns of a document, without the beginning that all its ARNs have.
#[derive(Debug, Default)]
pub(super) struct Written {
    allow: Vec<String>,
    deny: Vec<String>,
}

impl Written {
    /// Reads the document of one stage. What it would deny beyond the stage, or by a condition, does not count: that
    /// can only make it narrower.
    pub(super) fn read(question: &WholeApi<'_>, policy: &IamPolicy) -> Result<Self, CompileError> {
        let mut written = Self::default();
        for statement in policy.statements() {
            let Scope::Resource(patterns) = &statement.scope else { continue };
            let in_stage =
                patterns.iter().map(|pattern| (pattern, pattern.strip_prefix(question.stage.prefix())));
            for (pattern, rest) in in_stage {
                match (statement.effect, rest) {
                    (Effect::Allow, Some(rest)) => written.allow.push(rest.to_owned()),
                    (Effect::Allow, None) => return Err(CompileError::Unproved { witness: pattern.clone() }),
                    (Effect::Deny, Some(rest)) if statement.condition.is_none() => {
                        written.deny.push(rest.to_owned())
                    }
                    (Effect::Deny, Some(_) | None) => {}
                }
            }
        }
        Ok(written)
    }

    /// The patterns that begin with a verb, the verb left out.
    pub(super) fn of_verb(&self, verb: &Verb) -> VerbDocument {
        let of_verb = |texts: &[String]| {
            let rest = texts
                .iter()
                .filter_map(|text| text.strip_prefix(verb.as_str())?.strip_prefix('/').map(|_| text));
            rest.filter_map(|text| text.strip_prefix(verb.as_str())).map(Pattern::of_iam).collect()
        };
        VerbDocument { allow: of_verb(&self.allow), deny: of_verb(&self.deny) }
    }

    /// Whether all that it allows begins with a verb of the table, so that it is looked at with the verb's routes.
    fn stray<'v>(&self, verbs: impl Iterator<Item = &'v Verb> + Clone) -> Option<&str> {
        let begins = |text: &str, verb: &Verb| {
            text.strip_prefix(verb.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let mut texts = self.allow.iter().map(String::as_str);
        texts.find(|text| !verbs.clone().any(|verb| begins(text, verb)))
    }

    /// The first of the guards that it needs and has not.
    fn missing_guard(&self, guarded: &BTreeSet<char>, escapes: bool) -> Option<String> {
        let is_wild = self.allow.iter().any(|text| Pattern::of_iam(text).is_wild());
        let missing = |guard: &String| is_wild && !self.deny.contains(guard);
        guards::of(guarded, escapes).into_iter().find(missing)
    }

    /// What makes it wrong before any path is looked at: a pattern for other than the table's verbs, a guard that is
    /// missing.
    pub(super) fn fault<'v>(
        &self,
        verbs: impl Iterator<Item = &'v Verb> + Clone,
        guarded: &BTreeSet<char>,
        escapes: bool,
    ) -> Option<String> {
        self.stray(verbs).map(str::to_owned).or_else(|| self.missing_guard(guarded, escapes))
    }
}

/// Proves of a document, whoever made it, that it allows nothing that the grants do not: for every path, of any length,
/// that the authorizer would not refuse by itself. The end `Deny` with `NotResource` plays no part in it.
///
/// # Errors
/// [`CompileError::Unproved`] with a request that it should deny, or with the pattern that is at fault; and the other
/// errors of [`compile`](super::compile).
pub fn prove(question: &WholeApi<'_>, policy: &IamPolicy) -> Result<(), CompileError> {
    let written = Written::read(question, policy)?;
    let mut problems = problems(question)?;
    let guarded = problems.iter().flat_map(|problem| problem.guarded.iter().copied()).collect();
    if let Some(witness) = written.fault(question.verbs(), &guarded, question.escape_wildcards) {
        return Err(CompileError::Unproved { witness });
    }
    let mut work = Work::new(question.limits.work);
    for problem in &mut problems {
        for verb in problem.verbs.clone() {
            let document = written.of_verb(&verb.verb);
            problem.mention(&document)?;
            let findings = Prover::new(problem, None).findings(&document, &mut work);
            let findings = findings.map_err(|WorkLimit| CompileError::WorkLimit)?;
            if let Some(wrong) = findings.iter().find(|finding| finding.is_too_wide()) {
                let witness = format!("{} {}", verb.verb, wrong.witness);
                return Err(CompileError::Unproved { witness });
            }
        }
    }
    // A verb without a problem has no grants.
    let granted: Vec<&Verb> =
        problems.iter().flat_map(|problem| &problem.verbs).map(|verb| &verb.verb).collect();
    match written.stray(granted.into_iter()) {
        Some(pattern) => Err(CompileError::Unproved { witness: pattern.to_owned() }),
        None => Ok(()),
    }
}
