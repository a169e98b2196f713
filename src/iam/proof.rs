//! What a document says about every path, beside what it has to say.

use std::collections::HashMap;

use super::automaton::Automaton;
use super::explore::{Bounds, Literals, PathClass, explore};
use super::pattern::Pattern;
use super::problem::{Judgement, Problem};
use super::work::{Work, WorkLimit};

/// The patterns of a document that can match the paths of one verb; without the guards, which match no path in normal form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct VerbDocument {
    pub(super) allow: Vec<Pattern>,
    pub(super) deny: Vec<Pattern>,
}

/// What is so for every path of one class.
#[derive(Debug)]
pub(super) struct Finding {
    /// A shortest path of the class.
    pub(super) witness: String,
    /// Which of the problem's targets match: the ends of their patterns.
    pub(super) targets: Vec<u64>,
    pub(super) judgement: Judgement,
    /// The allowed patterns that match, by their places.
    pub(super) allowed_by: Vec<usize>,
    /// The denied patterns that match.
    pub(super) denied_by: Vec<usize>,
}

impl Finding {
    /// What the document says.
    pub(super) fn is_allowed(&self) -> bool {
        !self.allowed_by.is_empty() && self.denied_by.is_empty()
    }

    /// Whether the document allows what it must not.
    pub(super) fn is_too_wide(&self) -> bool {
        self.is_allowed() && self.judgement.label.must_be_denied()
    }

    /// Whether the document denies what Cedar allows.
    pub(super) fn is_withheld(&self) -> bool {
        !self.is_allowed() && self.judgement.label.is_granted()
    }
}

/// Compares documents with a [`Problem`], path class by path class.
#[derive(Debug)]
pub(super) struct Prover<'p, 'q> {
    problem: &'p Problem<'q>,
    literals: Option<&'p Literals>,
    targets: Automaton,
    judged: HashMap<(Vec<u64>, u64), Judgement>,
}

impl<'p, 'q> Prover<'p, 'q> {
    pub(super) fn new(problem: &'p Problem<'q>, literals: Option<&'p Literals>) -> Self {
        let targets: Vec<&Pattern> = problem.targets.iter().collect();
        let targets = Automaton::new(&problem.alphabet, &[&targets]);
        Self { problem, literals, targets, judged: HashMap::new() }
    }

    /// Explores all paths and finds what is so for each class of them.
    ///
    /// Every path in normal form that a route serves, and that the grants or the document could allow, is in one of the
    /// classes; no path of a class is allowed that its witness is not, and none has another label. So if no finding is
    /// [too wide](Finding::is_too_wide), the document allows no path, of any length, that it must not.
    pub(super) fn findings(
        &mut self,
        document: &VerbDocument,
        work: &mut Work,
    ) -> Result<Vec<Finding>, WorkLimit> {
        let problem = self.problem;
        let targets: Vec<&Pattern> = problem.targets.iter().collect();
        let (first_allowed, first_denied) = (targets.len(), targets.len() + document.allow.len());
        let own: Vec<&Pattern> = document.allow.iter().chain(&document.deny).collect();
        let automaton = Automaton::new(&problem.alphabet, &[&targets, &own]);
        work.spend(automaton.words() * problem.alphabet.len())?;
        let allowed = first_allowed..first_denied;
        let bounds = Bounds {
            routed: automaton.positions(0..problem.operations.len()),
            relevant: automaton.positions(problem.grantable_templates().chain(allowed.clone())),
        };
        let classes = explore(&automaton, &problem.alphabet, &bounds, self.literals, work)?;
        let matching = |class: &PathClass, patterns: std::ops::Range<usize>| -> Vec<usize> {
            let first = patterns.start;
            patterns
                .filter(|pattern| automaton.matches(&class.ends, *pattern))
                .map(|pattern| pattern - first)
                .collect()
        };
        let findings = classes.into_iter().map(|class| Finding {
            judgement: self.judge(&class.witness, class.collisions, &class.ends),
            allowed_by: matching(&class, allowed.clone()),
            denied_by: matching(&class, first_denied..first_denied + document.deny.len()),
            targets: class.ends.iter().take(self.targets.words()).copied().collect(),
            witness: class.witness,
        });
        Ok(findings.collect())
    }

    /// The judgement of one path.
    pub(super) fn judge_path(&mut self, path: &str) -> Judgement {
        let ends: Vec<u64> = {
            let state = self.targets.read(&self.problem.alphabet, path);
            self.targets.ends_in(&state).collect()
        };
        let collisions = self.literals.map_or(0, |literals| literals.collisions_of(path));
        self.judge(path, collisions, &ends)
    }

    /// `ends` begins with those of the targets.
    fn judge(&mut self, path: &str, collisions: u64, ends: &[u64]) -> Judgement {
        let key = (ends.iter().take(self.targets.words()).copied().collect::<Vec<u64>>(), collisions);
        if let Some(judgement) = self.judged.get(&key) {
            return *judgement;
        }
        let judgement = self.problem.judge(path, collisions, &|target| self.targets.matches(&key.0, target));
        self.judged.insert(key, judgement);
        judgement
    }
}
