//! The patterns that a document is made of.
//!
//! A document is as good as its candidates: what they cannot say together is not granted. They are
//! - each template with `*` for its parameters, and with the values that tests name for some of them;
//! - each of these with `/*` after it: what lies below;
//! - each with `*/*` in place of one `*`: paths that are too deep, which that `*` would take in;
//! - each beginning of a template with `/*` after it, and `/*` alone: whole branches.

use std::collections::BTreeSet;

use super::pattern::{Pattern, Token, intersection};
use super::problem::Asked;
use crate::grants::Subject;
use crate::route::{PathTemplate, Segment};

/// The most combinations of named values for one operation.
const MAX_COMBINATIONS: usize = 96;
/// The most steps to intersect two patterns, and the most patterns that are kept of an intersection.
const INTERSECTION_STEPS: usize = 400;
const MAX_INTERSECTIONS: usize = 6;

/// The candidates that a template alone gives.
pub(super) fn of_template(template: &PathTemplate) -> BTreeSet<Pattern> {
    let wild: Vec<Pattern> = template.segments().iter().map(wild).collect();
    let mut candidates = around(template, &wild);
    for end in 0..wild.len() {
        let beginning = wild.iter().take(end).cloned().chain([any()]);
        candidates.insert(Pattern::path(beginning));
    }
    candidates
}

/// The candidates that the tests of a grant give in addition.
pub(super) fn of_tests(template: &PathTemplate, asked: &Asked<'_>) -> BTreeSet<Pattern> {
    let tests = || asked.grant.tests.iter().zip(&asked.readings);
    let mut candidates = BTreeSet::new();
    let wild: Vec<Pattern> = template.segments().iter().map(wild).collect();
    let whole = Pattern::path(wild.iter().cloned());
    for (_, reading) in tests().filter(|(test, _)| test.subject == Subject::Path) {
        for glob in &reading.globs {
            // What begins otherwise than with a `/` would take in other verbs.
            candidates.extend(both(&Pattern::path([any()]), glob));
            candidates.extend(both(&whole, glob));
        }
    }
    let values: Vec<Vec<Pattern>> = template
        .segments()
        .iter()
        .map(|segment| {
            let named = segment.param_name().map(|name| Subject::Param(name.to_owned()));
            let of_param = tests().filter(|(test, _)| Some(&test.subject) == named.as_ref());
            with_intersections(of_param.flat_map(|(_, reading)| reading.globs.iter().cloned()).collect())
        })
        .collect();
    for pinned in combinations(&wild, &values) {
        candidates.extend(around(template, &pinned));
    }
    candidates
}

/// A template with these patterns for its segments, what lies below, and what is too deep.
fn around(template: &PathTemplate, segments: &[Pattern]) -> BTreeSet<Pattern> {
    let mut candidates = BTreeSet::from([Pattern::path(segments.iter().cloned())]);
    candidates.insert(Pattern::path(segments.iter().cloned().chain([any()])));
    for (deeper, segment) in template.segments().iter().enumerate() {
        if matches!(segment, Segment::Parameter(_)) && segments.get(deeper) == Some(&any()) {
            let two = Pattern::path([any(), any()]).tokens().iter().skip(1).copied().collect::<Vec<_>>();
            let with_two = segments.iter().enumerate().map(|(index, segment)| {
                if index == deeper { Pattern::new(two.iter().copied()) } else { segment.clone() }
            });
            candidates.insert(Pattern::path(with_two));
        }
    }
    candidates
}

/// The segments with some of the parameters pinned to values: those with few pinned first.
fn combinations(wild: &[Pattern], values: &[Vec<Pattern>]) -> Vec<Vec<Pattern>> {
    let mut found: Vec<Vec<Pattern>> = Vec::new();
    // The segments, and the first place that may still be pinned.
    let mut level = vec![(wild.to_vec(), 0)];
    while !level.is_empty() && found.len() < MAX_COMBINATIONS {
        let mut next = Vec::new();
        for (segments, first) in level {
            for (place, values) in values.iter().enumerate().skip(first) {
                for value in values {
                    if found.len() >= MAX_COMBINATIONS {
                        return found;
                    }
                    let mut pinned = segments.clone();
                    if let Some(segment) = pinned.get_mut(place) {
                        *segment = value.clone();
                    }
                    found.push(pinned.clone());
                    next.push((pinned, place + 1));
                }
            }
        }
        level = next;
    }
    found
}

/// The patterns, and what two of them have in common.
fn with_intersections(patterns: BTreeSet<Pattern>) -> Vec<Pattern> {
    let patterns: Vec<Pattern> = patterns.into_iter().collect();
    let mut all = patterns.clone();
    for (index, left) in patterns.iter().enumerate().filter(|(_, left)| left.is_wild()) {
        for right in patterns.iter().skip(index + 1).filter(|right| right.is_wild()) {
            for common in both(left, right) {
                if !all.contains(&common) {
                    all.push(common);
                }
            }
        }
    }
    all
}

fn both(left: &Pattern, right: &Pattern) -> Vec<Pattern> {
    let mut common = intersection(left, right, INTERSECTION_STEPS).unwrap_or_default();
    common.truncate(MAX_INTERSECTIONS);
    common
}

fn wild(segment: &Segment) -> Pattern {
    match segment {
        Segment::Literal(text) => Pattern::text(text),
        Segment::Parameter(_) | Segment::Greedy(_) => any(),
    }
}

fn any() -> Pattern {
    Pattern::new([Token::Any])
}
