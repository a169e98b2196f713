//! Whether two conditions say the same but for the order in which they say it.
//!
//! `a == b` is `b == a`, and so with `!=`, `+` and `*`; `a < b` is `b > a`; a set has no order. `&&` and `||` have none where
//! none of what they join can fail, once both conditions have passed strict validation: what a `has` guards is then behind
//! it on either side, and the value is that of all parts together. Where a part can fail, its place decides whether it does.

use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Expr};

use super::{Condition, conjuncts, disjuncts, may_fail};

impl Condition {
    /// The condition in one of the orders in which it can be written, the same for all of them. It is there to be compared:
    /// what guards a part may stand behind it.
    #[must_use]
    pub fn in_order(&self) -> Self {
        Self(in_order(&self.0))
    }

    /// Whether the two say the same but for their order.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self == other || self.in_order() == other.in_order()
    }
}

fn in_order(expression: &Arc<Expr>) -> Arc<Expr> {
    Arc::new(match &**expression {
        Expr::BinaryOp { op, left, right } => return binary(*op, left, right, expression),
        Expr::UnaryOp { op, expr } => Expr::UnaryOp { op: *op, expr: in_order(expr) },
        Expr::GetAttr { expr, attr } => Expr::GetAttr { expr: in_order(expr), attr: attr.clone() },
        Expr::HasAttr { expr, attrs } => Expr::HasAttr { expr: in_order(expr), attrs: attrs.clone() },
        Expr::Like { expr, pattern } => Expr::Like { expr: in_order(expr), pattern: pattern.clone() },
        Expr::Is { expr, entity_type, in_expr } => Expr::Is {
            expr: in_order(expr),
            entity_type: entity_type.clone(),
            in_expr: in_expr.as_ref().map(in_order),
        },
        Expr::IfThenElse { cond, then_expr, else_expr } => Expr::IfThenElse {
            cond: in_order(cond),
            then_expr: in_order(then_expr),
            else_expr: in_order(else_expr),
        },
        Expr::Set(items) => Expr::Set(sorted(items.iter().map(in_order).collect())),
        Expr::Record(fields) => {
            Expr::Record(fields.iter().map(|(name, value)| (name.clone(), in_order(value))).collect())
        }
        // A literal or a variable; or a form that is not known here, which stays as it is.
        _ => return Arc::clone(expression),
    })
}

fn binary(op: BinaryOp, left: &Arc<Expr>, right: &Arc<Expr>, whole: &Arc<Expr>) -> Arc<Expr> {
    let pair = |op, left, right| Arc::new(Expr::BinaryOp { op, left, right });
    match op {
        BinaryOp::And | BinaryOp::Or if !may_fail(whole) => {
            let mut parts = Vec::new();
            match op {
                BinaryOp::And => conjuncts(whole, &mut parts),
                _ => disjuncts(whole, &mut parts),
            }
            let parts = sorted(parts.iter().map(in_order).collect());
            let joined = parts.into_iter().reduce(|left, right| pair(op, left, right));
            joined.unwrap_or_else(|| Arc::clone(whole))
        }
        // Either side fails as the other would.
        BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::Add | BinaryOp::Mul => {
            let (one, other) = (in_order(left), in_order(right));
            match text(&one) <= text(&other) {
                true => pair(op, one, other),
                false => pair(op, other, one),
            }
        }
        BinaryOp::Greater => pair(BinaryOp::Less, in_order(right), in_order(left)),
        BinaryOp::GreaterEq => pair(BinaryOp::LessEq, in_order(right), in_order(left)),
        op => pair(op, in_order(left), in_order(right)),
    }
}

/// Each once, in the order of their texts.
fn sorted(mut parts: Vec<Arc<Expr>>) -> Vec<Arc<Expr>> {
    parts.sort_by_cached_key(text);
    parts.dedup();
    parts
}

fn text(expression: &Arc<Expr>) -> String {
    Condition(Arc::clone(expression)).to_string()
}

#[cfg(test)]
mod tests {
    use cedar_policy as cedar;

    use super::super::ReadPolicy;
    use super::*;

    fn condition(text: &str) -> Condition {
        let text = format!("permit (principal, action, resource) when {{ {text} }};");
        let policy = cedar::Policy::parse(None, text).unwrap();
        ReadPolicy::new(&policy).unwrap().condition().clone()
    }

    #[test]
    fn the_order_counts_only_where_something_can_fail() {
        for (one, other, expected) in [
            ("context.a == context.b", "context.b == context.a", true),
            ("context.a != 1", "1 != context.a", true),
            ("context.a < context.b", "context.b > context.a", true),
            ("context.a <= context.b", "context.b >= context.a", true),
            ("context.a < context.b", "context.b < context.a", false),
            ("context.a && context.b", "context.b && context.a", true),
            ("context.a || context.b", "context.b || context.a", true),
            ("context.a && context.b", "context.a || context.b", false),
            ("context.a && (context.b && context.c)", "(context.c && context.a) && context.b", true),
            ("context.a || context.b && context.c", "context.c && context.b || context.a", true),
            ("context.a || context.b && context.c", "(context.a || context.b) && context.c", false),
            ("!(context.a && context.b)", "!(context.b && context.a)", true),
            ("!context.a && context.b", "!context.b && context.a", false),
            ("context.a == 1 && context.a == 1", "1 == context.a", true),
            ("[1, 2].contains(context.a)", "[2, 1, 1].contains(context.a)", true),
            ("[1, 2].contains(context.a)", "[1, 2, 3].contains(context.a)", false),
            ("context.a in [Role::\"x\", Role::\"y\"]", "context.a in [Role::\"y\", Role::\"x\"]", true),
            ("context.a in context.b", "context.b in context.a", false),
            ("context.a + 1 == context.b", "context.b == 1 + context.a", true),
            ("context.a - 1 == context.b", "1 - context.a == context.b", false),
            // A sum that overflows behind what is false is not looked at.
            ("context.a && context.b + 1 == 2", "context.b + 1 == 2 && context.a", false),
            ("context.a || context.b * 2 == 2", "context.b * 2 == 2 || context.a", false),
            ("context.a && (context.b || context.c)", "(context.c || context.b) && context.a", true),
            ("context.a like \"x*\"", "context.a like \"*x\"", false),
            (
                "if context.a == context.b then context.c else context.d",
                "if context.b == context.a then context.c else context.d",
                true,
            ),
            (
                "if context.a then context.b else context.c",
                "if context.a then context.c else context.b",
                false,
            ),
        ] {
            assert_eq!(condition(one).says_the_same(&condition(other)), expected, "{one}   {other}");
            assert_eq!(condition(other).says_the_same(&condition(one)), expected, "{other}   {one}");
        }
    }
}
