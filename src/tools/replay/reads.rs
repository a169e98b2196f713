//! What a policy reads of a caller and a request, and how: what has to be known of them so that the policy can be evaluated.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cedar_policy as cedar;
use serde_json::Value;

/// How a policy reads a fact; each needs what the one before it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// Whether it is there (`has`).
    Presence,
    /// Whether it equals something, or is in a set.
    Equality,
    /// All of it: a pattern, an order, an address range.
    Value,
}

/// What a policy reads.
#[derive(Clone, Debug)]
pub(super) struct Reads {
    pub(super) policy: String,
    pub(super) effect: cedar::Effect,
    /// By name, as in `principal.claims.department`; a record stands for all that is in it.
    pub(super) names: BTreeSet<(String, Use)>,
    /// Whether evaluating it can fail although it was validated: arithmetic can overflow.
    pub(super) can_fail: bool,
}

/// Operators that can fail on values of the right type.
const FAILING: [&str; 6] = ["+", "-", "*", "neg", "offset", "durationSince"];

impl Reads {
    /// A policy that cannot be looked into reads everything, and can fail.
    pub(super) fn of(policy: &cedar::Policy) -> Self {
        let mut reads = Self {
            policy: policy.id().to_string(),
            effect: policy.effect(),
            names: BTreeSet::new(),
            can_fail: false,
        };
        match policy.to_json() {
            Ok(json) => {
                let conditions = json.get("conditions").and_then(Value::as_array);
                for condition in conditions.into_iter().flatten() {
                    reads.walk(condition.get("body").unwrap_or(&Value::Null), Use::Value);
                }
            }
            Err(_) => {
                reads.can_fail = true;
                for root in ["principal", "context"] {
                    reads.names.insert((root.to_owned(), Use::Value));
                }
            }
        }
        reads
    }

    /// Notes what an expression reads whose value is put to this use.
    fn walk(&mut self, expression: &Value, used: Use) {
        if let Some(name) = chain(expression) {
            // The principal itself is known: it is its attributes that may not be.
            if name != "principal" && !name.starts_with("resource") {
                self.names.insert((name, used));
            }
            return;
        }
        match expression {
            Value::Object(members) => {
                members.iter().for_each(|(operator, operand)| self.operate(operator, operand))
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, used)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn operate(&mut self, operator: &str, operand: &Value) {
        self.can_fail |= FAILING.contains(&operator);
        let left = operand.get("left");
        match operator {
            // Text that looks like an expression is none.
            "Value" | "Var" | "Slot" => {}
            "has" => match (left.and_then(chain), operand.get("attr").and_then(Value::as_str)) {
                (Some(name), Some(attribute)) => {
                    self.names.insert((format!("{name}.{attribute}"), Use::Presence));
                }
                _ => self.walk(operand, Use::Value),
            },
            "==" | "!=" | "contains" | "containsAll" | "containsAny" | "Set" => match operand {
                Value::Array(items) => items.iter().for_each(|item| self.walk(item, Use::Equality)),
                operand => operand
                    .as_object()
                    .into_iter()
                    .flatten()
                    .for_each(|(_, operand)| self.walk(operand, Use::Equality)),
            },
            _ => match operand {
                Value::Object(parts) => parts.iter().for_each(|(_, part)| self.walk(part, Use::Value)),
                operand => self.walk(operand, Use::Value),
            },
        }
    }
}

/// The name of an attribute of principal, resource or context, or of one of them.
fn chain(expression: &Value) -> Option<String> {
    let members = expression.as_object().filter(|members| members.len() == 1)?;
    if let Some(variable) = members.get("Var").and_then(Value::as_str) {
        return (variable != "action").then(|| variable.to_owned());
    }
    let access = members.get(".")?;
    let left = chain(access.get("left")?)?;
    Some(format!("{left}.{}", access.get("attr")?.as_str()?))
}

/// The texts that a policy writes, each once: what a hash in a record may be the hash of. Numbers and addresses are among
/// them as they are written.
pub(super) fn literals(policy: &cedar::Policy, found: &mut BTreeSet<String>) {
    if let Ok(json) = policy.to_json() {
        collect(json.get("conditions").unwrap_or(&Value::Null), found);
    }
}

fn collect(expression: &Value, found: &mut BTreeSet<String>) {
    match expression {
        Value::String(text) => {
            found.insert(text.clone());
            // An address is recorded in its one canonical form; a single one may be written as a network of its own.
            let single = text.strip_suffix("/32").or(text.strip_suffix("/128")).unwrap_or(text);
            found.extend(single.parse::<IpAddr>().ok().map(|address| address.to_canonical().to_string()));
        }
        Value::Number(number) => {
            found.insert(number.to_string());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(condition: &str) -> (Vec<(String, Use)>, bool) {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let set: cedar::PolicySet = text.parse().unwrap();
        let reads = Reads::of(set.policies().next().unwrap());
        (reads.names.into_iter().collect(), reads.can_fail)
    }

    #[test]
    fn each_use_of_a_fact_is_seen() {
        use Use::{Equality, Presence, Value};
        for (condition, expected, can_fail) in [
            ("true", &[][..], false),
            ("principal in Role::\"a\"", &[], false),
            ("resource.stage like \"p*\"", &[], false),
            ("principal has email", &[("principal.email", Presence)], false),
            ("principal.email == \"a\"", &[("principal.email", Equality)], false),
            ("\"a\" != principal.email", &[("principal.email", Equality)], false),
            ("principal.email like \"*@x\"", &[("principal.email", Value)], false),
            (
                "context.params.id == principal.sub",
                &[("context.params.id", Equality), ("principal.sub", Equality)],
                false,
            ),
            ("principal.scopes.contains(\"a\")", &[("principal.scopes", Equality)], false),
            ("[\"a\", \"b\"].contains(principal.claims.x)", &[("principal.claims.x", Equality)], false),
            ("[principal.sub].contains(\"a\")", &[("principal.sub", Equality)], false),
            ("principal.claims.level > 3", &[("principal.claims.level", Value)], false),
            ("principal.claims.level + 1 == 3", &[("principal.claims.level", Value)], true),
            (
                "context.http.source_ip.isInRange(ip(\"10.0.0.0/8\"))",
                &[("context.http.source_ip", Value)],
                false,
            ),
            ("context.http.source_ip == ip(\"10.0.0.1\")", &[("context.http.source_ip", Equality)], false),
            (
                "context.http has headers && context.http.headers has \"x-p\" && context.http.headers[\"x-p\"] == \"v\"",
                &[
                    ("context.http.headers", Presence),
                    ("context.http.headers.x-p", Presence),
                    ("context.http.headers.x-p", Equality),
                ],
                false,
            ),
            (
                "(if principal.email_verified then principal.email else \"\") like \"a*\"",
                &[("principal.email", Value), ("principal.email_verified", Value)],
                false,
            ),
            ("(if true then principal.email else \"\") == \"a\"", &[("principal.email", Value)], false),
            ("principal.claims == { department: \"a\" }", &[("principal.claims", Equality)], false),
            ("principal.email == \"principal.sub\"", &[("principal.email", Equality)], false),
        ] {
            let expected: BTreeSet<(String, Use)> =
                expected.iter().map(|(name, used)| ((*name).to_owned(), *used)).collect();
            assert_eq!(reads(condition), (expected.into_iter().collect(), can_fail), "{condition}");
        }
    }

    #[test]
    fn every_text_that_is_written_is_a_candidate() {
        let text = "permit (principal, action, resource) when { context.a == \"x\" && context.b == 7 && \
                    [\"y\"].contains(context.c) && context.d == ip(\"10.0.0.1\") };";
        let set: cedar::PolicySet = text.parse().unwrap();
        let mut found = BTreeSet::new();
        literals(set.policies().next().unwrap(), &mut found);
        for expected in ["x", "7", "y", "10.0.0.1"] {
            assert!(found.contains(expected), "{expected} in {found:?}");
        }
    }
}
