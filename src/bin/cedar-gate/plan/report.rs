//! A plan in writing: for a terminal, for a pull request, for a machine.

use std::fmt::Write as _;

use cedar_gate::arn::Verb;
use cedar_gate::decision::Effect;
use cedar_gate::jose::ClaimValue;
use cedar_gate::tools::matrix::{code, plain};
use cedar_gate::tools::plan::{Article, ArticleKind, Asked, Change, Example, Plan, StagePlan, Verdict};
use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::{Map, Value, json};
use similar::TextDiff;

use crate::shell::{self, printable};

/// What `plan --format json` prints.
#[derive(Serialize)]
pub(super) struct Report {
    old: String,
    new: String,
    verdict: &'static str,
    /// Whether all of it was compared exactly: else `same` and `narrower` are as far as was seen.
    exact: bool,
    articles: Vec<Value>,
    stages: Vec<Value>,
}

impl Report {
    pub(super) fn new(plan: &Plan, [old, new]: [&str; 2]) -> Self {
        Self {
            old: old.to_owned(),
            new: new.to_owned(),
            verdict: plan.verdict().as_str(),
            exact: plan.is_exact(),
            articles: plan.articles.iter().map(article_as_json).collect(),
            stages: plan.stages.iter().map(stage_as_json).collect(),
        }
    }
}

fn article_as_json(article: &Article) -> Value {
    let [before, after] = &article.texts;
    json!({
        "kind": article.kind.as_str(),
        "name": article.name,
        "change": article.sign.as_str(),
        "detail": article.detail,
        "verdict": article.verdict.as_str(),
        "place": article.place,
        "before": before,
        "after": after,
    })
}

fn stage_as_json(stage: &StagePlan) -> Value {
    let stages = stage.stages.iter().map(|(api, stage)| json!({ "api": api, "stage": stage }));
    let compared = &stage.compared;
    json!({
        "stages": stages.collect::<Vec<_>>(),
        "old_version": stage.versions[0],
        "new_version": stage.versions[1],
        "compared": {
            "cells": compared.cells,
            "by_cases_alone": compared.by_cases,
            "requests": compared.requests,
            "alike_as_far_as_seen": compared.alike_as_far_as_seen,
            "role_sets_left_out": compared.role_sets_left_out,
        },
        "changes": stage.changes.iter().map(change_as_json).collect::<Vec<_>>(),
    })
}

fn change_as_json(change: &Change) -> Value {
    json!({
        "operation": change.operation,
        "who": change.who,
        "principals": change.people,
        "verdict": change.verdict.as_str(),
        "before": { "may": change.may[0], "deciding": change.deciding[0] },
        "after": { "may": change.may[1], "deciding": change.deciding[1] },
        "exact": change.cases.is_none(),
        "cases": change.cases,
        "examples": change.examples.iter().map(example_as_json).collect::<Vec<_>>(),
    })
}

fn example_as_json(example: &Example) -> Value {
    let attributes = example.case.attributes.iter().map(|(name, value)| (name.clone(), claim(value)));
    let [before, after] = example.asked.each_ref().map(|asked| {
        json!({ "decision": word(asked.effect), "policies": asked.policies, "served": asked.is_served })
    });
    json!({
        "principal": {
            "id": example.case.id,
            "type": example.person.type_name(),
            "roles": example.person.roles.as_str(),
            "tenant": example.person.tenant,
            "attributes": attributes.collect::<Map<String, Value>>(),
        },
        "method": example.verb.as_ref().map(Verb::as_str),
        "path": example.case.path.as_ref().map(ToString::to_string),
        "facts": facts(example).into_iter().map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>(),
        "before": before,
        "after": after,
    })
}

fn claim(value: &ClaimValue) -> Value {
    match value {
        ClaimValue::String(text) => json!(text),
        ClaimValue::Long(number) => json!(number),
        ClaimValue::Bool(value) => json!(value),
        ClaimValue::Set(items) => json!(items),
    }
}

const fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

/// The volatile facts of a request, by their names.
fn facts(example: &Example) -> Vec<(String, String)> {
    let facts = &example.case.facts;
    let mut named: Vec<(String, String)> = Vec::new();
    named.extend(facts.source_ip.map(|address| ("source_ip".to_owned(), address.to_string())));
    named.extend(facts.time.map(|moment| ("time".to_owned(), moment.to_datetime_literal())));
    let subject = facts.client_cert_subject.clone();
    named.extend(subject.map(|subject| ("client_cert_subject".to_owned(), subject)));
    for (kind, list) in
        [("headers", &facts.headers), ("query", &facts.query), ("stage_variables", &facts.stage_variables)]
    {
        named.extend(list.iter().map(|(name, value)| (format!("{kind}.{name}"), value.clone())));
    }
    named
}

/// `a User with role clerk (sub x1) asks for GET /orders/x1 from 10.0.0.0: deny, then allow by clerks-read`
fn example_in_words(example: &Example) -> String {
    let asks = match (&example.verb, &example.case.path) {
        (Some(verb), Some(path)) => format!("{} {path}", verb.as_str()),
        (_, _) => "to connect".to_owned(),
    };
    // Only what was chosen: who has a plain name has it for want of another.
    let is_telling = |name: &str, value: &ClaimValue| match (name, value) {
        ("sub", ClaimValue::String(text)) => text != "somebody",
        ("issuer", ClaimValue::String(text)) => text != "issuer",
        (_, ClaimValue::Set(items)) => !items.is_empty(),
        _ => true,
    };
    let known = example.case.attributes.iter().filter(|(name, value)| is_telling(name, value));
    let known = known.map(|(name, value)| format!("{name} {}", claim(value)));
    let facts = facts(example).into_iter().map(|(name, value)| format!("{name} {value}"));
    let with: Vec<String> = known.chain(facts).collect();
    let with = if with.is_empty() { String::new() } else { format!(" ({})", with.join(", ")) };
    let said = |asked: &Asked| match (asked.is_served, asked.policies.is_empty()) {
        (false, _) => "not served".to_owned(),
        (true, true) => word(asked.effect).to_owned(),
        (true, false) => format!("{} by {}", word(asked.effect), asked.policies.join(", ")),
    };
    let [before, after] = &example.asked;
    format!("{} asks for {asks}{with}: {}, now {}", example.person, said(before), said(after))
}

fn heading(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Wider => "wider: may do more",
        Verdict::Both => "both: may do more of one thing and less of another",
        Verdict::Narrower => "narrower: may do less",
        Verdict::Same => "the same",
    }
}

const ORDER: [Verdict; 3] = [Verdict::Wider, Verdict::Both, Verdict::Narrower];

fn versions(stage: &StagePlan) -> String {
    let mut apis: Vec<(&str, Vec<&str>)> = Vec::new();
    for (api, stage) in &stage.stages {
        match apis.iter_mut().find(|(known, _)| known == api) {
            Some((_, stages)) => stages.push(stage),
            None => apis.push((api, vec![stage])),
        }
    }
    let names = apis.iter().map(|(api, stages)| format!("{api} ({})", stages.join(", ")));
    let names: Vec<String> = names.collect();
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "no such stage".to_owned());
    let [before, after] = stage.versions.each_ref().map(version);
    let change = if before == after { format!("version {before}") } else { format!("{before} -> {after}") };
    format!("{change} in {}", names.join(", "))
}

/// How it was compared, in a sentence.
fn compared(stage: &StagePlan) -> Option<String> {
    let compared = &stage.compared;
    let left_out = (compared.role_sets_left_out > 0).then(|| {
        format!(
            "{} that are named together not compared",
            shell::count(compared.role_sets_left_out, "set of roles")
        )
    });
    let by_cases = (compared.by_cases > 0).then(|| {
        format!(
            "{} of {} compared by {} alone; {} of them show no difference, which is no proof",
            compared.by_cases,
            shell::count(compared.cells, "cell"),
            shell::count(compared.requests, "generated request"),
            compared.alike_as_far_as_seen,
        )
    });
    let said: Vec<String> = by_cases.into_iter().chain(left_out).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// The verdict in a sentence.
fn summary(plan: &Plan) -> String {
    let changes = || plan.stages.iter().flat_map(|stage| &stage.changes);
    let of = |verdict| changes().filter(|change| change.verdict == verdict).count();
    let counts = ORDER.iter().filter(|verdict| of(**verdict) > 0);
    let counts: Vec<String> =
        counts.map(|verdict| format!("{} {}", of(*verdict), verdict.as_str())).collect();
    let trust = plan.articles.iter().filter(|article| article.verdict != Verdict::Same).count();
    let trust =
        (trust > 0).then(|| format!("{} in who is believed and where", shell::count(trust, "change")));
    let why: Vec<String> = counts.into_iter().chain(trust).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
    let as_far = match plan.is_exact() {
        true => "",
        false => ", as far as was compared",
    };
    format!("{}{why}{as_far}", plan.verdict().as_str())
}

/// For a terminal.
pub(super) fn text(plan: &Plan, [old, new]: [&str; 2]) -> String {
    let mut out = format!("{old} -> {new}\n");
    if !plan.articles.is_empty() {
        _ = write!(out, "\n{}\n", "what was changed".bold());
    }
    for article in &plan.articles {
        let line = printable(&article_in_words(article));
        let line = match article.sign.mark() {
            "+" => line.green().to_string(),
            "-" => line.red().to_string(),
            _ => line.yellow().to_string(),
        };
        _ = writeln!(out, "  {line}");
        if let (ArticleKind::Policy, [Some(before), Some(after)]) = (article.kind, &article.texts) {
            out += &indented(&printable(&difference(before, after)));
        }
    }
    for stage in &plan.stages {
        if stage.versions.contains(&None) {
            continue;
        }
        _ = write!(out, "\n{}\n", versions(stage).bold());
        if stage.changes.is_empty() {
            out += "  nobody may do more or less\n";
        }
        for verdict in ORDER {
            let changes: Vec<&Change> =
                stage.changes.iter().filter(|change| change.verdict == verdict).collect();
            if changes.is_empty() {
                continue;
            }
            _ = writeln!(out, "  {}", heading(verdict));
            for change in changes {
                _ = writeln!(out, "    {}: {}", printable(&change.operation), change.who);
                _ = writeln!(out, "      {}", printable(&change.may[0]).red());
                _ = writeln!(out, "      -> {}", printable(&change.may[1]).green());
                for example in &change.examples {
                    _ = writeln!(out, "      e.g. {}", printable(&example_in_words(example)));
                }
            }
        }
        if let Some(how) = compared(stage) {
            _ = writeln!(out, "  {how}");
        }
    }
    _ = write!(out, "\n{} {}\n", "verdict:".bold(), summary(plan));
    out
}

fn article_in_words(article: &Article) -> String {
    let detail = if article.detail.is_empty() { String::new() } else { format!(": {}", article.detail) };
    let place = if article.place.is_empty() { String::new() } else { format!(" ({})", article.place) };
    format!("{} {} {}{place}{detail}", article.sign.mark(), article.kind.as_str(), article.name)
}

/// The lines of a policy that differ, without the heads that name no file.
fn difference(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(1).to_string();
    text.lines().filter(|line| !line.starts_with("@@")).map(|line| format!("{line}\n")).collect()
}

fn indented(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('\\')).map(|line| format!("      {line}\n")).collect()
}

/// For a pull request.
pub(super) fn markdown(plan: &Plan, [old, new]: [&str; 2]) -> String {
    let mut out = format!("## Access plan: {} → {}\n\n", code(old), code(new));
    _ = writeln!(out, "**Verdict: {}**", plain(&summary(plan)));
    for stage in plan.stages.iter().filter(|stage| !stage.versions.contains(&None)) {
        _ = write!(out, "\n### {}\n\n", plain(&versions(stage)));
        if stage.changes.is_empty() {
            out += "Nobody may do more or less.\n";
        } else {
            out += "| | operation | who | before | now | for example |\n|---|---|---|---|---|---|\n";
        }
        for change in &stage.changes {
            let examples: Vec<String> =
                change.examples.iter().map(|example| plain(&example_in_words(example))).collect();
            let may = change.may.each_ref().map(|may| match may.as_str() {
                "allow" | "deny" | "not served" => may.clone(),
                condition => code(condition),
            });
            let [before, after] = &may;
            _ = writeln!(
                out,
                "| **{}** | {} | {} | {before} | {after} | {} |",
                change.verdict.as_str(),
                code(&change.operation),
                plain(&change.who),
                examples.join("<br>")
            );
        }
        if let Some(how) = compared(stage) {
            _ = write!(out, "\n{}.\n", plain(&how));
        }
    }
    if !plan.articles.is_empty() {
        out += "\n### What was changed\n\n";
    }
    for article in &plan.articles {
        _ = writeln!(out, "- {}", plain(&article_in_words(article)));
        if let (ArticleKind::Policy, [Some(before), Some(after)]) = (article.kind, &article.texts) {
            let difference = difference(before, after);
            let longest = difference.split(|char| char != '`').map(str::len).max().unwrap_or_default();
            let fence = "`".repeat(longest.max(2) + 1);
            _ = write!(out, "\n  {fence}diff\n{}  {fence}\n\n", indented_by_two(&difference));
        }
    }
    out
}

fn indented_by_two(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('\\')).map(|line| format!("  {line}\n")).collect()
}
