//! What a policy's text says beside its scope: conditions on the caller, patterns on the path, annotations.

use serde_json::Value;

use crate::bundle::finding::{Code, Findings};
use crate::bundle::source::SourceFiles;
use crate::bundle::vocabulary::{PrincipalShape, Vocabulary};
use crate::route::{Operation, PathTemplate, Segment};
use crate::tools::some_of;

use super::coverage::NAMED;
use super::rules::{Rule, Rules};

/// Notes what the texts of the policies say that was hardly meant.
pub(super) fn check(rules: &Rules<'_>, files: &SourceFiles, findings: &mut Findings<'_>) {
    for rule in &rules.rules {
        write_for_everyone(rule, rules, files, findings);
        patterns(rule, rules, files, findings);
        needless_questions(rule, rules, files, findings);
        if rule.is_permit() && rule.note.deny_message.is_some() {
            let message = format!(
                "nobody will read the @deny_message of policy `{}`: a permit refuses nothing",
                rule.id
            );
            let place = rule.place(files, &["@deny_message"]);
            findings.note(Code::DenyMessageOnPermit, &rule.note.file, Some(place), message, None);
        }
    }
}

/// A permit on writing operations that asks nothing of the caller.
fn write_for_everyone(rule: &Rule<'_>, rules: &Rules<'_>, files: &SourceFiles, findings: &mut Findings<'_>) {
    if !rule.is_permit() || !rule.who.is_everybody() || mentions(&rule.conditions, &is_principal) {
        return;
    }
    let writes = |operation: &&Operation| {
        let verb = operation.verb().map(|verb| verb.as_str());
        matches!(verb, Some("POST" | "PUT" | "PATCH" | "DELETE"))
    };
    let names = rules.operations(&rule.operations).filter(writes);
    let names: Vec<String> = names.map(|operation| format!("`{}`", operation.name())).collect();
    if names.is_empty() {
        return;
    }
    let who = match rule.who.kind.as_ref() {
        Some(kind) => format!("every {kind}"),
        None => "everyone".to_owned(),
    };
    let message = format!("policy `{}` lets {who} with a token do {}", rule.id, some_of(&names, NAMED));
    rule.note(Code::WriteForEveryone, message, None, files, findings);
}

/// A pattern on the path whose `*` takes in slashes, for an operation of the policy.
fn patterns(rule: &Rule<'_>, rules: &Rules<'_>, files: &SourceFiles, findings: &mut Findings<'_>) {
    let mut found = Vec::new();
    path_patterns(&rule.conditions, &mut found);
    for pattern in found {
        let slashes = pattern.iter().flatten().map(|text| text.matches('/').count()).sum();
        let deeper = rules.operations(&rule.operations).find_map(|operation| {
            let path = sample(operation.template())?;
            (path.matches('/').count() > slashes && fits(&pattern, &path)).then_some((operation, path))
        });
        let Some((operation, path)) = deeper else { continue };
        let spelled: String = pattern.iter().map(|part| part.as_ref().map_or("*", String::as_str)).collect();
        let message = format!(
            "`*` stands for slashes too: in policy `{}`, `{spelled}` matches `{path}` (`{}`)",
            rule.id,
            operation.name()
        );
        let place = rule.place(files, &[&format!("\"{spelled}\"")]);
        findings.note(Code::LikeCrossesSegments, &rule.note.file, Some(place), message, None);
    }
}

/// The pattern in `context.path like "…"`: texts, and `None` for each `*`.
fn path_patterns(expression: &Value, found: &mut Vec<Vec<Option<String>>>) {
    if let Some(like) = expression.get("like")
        && like.get("left").is_some_and(is_context_path)
        && let Some(parts) = like.get("pattern").and_then(Value::as_array)
    {
        let text = |part: &Value| part.get("Literal").and_then(Value::as_str).map(str::to_owned);
        found.push(parts.iter().map(text).collect());
        return;
    }
    members(expression).for_each(|member| path_patterns(member, found));
}

fn is_context_path(expression: &Value) -> bool {
    let Some(access) = expression.get(".") else { return false };
    access.get("attr").and_then(Value::as_str) == Some("path")
        && access.get("left").and_then(|left| left.get("Var")).and_then(Value::as_str) == Some("context")
}

/// A path of the template, with short values for its parameters; `None` where it has none of its own.
fn sample(template: &PathTemplate) -> Option<String> {
    let segments = template.segments();
    (!segments.is_empty()).then(|| {
        let segment = |segment: &Segment| match segment {
            Segment::Literal(text) => format!("/{text}"),
            Segment::Parameter(_) => "/1".to_owned(),
            Segment::Greedy(_) => "/1/2".to_owned(),
        };
        segments.iter().map(segment).collect()
    })
}

/// Whether a text fits a pattern, as Cedar's `like` has it.
fn fits(pattern: &[Option<String>], text: &str) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((Some(literal), rest)) => {
            text.strip_prefix(literal.as_str()).is_some_and(|text| fits(rest, text))
        }
        Some((None, rest)) => {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.filter_map(|at| text.get(at..)).any(|text| fits(rest, text))
        }
    }
}

/// `has` for an attribute that is always there.
fn needless_questions(rule: &Rule<'_>, rules: &Rules<'_>, files: &SourceFiles, findings: &mut Findings<'_>) {
    let mut asked = Vec::new();
    questions(&rule.conditions, &mut asked);
    asked.sort();
    asked.dedup();
    for (variable, attribute) in asked {
        if !is_always_there(&variable, &attribute, rules.bundle.vocabulary()) {
            continue;
        }
        // In `principal has claims.department` the first question is the price of the second.
        let text = rule.text(files);
        let spelled = format!("{variable} has {attribute}");
        let alone = text.match_indices(&spelled).find(|(at, _)| {
            let next = text.get(at + spelled.len()..).and_then(|rest| rest.chars().next());
            !next.is_some_and(|next| next.is_alphanumeric() || "_.".contains(next))
        });
        let Some((at, _)) = alone else { continue };
        let start = rule.note.span.start + at;
        let message = format!("`{spelled}` is always true: in policy `{}` it guards nothing", rule.id);
        let place = start..start + spelled.len();
        findings.note(Code::RedundantHas, &rule.note.file, Some(place), message, None);
    }
}

/// Of which variable it is asked whether it has which attribute.
fn questions(expression: &Value, asked: &mut Vec<(String, String)>) {
    if let Some(has) = expression.get("has") {
        let variable = has.get("left").and_then(|left| left.get("Var")).and_then(Value::as_str);
        if let (Some(variable), Some(attribute)) = (variable, has.get("attr").and_then(Value::as_str)) {
            asked.push((variable.to_owned(), attribute.to_owned()));
        }
    }
    members(expression).for_each(|member| questions(member, asked));
}

fn is_always_there(variable: &str, attribute: &str, vocabulary: &Vocabulary) -> bool {
    let of = |shape: &PrincipalShape| match attribute {
        "sub" | "issuer" | "scopes" => shape.attributes.contains(attribute),
        "claims" => shape.claims.is_some(),
        _ => false,
    };
    match variable {
        "principal" => of(&vocabulary.user) && of(&vocabulary.client),
        "resource" => vocabulary.route.contains(attribute),
        "context" => matches!(attribute, "params" | "path" | "http"),
        _ => false,
    }
}

/// Whether an expression in Cedar's JSON policy format holds another.
fn mentions(expression: &Value, wanted: &impl Fn(&Value) -> bool) -> bool {
    wanted(expression) || members(expression).any(|member| mentions(member, wanted))
}

fn is_principal(expression: &Value) -> bool {
    expression.get("Var").and_then(Value::as_str) == Some("principal")
}

/// The parts of an expression.
fn members(expression: &Value) -> impl Iterator<Item = &Value> {
    let (object, array) = (expression.as_object(), expression.as_array());
    object.into_iter().flat_map(|members| members.values()).chain(array.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_as_in_cedar() {
        let pattern = |text: &str| -> Vec<Option<String>> {
            let mut parts = Vec::new();
            for (index, literal) in text.split('*').enumerate() {
                if index > 0 {
                    parts.push(None);
                }
                parts.push(Some(literal.to_owned()));
            }
            parts
        };
        for (written, text, expected) in [
            ("/orders/*", "/orders/1/items", true),
            ("/orders/*/items", "/orders/1/items", true),
            ("/orders/*/items", "/orders/1/2/items", true),
            ("/orders/*/items", "/orders/1", false),
            ("/orders", "/orders/1", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(&pattern(written), text), expected, "{written} {text}");
        }
    }
}
