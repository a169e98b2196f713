//! From one verb's problem to its part of the document: guess from examples, prove or find a counterexample, again.

use std::collections::HashSet;

use super::automaton::Automaton;
use super::bits::Bits;
use super::cover::{Choice, Cost, Preference, Rows};
use super::explore::Literals;
use super::pattern::Pattern;
use super::problem::{Label, Problem};
use super::proof::{Finding, Prover, VerbDocument};
use super::work::{Work, WorkLimit};

/// In the first rounds an allowed path that no route serves is an example too, so that the choice avoids it.
const ROUNDS_FOR_UNSERVED: usize = 5;

/// A verb's part of the document, and the proof.
#[derive(Debug)]
pub(super) struct Solution {
    pub(super) document: VerbDocument,
    /// What is so for every path; none is too wide.
    pub(super) findings: Vec<Finding>,
    pub(super) rounds: usize,
}

/// Why there is no solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsolved {
    WorkLimit,
    /// A path that stays allowed although it must not be.
    Unproved(String),
}

impl From<WorkLimit> for Unsolved {
    fn from(WorkLimit: WorkLimit) -> Self {
        Self::WorkLimit
    }
}

impl Solution {
    /// The grants that are withheld because no document over the candidates can state them.
    pub(super) fn inexpressible(&self) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.is_withheld() && finding.judgement.label == Label::Allow)
            .count()
    }
}

/// Counterexample-guided synthesis. The examples are rows of [`Rows`]; [`Rows::choose`] finds a document for them, and the
/// [`Prover`] compares it with all paths. A class on which it is wrong becomes a new example, unless it is a grant
/// that no document over the candidates can state. Each round adds an example that no earlier one equals, and there
/// are finitely many.
pub(super) fn solve(
    problem: &Problem<'_>,
    candidates: &[Pattern],
    cost: &dyn Fn(&Pattern) -> Cost,
    preference: Preference,
    work: &mut Work,
) -> Result<Solution, Unsolved> {
    let costs: Vec<Cost> = candidates.iter().map(cost).collect();
    let literals = problem.literals();
    let mut prover = Prover::new(problem, literals.as_ref());
    let mut examples = Examples::new(problem, candidates);
    work.spend(examples.candidates.words() * problem.alphabet.len())?;
    for path in problem.first_paths() {
        examples.add(prover.judge_path(&path).label, &path, work)?;
    }
    let mut rounds = 0;
    loop {
        rounds += 1;
        let choice = examples.rows.choose(&costs, preference, work)?;
        let document = document_of(&choice, candidates);
        let findings = prover.findings(&document, work)?;
        let mut is_new = false;
        for finding in &findings {
            let is_unserved = finding.judgement.label == Label::Free && finding.is_allowed();
            if finding.is_too_wide() || finding.is_withheld() || is_unserved {
                let is_new_here = examples.add(finding.judgement.label, &finding.witness, work)?;
                is_new |= is_new_here && (!is_unserved || rounds <= ROUNDS_FOR_UNSERVED);
            }
        }
        if is_new {
            continue;
        }
        return match findings.iter().find(|finding| finding.is_too_wide()) {
            // It equals an example, and a choice is right for all examples.
            Some(finding) => Err(Unsolved::Unproved(finding.witness.clone())),
            None => Ok(Solution { document, findings, rounds }),
        };
    }
}

fn document_of(choice: &Choice, candidates: &[Pattern]) -> VerbDocument {
    let patterns =
        |chosen: &[usize]| chosen.iter().filter_map(|index| candidates.get(*index).cloned()).collect();
    VerbDocument { allow: patterns(&choice.allow), deny: patterns(&choice.deny) }
}

/// Paths with their labels and the candidates that match them, each combination once.
struct Examples<'p, 'q> {
    problem: &'p Problem<'q>,
    candidates: Automaton,
    count: usize,
    rows: Rows,
    known: HashSet<(Label, Vec<u64>)>,
}

impl<'p, 'q> Examples<'p, 'q> {
    fn new(problem: &'p Problem<'q>, candidates: &[Pattern]) -> Self {
        let patterns: Vec<&Pattern> = candidates.iter().collect();
        let automaton = Automaton::new(&problem.alphabet, &[&patterns]);
        let (count, known) = (candidates.len(), HashSet::new());
        Self { problem, candidates: automaton, count, rows: Rows::new(count), known }
    }

    /// Whether the example says what no other has said.
    fn add(&mut self, label: Label, path: &str, work: &mut Work) -> Result<bool, WorkLimit> {
        work.spend(path.len() * self.candidates.words() * 2 + self.count)?;
        let state = self.candidates.read(&self.problem.alphabet, path);
        let matched: Bits =
            (0..self.count).filter(|candidate| self.candidates.matches(&state, *candidate)).collect();
        let is_new = self.known.insert((label, matched.words().to_vec()));
        if is_new {
            self.rows.add(label, matched);
        }
        Ok(is_new)
    }
}

impl Problem<'_> {
    /// The literals to watch for collisions, if those are spared.
    fn literals(&self) -> Option<Literals> {
        self.spares_collisions.then(|| Literals::new(self.literal_segments(), self.bound_segments()))?
    }
}
