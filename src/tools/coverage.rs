//! Which parts of the policies the tests try: of every policy whether its scope matched and whether it ever decided, and of
//! every conjunct of its conditions whether it came out true and came out false.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::anatomy::ClauseKind;
use super::desk::{Asked, Desk};
use super::trace::{Place, PolicyEffect, PolicyOutcome, TraceError, TracedPolicy, Tracer, Value};
use crate::bundle::source::SourceFiles;

/// Collects what requests try.
#[derive(Debug)]
pub struct Coverage<'f> {
    files: &'f SourceFiles,
    versions: BTreeMap<String, VersionSeen>,
    requests: usize,
}

#[derive(Debug)]
struct VersionSeen {
    tracer: Tracer,
    seen: BTreeMap<String, PolicySeen>,
}

/// How often something of a policy was seen.
#[derive(Clone, Debug, Default)]
struct PolicySeen {
    scope: usize,
    applied: usize,
    decided: usize,
    conjuncts: Vec<Seen>,
}

/// How often a conjunct came out so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// True.
    pub is_true: usize,
    /// False.
    pub is_false: usize,
    /// It could not be evaluated.
    pub error: usize,
}

/// What was tried, and what was not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoverageReport {
    /// How many requests were looked at.
    pub requests: usize,
    /// How many points there are: of a policy its scope and its decision, of a conjunct true and false.
    pub points: usize,
    /// How many of them were seen.
    pub covered: usize,
    /// The policies, in the order of their files.
    pub policies: Vec<PolicyCoverage>,
}

/// What was tried of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyCoverage {
    /// The version of the policies.
    pub version: String,
    /// Its id.
    pub policy: String,
    /// What it does where it applies.
    pub effect: PolicyEffect,
    /// Where its `permit` or `forbid` stands.
    pub place: Place,
    /// For how many requests its scope matched.
    pub scope_matched: usize,
    /// For how many it applied.
    pub applied: usize,
    /// For how many it was among those that determined the decision.
    pub decided: usize,
    /// Its conjuncts.
    pub conjuncts: Vec<ConjunctCoverage>,
    /// How many points it has.
    pub points: usize,
    /// How many of them were seen.
    pub covered: usize,
    /// Its first line and the one behind its last, from 1.
    #[serde(skip)]
    lines: (usize, usize),
}

/// What was tried of one conjunct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConjunctCoverage {
    /// Whether it stands in a `when` or an `unless`.
    pub clause: ClauseKind,
    /// Its text.
    pub text: String,
    /// Where it begins.
    pub place: Place,
    /// How it came out.
    #[serde(flatten)]
    pub seen: Seen,
}

impl<'f> Coverage<'f> {
    /// Nothing is tried yet. `files` are those of the bundle.
    #[must_use]
    pub const fn new(files: &'f SourceFiles) -> Self {
        Self { files, versions: BTreeMap::new(), requests: 0 }
    }

    /// Adds what a request tries.
    ///
    /// # Errors
    /// [`TraceError`]
    pub fn add(&mut self, desk: &Desk<'_>, asked: &Asked<'_, '_>) -> Result<(), TraceError> {
        let name = &desk.version().name;
        if !self.versions.contains_key(name) {
            let tracer = Tracer::new(desk.version(), self.files)?;
            let seen = tracer.policies().iter().map(|policy| {
                let conjuncts = vec![Seen::default(); policy.anatomy().conjuncts().count()];
                (policy.id().to_owned(), PolicySeen { conjuncts, ..PolicySeen::default() })
            });
            let seen = seen.collect();
            self.versions.insert(name.clone(), VersionSeen { tracer, seen });
        }
        let Some(VersionSeen { tracer, seen }) = self.versions.get_mut(name) else { return Ok(()) };
        self.requests += 1;
        for (policy, walk) in tracer.walk(asked)? {
            let Some(seen) = seen.get_mut(policy.id()) else { continue };
            if walk.scope != [true; 3] {
                continue;
            }
            seen.scope += 1;
            seen.applied += usize::from(walk.outcome == PolicyOutcome::Applies);
            seen.decided += usize::from(asked.decision.determining().iter().any(|id| id == policy.id()));
            for (seen, (value, is_reached)) in seen.conjuncts.iter_mut().zip(walk.conjuncts) {
                match (is_reached, value) {
                    (false, _) => {}
                    (true, Value::True) => seen.is_true += 1,
                    (true, Value::False) => seen.is_false += 1,
                    (true, Value::Error(_)) => seen.error += 1,
                }
            }
        }
        Ok(())
    }

    /// What was tried, of those policies that differ from how `before` has them; of all, where there is none.
    #[must_use]
    pub fn report(&self, before: Option<&SourceFiles>) -> CoverageReport {
        let mut policies = Vec::new();
        for (version, VersionSeen { tracer, seen }) in &self.versions {
            for policy in tracer.policies() {
                let is_changed = || before.is_none_or(|before| !self.is_unchanged(policy, version, before));
                if let Some(seen) = seen.get(policy.id()).filter(|_| is_changed()) {
                    policies.push(self.policy(version, policy, seen));
                }
            }
        }
        CoverageReport {
            requests: self.requests,
            points: policies.iter().map(|policy| policy.points).sum(),
            covered: policies.iter().map(|policy| policy.covered).sum(),
            policies,
        }
    }

    /// Whether the same text stands in a file of the version before.
    fn is_unchanged(&self, policy: &TracedPolicy, version: &str, before: &SourceFiles) -> bool {
        let text = self.files.text(&policy.place().file);
        let Some(text) = text.and_then(|text| text.get(policy.anatomy().span.clone())) else { return false };
        let folder = format!("policies/{version}/");
        let mut files = before.paths_in(&folder, ".cedar").filter_map(|path| before.text(path));
        files.any(|file| file.contains(text))
    }

    fn policy(&self, version: &str, policy: &TracedPolicy, seen: &PolicySeen) -> PolicyCoverage {
        let text = self.files.text(&policy.place().file).unwrap_or_default();
        let anatomy = policy.anatomy();
        let conjuncts: Vec<ConjunctCoverage> = anatomy
            .conjuncts()
            .zip(policy.conjunct_places())
            .zip(&seen.conjuncts)
            .map(|(((clause, conjunct), place), seen)| ConjunctCoverage {
                clause: clause.kind,
                text: conjunct.text.clone(),
                place: place.clone(),
                seen: *seen,
            })
            .collect();
        let of_conjuncts: usize = conjuncts.iter().map(|conjunct| conjunct.seen.covered()).sum();
        let (line, column) = super::anatomy::position(text, anatomy.effect.start);
        let (last, _) = super::anatomy::position(text, anatomy.span.end);
        PolicyCoverage {
            version: version.to_owned(),
            policy: policy.id().to_owned(),
            effect: policy.effect(),
            place: Place { file: policy.place().file.clone(), line, column },
            scope_matched: seen.scope,
            applied: seen.applied,
            decided: seen.decided,
            points: 2 + 2 * conjuncts.len(),
            covered: usize::from(seen.scope > 0) + usize::from(seen.decided > 0) + of_conjuncts,
            conjuncts,
            lines: (policy.place().line, last + 1),
        }
    }
}

impl Seen {
    const fn covered(self) -> usize {
        (self.is_true > 0) as usize + (self.is_false > 0) as usize
    }

    /// What was never seen, in words.
    #[must_use]
    pub const fn lack(self) -> Option<&'static str> {
        match (self.is_true > 0, self.is_false > 0) {
            (true, true) => None,
            (true, false) => Some("never false"),
            (false, true) => Some("never true"),
            (false, false) => Some("never reached"),
        }
    }

    /// `[TF]`, with a `-` in the place of what was never seen.
    fn mark(self) -> String {
        let letter = |seen: usize, letter| if seen > 0 { letter } else { '-' };
        format!("[{}{}]", letter(self.is_true, 'T'), letter(self.is_false, 'F'))
    }
}

impl PolicyCoverage {
    /// What was never seen, a line each.
    #[must_use]
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        match (self.scope_matched, self.decided, self.applied) {
            (0, _, _) => lacks.push(format!("{}: its scope never matched", self.place)),
            (_, 0, 0) => lacks.push(format!("{}: it never applied", self.place)),
            (_, 0, _) => lacks.push(format!("{}: it never decided", self.place)),
            (_, _, _) => {}
        }
        for conjunct in &self.conjuncts {
            if let Some(lack) = conjunct.seen.lack() {
                let text = conjunct.text.split_whitespace().collect::<Vec<_>>().join(" ");
                lacks.push(format!("{}: {lack}: {text}", conjunct.place));
            }
        }
        lacks
    }

    /// `[SD]`: its scope matched, and it decided.
    fn mark(&self) -> String {
        let letter = |seen: usize, letter| if seen > 0 { letter } else { '-' };
        format!("[{}{}]", letter(self.scope_matched, 'S'), letter(self.decided, 'D'))
    }
}

/// A share in whole percent, rounded down: 100 is all of it. Of nothing, all was seen.
#[must_use]
pub const fn percent(covered: usize, points: usize) -> usize {
    match points {
        0 => 100,
        points => covered * 100 / points,
    }
}

impl CoverageReport {
    /// The share of the points that were seen, in whole percent, rounded down.
    #[must_use]
    pub const fn percent(&self) -> usize {
        percent(self.covered, self.points)
    }

    /// Each policy's text with what was seen of its parts beside it, and below it what was not.
    #[must_use]
    pub fn annotated(&self, files: &SourceFiles) -> String {
        let mut text = String::new();
        let mut file = "";
        for policy in &self.policies {
            if policy.place.file != file {
                file = &policy.place.file;
                let _ = writeln!(text, "{file}");
            }
            let mut marks: BTreeMap<usize, String> = BTreeMap::new();
            marks.insert(policy.place.line, policy.mark());
            for conjunct in &policy.conjuncts {
                *marks.entry(conjunct.place.line).or_default() += &conjunct.seen.mark();
            }
            let (first, end) = policy.lines;
            let lines = files.text(file).unwrap_or_default().lines().enumerate();
            for (index, line) in lines.skip(first - 1).take(end - first) {
                let number = index + 1;
                let mark = marks.get(&number).map_or("", String::as_str);
                let _ = writeln!(text, "{mark:8} {number:4}  {line}");
            }
            for lack in policy.lacks() {
                let _ = writeln!(text, "      !!  {lack}");
            }
            text.push('\n');
        }
        text
    }

    /// The form of `lcov`: a policy is a function, which is hit where it decides; its scope and its conjuncts are lines; and
    /// true and false are the two branches of a conjunct.
    #[must_use]
    pub fn lcov(&self) -> String {
        let mut text = String::new();
        let mut files: BTreeMap<&str, Vec<&PolicyCoverage>> = BTreeMap::new();
        for policy in &self.policies {
            files.entry(&policy.place.file).or_default().push(policy);
        }
        for (file, policies) in files {
            let _ = writeln!(text, "TN:\nSF:{file}");
            for policy in &policies {
                let _ = writeln!(text, "FN:{},{}", policy.place.line, policy.policy);
            }
            for policy in &policies {
                let _ = writeln!(text, "FNDA:{},{}", policy.decided, policy.policy);
            }
            let hit = policies.iter().filter(|policy| policy.decided > 0).count();
            let _ = writeln!(text, "FNF:{}\nFNH:{hit}", policies.len());
            let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
            let (mut branches, mut branches_hit) = (0, 0);
            for policy in &policies {
                lines.insert(policy.place.line, policy.scope_matched);
                for (block, conjunct) in policy.conjuncts.iter().enumerate() {
                    let seen = conjunct.seen;
                    let line = conjunct.place.line;
                    let evaluated = seen.is_true + seen.is_false + seen.error;
                    let count = lines.entry(line).or_default();
                    *count = (*count).max(evaluated);
                    for (branch, taken) in [seen.is_true, seen.is_false].into_iter().enumerate() {
                        branches += 1;
                        branches_hit += usize::from(taken > 0);
                        // What was never reached has no count.
                        let taken = if evaluated == 0 { "-".to_owned() } else { taken.to_string() };
                        let _ = writeln!(text, "BRDA:{line},{block},{branch},{taken}");
                    }
                }
            }
            let _ = writeln!(text, "BRF:{branches}\nBRH:{branches_hit}");
            for (line, count) in &lines {
                let _ = writeln!(text, "DA:{line},{count}");
            }
            let hit = lines.values().filter(|count| **count > 0).count();
            let _ = writeln!(text, "LF:{}\nLH:{hit}\nend_of_record", lines.len());
        }
        text
    }
}
