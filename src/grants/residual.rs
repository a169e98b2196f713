//! What is left of a policy when principal, action and resource are known and the context is not.
//!
//! The one module that uses Cedar's type-aware partial evaluation (`PolicySet::tpe`), which is experimental: the crate's
//! version is pinned exactly, what leaves this module is [`Formula`]s, and what a formula says is re-decided by Cedar's
//! stable `is_authorized` on a witness of each class of requests before a document rests on it
//! ([`iam`](crate::iam)).

use std::collections::BTreeSet;

use cedar_policy as cedar;
use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, PatternElem, UnaryOp, Var};

use super::formula::{Formula, Outcomes};
use super::test::{Glob, GlobPart, Subject, Test};
use crate::route::{Operation, Segment};

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
        let mut reader = Reader { operation, tests };
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
            residuals.push(Residual {
                policy: policy.id().clone(),
                effect: policy.effect(),
                formula: reader.condition(&policy),
            });
        }
        residuals.sort_by(|one, other| one.policy.cmp(&other.policy));
        Ok(residuals)
    }
}

/// Reads expressions as formulas over the path of one operation.
struct Reader<'r> {
    operation: &'r Operation,
    tests: &'r mut Vec<Test>,
}

impl Reader<'_> {
    fn condition(&mut self, policy: &cedar::Policy) -> Formula {
        let Ok(policy) = policy.to_pst() else {
            return Formula::Reads(BTreeSet::from(["a condition that cannot be read".to_owned()]));
        };
        policy.body().clauses().iter().fold(Formula::TRUE, |formula, clause| {
            let next = match clause {
                Clause::When(condition) => self.formula(condition),
                Clause::Unless(condition) => Formula::negation(self.formula(condition)),
            };
            Formula::and(formula, next)
        })
    }

    /// Whatever is not one of the forms below is opaque: any outcome is possible, and so nothing is granted by it.
    fn formula(&mut self, expression: &Expr) -> Formula {
        self.understood(expression).unwrap_or_else(|| {
            let mut facts = BTreeSet::new();
            collect_facts(expression, &mut facts);
            if facts.is_empty() {
                facts.insert("an expression that no pattern can stand for".to_owned());
            }
            Formula::Reads(facts)
        })
    }

    fn understood(&mut self, expression: &Expr) -> Option<Formula> {
        Some(match expression {
            Expr::Literal(Literal::Bool(true)) => Formula::TRUE,
            Expr::Literal(Literal::Bool(false)) => Formula::FALSE,
            Expr::ResidualError => Formula::Constant(Outcomes::ERROR),
            Expr::UnaryOp { op: UnaryOp::Not, expr } => Formula::negation(self.formula(expr)),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => {
                let left = self.formula(left);
                Formula::and(left, self.formula(right))
            }
            Expr::BinaryOp { op: BinaryOp::Or, left, right } => {
                let left = self.formula(left);
                Formula::or(left, self.formula(right))
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                let condition = self.formula(cond);
                let (then, otherwise) = (self.formula(then_expr), self.formula(else_expr));
                Formula::If(Box::new(condition), Box::new(then), Box::new(otherwise))
            }
            Expr::BinaryOp { op: BinaryOp::Eq, left, right } => self.equality(left, right)?,
            Expr::BinaryOp { op: BinaryOp::NotEq, left, right } => {
                Formula::negation(self.equality(left, right)?)
            }
            Expr::BinaryOp { op: BinaryOp::Contains, left, right } => self.membership(left, right)?,
            Expr::Like { expr, pattern } => {
                let subject = self.subject(expr)?;
                let glob = Glob::new(pattern.iter().map(|element| match element {
                    PatternElem::Char(char) => GlobPart::Char(*char),
                    PatternElem::Wildcard => GlobPart::Any,
                }));
                self.test(subject, glob)
            }
            // The authorizer always gives the three parts of a context, and a parameter is there if the template binds it.
            Expr::HasAttr { expr, attrs } if is_context(expr) => match (attrs.head.as_str(), &*attrs.tail) {
                ("params" | "path" | "http", []) => Formula::TRUE,
                ("params", [name]) => self.has_param(name),
                _ => return None,
            },
            Expr::HasAttr { expr, attrs }
                if is_context_attribute(expr, "params") && attrs.tail.is_empty() =>
            {
                self.has_param(&attrs.head)
            }
            _ => return None,
        })
    }

    fn has_param(&self, name: &str) -> Formula {
        Formula::Constant(Outcomes::certain(self.operation.param_names().any(|param| param == name)))
    }

    fn equality(&mut self, left: &Expr, right: &Expr) -> Option<Formula> {
        let (subject, text) = match (left, right) {
            (subject, Expr::Literal(Literal::String(text)))
            | (Expr::Literal(Literal::String(text)), subject) => (self.subject(subject)?, text),
            _ => return None,
        };
        Some(self.test(subject, Glob::text(text)))
    }

    /// `["a", "b"].contains(context.params.x)`
    fn membership(&mut self, set: &Expr, element: &Expr) -> Option<Formula> {
        let subject = self.subject(element)?;
        let Expr::Set(items) = set else { return None };
        let texts: Vec<&str> = items
            .iter()
            .map(|item| match &**item {
                Expr::Literal(Literal::String(text)) => Some(text.as_str()),
                _ => None,
            })
            .collect::<Option<_>>()?;
        Some(texts.into_iter().fold(Formula::FALSE, |formula, text| {
            let test = self.test(subject.clone(), Glob::text(text));
            Formula::or(formula, test)
        }))
    }

    /// What a test can look at: `context.path`, and `context.params.<name>` of a parameter that the template binds.
    fn subject(&self, expression: &Expr) -> Option<Subject> {
        if is_context_attribute(expression, "path") {
            return Some(Subject::Path);
        }
        let Expr::GetAttr { expr, attr } = expression else { return None };
        let is_bound = || self.operation.param_names().any(|param| param == attr.as_str());
        (is_context_attribute(expr, "params") && is_bound()).then(|| Subject::Param(attr.to_string()))
    }

    fn test(&mut self, subject: Subject, glob: Glob) -> Formula {
        let is_one_segment = matches!(&subject, Subject::Param(name) if self.is_one_segment(name));
        let never =
            is_one_segment && (glob.parts().is_empty() || glob.parts().contains(&GlobPart::Char('/')));
        if never {
            return Formula::FALSE;
        }
        if glob.parts() == [GlobPart::Any] {
            return Formula::TRUE;
        }
        let test = Test { subject, glob };
        let index = self.tests.iter().position(|known| *known == test).unwrap_or_else(|| {
            self.tests.push(test);
            self.tests.len() - 1
        });
        Formula::Test(index)
    }

    fn is_one_segment(&self, param: &str) -> bool {
        let segments = self.operation.template().segments();
        segments.iter().any(|segment| matches!(segment, Segment::Parameter(name) if name == param))
    }
}

fn is_context(expression: &Expr) -> bool {
    matches!(expression, Expr::Var(Var::Context))
}

fn is_context_attribute(expression: &Expr, name: &str) -> bool {
    matches!(expression, Expr::GetAttr { expr, attr } if attr == name && is_context(expr))
}

/// The facts that an expression reads: variables with the attributes that are taken of them (`context.http.source_ip`).
pub(super) fn collect_facts(expression: &Expr, facts: &mut BTreeSet<String>) {
    match expression {
        Expr::Var(_) | Expr::GetAttr { .. } => match attribute_path(expression) {
            Ok(names) => drop(facts.insert(names.join("."))),
            Err(base) => collect_facts(base, facts),
        },
        // `context.http has source_ip` reads whether there is one.
        Expr::HasAttr { expr, attrs } => match attribute_path(expr) {
            Ok(names) => {
                let attributes = attrs.iter().map(|attribute| attribute.as_str());
                facts.insert(names.into_iter().chain(attributes).collect::<Vec<_>>().join("."));
            }
            Err(base) => collect_facts(base, facts),
        },
        _ => match children(expression) {
            Some(children) => children.into_iter().for_each(|child| collect_facts(child, facts)),
            None => drop(facts.insert("an expression that cannot be read".to_owned())),
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
