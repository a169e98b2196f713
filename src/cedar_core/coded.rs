//! Conditions as a built bundle keeps them: a list of steps in the order in which they are put together, each of which takes
//! what it needs from those before it.
//!
//! Cedar's own forms, text and JSON, both bring its lexer into being when they are first read, to know the names of extension
//! functions: two thirds of a millisecond and some hundred pages of memory in a first answer, also where a condition calls none.
//! Steps in a row have no depth either, so that a long chain of `||` is no long chain of calls.
//!
//! What does not come back the same has no code, and is read from its text.

use std::sync::Arc;

use cedar_policy as cedar;
#[cfg(feature = "cli")]
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::{self, BinaryOp, Literal, PatternElem, UnaryOp, Var};
use serde::{Deserialize, Serialize};

use super::{Condition, policy_for_all};

/// A step. Its parts are those that were made last.
#[derive(Serialize, Deserialize)]
enum Step {
    Bool(bool),
    Long(i64),
    Text(String),
    /// Type and id.
    Entity(String, String),
    Var(Variable),
    If,
    And,
    Or,
    Unary(Unary),
    Binary(Binary),
    Attr(String),
    Has(String),
    /// `has a.b.c`
    HasAll(String, Vec<String>),
    /// Characters; none stands for the wildcard.
    Like(Vec<Option<char>>),
    Is(String),
    /// Of so many parts.
    Set(usize),
    /// With these names.
    Record(Vec<String>),
    /// An extension function, with so many arguments.
    Call(String, usize),
}

#[derive(Serialize, Deserialize)]
enum Variable {
    Principal,
    Action,
    Resource,
    Context,
}

#[derive(Serialize, Deserialize)]
enum Unary {
    Not,
    Neg,
    IsEmpty,
}

#[derive(Serialize, Deserialize)]
enum Binary {
    Eq,
    Less,
    LessEq,
    Add,
    Sub,
    Mul,
    In,
    Contains,
    ContainsAll,
    ContainsAny,
    GetTag,
    HasTag,
}

/// The code of a policy's conditions; `None` where it has none, or they do not come back the same.
#[cfg(feature = "cli")]
pub(crate) fn encode(policy: &cedar::Policy) -> Option<String> {
    let policy: &ast::Policy = policy.as_ref();
    let condition = policy.non_scope_constraints()?;
    let mut steps = Vec::new();
    take_apart(condition, &mut steps)?;
    let code = serde_json::to_string(&steps).ok()?;
    let again = put_together(serde_json::from_str(&code).ok()?)?;
    again.eq_shape(condition).then_some(code)
}

/// The conditions of a policy from their code: of one whose scope is met by everything, because what a scope says is asked
/// elsewhere.
pub(crate) fn decode(id: &str, permits: bool, code: &[u8]) -> Option<Condition> {
    let condition = put_together(serde_json::from_slice(code).ok()?)?;
    Condition::of_core(policy_for_all(id, permits, Some(condition))?)
}

/// The steps that make an expression; `None` where it has something that no policy without slots has.
#[cfg(feature = "cli")]
fn take_apart(expression: &ast::Expr, steps: &mut Vec<Step>) -> Option<()> {
    let step = match expression.expr_kind() {
        ExprKind::Lit(Literal::Bool(truth)) => Step::Bool(*truth),
        ExprKind::Lit(Literal::Long(number)) => Step::Long(*number),
        ExprKind::Lit(Literal::String(text)) => Step::Text(text.to_string()),
        ExprKind::Lit(Literal::EntityUID(uid)) => {
            let id: &str = uid.eid().as_ref();
            Step::Entity(uid.entity_type().to_string(), id.to_owned())
        }
        ExprKind::Var(variable) => Step::Var(match variable {
            Var::Principal => Variable::Principal,
            Var::Action => Variable::Action,
            Var::Resource => Variable::Resource,
            Var::Context => Variable::Context,
        }),
        ExprKind::Slot(_) | ExprKind::Unknown(_) => return None,
        ExprKind::If { test_expr, then_expr, else_expr } => {
            take_apart(test_expr, steps)?;
            take_apart(then_expr, steps)?;
            take_apart(else_expr, steps)?;
            Step::If
        }
        ExprKind::And { left, right } => {
            take_apart(left, steps)?;
            take_apart(right, steps)?;
            Step::And
        }
        ExprKind::Or { left, right } => {
            take_apart(left, steps)?;
            take_apart(right, steps)?;
            Step::Or
        }
        ExprKind::UnaryApp { op, arg } => {
            take_apart(arg, steps)?;
            Step::Unary(match op {
                UnaryOp::Not => Unary::Not,
                UnaryOp::Neg => Unary::Neg,
                UnaryOp::IsEmpty => Unary::IsEmpty,
            })
        }
        ExprKind::BinaryApp { op, arg1, arg2 } => {
            take_apart(arg1, steps)?;
            take_apart(arg2, steps)?;
            Step::Binary(binary(*op))
        }
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            args.iter().try_for_each(|argument| take_apart(argument, steps))?;
            Step::Call(fn_name.to_string(), args.len())
        }
        ExprKind::GetAttr { expr, attr } => {
            take_apart(expr, steps)?;
            Step::Attr(attr.to_string())
        }
        ExprKind::HasAttr { expr, attr } => {
            take_apart(expr, steps)?;
            Step::Has(attr.to_string())
        }
        ExprKind::ExtHasAttr { expr, attrs } => {
            take_apart(expr, steps)?;
            Step::HasAll(attrs.first().to_string(), attrs.tail().iter().map(ToString::to_string).collect())
        }
        ExprKind::Like { expr, pattern } => {
            take_apart(expr, steps)?;
            Step::Like(
                pattern
                    .iter()
                    .map(|element| match element {
                        PatternElem::Char(char) => Some(*char),
                        PatternElem::Wildcard => None,
                    })
                    .collect(),
            )
        }
        ExprKind::Is { expr, entity_type } => {
            take_apart(expr, steps)?;
            Step::Is(entity_type.to_string())
        }
        ExprKind::Set(items) => {
            items.iter().try_for_each(|item| take_apart(item, steps))?;
            Step::Set(items.len())
        }
        ExprKind::Record(fields) => {
            fields.values().try_for_each(|value| take_apart(value, steps))?;
            Step::Record(fields.keys().map(ToString::to_string).collect())
        }
    };
    steps.push(step);
    Some(())
}

#[cfg(feature = "cli")]
const fn binary(op: BinaryOp) -> Binary {
    match op {
        BinaryOp::Eq => Binary::Eq,
        BinaryOp::Less => Binary::Less,
        BinaryOp::LessEq => Binary::LessEq,
        BinaryOp::Add => Binary::Add,
        BinaryOp::Sub => Binary::Sub,
        BinaryOp::Mul => Binary::Mul,
        BinaryOp::In => Binary::In,
        BinaryOp::Contains => Binary::Contains,
        BinaryOp::ContainsAll => Binary::ContainsAll,
        BinaryOp::ContainsAny => Binary::ContainsAny,
        BinaryOp::GetTag => Binary::GetTag,
        BinaryOp::HasTag => Binary::HasTag,
    }
}

/// The expression that the steps make; `None` where they make none, or more than one.
fn put_together(steps: Vec<Step>) -> Option<ast::Expr> {
    let mut made: Vec<ast::Expr> = Vec::new();
    for step in steps {
        let next = match step {
            Step::Bool(truth) => ast::Expr::val(truth),
            Step::Long(number) => ast::Expr::val(number),
            Step::Text(text) => ast::Expr::val(text.as_str()),
            Step::Entity(kind, id) => {
                let uid =
                    cedar::EntityUid::from_type_name_and_id(kind.parse().ok()?, cedar::EntityId::new(id));
                ast::Expr::val(Literal::EntityUID(Arc::new(uid.into())))
            }
            Step::Var(variable) => ast::Expr::var(match variable {
                Variable::Principal => Var::Principal,
                Variable::Action => Var::Action,
                Variable::Resource => Var::Resource,
                Variable::Context => Var::Context,
            }),
            Step::If => {
                let (otherwise, then) = (made.pop()?, made.pop()?);
                ast::Expr::ite(made.pop()?, then, otherwise)
            }
            Step::And => {
                let right = made.pop()?;
                ast::Expr::and(made.pop()?, right)
            }
            Step::Or => {
                let right = made.pop()?;
                ast::Expr::or(made.pop()?, right)
            }
            Step::Unary(op) => {
                let op = match op {
                    Unary::Not => UnaryOp::Not,
                    Unary::Neg => UnaryOp::Neg,
                    Unary::IsEmpty => UnaryOp::IsEmpty,
                };
                ast::Expr::unary_app(op, made.pop()?)
            }
            Step::Binary(op) => {
                let right = made.pop()?;
                ast::Expr::binary_app(cedars_binary(&op), made.pop()?, right)
            }
            Step::Attr(name) => ast::Expr::get_attr(made.pop()?, name.into()),
            Step::Has(name) => ast::Expr::has_attr(made.pop()?, name.into()),
            Step::HasAll(first, rest) => {
                let rest: Vec<_> = rest.into_iter().map(Into::into).collect();
                ast::Expr::extended_has_attr(made.pop()?, (first.into(), rest).into())
            }
            Step::Like(elements) => {
                let element =
                    |element: Option<char>| element.map_or(PatternElem::Wildcard, PatternElem::Char);
                ast::Expr::like(made.pop()?, elements.into_iter().map(element).collect())
            }
            Step::Is(kind) => {
                let kind: cedar::EntityTypeName = kind.parse().ok()?;
                let kind: &ast::EntityType = kind.as_ref();
                ast::Expr::is_entity_type(made.pop()?, kind.clone())
            }
            Step::Set(count) => ast::Expr::set(last(&mut made, count)?),
            Step::Record(names) => {
                let values = last(&mut made, names.len())?;
                ast::Expr::record(names.into_iter().map(Into::into).zip(values)).ok()?
            }
            Step::Call(name, count) => {
                let arguments = last(&mut made, count)?;
                ast::Expr::call_extension_fn(name.parse().ok()?, arguments)
            }
        };
        made.push(next);
    }
    let condition = made.pop()?;
    made.is_empty().then_some(condition)
}

const fn cedars_binary(op: &Binary) -> BinaryOp {
    match op {
        Binary::Eq => BinaryOp::Eq,
        Binary::Less => BinaryOp::Less,
        Binary::LessEq => BinaryOp::LessEq,
        Binary::Add => BinaryOp::Add,
        Binary::Sub => BinaryOp::Sub,
        Binary::Mul => BinaryOp::Mul,
        Binary::In => BinaryOp::In,
        Binary::Contains => BinaryOp::Contains,
        Binary::ContainsAll => BinaryOp::ContainsAll,
        Binary::ContainsAny => BinaryOp::ContainsAny,
        Binary::GetTag => BinaryOp::GetTag,
        Binary::HasTag => BinaryOp::HasTag,
    }
}

/// The last so many.
fn last(made: &mut Vec<ast::Expr>, count: usize) -> Option<Vec<ast::Expr>> {
    let from = made.len().checked_sub(count)?;
    Some(made.split_off(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "cli")]
    fn coded(text: &str) -> Option<String> {
        encode(&cedar::Policy::parse(None, text).unwrap())
    }

    #[cfg(feature = "cli")]
    #[test]
    fn every_kind_of_expression_comes_back_the_same() {
        let conditions = [
            "when { true }",
            "when { principal.sub == \"é\\\"\\n\" } unless { resource has \"a b\" }",
            "when { context has a.b.c && context.a.b.c < -3 + 4 * 2 - 1 }",
            "when { if principal is App::User then action in Action::\"x\" else resource in [Path::\"/\", Path::\"/a\"] }",
            "when { principal is User in Role::\"r\" || !(principal.n <= 9223372036854775807) }",
            "when { context.s like \"a*\\*é*\" && context.s like \"\" }",
            "when { [1, \"a\", User::\"u\"].contains(context.x) && [].isEmpty() && {a: 1, \"b c\": {}} == context.r }",
            "when { principal.set.containsAll([\"a\"]) && principal.set.containsAny([]) }",
            "when { principal.getTag(\"t\") == 1 && principal.hasTag(\"t\") }",
            "when { context.ip.isInRange(ip(\"10.0.0.0/8\")) || decimal(\"1.0\").lessThan(context.d) }",
            "when { context.t.offset(duration(\"1h\")) < datetime(\"2026-11-21\") }",
            "when { context[\"a\"][\"b\"] == context.a.b }",
            "when { 1 } when { -9223372036854775808 == 0 }",
        ];
        for condition in conditions {
            let text = format!("permit (principal, action, resource) {condition};");
            assert!(coded(&text).is_some(), "{condition}");
        }
        let many = (0..1_000)
            .map(|number| format!("principal.sub == \"{number}\""))
            .collect::<Vec<_>>()
            .join(" || ");
        let code = coded(&format!("forbid (principal, action, resource) when {{ {many} }};")).unwrap();
        assert!(decode("many", false, code.as_bytes()).is_some());
        assert_eq!(coded("permit (principal, action, resource);"), None);
    }

    #[test]
    fn what_is_no_code_is_no_condition() {
        for code in [
            "",
            "[]",
            "[\"And\"]",
            "[{\"Bool\":true},{\"Bool\":true}]",
            "[{\"Set\":1}]",
            "[{\"Record\":[\"a\"]}]",
            "[{\"Bool\":true},\"Nand\"]",
            "[{\"Is\":\"1\"}]",
            "{}",
            "[{\"Text\":\"a\"},{\"Is\":\"not a type\"}]",
        ] {
            assert!(decode("x", true, code.as_bytes()).is_none(), "{code}");
        }
    }
}
