//! The one module that speaks to Cedar's own core, `cedar-policy-core`, below its public interface.
//!
//! Four things are done here that the public interface does at several times the price, each with the same result:
//!
//! | here | in the public interface | why it costs more there |
//! |---|---|---|
//! | [`Value`]s, and entities and contexts of them | `RestrictedExpression` | each value is an expression that is evaluated; each address and moment has a name parsed |
//! | [`with_principal`]: a store whose closures are there | `Entities::add_entities` | the closure of every entity is computed anew |
//! | [`expression`]: an expression that has been taken apart | `Expression::from_str` | its text is written, and parsed once more |
//! | [`Inquiry::satisfies`]: a condition alone | `Authorizer::is_authorized` | the whole condition, scope included, is built anew for every policy and request |
//!
//! The core promises no stable interface, so it is pinned to the version of `cedar-policy`, which pins the same. That both
//! ways give equal values and equal answers is tested below and in the tests of the engine.

pub(crate) mod coded;

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, OnceLock};

use cedar_policy as cedar;
use cedar_policy_core::ast;
use cedar_policy_core::entities::{NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

/// A value of Cedar's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value(ast::Value);

/// What Cedar refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CoreError(String);

impl CoreError {
    fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl Value {
    /// A `String`.
    pub(crate) fn string(text: &str) -> Self {
        Self(ast::Value::new(ast::Literal::from(text), None))
    }

    /// A `Long`.
    pub(crate) fn long(number: i64) -> Self {
        Self(ast::Value::new(ast::Literal::from(number), None))
    }

    /// A `Bool`.
    pub(crate) fn boolean(truth: bool) -> Self {
        Self(ast::Value::new(ast::Literal::from(truth), None))
    }

    /// A `Set<String>`.
    pub(crate) fn strings(items: &[String]) -> Self {
        let literals = items.iter().map(|item| ast::Literal::from(item.as_str()));
        Self(ast::Value::set_of_lits(literals, None))
    }

    /// A record; of two fields with one name the last is there.
    pub(crate) fn record<'n>(fields: impl IntoIterator<Item = (&'n str, Self)>) -> Self {
        Self(ast::Value::record(fields.into_iter().map(|(name, Self(value))| (name, value)), None))
    }

    /// An `ipaddr`.
    pub(crate) fn ip(address: IpAddr) -> Result<Self, CoreError> {
        static IP: LazyLock<Option<ast::Name>> = LazyLock::new(|| "ip".parse().ok());
        Self::extension(IP.as_ref(), &address.to_string())
    }

    /// A `datetime`, from the text that its constructor takes.
    pub(crate) fn datetime(literal: &str) -> Result<Self, CoreError> {
        static DATETIME: LazyLock<Option<ast::Name>> = LazyLock::new(|| "datetime".parse().ok());
        Self::extension(DATETIME.as_ref(), literal)
    }

    /// What an extension's constructor makes of a text.
    fn extension(constructor: Option<&ast::Name>, text: &str) -> Result<Self, CoreError> {
        let constructor = constructor.ok_or_else(|| CoreError("an extension has no name".to_owned()))?;
        let function = Extensions::all_available().func(constructor).map_err(CoreError::of)?;
        let value =
            function.call(&[ast::Value::new(ast::Literal::from(text), None)]).map_err(CoreError::of)?;
        ast::Value::try_from(value).map(Self).map_err(CoreError::of)
    }
}

/// An entity that can stand in several stores; a clone shares it. Its `Debug` shows its name alone: it may be a person's.
#[derive(Clone)]
pub(crate) struct Node(Arc<NodeParts>);

type LazyEntity = LazyLock<Arc<ast::Entity>, Box<dyn FnOnce() -> Arc<ast::Entity> + Send>>;

struct NodeParts {
    uid: cedar::EntityUid,
    ancestors: Arc<[cedar::EntityUid]>,
    core: LazyEntity,
    public: OnceLock<cedar::Entity>,
}

impl Node {
    /// An entity with its attributes, and everything it is in: the whole closure, where an entity may stand twice. Its
    /// attributes are made when it is first put into a store or shown: policies without conditions ask for none.
    pub(crate) fn new<A>(
        uid: cedar::EntityUid,
        attributes: impl FnOnce() -> A + Send + 'static,
        within: impl IntoIterator<Item = cedar::EntityUid>,
    ) -> Self
    where
        A: IntoIterator<Item = (&'static str, Value)>,
    {
        let mut ancestors: Vec<cedar::EntityUid> = within.into_iter().collect();
        ancestors.sort_unstable();
        ancestors.dedup();
        let ancestors: Arc<[cedar::EntityUid]> = ancestors.into();
        let of = (uid.clone(), Arc::clone(&ancestors));
        let make = move || {
            let (uid, ancestors) = of;
            let attributes = attributes().into_iter().map(|(name, Value(value))| (name.into(), value.into()));
            let parents = ancestors.iter().cloned().map(ast::EntityUID::from).collect();
            Arc::new(ast::Entity::new_with_attr_partial_value(
                uid.into(),
                attributes,
                HashSet::new(),
                parents,
                [],
            ))
        };
        Self::of(uid, ancestors, LazyLock::new(Box::new(make)))
    }

    fn of(uid: cedar::EntityUid, ancestors: Arc<[cedar::EntityUid]>, core: LazyEntity) -> Self {
        Self(Arc::new(NodeParts { uid, ancestors, core, public: OnceLock::new() }))
    }

    /// The entity as the public interface has it; made when it is first asked for.
    pub(crate) fn entity(&self) -> &cedar::Entity {
        self.0.public.get_or_init(|| ast::Entity::clone(&self.0.core).into())
    }

    /// Everything it is in.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &cedar::EntityUid> {
        self.0.ancestors.iter()
    }

    /// Its name.
    pub(crate) fn uid(&self) -> &cedar::EntityUid {
        &self.0.uid
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.uid())
    }
}

impl From<cedar::Entity> for Node {
    fn from(entity: cedar::Entity) -> Self {
        let core: &ast::Entity = entity.as_ref();
        let ancestors = core.ancestors().cloned().map(cedar::EntityUid::from).collect();
        let core = Arc::new(core.clone());
        let node = Self::of(entity.uid(), ancestors, LazyLock::new(Box::new(move || core)));
        let _ = node.0.public.set(entity);
        node
    }
}

/// A store of entities, each of which has its whole closure with it.
pub(crate) fn store<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> Result<cedar::Entities, CoreError> {
    cedar_policy_core::entities::Entities::from_entities(
        nodes.into_iter().map(|node| ast::Entity::clone(&node.0.core)),
        None::<&NoEntitiesSchema>,
        TCComputation::AssumeAlreadyComputed,
        // Nothing is evaluated: the values are there.
        Extensions::none(),
    )
    .map(cedar::Entities::from)
    .map_err(CoreError::of)
}

/// The store with one more entity. Its closure is taken as it is, so it must be the whole one, and nothing in the store may
/// be in it.
pub(crate) fn with_principal(
    store: &cedar::Entities,
    principal: &Node,
) -> Result<cedar::Entities, CoreError> {
    let core: &cedar_policy_core::entities::Entities = store.as_ref();
    core.clone()
        .add_entities(
            [Arc::clone(&principal.0.core)],
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            // Nothing is evaluated: the values are there.
            Extensions::none(),
        )
        .map(cedar::Entities::from)
        .map_err(CoreError::of)
}

/// A request; not held against a schema.
pub(crate) fn request<'n>(
    [principal, action, resource]: [&cedar::EntityUid; 3],
    context: impl IntoIterator<Item = (&'n str, Value)>,
) -> cedar::Request {
    let known = |uid: &cedar::EntityUid| ast::EntityUIDEntry::known(uid.clone().into(), None);
    let context = context.into_iter().map(|(name, Value(value))| (name.into(), value)).collect();
    let context = ast::Context::Value(Arc::new(context));
    ast::Request::new_unchecked(known(principal), known(action), known(resource), Some(context)).into()
}

/// An expression of a policy that has been taken apart, ready to be evaluated.
pub(crate) fn expression(expression: &cedar::pst::Expr) -> cedar::Expression {
    ast::Expr::from(expression.clone()).into()
}

/// A policy without conditions whose scope is met by everything.
pub(crate) fn unconditional(id: &str, permits: bool) -> Option<cedar::Policy> {
    policy_for_all(id, permits, None).map(Into::into)
}

fn policy_for_all(id: &str, permits: bool, condition: Option<ast::Expr>) -> Option<ast::Policy> {
    let policy = ast::StaticPolicy::new(
        ast::PolicyID::from_string(id),
        None,
        ast::Annotations::default(),
        if permits { ast::Effect::Permit } else { ast::Effect::Forbid },
        ast::PrincipalConstraint::any(),
        ast::ActionConstraint::any(),
        ast::ResourceConstraint::any(),
        condition,
    );
    Some(policy.ok()?.into())
}

/// A policy's conditions, its `when` and `unless` clauses.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    policy: ast::Policy,
    /// Whether they call an extension function, or compare so that Cedar's words for a failure name extension types.
    extended: bool,
}

impl Condition {
    /// Those of a policy; `None` where it has none, and its scope is all.
    pub(crate) fn of(policy: &cedar::Policy) -> Option<Self> {
        let policy: &ast::Policy = policy.as_ref();
        Self::of_core(policy.clone())
    }

    fn of_core(policy: ast::Policy) -> Option<Self> {
        let extended = policy.non_scope_constraints()?.subexpressions().any(|part| {
            matches!(
                part.expr_kind(),
                ast::ExprKind::ExtensionFunctionApp { .. }
                    | ast::ExprKind::BinaryApp { op: ast::BinaryOp::Less | ast::BinaryOp::LessEq, .. }
            )
        });
        Some(Self { policy, extended })
    }

    /// A policy that has them. Its scope is that of theirs, or one that everything meets.
    pub(crate) fn policy(&self) -> cedar::Policy {
        self.policy.clone().into()
    }

    /// Whether they can be asked only by who knows Cedar's extensions.
    pub(crate) const fn is_extended(&self) -> bool {
        self.extended
    }
}

/// A request with its entities, that conditions can be asked about.
pub(crate) struct Inquiry<'s>(Evaluator<'s>);

impl<'s> Inquiry<'s> {
    /// `extended` says whether some of them are. Where none is, Cedar's extensions need not be there: it makes them when they
    /// are first asked for, which takes two thirds of a millisecond.
    pub(crate) fn new(request: &cedar::Request, entities: &'s cedar::Entities, extended: bool) -> Self {
        let request: &ast::Request = request.as_ref();
        let extensions = if extended { Extensions::all_available() } else { Extensions::none() };
        Self(Evaluator::new(request.clone(), entities.as_ref(), extensions))
    }

    /// Whether a policy is satisfied whose scope is. The error is Cedar's message, word for word.
    pub(crate) fn satisfies(&self, Condition { policy, .. }: &Condition) -> Result<bool, String> {
        let Some(condition) = policy.non_scope_constraints() else { return Ok(true) };
        let value = self.0.interpret(condition, policy.env()).map_err(|error| error.to_string())?;
        match value.value_kind() {
            ast::ValueKind::Lit(ast::Literal::Bool(truth)) => Ok(*truth),
            // No truth value: Cedar's words for that depend on where it meets it.
            ast::ValueKind::Lit(_)
            | ast::ValueKind::Set(_)
            | ast::ValueKind::Record(_)
            | ast::ValueKind::ExtensionValue(_) => self.0.evaluate(policy).map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::RestrictedExpression as Expression;

    use super::*;

    #[test]
    fn values_are_those_of_the_public_interface() {
        let texts = ["b".to_owned(), "a".to_owned(), "b".to_owned()];
        let record = |fields: Vec<(&str, Expression)>| {
            Expression::new_record(fields.into_iter().map(|(name, value)| (name.to_owned(), value))).unwrap()
        };
        let string = |text: &str| Expression::new_string(text.to_owned());
        let moment = "2026-11-21T10:00:00.250Z";
        let pairs: Vec<(Value, Expression)> = vec![
            (Value::string("é\"\\"), string("é\"\\")),
            (Value::string(""), string("")),
            (Value::long(i64::MIN), Expression::new_long(i64::MIN)),
            (Value::boolean(true), Expression::new_bool(true)),
            (Value::strings(&texts), Expression::new_set(texts.iter().map(|text| string(text)))),
            (Value::strings(&[]), Expression::new_set([])),
            (
                Value::record([("b", Value::long(1)), ("a", Value::record([]))]),
                record(vec![("a", record(vec![])), ("b", Expression::new_long(1))]),
            ),
            (Value::ip("192.0.2.7".parse().unwrap()).unwrap(), Expression::new_ip("192.0.2.7")),
            (Value::ip("2001:db8::1".parse().unwrap()).unwrap(), Expression::new_ip("2001:db8::1")),
            (Value::datetime(moment).unwrap(), Expression::new_datetime(moment)),
        ];
        for (core, public) in pairs {
            let uid: cedar::EntityUid = "User::\"a\"".parse().unwrap();
            let group: cedar::EntityUid = "Group::\"g\"".parse().unwrap();
            let value = core.clone();
            let ours = Node::new(uid.clone(), || [("x", value)], [group.clone(), group.clone()]);
            let theirs = cedar::Entity::new(
                uid.clone(),
                std::collections::HashMap::from([("x".to_owned(), public.clone())]),
                HashSet::from([group]),
            )
            .unwrap();
            assert!(ours.entity().deep_eq(&theirs), "{core:?}");
            assert!(Node::from(theirs).entity().deep_eq(ours.entity()), "{core:?}");
            let context = cedar::Context::from_pairs([("x".to_owned(), public)]).unwrap();
            let theirs = cedar::Request::new(uid.clone(), uid.clone(), uid.clone(), context, None).unwrap();
            let ours = request([&uid, &uid, &uid], [("x", core)]);
            assert_eq!(ours.context(), theirs.context());
        }
    }

    #[test]
    fn an_expression_is_the_one_that_its_text_is() {
        use cedar_policy::pst::Clause;
        for text in [
            r#"principal.sub == "a\"\n*" && !(resource in [Tag::"t", Path::"/"])"#,
            r#"if principal has "e-mail" then principal["e-mail"] like "*@\*.example" else -7 < 1 + 2 * 3"#,
            r#"principal is User in Role::"r" || [1, "2", true].contains({"a": principal.x}.a)"#,
            r#"ip("10.0.0.1").isInRange(ip("10.0.0.0/8")) && decimal("1.5").lessThan(decimal("2.0"))"#,
            r#"principal.scopes.containsAny(["a"]) && !principal.scopes.isEmpty() && principal.getTag("t") == 3"#,
            r#"principal has a.b.c && datetime("2026-11-28").offset(duration("1h")).toDate() > datetime("2026-01-01")"#,
        ] {
            let policy: cedar::Policy =
                format!("permit (principal, action, resource) when {{ {text} }};").parse().unwrap();
            let pst = policy.to_pst().unwrap();
            let [Clause::When(condition)] = pst.body().clauses().as_slice() else { panic!("{text}") };
            let parsed: cedar::Expression = condition.to_string().parse().unwrap();
            let ours = expression(condition);
            let (ours, theirs): (&ast::Expr, &ast::Expr) = (ours.as_ref(), parsed.as_ref());
            assert!(ours.eq_shape(theirs), "{text}");
        }
    }

    #[test]
    fn a_moment_that_cedar_does_not_know_is_refused() {
        assert!(Value::datetime("12026-11-21T10:00:00.250Z").is_err());
        assert!(Value::datetime("").is_err());
    }

    fn store_of(entities: [cedar::Entity; 2]) -> cedar::Entities {
        store(&entities.map(Node::from)).unwrap()
    }

    #[test]
    fn a_store_has_the_principal_and_what_was_there() {
        let entity = |text: &str, within: &[&str]| {
            let within = within.iter().map(|text| text.parse().unwrap()).collect();
            cedar::Entity::new_no_attrs(text.parse().unwrap(), within)
        };
        let route = entity("Route::\"/\"", &["Tag::\"t\""]);
        let principal = entity("User::\"a\"", &["Role::\"r\"", "Role::\"s\""]);
        let store = cedar::Entities::from_entities([route.clone()], None).unwrap();
        let [one, other] = [route.clone(), entity("Action::\"a\"", &["Action::\"g\""])];
        let both = store_of([one.clone(), other.clone()]);
        assert!(both.deep_eq(&cedar::Entities::from_entities([one, other], None).unwrap()));
        let ours = with_principal(&store, &Node::from(principal.clone())).unwrap();
        let theirs = cedar::Entities::from_entities([route, principal.clone()], None).unwrap();
        assert!(ours.deep_eq(&theirs));
        assert!(
            with_principal(&ours, &Node::from(principal)).is_ok(),
            "the same entity once more is no other"
        );
        assert!(with_principal(&ours, &Node::from(entity("User::\"a\"", &[]))).is_err());
    }
}
