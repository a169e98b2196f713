//! What is left of a policy when principal, action and resource are known and the context is not.
//!
//! The one module that uses Cedar's type-aware partial evaluation (`PolicySet::tpe`), which is experimental: the crate's
//! version is pinned exactly, what leaves this module is [`Formula`]s, and what a formula says is re-decided by Cedar's
//! stable `is_authorized` on a witness of each class of requests before a document rests on it
//! ([`iam`](crate::iam)).

use std::collections::BTreeSet;

use cedar_policy as cedar;
use cedar_policy::pst::{Expr, Var};

use super::condition::{Condition, Known, Numbering, Question};
use super::formula::{Formula, Outcomes};
use super::test::Test;
use crate::route::Operation;

/// The entities that are known, in the form that partial evaluation wants.
pub(super) struct PartialStore<'s> {
    schema: &'s cedar::Schema,
    entities: cedar::PartialEntities,
}

/// Who asks, as far as it is known.
pub(super) enum PartialPrincipal<'p> {
    /// This one.
    Known(&'p cedar::EntityUid),
    /// Anyone of this type.
    Anyone(&'p cedar::EntityTypeName),
}

/// A policy, and when it applies.
pub(super) struct Residual {
    pub(super) policy: cedar::PolicyId,
    pub(super) effect: cedar::Effect,
    pub(super) formula: Formula,
}

impl<'s> PartialStore<'s> {
    /// # Errors
    /// In Cedar's words, where an entity does not conform to the schema.
    pub(super) fn new(schema: &'s cedar::Schema, known: cedar::Entities) -> Result<Self, String> {
        let entities =
            cedar::PartialEntities::from_concrete(known, schema).map_err(|error| error.to_string())?;
        Ok(Self { schema, entities })
    }

    /// What is left of each of `policies`; one that is certainly false may be left out. New questions about the path are
    /// added to `tests`.
    ///
    /// # Errors
    /// In Cedar's words, where the policies do not pass its type check for this action, which validated ones do.
    pub(super) fn residuals(
        &self,
        principal: &PartialPrincipal<'_>,
        operation: &Operation,
        (action, route): (&cedar::EntityUid, &cedar::EntityUid),
        policies: &cedar::PolicySet,
        tests: &mut Vec<Test>,
    ) -> Result<Vec<Residual>, String> {
        let principal = match principal {
            PartialPrincipal::Known(uid) => cedar::PartialEntityUid::from_concrete((*uid).clone()),
            PartialPrincipal::Anyone(kind) => cedar::PartialEntityUid::new((*kind).clone(), None),
        };
        let route = cedar::PartialEntityUid::from_concrete(route.clone());
        let request = cedar::PartialRequest::new(principal, action.clone(), route, None, self.schema)
            .map_err(|error| error.to_string())?;
        let response =
            policies.tpe(&request, &self.entities, self.schema).map_err(|error| error.to_string())?;
        let mut residuals = Vec::new();
        let constants = [
            (cedar::Effect::Permit, Outcomes::TRUE, response.true_permits().collect::<Vec<_>>()),
            (cedar::Effect::Permit, Outcomes::ERROR, response.error_permits().collect()),
            (cedar::Effect::Forbid, Outcomes::TRUE, response.true_forbids().collect()),
            (cedar::Effect::Forbid, Outcomes::ERROR, response.error_forbids().collect()),
        ];
        for (effect, outcomes, policies) in constants {
            residuals.extend(policies.into_iter().map(|policy| Residual {
                policy: policy.clone(),
                effect,
                formula: Formula::Constant(outcomes),
            }));
        }
        // Cedar keeps its policies in no order; ours, and so that of the tests, must not depend on it.
        let mut left: Vec<cedar::Policy> = response.residual_policies().collect();
        left.sort_by(|one, other| one.id().cmp(other.id()));
        for policy in left {
            let condition = Condition::of(&policy, Known::Constants, &Numbering::default());
            let mut of_principal = Vec::new();
            let mut question =
                Question { operation, ground: &|| None, of_principal: &mut of_principal, tests };
            let formula = condition.formula(&mut question);
            residuals.push(Residual { policy: policy.id().clone(), effect: policy.effect(), formula });
        }
        residuals.sort_by(|one, other| one.policy.cmp(&other.policy));
        Ok(residuals)
    }
}

/// The facts that an expression reads: variables with the attributes that are taken of them (`context.http.source_ip`).
pub(super) fn collect_facts(expression: &Expr, facts: &mut BTreeSet<String>) {
    visit_reads(expression, &mut |names| {
        facts.insert(match names.is_empty() {
            true => "an expression that cannot be read".to_owned(),
            false => names.join("."),
        });
    });
}

/// Calls `visit` with each fact that an expression reads, as a variable's name and those of the attributes; with no name
/// for an expression that cannot be read.
pub(crate) fn visit_reads(expression: &Expr, visit: &mut dyn FnMut(&[&str])) {
    match expression {
        Expr::Var(_) | Expr::GetAttr { .. } => match attribute_path(expression) {
            Ok(names) => visit(&names),
            Err(base) => visit_reads(base, visit),
        },
        // `context.http has source_ip` reads whether there is one.
        Expr::HasAttr { expr, attrs } => match attribute_path(expr) {
            Ok(names) => {
                let attributes = attrs.iter().map(|attribute| attribute.as_str());
                visit(&names.into_iter().chain(attributes).collect::<Vec<_>>());
            }
            Err(base) => visit_reads(base, visit),
        },
        _ => match children(expression) {
            Some(children) => children.into_iter().for_each(|child| visit_reads(child, visit)),
            None => visit(&[]),
        },
    }
}

/// `context.http.source_ip` as its names; the base, where that is no variable.
fn attribute_path(expression: &Expr) -> Result<Vec<&str>, &Expr> {
    let mut names = Vec::new();
    let mut base = expression;
    while let Expr::GetAttr { expr, attr } = base {
        names.push(attr.as_str());
        base = expr;
    }
    let Expr::Var(variable) = base else { return Err(base) };
    names.push(match variable {
        Var::Principal => "principal",
        Var::Action => "action",
        Var::Resource => "resource",
        Var::Context => "context",
    });
    names.reverse();
    Ok(names)
}

/// The parts of an expression; `None` for a form that is not known here.
pub(super) fn children(expression: &Expr) -> Option<Vec<&Expr>> {
    Some(match expression {
        Expr::Var(_) | Expr::Literal(_) | Expr::ResidualError => Vec::new(),
        Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::UnaryOp { expr, .. }
        | Expr::Like { expr, .. } => vec![expr],
        Expr::Is { expr, in_expr, .. } => {
            [Some(expr), in_expr.as_ref()].into_iter().flatten().map(|e| &**e).collect()
        }
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::IfThenElse { cond, then_expr, else_expr } => vec![cond, then_expr, else_expr],
        Expr::Set(items) => items.iter().map(|item| &**item).collect(),
        Expr::Record(fields) => fields.values().map(|field| &**field).collect(),
        _ => return None,
    })
}
