//! What the policies can ask of a principal, so that principals who do not differ in it can share one answer.

use std::collections::BTreeSet;

use cedar_policy as cedar;
use cedar_policy::pst::{self, BinaryOp, EntityOrSlot, Expr, Literal, PrincipalConstraint, Var};
use serde::{Deserialize, Serialize};

use super::residual::{children, collect_facts};

/// What decisions can depend on, of all that is known of a principal, beyond its type, its roles and its tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalReads {
    identity: bool,
    attributes: BTreeSet<Vec<String>>,
}

impl PrincipalReads {
    /// What the policies of a set read.
    #[must_use]
    pub fn of_policies(policies: &cedar::PolicySet) -> Self {
        let mut reads = Self::default();
        policies.policies().for_each(|policy| reads.add(policy));
        reads
    }

    /// Adds what one policy reads. A policy that cannot be looked into may read everything.
    fn add(&mut self, policy: &cedar::Policy) {
        let Ok(policy) = policy.to_pst() else {
            self.identity = true;
            return;
        };
        let body = policy.body();
        self.identity |= match &body.principal {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
            PrincipalConstraint::Eq(_) => true,
            PrincipalConstraint::In(group) | PrincipalConstraint::IsIn(_, group) => match group {
                EntityOrSlot::Entity(uid) => !is_group(uid),
                _ => true,
            },
        };
        for clause in body.clauses() {
            let (pst::Clause::When(condition) | pst::Clause::Unless(condition)) = clause;
            self.visit(condition);
        }
    }

    fn visit(&mut self, expression: &Expr) {
        match expression {
            // Roles and tenants are no identity: whoever is in them shares the answer.
            Expr::BinaryOp { op: BinaryOp::In, left, right } if is_principal(left) && names_groups(right) => {
            }
            Expr::Is { expr, in_expr, .. }
                if is_principal(expr) && in_expr.as_ref().is_none_or(|group| names_groups(group)) => {}
            Expr::GetAttr { .. } | Expr::HasAttr { .. } | Expr::Var(_) => {
                let mut facts = BTreeSet::new();
                collect_facts(expression, &mut facts);
                for fact in facts {
                    let mut names = fact.split('.').map(str::to_owned);
                    match (names.next().as_deref(), names.collect::<Vec<_>>()) {
                        (Some("principal"), names) if names.is_empty() => self.identity = true,
                        (Some("principal"), names) => drop(self.attributes.insert(names)),
                        (Some("action" | "resource" | "context"), _) => {}
                        // An expression that cannot be read.
                        (_, _) => self.identity = true,
                    }
                }
            }
            _ => match children(expression) {
                Some(children) => children.into_iter().for_each(|child| self.visit(child)),
                None => self.identity = true,
            },
        }
    }

    /// What an entity says to all that is read, in one text: equal where nothing that is read differs.
    #[must_use]
    pub fn of(&self, principal: &cedar::Entity) -> String {
        let mut text = String::new();
        if self.identity {
            text += &format!("{:?}", principal.uid().to_string());
        }
        for names in &self.attributes {
            let value = names.split_first().and_then(|(first, rest)| {
                let first = principal.attr(first)?.ok()?;
                rest.iter().try_fold(first, |value, name| match value {
                    cedar::EvalResult::Record(record) => record.get(name).cloned(),
                    _ => None,
                })
            });
            // A quoted text: no value can look like the end of one and the beginning of the next.
            text += &value.map_or_else(|| "-".to_owned(), |value| format!("{:?}", value.to_string()));
        }
        text
    }
}

fn is_principal(expression: &Expr) -> bool {
    matches!(expression, Expr::Var(Var::Principal))
}

/// Whether the expression names entities that principals are in, and no principal itself.
fn names_groups(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(Literal::EntityUID(uid)) => is_group(uid),
        Expr::Set(items) => items.iter().all(|item| names_groups(item)),
        _ => false,
    }
}

fn is_group(uid: &pst::EntityUID) -> bool {
    matches!(uid.ty.to_string().as_str(), "Role" | "Tenant")
}
