//! What is left of a policy's condition when it is known who asks, by type, roles and tenant, and for which operation; as
//! a Cedar expression that a person can read.
//!
//! [`grants`](crate::grants) asks what a policy says for one principal, and keeps of it what a document can state. Here the
//! principal's attributes are not known, because all who hold a role differ in them, and nothing of the rest is lost: what
//! is printed is Cedar, and evaluates as the policy does. It rests on Cedar's public syntax tree alone. The rules that
//! shorten an expression are few, and each keeps its errors: `x && false` is false only where `x` cannot fail.

mod normal;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use cedar_policy as cedar;
use cedar_policy::pst::{
    BinaryOp, Clause, EntityOrSlot, EntityType, EntityUID, Expr, Literal, Name, PatternElem,
    PrincipalConstraint, UnaryOp, Var,
};

use crate::bundle::roles::Roles;
use crate::bundle::vocabulary::Vocabulary;
use crate::entities::OperationEntities;
use crate::grants::{Glob, GlobPart};
use crate::route::Operation;

use super::people::Person;

/// A condition: a Cedar expression that is true, false, or fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(Arc<Expr>);

/// A policy that was looked into.
#[derive(Clone, Debug)]
pub struct ReadPolicy {
    /// Its id.
    pub id: String,
    /// Permit or forbid.
    pub effect: cedar::Effect,
    principal: PrincipalConstraint,
    condition: Condition,
}

/// Somebody, as far as they are known.
#[derive(Debug)]
pub struct KnownPrincipal {
    kind: EntityType,
    groups: HashSet<EntityUID>,
    /// Attributes that are always there.
    required: BTreeSet<String>,
    /// Who they are and what their attributes say, where that is known.
    identity: Option<(EntityUID, BTreeMap<String, Arc<Expr>>)>,
}

/// An operation in a stage of an API, with all that is known of it before a request.
#[derive(Debug)]
pub struct KnownOperation {
    action: Known,
    route: Known,
    /// The route's attributes.
    attributes: Vec<(String, String)>,
    params: BTreeSet<String>,
}

/// An entity and all that it is in.
#[derive(Debug)]
struct Known {
    uid: EntityUID,
    all: HashSet<EntityUID>,
}

impl ReadPolicy {
    /// Looks into a policy; `None` for one of a form that is not known here, which no loaded policy has.
    #[must_use]
    pub fn new(policy: &cedar::Policy) -> Option<Self> {
        let tree = policy.to_pst().ok()?;
        let body = tree.body();
        let condition = body.clauses().iter().fold(Condition::of(true), |all, clause| match clause {
            Clause::When(condition) => all.and(Condition(Arc::clone(condition))),
            Clause::Unless(condition) => all.and(Condition(Arc::clone(condition)).negated()),
        });
        let (id, effect) = (policy.id().to_string(), policy.effect());
        Some(Self { id, effect, principal: body.principal.clone(), condition })
    }

    /// When it applies to what `principal` asks of `operation`, whose action and resource scope it must match.
    #[must_use]
    pub fn left(&self, principal: &KnownPrincipal, operation: &KnownOperation) -> Condition {
        let reader = Reader { principal, operation };
        reader.scope(&self.principal).and_then(|| Condition(reader.fold(&self.condition.0)))
    }

    /// The entities that its principal scope and its condition name.
    pub fn visit_entities(&self, visit: &mut dyn FnMut(&EntityUID)) {
        match &self.principal {
            PrincipalConstraint::Eq(group)
            | PrincipalConstraint::In(group)
            | PrincipalConstraint::IsIn(_, group) => {
                if let EntityOrSlot::Entity(uid) = group {
                    visit(uid);
                }
            }
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => {}
        }
        self.condition.visit(&mut |expression| {
            if let Expr::Literal(Literal::EntityUID(uid)) = expression {
                visit(uid);
            }
        });
    }

    /// Its condition, as it is written.
    #[must_use]
    pub const fn condition(&self) -> &Condition {
        &self.condition
    }
}

impl KnownPrincipal {
    /// Somebody with these roles of a version.
    #[must_use]
    pub fn new(person: &Person, vocabulary: &Vocabulary, roles: &Roles) -> Option<Self> {
        let groups = person.closure(roles).into_iter().map(|role| ("Role", role));
        let tenant = person.tenant.as_deref().map(|tenant| ("Tenant", tenant));
        let groups = groups.chain(tenant).map(|(kind, name)| entity(kind, name)).collect::<Option<_>>()?;
        let shape = person.shape(vocabulary);
        let always = ["sub", "issuer", "scopes"].into_iter().filter(|name| shape.attributes.contains(*name));
        let claims = shape.claims.as_ref().map(|_| "claims");
        let required = always.chain(claims).map(str::to_owned).collect();
        Some(Self { kind: entity_type(person.type_name())?, groups, required, identity: None })
    }

    /// Somebody with a name and attributes of their own.
    #[must_use]
    pub fn of_entity(principal: &cedar::Entity) -> Option<Self> {
        let (uid, attributes, parents) = principal.clone().into_inner();
        let groups = parents.iter().map(of_cedar).collect::<Option<_>>()?;
        let values = attributes.keys().map(|name| {
            let value = principal.attr(name)?.ok()?;
            Some((name.clone(), of_value(&value)?))
        });
        let (uid, values) = (of_cedar(&uid)?, values.collect::<Option<_>>()?);
        let (kind, required) = (uid.ty.clone(), attributes.into_keys().collect());
        Some(Self { kind, groups, required, identity: Some((uid, values)) })
    }

    /// Their type, who they are if that is known, and those of `named` that they are in: equal for two whom policies that
    /// name no others cannot tell apart.
    #[must_use]
    pub fn signature<'n>(
        &self,
        named: &'n [EntityUID],
    ) -> (&EntityType, Option<&EntityUID>, Vec<&'n EntityUID>) {
        let groups = named.iter().filter(|uid| self.groups.contains(uid)).collect();
        (&self.kind, self.identity.as_ref().map(|(uid, _)| uid), groups)
    }

    /// Whether they are this one; `None` where that is not known.
    fn is(&self, uid: &EntityUID) -> Option<bool> {
        match &self.identity {
            Some((own, _)) => Some(own == uid),
            None => (uid.ty != self.kind).then_some(false),
        }
    }
}

impl KnownOperation {
    /// An operation with its entities.
    #[must_use]
    pub fn new(
        operation: &Operation,
        entities: &OperationEntities,
        (api, stage): (&str, &str),
        vocabulary: &Vocabulary,
    ) -> Option<Self> {
        let known = |uid: &cedar::EntityUid| {
            let ancestors = entities.entities().ancestors(uid).into_iter().flatten();
            let all = ancestors.chain([uid]).map(of_cedar).collect::<Option<_>>()?;
            Some(Known { uid: of_cedar(uid)?, all })
        };
        let attributes = [("api", api), ("stage", stage), ("template", operation.template().as_str())];
        let attributes = attributes.into_iter().filter(|(name, _)| vocabulary.route.contains(*name));
        Some(Self {
            action: known(entities.action())?,
            route: known(entities.route())?,
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            params: operation.param_names().map(str::to_owned).collect(),
        })
    }
}

impl Condition {
    /// True, or false.
    #[must_use]
    pub fn of(value: bool) -> Self {
        Self(literal(value))
    }

    /// Whether it is certainly true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        constant(&self.0) == Some(true)
    }

    /// Whether it is certainly false.
    #[must_use]
    pub fn is_false(&self) -> bool {
        constant(&self.0) == Some(false)
    }

    /// Whether evaluating it can fail: arithmetic can overflow. What else could fail is refused by validation.
    #[must_use]
    pub fn may_fail(&self) -> bool {
        may_fail(&self.0)
    }

    /// `self && other`
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(and(self.0, other.0))
    }

    /// `self && other`, which is looked at only where it matters.
    fn and_then(self, other: impl FnOnce() -> Self) -> Self {
        if self.is_false() { self } else { self.and(other()) }
    }

    /// `self || other`
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(or(self.0, other.0))
    }

    /// `any || one`, where `one` is no part of `any` already.
    #[must_use]
    pub fn any(any: Self, one: Self) -> Self {
        let mut parts = Vec::new();
        disjuncts(&any.0, &mut parts);
        match parts.contains(&one.0) {
            true => any,
            false => any.or(one),
        }
    }

    /// `!self`
    #[must_use]
    pub fn negated(self) -> Self {
        Self(not(self.0))
    }

    /// The parts between the outermost `&&`, and of those that are negated, without their `!`, the others: a `when` and an
    /// `unless` that say the same together, if none can fail.
    #[must_use]
    pub fn when_and_unless(&self) -> (Self, Self) {
        if self.may_fail() {
            return (self.clone(), Self::of(false));
        }
        let mut parts = Vec::new();
        conjuncts(&self.0, &mut parts);
        let (mut when, mut unless) = (Self::of(true), Self::of(false));
        for part in parts {
            match &*part {
                Expr::UnaryOp { op: UnaryOp::Not, expr } => unless = unless.or(Self(Arc::clone(expr))),
                _ => when = when.and(Self(part)),
            }
        }
        (when, unless)
    }

    /// Calls `visit` with every part of the expression.
    pub fn visit(&self, visit: &mut dyn FnMut(&Expr)) {
        visit_all(&self.0, visit);
    }

    /// The expression.
    #[must_use]
    pub fn expression(&self) -> &Expr {
        &self.0
    }

    /// The attributes that it reads, as `context.params.orderId`, sorted.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<String> {
        let mut reads = BTreeSet::new();
        self.visit(&mut |expression| {
            let path = match expression {
                Expr::GetAttr { .. } => attribute_path(expression),
                Expr::HasAttr { expr, attrs } => attribute_path(expr)
                    .map(|base| attrs.iter().fold(base, |path, attr| format!("{path}.{attr}"))),
                _ => None,
            };
            reads.extend(path);
        });
        // `principal.claims.level` reads `principal.claims` only on its way.
        let all: Vec<String> = reads.iter().cloned().collect();
        reads.retain(|path| !all.iter().any(|other| other.starts_with(&format!("{path}."))));
        reads
    }
}

/// The expression in Cedar's syntax, on one line.
impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        write_expression(&self.0, Level::Whole, &mut text);
        f.write_str(&text)
    }
}

/// Shortens an expression for one principal and one operation.
struct Reader<'k> {
    principal: &'k KnownPrincipal,
    operation: &'k KnownOperation,
}

impl Reader<'_> {
    fn scope(&self, constraint: &PrincipalConstraint) -> Condition {
        let principal = || Arc::new(Expr::Var(Var::Principal));
        let group = |group: &EntityOrSlot| match group {
            EntityOrSlot::Entity(uid) => Arc::new(Expr::Literal(Literal::EntityUID(uid.clone()))),
            EntityOrSlot::Slot(slot) => Arc::new(Expr::Slot(*slot)),
        };
        Condition(match constraint {
            PrincipalConstraint::Any => literal(true),
            PrincipalConstraint::Eq(uid) => self.equal(principal(), group(uid)),
            PrincipalConstraint::In(uid) => self.is_in(principal(), group(uid)),
            PrincipalConstraint::Is(kind) => literal(*kind == self.principal.kind),
            PrincipalConstraint::IsIn(kind, uid) => match *kind == self.principal.kind {
                true => self.is_in(principal(), group(uid)),
                false => literal(false),
            },
        })
    }

    fn fold(&self, expression: &Arc<Expr>) -> Arc<Expr> {
        match &**expression {
            Expr::Var(Var::Action) => uid_literal(&self.operation.action.uid),
            Expr::Var(Var::Resource) => uid_literal(&self.operation.route.uid),
            Expr::UnaryOp { op: UnaryOp::Not, expr } => not(self.fold(expr)),
            Expr::UnaryOp { op, expr } => Arc::new(Expr::UnaryOp { op: *op, expr: self.fold(expr) }),
            Expr::BinaryOp { op, left, right } => {
                let left = self.fold(left);
                // What is not reached need not be looked at.
                match (op, constant(&left)) {
                    (BinaryOp::And, Some(false)) | (BinaryOp::Or, Some(true)) => return left,
                    _ => {}
                }
                self.binary(*op, left, self.fold(right))
            }
            Expr::GetAttr { expr, attr } => {
                if matches!(**expr, Expr::Var(Var::Resource))
                    && let Some((_, value)) = self.operation.attributes.iter().find(|(name, _)| name == attr)
                {
                    return Arc::new(Expr::Literal(Literal::String(value.as_str().into())));
                }
                let folded = self.fold(expr);
                match self.value(&folded, attr) {
                    Some(value) => value,
                    None => Arc::new(Expr::GetAttr { expr: folded, attr: attr.clone() }),
                }
            }
            Expr::HasAttr { expr, attrs } => match self.has(expr, attrs.iter().map(|attr| attr.as_str())) {
                Some(known) => literal(known),
                None => Arc::new(Expr::HasAttr { expr: self.fold(expr), attrs: attrs.clone() }),
            },
            Expr::Like { expr, pattern } => like(self.fold(expr), pattern),
            Expr::Is { expr, entity_type, in_expr } => {
                let folded = self.fold(expr);
                match self.type_of(&folded) {
                    Some(known) if known != entity_type => literal(false),
                    Some(_) => match in_expr {
                        Some(group) => self.is_in(folded, self.fold(group)),
                        None => literal(true),
                    },
                    None => Arc::new(Expr::Is {
                        expr: folded,
                        entity_type: entity_type.clone(),
                        in_expr: in_expr.as_ref().map(|group| self.fold(group)),
                    }),
                }
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                let condition = self.fold(cond);
                match constant(&condition) {
                    Some(true) => self.fold(then_expr),
                    Some(false) => self.fold(else_expr),
                    None => if_then_else(condition, self.fold(then_expr), self.fold(else_expr)),
                }
            }
            Expr::Set(items) => Arc::new(Expr::Set(items.iter().map(|item| self.fold(item)).collect())),
            Expr::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), self.fold(value)));
                Arc::new(Expr::Record(fields.collect()))
            }
            // A literal, a variable that is not known; or a form that is not known here, which stays as it is.
            _ => Arc::clone(expression),
        }
    }

    fn binary(&self, op: BinaryOp, left: Arc<Expr>, right: Arc<Expr>) -> Arc<Expr> {
        match op {
            BinaryOp::And => and(left, right),
            BinaryOp::Or => or(left, right),
            BinaryOp::Eq => self.equal(left, right),
            BinaryOp::NotEq => match constant(&self.equal(Arc::clone(&left), Arc::clone(&right))) {
                Some(equal) => literal(!equal),
                None => Arc::new(Expr::BinaryOp { op, left, right }),
            },
            BinaryOp::In => self.is_in(left, right),
            BinaryOp::Contains => match (&*left, &*right) {
                (Expr::Set(items), Expr::Literal(sought)) => {
                    let literals = items.iter().map(|item| match &**item {
                        Expr::Literal(literal) => Some(literal == sought),
                        _ => None,
                    });
                    match literals.collect::<Option<Vec<bool>>>() {
                        Some(found) => literal(found.contains(&true)),
                        None => Arc::new(Expr::BinaryOp { op, left, right }),
                    }
                }
                _ => Arc::new(Expr::BinaryOp { op, left, right }),
            },
            op => Arc::new(Expr::BinaryOp { op, left, right }),
        }
    }

    fn equal(&self, left: Arc<Expr>, right: Arc<Expr>) -> Arc<Expr> {
        let known = match (&*left, &*right) {
            (Expr::Literal(left), Expr::Literal(right)) => Some(left == right),
            (Expr::Var(Var::Principal), Expr::Literal(Literal::EntityUID(uid)))
            | (Expr::Literal(Literal::EntityUID(uid)), Expr::Var(Var::Principal)) => self.principal.is(uid),
            (left, right) => (left == right && !may_fail(left)).then_some(true),
        };
        known.map_or_else(|| Arc::new(Expr::BinaryOp { op: BinaryOp::Eq, left, right }), literal)
    }

    /// `left in right`, where that is an entity or a set of entities.
    fn is_in(&self, left: Arc<Expr>, right: Arc<Expr>) -> Arc<Expr> {
        let groups: Option<Vec<&EntityUID>> = match &*right {
            Expr::Literal(Literal::EntityUID(uid)) => Some(vec![uid]),
            Expr::Set(items) => items
                .iter()
                .map(|item| match &**item {
                    Expr::Literal(Literal::EntityUID(uid)) => Some(uid),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let Some(groups) = groups else {
            return Arc::new(Expr::BinaryOp { op: BinaryOp::In, left, right });
        };
        // Whether it is in one group; not known of a principal and one of its own type: that may be itself.
        let within = |group: &EntityUID| match &*left {
            Expr::Var(Var::Principal) if group.ty == self.principal.kind => self.principal.is(group),
            Expr::Var(Var::Principal) => Some(self.principal.groups.contains(group)),
            Expr::Literal(Literal::EntityUID(uid)) => {
                let known = [&self.operation.action, &self.operation.route];
                known.into_iter().find(|known| known.uid == *uid).map(|known| known.all.contains(group))
            }
            _ => None,
        };
        if groups.iter().any(|group| within(group) == Some(true)) {
            return literal(true);
        }
        let open: Vec<&EntityUID> = groups.into_iter().filter(|group| within(group).is_none()).collect();
        let right = match open.as_slice() {
            [] => return literal(false),
            [one] => uid_literal(one),
            several => Arc::new(Expr::Set(several.iter().map(|uid| uid_literal(uid)).collect())),
        };
        Arc::new(Expr::BinaryOp { op: BinaryOp::In, left, right })
    }

    fn type_of<'e>(&'e self, expression: &'e Expr) -> Option<&'e EntityType> {
        match expression {
            Expr::Var(Var::Principal) => Some(&self.principal.kind),
            Expr::Literal(Literal::EntityUID(uid)) => Some(&uid.ty),
            _ => None,
        }
    }

    /// What a principal's attribute says, or a field of it, where that is known.
    fn value(&self, base: &Expr, name: &str) -> Option<Arc<Expr>> {
        match base {
            Expr::Var(Var::Principal) => {
                let (_, values) = self.principal.identity.as_ref()?;
                values.get(name).cloned()
            }
            Expr::Record(fields) => fields.get(name).cloned(),
            _ => None,
        }
    }

    /// Whether a principal who is known has attributes, one in the other.
    fn is_there(&self, base: &Arc<Expr>, attributes: &[&str]) -> Option<bool> {
        let mut value = self.fold(base);
        let is_known = match &*value {
            Expr::Var(Var::Principal) => self.principal.identity.is_some(),
            Expr::Record(_) => true,
            _ => false,
        };
        for name in attributes.iter().filter(|_| is_known) {
            match self.value(&value, name) {
                Some(next) => value = next,
                None => return Some(false),
            }
        }
        is_known.then_some(true)
    }

    /// Whether attributes are there, one in the other. The authorizer gives what the schema requires.
    fn has<'a>(&self, base: &Arc<Expr>, attributes: impl Iterator<Item = &'a str>) -> Option<bool> {
        let attributes: Vec<&str> = attributes.collect();
        if let Some(known) = self.is_there(base, &attributes) {
            return Some(known);
        }
        match (&**base, attributes.as_slice()) {
            (Expr::Var(Var::Principal), [name]) => self.principal.required.contains(*name).then_some(true),
            (Expr::Var(Var::Resource), [name]) => {
                self.operation.attributes.iter().any(|(known, _)| known == name).then_some(true)
            }
            (Expr::Var(Var::Context), ["params" | "path" | "http"]) => Some(true),
            (Expr::Var(Var::Context), ["params", name]) => Some(self.operation.params.contains(*name)),
            (Expr::GetAttr { expr, attr }, [name])
                if attr == "params" && matches!(**expr, Expr::Var(Var::Context)) =>
            {
                Some(self.operation.params.contains(*name))
            }
            _ => None,
        }
    }
}

fn literal(value: bool) -> Arc<Expr> {
    Arc::new(Expr::Literal(Literal::Bool(value)))
}

fn constant(expression: &Expr) -> Option<bool> {
    match expression {
        Expr::Literal(Literal::Bool(value)) => Some(*value),
        _ => None,
    }
}

fn uid_literal(uid: &EntityUID) -> Arc<Expr> {
    Arc::new(Expr::Literal(Literal::EntityUID(uid.clone())))
}

fn and(left: Arc<Expr>, right: Arc<Expr>) -> Arc<Expr> {
    match (constant(&left), constant(&right)) {
        (Some(true), _) => right,
        (Some(false), _) | (_, Some(true)) => left,
        (None, Some(false)) if !may_fail(&left) => right,
        _ if left == right => left,
        _ => Arc::new(Expr::BinaryOp { op: BinaryOp::And, left, right }),
    }
}

fn or(left: Arc<Expr>, right: Arc<Expr>) -> Arc<Expr> {
    match (constant(&left), constant(&right)) {
        (Some(false), _) => right,
        (Some(true), _) | (_, Some(false)) => left,
        (None, Some(true)) if !may_fail(&left) => right,
        _ if left == right => left,
        _ => Arc::new(Expr::BinaryOp { op: BinaryOp::Or, left, right }),
    }
}

fn not(expression: Arc<Expr>) -> Arc<Expr> {
    match &*expression {
        Expr::Literal(Literal::Bool(value)) => literal(!value),
        Expr::UnaryOp { op: UnaryOp::Not, expr } => Arc::clone(expr),
        _ => Arc::new(Expr::UnaryOp { op: UnaryOp::Not, expr: expression }),
    }
}

fn if_then_else(condition: Arc<Expr>, then: Arc<Expr>, otherwise: Arc<Expr>) -> Arc<Expr> {
    match (constant(&then), constant(&otherwise)) {
        (Some(true), Some(false)) => condition,
        (Some(false), Some(true)) => not(condition),
        _ if then == otherwise && !may_fail(&condition) => then,
        _ => Arc::new(Expr::IfThenElse { cond: condition, then_expr: then, else_expr: otherwise }),
    }
}

fn like(expression: Arc<Expr>, pattern: &[PatternElem]) -> Arc<Expr> {
    if let Expr::Literal(Literal::String(text)) = &*expression {
        let parts = pattern.iter().map(|element| match element {
            PatternElem::Char(char) => GlobPart::Char(*char),
            PatternElem::Wildcard => GlobPart::Any,
        });
        return literal(Glob::new(parts).matches(text));
    }
    Arc::new(Expr::Like { expr: expression, pattern: pattern.to_vec() })
}

/// Whether evaluating it can fail, in an expression that passed strict validation: where arithmetic overflows. What is not
/// known here may.
fn may_fail(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(_) | Expr::Var(_) => false,
        Expr::UnaryOp { op: UnaryOp::Neg | UnaryOp::ToDate, .. } => true,
        Expr::BinaryOp {
            op:
                BinaryOp::Add
                | BinaryOp::Sub
                | BinaryOp::Mul
                | BinaryOp::Offset
                | BinaryOp::DurationSince
                | BinaryOp::GetTag,
            ..
        } => true,
        _ => children(expression).is_none_or(|children| children.into_iter().any(may_fail)),
    }
}

fn conjuncts(expression: &Arc<Expr>, parts: &mut Vec<Arc<Expr>>) {
    match &**expression {
        Expr::BinaryOp { op: BinaryOp::And, left, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        _ => parts.push(Arc::clone(expression)),
    }
}

fn disjuncts(expression: &Arc<Expr>, parts: &mut Vec<Arc<Expr>>) {
    match &**expression {
        Expr::BinaryOp { op: BinaryOp::Or, left, right } => {
            disjuncts(left, parts);
            disjuncts(right, parts);
        }
        _ => parts.push(Arc::clone(expression)),
    }
}

fn visit_all(expression: &Expr, visit: &mut dyn FnMut(&Expr)) {
    visit(expression);
    for child in children(expression).into_iter().flatten() {
        visit_all(child, visit);
    }
}

/// The parts of an expression; `None` for a form that is not known here.
pub(super) fn children(expression: &Expr) -> Option<Vec<&Expr>> {
    Some(match expression {
        Expr::Var(_) | Expr::Literal(_) => Vec::new(),
        Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::UnaryOp { expr, .. }
        | Expr::Like { expr, .. } => vec![expr],
        Expr::Is { expr, in_expr, .. } => {
            [Some(expr), in_expr.as_ref()].into_iter().flatten().map(AsRef::as_ref).collect()
        }
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::IfThenElse { cond, then_expr, else_expr } => vec![cond, then_expr, else_expr],
        Expr::Set(items) => items.iter().map(AsRef::as_ref).collect(),
        Expr::Record(fields) => fields.values().map(AsRef::as_ref).collect(),
        _ => return None,
    })
}

/// `context.params.orderId`, where the expression is that.
pub(super) fn attribute_path(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Var(variable) => Some(variable_name(variable).to_owned()),
        Expr::GetAttr { expr, attr } => Some(format!("{}.{attr}", attribute_path(expr)?)),
        _ => None,
    }
}

const fn variable_name(variable: &Var) -> &'static str {
    match variable {
        Var::Principal => "principal",
        Var::Action => "action",
        Var::Resource => "resource",
        Var::Context => "context",
    }
}

fn entity_type(name: &str) -> Option<EntityType> {
    Name::unqualified(name).ok().map(EntityType)
}

fn entity(kind: &str, id: &str) -> Option<EntityUID> {
    Some(EntityUID { ty: entity_type(kind)?, eid: id.into() })
}

fn of_cedar(uid: &cedar::EntityUid) -> Option<EntityUID> {
    entity(uid.type_name().basename(), AsRef::<str>::as_ref(uid.id().unescaped()))
}

/// A value as an expression; `None` for one of a kind that no attribute of a principal has.
fn of_value(value: &cedar::EvalResult) -> Option<Arc<Expr>> {
    Some(Arc::new(match value {
        cedar::EvalResult::Bool(value) => Expr::Literal(Literal::Bool(*value)),
        cedar::EvalResult::Long(number) => Expr::Literal(Literal::Long(*number)),
        cedar::EvalResult::String(text) => Expr::Literal(Literal::String(text.as_str().into())),
        cedar::EvalResult::Set(items) => {
            let mut items: Vec<Arc<Expr>> = items.iter().map(of_value).collect::<Option<_>>()?;
            items.sort_by_cached_key(|item| Condition(Arc::clone(item)).to_string());
            Expr::Set(items)
        }
        cedar::EvalResult::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| Some((name.to_owned(), of_value(value)?)));
            Expr::Record(fields.collect::<Option<_>>()?)
        }
        cedar::EvalResult::EntityUid(_) | cedar::EvalResult::ExtensionValue(_) => return None,
    }))
}

/// How tightly an expression binds, loosest first (Cedar's grammar: Expr, Or, And, Relation, Add, Mult, Unary, Member).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Whole,
    Or,
    And,
    Relation,
    Add,
    Multiply,
    Unary,
    Member,
}

const fn level_of(expression: &Expr) -> Level {
    match expression {
        Expr::IfThenElse { .. } => Level::Whole,
        Expr::BinaryOp { op, .. } => match op {
            BinaryOp::Or => Level::Or,
            BinaryOp::And => Level::And,
            BinaryOp::Eq
            | BinaryOp::NotEq
            | BinaryOp::Less
            | BinaryOp::LessEq
            | BinaryOp::Greater
            | BinaryOp::GreaterEq
            | BinaryOp::In => Level::Relation,
            BinaryOp::Add | BinaryOp::Sub => Level::Add,
            BinaryOp::Mul => Level::Multiply,
            _ => Level::Member,
        },
        Expr::HasAttr { .. } | Expr::Like { .. } | Expr::Is { .. } => Level::Relation,
        Expr::UnaryOp { op: UnaryOp::Not | UnaryOp::Neg, .. } => Level::Unary,
        _ => Level::Member,
    }
}

/// Writes an expression where one that binds as tightly as `at_least` may stand.
fn write_expression(expression: &Expr, at_least: Level, out: &mut String) {
    if level_of(expression) < at_least {
        out.push('(');
        write_expression(expression, Level::Whole, out);
        out.push(')');
        return;
    }
    match expression {
        Expr::Literal(Literal::Bool(value)) => _ = write!(out, "{value}"),
        // The smallest has no other spelling; a negative one before a dot would be read otherwise.
        Expr::Literal(Literal::Long(number)) if *number < 0 => _ = write!(out, "({number})"),
        Expr::Literal(Literal::Long(number)) => _ = write!(out, "{number}"),
        Expr::Literal(Literal::String(text)) => write_string(text.chars(), out),
        Expr::Literal(Literal::EntityUID(uid)) => {
            _ = write!(out, "{}::", uid.ty);
            write_string(uid.eid.chars(), out);
        }
        Expr::Var(variable) => out.push_str(variable_name(variable)),
        Expr::Slot(slot) => _ = write!(out, "{slot}"),
        Expr::UnaryOp { op, expr } => match op {
            UnaryOp::Not | UnaryOp::Neg => {
                out.push(if *op == UnaryOp::Not { '!' } else { '-' });
                // A sign before a sign, or before a number, is not what was written.
                write_expression(expr, Level::Member, out);
            }
            UnaryOp::Datetime | UnaryOp::Decimal | UnaryOp::Duration | UnaryOp::Ip => {
                _ = write!(out, "{op}(");
                write_expression(expr, Level::Whole, out);
                out.push(')');
            }
            _ => {
                write_expression(expr, Level::Member, out);
                _ = write!(out, ".{op}()");
            }
        },
        Expr::BinaryOp { op, left, right } => write_binary(*op, left, right, out),
        Expr::GetAttr { expr, attr } => {
            write_expression(expr, Level::Member, out);
            match is_identifier(attr) {
                true => _ = write!(out, ".{attr}"),
                false => {
                    out.push('[');
                    write_string(attr.chars(), out);
                    out.push(']');
                }
            }
        }
        Expr::HasAttr { expr, attrs } => {
            write_expression(expr, Level::Add, out);
            out.push_str(" has ");
            for (index, attr) in attrs.iter().enumerate() {
                if index > 0 {
                    out.push('.');
                }
                match is_identifier(attr) {
                    true => out.push_str(attr),
                    false => write_string(attr.chars(), out),
                }
            }
        }
        Expr::Like { expr, pattern } => {
            write_expression(expr, Level::Add, out);
            out.push_str(" like \"");
            for element in pattern {
                match element {
                    PatternElem::Wildcard => out.push('*'),
                    PatternElem::Char('*') => out.push_str("\\*"),
                    PatternElem::Char(char) => write_char(*char, out),
                }
            }
            out.push('"');
        }
        Expr::Is { expr, entity_type, in_expr } => {
            write_expression(expr, Level::Add, out);
            _ = write!(out, " is {entity_type}");
            if let Some(group) = in_expr {
                out.push_str(" in ");
                write_expression(group, Level::Add, out);
            }
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            for (word, part) in [("if ", cond), (" then ", then_expr), (" else ", else_expr)] {
                out.push_str(word);
                write_expression(part, Level::Whole, out);
            }
        }
        Expr::Set(items) => {
            out.push('[');
            write_list(items, out);
            out.push(']');
        }
        Expr::Record(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_string(name.chars(), out);
                out.push_str(": ");
                write_expression(value, Level::Whole, out);
            }
            out.push('}');
        }
        // No text of Cedar parses to anything else.
        _ => out.push('…'),
    }
}

fn write_binary(op: BinaryOp, left: &Expr, right: &Expr, out: &mut String) {
    // The operators of one level lead from left to right, and a relation stands alone.
    let (left_level, right_level) = match op {
        BinaryOp::Or => (Level::Or, Level::And),
        BinaryOp::And => (Level::And, Level::Relation),
        BinaryOp::Add | BinaryOp::Sub => (Level::Add, Level::Multiply),
        BinaryOp::Mul => (Level::Multiply, Level::Unary),
        BinaryOp::Eq
        | BinaryOp::NotEq
        | BinaryOp::Less
        | BinaryOp::LessEq
        | BinaryOp::Greater
        | BinaryOp::GreaterEq
        | BinaryOp::In => (Level::Add, Level::Add),
        method => {
            write_expression(left, Level::Member, out);
            _ = write!(out, ".{method}(");
            write_expression(right, Level::Whole, out);
            out.push(')');
            return;
        }
    };
    write_expression(left, left_level, out);
    _ = write!(out, " {op} ");
    write_expression(right, right_level, out);
}

fn write_list(items: &[Arc<Expr>], out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_expression(item, Level::Whole, out);
    }
}

fn write_string(text: impl Iterator<Item = char>, out: &mut String) {
    out.push('"');
    text.for_each(|char| write_char(char, out));
    out.push('"');
}

/// A character as it stands in a Cedar string; what a screen would obey or hide is escaped.
fn write_char(char: char, out: &mut String) {
    match char {
        '\'' => out.push(char),
        // `\u{..}` and the short escapes are Cedar's too.
        char => out.extend(char.escape_debug()),
    }
}

fn is_identifier(text: &str) -> bool {
    const RESERVED: [&str; 9] = ["true", "false", "if", "then", "else", "in", "is", "like", "has"];
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
        && !RESERVED.contains(&text)
        && text != "__cedar"
}
