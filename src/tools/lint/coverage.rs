//! Policies that change nothing, because others cover them; and operations that no permit reaches.
//!
//! What covers a policy is a set of wider ones together: policies without a condition, or with the same conditions, whose
//! principals include its principals, and whose operations make up its operations. Equal scopes of principals are counted
//! together, so that a thousand policies are not compared with a thousand.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::bundle::ROUTES;
use crate::bundle::finding::{Code, Finding, Findings};
use crate::bundle::source::SourceFiles;
use crate::iam::bits::Bits;
use crate::route::Operation;
use crate::tools::some_of;

use super::rules::{Rule, Rules, Who};

/// The most operations or policies that a message names.
pub(super) const NAMED: usize = 3;

/// Notes policies that change nothing, and operations without a permit. Gives, for each policy, the operations that it can
/// allow to somebody: nothing for a forbid.
pub(super) fn check(rules: &Rules<'_>, files: &SourceFiles, findings: &mut Findings<'_>) -> Vec<Bits> {
    let remarks = rules.version.remarks().iter();
    let impossible: Vec<_> = remarks.filter(|remark| remark.code == Code::ImpossiblePolicy).collect();
    // What never applies covers nothing, and has been found to be so.
    let is_impossible = |rule: &Rule<'_>| {
        let inside = |remark: &Finding| {
            remark.file == rule.note.file
                && remark.span.as_ref().is_some_and(|span| rule.note.span.contains(&span.start))
        };
        impossible.iter().any(|remark| inside(remark))
    };
    let mut permits = Groups::of(rules, |rule| rule.is_permit() && !is_impossible(rule));
    let mut forbids = Groups::of(rules, |rule| !rule.is_permit() && !is_impossible(rule));
    let mut changes_something: Vec<usize> = Vec::new();
    let mut live = Vec::with_capacity(rules.rules.len());
    for (index, rule) in rules.rules.iter().enumerate() {
        let mut allowed = Bits::default();
        if is_impossible(rule) {
            // It allows nothing.
        } else if rule.operations.is_empty() {
            without_operation(rule, files, findings);
        } else if rule.is_permit() {
            allowed = rule.operations.clone();
            allowed.remove_all(&forbids.covering(rule, None, rules));
            if allowed.is_empty() {
                shadowed(rule, rules, files, findings);
            } else {
                changes_something.push(index);
            }
        } else if rule.note.deny_message.is_none() {
            // A forbid with a message of its own may be there for the message.
            changes_something.push(index);
        }
        live.push(allowed);
    }
    // The narrowest first; of two that say the same, the later.
    changes_something.sort_by_key(|index| {
        let rule = rules.rules.get(*index);
        (rule.map(|rule| (rule.operations.count(), breadth(&rule.who))), std::cmp::Reverse(*index))
    });
    let mut redundant: Vec<usize> = Vec::new();
    for index in changes_something {
        let Some(rule) = rules.rules.get(index) else { continue };
        let groups = if rule.is_permit() { &mut permits } else { &mut forbids };
        let own = groups.own(rule);
        if rule.operations.is_subset(&groups.covering(rule, own, rules)) {
            groups.remove(rule);
            redundant.push(index);
        }
    }
    redundant.sort_unstable();
    let gone: HashSet<usize> = redundant.iter().copied().collect();
    for rule in redundant.iter().filter_map(|index| rules.rules.get(*index)) {
        redundant_note(rule, &gone, rules, files, findings);
    }
    without_permit(&live, rules, files, findings);
    live
}

/// The wider, the larger.
fn breadth(who: &Who) -> usize {
    usize::from(who.is.is_none()) + usize::from(who.within.is_none()) + usize::from(who.kind.is_none())
}

/// Policies of one effect, those with equal principals and conditions counted together.
struct Groups {
    groups: Vec<Group>,
    by_conditions: HashMap<String, Vec<usize>>,
    by_scope: HashMap<(Who, String), usize>,
}

struct Group {
    who: Who,
    /// The operations of one policy or more.
    once: Bits,
    /// How many policies of the group have each operation.
    counts: HashMap<usize, u32>,
}

impl Groups {
    fn of(rules: &Rules<'_>, wanted: impl Fn(&Rule<'_>) -> bool) -> Self {
        let mut all = Self { groups: Vec::new(), by_conditions: HashMap::new(), by_scope: HashMap::new() };
        for rule in rules.rules.iter().filter(|rule| wanted(rule)) {
            let scope = (rule.who.clone(), rule.conditions_text.clone());
            let number = *all.by_scope.entry(scope).or_insert_with(|| {
                let number = all.groups.len();
                let (once, counts) = (Bits::default(), HashMap::new());
                all.groups.push(Group { who: rule.who.clone(), once, counts });
                all.by_conditions.entry(rule.conditions_text.clone()).or_default().push(number);
                number
            });
            let Some(group) = all.groups.get_mut(number) else { continue };
            group.once.insert_all(&rule.operations);
            for operation in rule.operations.numbers() {
                *group.counts.entry(operation).or_default() += 1;
            }
        }
        all
    }

    /// The number of the group that a policy is counted in.
    fn own(&self, rule: &Rule<'_>) -> Option<usize> {
        self.by_scope.get(&(rule.who.clone(), rule.conditions_text.clone())).copied()
    }

    /// The operations that are decided for all of a policy's principals whenever it decides: of its own group, where it is
    /// in one, those that another policy has too.
    fn covering(&self, rule: &Rule<'_>, own: Option<usize>, rules: &Rules<'_>) -> Bits {
        let unconditional = self.by_conditions.get("").into_iter().flatten();
        let alike = match rule.conditions_text.is_empty() {
            true => None,
            false => self.by_conditions.get(&rule.conditions_text),
        };
        let mut covered = Bits::default();
        for number in unconditional.chain(alike.into_iter().flatten()) {
            let Some(group) = self.groups.get(*number) else { continue };
            if own == Some(*number) {
                let twice = |operation: &usize| group.counts.get(operation).is_some_and(|count| *count > 1);
                covered.insert_all(&rule.operations.numbers().filter(twice).collect());
            } else if group.who.covers(&rule.who, rules.roles()) {
                covered.insert_all(&group.once);
            }
        }
        covered
    }

    fn remove(&mut self, rule: &Rule<'_>) {
        let Some(group) = self.own(rule).and_then(|number| self.groups.get_mut(number)) else { return };
        for operation in rule.operations.numbers() {
            let left = group.counts.get_mut(&operation).map(|count| {
                *count = count.saturating_sub(1);
                *count
            });
            if left == Some(0) {
                group.once.remove_all(&Bits::from_iter([operation]));
            }
        }
    }
}

fn without_operation(rule: &Rule<'_>, files: &SourceFiles, findings: &mut Findings<'_>) {
    let message = format!("no operation of the route table is in the scope of policy `{}`", rule.id);
    let help =
        "its action and its resource do not meet: `cedar-gate routes list` shows what belongs together";
    rule.note(Code::PolicyWithoutOperation, message, Some(help.to_owned()), files, findings);
}

fn shadowed(rule: &Rule<'_>, rules: &Rules<'_>, files: &SourceFiles, findings: &mut Findings<'_>) {
    let by = coverers(rule, false, &HashSet::new(), rules);
    let message = format!("policy `{}` allows nothing to anybody: {} it all", rule.id, forbid(&by));
    let help = format!("narrow {}, or remove this permit", places(&by));
    rule.note(Code::ShadowedPermit, message, Some(help), files, findings);
}

fn redundant_note(
    rule: &Rule<'_>,
    gone: &HashSet<usize>,
    rules: &Rules<'_>,
    files: &SourceFiles,
    findings: &mut Findings<'_>,
) {
    let by = coverers(rule, rule.is_permit(), gone, rules);
    let verb = if rule.is_permit() { "permits" } else { "forbids" };
    let names: Vec<String> = by.iter().map(|by| format!("`{}`", by.id)).collect();
    let other = if names.len() == 1 { "does not" } else { "do not together" };
    let message = format!("policy `{}` {verb} nothing that {} {other}", rule.id, some_of(&names, NAMED));
    let help = format!("remove it, or narrow {}", places(&by));
    rule.note(Code::RedundantPolicy, message, Some(help), files, findings);
}

/// The policies of an effect that cover a policy: one alone where one does, else as many as it takes.
fn coverers<'r, 'b>(
    rule: &Rule<'_>,
    permits: bool,
    gone: &HashSet<usize>,
    rules: &'r Rules<'b>,
) -> Vec<&'r Rule<'b>> {
    let others = rules.rules.iter().enumerate().filter(|(index, other)| {
        other.id != rule.id
            && !gone.contains(index)
            && other.is_permit() == permits
            && (other.conditions_text.is_empty() || other.conditions_text == rule.conditions_text)
            && other.operations.intersects(&rule.operations)
            && other.who.covers(&rule.who, rules.roles())
    });
    let others: Vec<&Rule<'_>> = others.map(|(_, other)| other).collect();
    if let Some(one) = others.iter().find(|other| rule.operations.is_subset(&other.operations)) {
        return vec![one];
    }
    let mut left = rule.operations.clone();
    let mut needed = Vec::new();
    for other in others {
        if left.intersects(&other.operations) {
            left.remove_all(&other.operations);
            needed.push(other);
        }
    }
    needed
}

/// `policy `a` forbids`, `policies `a`, `b` together forbid`.
fn forbid(by: &[&Rule<'_>]) -> String {
    let names: Vec<String> = by.iter().map(|by| format!("`{}`", by.id)).collect();
    match names.as_slice() {
        [one] => format!("policy {one} forbids"),
        several => format!("policies {} together forbid", some_of(several, NAMED)),
    }
}

fn places(by: &[&Rule<'_>]) -> String {
    let places: Vec<String> =
        by.iter().map(|by| format!("`{}` ({}:{})", by.id, by.note.file, by.note.line)).collect();
    some_of(&places, NAMED)
}

/// Notes the operations that no permit reaches, a route at a time. Of a route with every method, which `ANY` gives, only
/// where none is reached: nobody writes permits for each of seven methods.
fn without_permit(live: &[Bits], rules: &Rules<'_>, files: &SourceFiles, findings: &mut Findings<'_>) {
    const EVERY_METHOD: usize = 7;
    if !files.contains(ROUTES) {
        return;
    }
    let reached = live.iter().fold(Bits::default(), |mut all, set| {
        all.insert_all(set);
        all
    });
    let mut routes: BTreeMap<usize, (&str, Vec<&Operation>, usize)> = BTreeMap::new();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (index, operation) in rules.bundle.routes().operations().iter().enumerate() {
        let template = operation.template().as_str();
        let route = *first.entry(template).or_insert(index);
        let (_, missing, all) = routes.entry(route).or_insert_with(|| (template, Vec::new(), 0));
        *all += 1;
        if !reached.contains(index) {
            missing.push(operation);
        }
    }
    for (template, missing, all) in routes.values() {
        if missing.is_empty() || (*all == EVERY_METHOD && missing.len() < *all) {
            continue;
        }
        let names: Vec<String> = missing.iter().map(|operation| format!("`{}`", operation.name())).collect();
        let message = format!(
            "no permit of version `{}` reaches {}: it is denied to everybody",
            rules.version.name,
            some_of(&names, EVERY_METHOD)
        );
        let help =
            format!("permit it to somebody in policies/{}, or remove it from the table", rules.version.name);
        findings.note_text(Code::OperationWithoutPermit, ROUTES, &format!("\"{template}\""), message, help);
    }
}
