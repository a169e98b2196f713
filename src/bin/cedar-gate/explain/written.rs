//! An explanation as a person reads it.

use std::fmt::Write as _;

use cedar_gate::jose::TokenError;
use cedar_gate::tools::explain::{ClaimFate, Explanation, Nearest, Who};
use cedar_gate::tools::trace::{ClauseTrace, ConjunctTrace, Fact, PolicyOutcome, PolicyTrace, Value};
use owo_colors::OwoColorize;

use crate::shell;

/// The whole of it. Without `all`, and where no policy is asked for, the policies whose scope matches.
pub(super) fn text(explanation: &Explanation, policies: &[String], all: bool) -> String {
    let mut text = String::new();
    let word = match explanation.effect {
        "allow" => "allow".green().bold().to_string(),
        _ => "deny".red().bold().to_string(),
    };
    let route = &explanation.route;
    say(&mut text, &format!("{word}: {} asks for {}", explanation.who.principal, route.request));
    let (api, stage, version) = (&explanation.api, &explanation.stage, &explanation.policy_version);
    say(&mut text, &format!("  API {api}, stage {stage}, policies {version}"));
    if policies.is_empty() {
        who(&mut text, &explanation.who);
        head(&mut text, "route");
        for candidate in &route.candidates {
            let mark = if candidate.is_picked { '+' } else { '-' };
            say(&mut text, &format!("  {mark} {}: {}", candidate.operation, candidate.reason));
        }
        for (name, value) in &route.params {
            say(&mut text, &format!("    context.params.{name} = {value:?}"));
        }
    }
    let shown = |policy: &&PolicyTrace| match policies {
        [] => all || policy.scope_matches(),
        asked => asked.contains(&policy.policy),
    };
    head(&mut text, if all || !policies.is_empty() { "policies" } else { "policies whose scope matches" });
    let shown: Vec<&PolicyTrace> = explanation.policies.iter().filter(shown).collect();
    if shown.is_empty() {
        say(&mut text, "  none; --all shows the others");
    }
    shown.into_iter().for_each(|trace| policy(&mut text, trace));
    head(&mut text, "decision");
    decision(&mut text, explanation);
    if let Some(found) = &explanation.nearest {
        nearest(&mut text, found);
    }
    if let Some(next) = next_step(explanation) {
        say(&mut text, &format!("next: {next}"));
    }
    text
}

/// Why a token is refused.
pub(super) fn refused(error: &TokenError, help: Option<&str>) -> String {
    let mut text = format!("{}: {}\n", "unauthorized".yellow().bold(), error.slug());
    say(&mut text, &format!("  {error}"));
    if let Some(help) = help {
        say(&mut text, &format!("next: {help}"));
    }
    text
}

fn say(text: &mut String, line: &str) {
    // Colours are put in here, and the rest is what files and callers say.
    let (colour, rest) = line.split_at(
        line.rfind('\u{1b}')
            .map_or(0, |at| at + line.get(at..).and_then(|rest| rest.find('m')).map_or(0, |end| end + 1)),
    );
    let _ = writeln!(text, "{colour}{}", shell::printable(rest));
}

fn head(text: &mut String, head: &str) {
    let _ = writeln!(text, "{}", head.bold());
}

fn list(items: &[String]) -> String {
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    }
}

fn who(text: &mut String, who: &Who) {
    head(text, "who");
    say(text, &format!("  roles   {}", list(&who.roles)));
    if !who.refused_roles.is_empty() {
        let refused = list(&who.refused_roles);
        say(text, &format!("  refused {refused}: the file of issuer `{}` does not grant it", who.issuer));
    }
    say(text, &format!("  tenant  {}", who.tenant.as_deref().unwrap_or("none")));
    say(text, &format!("  in      {}", list(&who.groups)));
    for fact in &who.attributes {
        say(text, &format!("  {fact}"));
    }
    let mut fates: Vec<(&ClaimFate, Vec<&str>)> = Vec::new();
    for fate in &who.claims {
        match fates.iter_mut().find(|(known, _)| known.reason == fate.reason) {
            Some((_, claims)) => claims.push(&fate.claim),
            None => fates.push((fate, vec![&fate.claim])),
        }
    }
    for (fate, claims) in fates {
        let mark = if fate.is_kept { '+' } else { '-' };
        say(text, &format!("  {mark} claim {}: {}", claims.join(", "), fate.reason));
    }
}

fn policy(text: &mut String, trace: &PolicyTrace) {
    let outcome = match &trace.outcome {
        PolicyOutcome::Applies => "applies".to_owned(),
        PolicyOutcome::DoesNotApply => "does not apply".to_owned(),
        PolicyOutcome::Error(message) => format!("cannot be evaluated: {message}"),
    };
    let (effect, id, place) = (trace.effect.as_str(), &trace.policy, &trace.place);
    say(text, &format!("  {effect} {id} ({}:{}) {outcome}", place.file, place.line));
    for part in &trace.scope {
        let mark = if part.matches { '+' } else { '-' };
        say(text, &format!("    {mark} {}", one_line(&part.text)));
        if !part.matches {
            say(text, &format!("        {}", part.fact));
        }
    }
    trace.clauses.iter().for_each(|part| clause(text, part));
}

fn clause(text: &mut String, clause: &ClauseTrace) {
    say(text, &format!("    {}", clause.kind.as_str()));
    for conjunct in &clause.conjuncts {
        say(text, &format!("      {} {}", mark(conjunct), one_line(&conjunct.text)));
        if let (Value::Error(message), true) = (&conjunct.value, conjunct.is_reached) {
            say(text, &format!("          {message}"));
        }
        facts(text, "          ", &conjunct.facts);
    }
}

fn mark(conjunct: &ConjunctTrace) -> char {
    match (&conjunct.value, conjunct.is_reached) {
        (_, false) => '.',
        (Value::True, true) => '+',
        (Value::False, true) => '-',
        (Value::Error(_), true) => '!',
    }
}

fn facts(text: &mut String, indent: &str, facts: &[Fact]) {
    for fact in facts {
        say(text, &format!("{indent}{fact}"));
    }
}

/// The text of a part on one line.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("//") {
        // What looks like a comment can stand in a string: then the line is left as it is.
        Some((code, _)) if code.matches('"').count() % 2 == 0 => code,
        _ => line,
    });
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn decision(text: &mut String, explanation: &Explanation) {
    let place = |id: &str| {
        let known = explanation.policies.iter().find(|policy| policy.policy == id);
        known.map(|policy| format!(" ({}:{})", policy.place.file, policy.place.line)).unwrap_or_default()
    };
    for (id, error) in &explanation.errors {
        let place = place(id);
        say(
            text,
            &format!("  deny: policy {id}{place} cannot be evaluated, which refuses the request: {error}"),
        );
    }
    let word = match explanation.effect {
        "allow" => "permitted",
        _ => "forbidden",
    };
    for id in &explanation.determining {
        say(text, &format!("  {}: {word} by {id}{}", explanation.effect, place(id)));
    }
    if explanation.errors.is_empty() && explanation.determining.is_empty() {
        say(text, "  deny: no policy permits it");
    }
    if let Some(message) = &explanation.deny_message {
        say(text, &format!("  the caller is told: {message}"));
    }
}

fn nearest(text: &mut String, nearest: &Nearest) {
    head(text, "nearest permit");
    let place = &nearest.place;
    let count = match nearest.failed.len() {
        1 => "one part fails".to_owned(),
        failed => format!("{failed} parts fail"),
    };
    say(text, &format!("  {} ({}:{}): {count}", nearest.policy, place.file, place.line));
    for failed in &nearest.failed {
        say(text, &format!("    - {}  ({})", one_line(&failed.text), failed.place));
        facts(text, "        ", &failed.facts);
    }
    if !nearest.speaks_of_it {
        say(text, "  It speaks of something else: no permit speaks of this request.");
    }
}

fn next_step(explanation: &Explanation) -> Option<String> {
    if explanation.effect == "allow" {
        return None;
    }
    if !explanation.errors.is_empty() {
        return Some("mend that policy, then run: cedar-gate check".to_owned());
    }
    if !explanation.determining.is_empty() {
        return Some("where that is wrong, narrow the forbid, then run: cedar-gate check".to_owned());
    }
    let nearest = explanation.nearest.as_ref().filter(|nearest| nearest.speaks_of_it);
    let Some(nearest) = nearest else {
        let (operation, version) = (&explanation.route.operation, &explanation.policy_version);
        return Some(format!(
            "where it should be allowed, permit Action::{operation:?} in policies/{version}/*.cedar and run: cedar-gate check"
        ));
    };
    Some(format!(
        "where it should be allowed, widen what failed, or write a permit beside {}:{}, and run: cedar-gate check",
        nearest.place.file, nearest.place.line
    ))
}
