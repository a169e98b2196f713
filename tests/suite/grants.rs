//! What a principal's grants say is what Cedar says, whatever the path and whatever else a request carries.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use cedar_gate::bundle::Bundle;
use cedar_gate::decision::{Effect, Engine, PolicySlice};
use cedar_gate::entities::OperationEntities;
use cedar_gate::grants::{Grant, GrantAnswer, GrantPlan, PrincipalReads, Subject};
use cedar_policy as cedar;
use cedar_policy::RestrictedExpression as Value;
use proptest::prelude::*;
use proptest::sample::select;

use crate::bundle::example;

const OPERATION: &str = "GET /orders/{orderId}";

static EXAMPLE: LazyLock<Bundle> = LazyLock::new(|| Bundle::load(&example()).unwrap());

/// The example's schema and routes, with other policies.
struct Stage {
    bundle: &'static Bundle,
    operations: Vec<Arc<OperationEntities>>,
    engine: Arc<Engine>,
    slices: Vec<PolicySlice>,
    plan: GrantPlan,
}

impl Stage {
    /// `None` where Cedar's strict validation refuses the policies: a bundle with them does not load.
    fn new(policies: &str) -> Option<Self> {
        let bundle = &*EXAMPLE;
        let policies =
            cedar::PolicySet::from_str(policies).unwrap_or_else(|error| panic!("{error}\n{policies}"));
        let validator = cedar::Validator::new(bundle.schema().clone());
        if !validator.validate(&policies, cedar::ValidationMode::Strict).validation_passed() {
            return None;
        }
        let actions = bundle.schema().action_entities().unwrap();
        let entities = |operation| {
            OperationEntities::new(operation, "orders-rest", "prod", bundle.vocabulary(), &actions).unwrap()
        };
        let operations: Vec<Arc<OperationEntities>> =
            bundle.routes().operations().iter().map(entities).map(Arc::new).collect();
        let engine = Arc::new(Engine::new(policies.clone()).unwrap());
        let slice = |operation: &Arc<OperationEntities>| {
            engine.slice(operation.action(), operation.route(), operation.entities()).unwrap()
        };
        let slices: Vec<PolicySlice> = operations.iter().map(slice).collect();
        let reads = PrincipalReads::of_policies(&policies);
        let planned =
            operations.iter().map(|entities| (Arc::clone(entities), engine.scope(entities).unwrap()));
        let plan = GrantPlan::new(Arc::clone(&engine), reads, planned.collect::<Vec<_>>());
        Some(Self { bundle, operations, engine, slices, plan })
    }

    fn grant(&self, principal: &cedar::Entity, operation: &str) -> Grant {
        let grants =
            self.plan.grants(self.bundle.routes(), self.bundle.schema(), &principal.clone().into()).unwrap();
        grants.of(self.id(operation)).unwrap().clone()
    }

    fn id(&self, operation: &str) -> cedar_gate::route::OperationId {
        let operations = self.bundle.routes().operations();
        operations.iter().find(|known| known.name() == operation).unwrap().id()
    }

    /// What Cedar says about one request, an error being a deny.
    fn decide(&self, principal: &cedar::Entity, operation: &str, path: &Path, http: &Http) -> Effect {
        let index = self.id(operation).index();
        let entities = &self.operations[index];
        let record = |fields: Vec<(String, Value)>| Value::new_record(fields).unwrap();
        let params =
            path.params.iter().map(|(name, value)| ((*name).to_owned(), Value::new_string(value.clone())));
        let context = cedar::Context::from_pairs([
            ("params".to_owned(), record(params.collect())),
            ("path".to_owned(), Value::new_string(path.text.clone())),
            ("http".to_owned(), record(http.fields())),
        ])
        .unwrap();
        let (action, route) = (entities.action().clone(), entities.route().clone());
        let schema = Some(self.bundle.schema());
        let request = cedar::Request::new(principal.uid(), action, route, context, schema).unwrap();
        let store = entities.entities().clone().add_entities([principal.clone()], None).unwrap();
        let answer = self.slices[index].evaluate(&request, &store);
        // What is chosen by the principal too, and what is not chosen at all, answers the same.
        let scope = self.engine.scope(entities).unwrap();
        let asker = self.engine.principal(&principal.clone().into()).unwrap();
        for slice in [self.engine.slice_for(&asker, &scope), self.engine.whole()] {
            assert_eq!(slice.unwrap().evaluate(&request, &store), answer);
        }
        if answer.errors.is_empty() { answer.decision } else { Effect::Deny }
    }
}

#[derive(Clone, Debug)]
struct Path {
    text: String,
    params: Vec<(&'static str, String)>,
}

impl Path {
    fn order(id: &str) -> Self {
        Self { text: format!("/orders/{id}"), params: vec![("orderId", id.to_owned())] }
    }

    fn answer(&self, grant: &Grant) -> GrantAnswer {
        grant.answer(&|index| {
            let test = &grant.tests[index];
            match &test.subject {
                Subject::Path => test.glob.matches(&self.text),
                Subject::Param(name) => {
                    let (_, value) = self.params.iter().find(|(param, _)| param == name).unwrap();
                    test.glob.matches(value)
                }
            }
        })
    }
}

/// The volatile facts of a request.
#[derive(Clone, Debug)]
struct Http {
    source_ip: Option<&'static str>,
    time: Option<&'static str>,
}

impl Http {
    fn every() -> Vec<Self> {
        let addresses = [None, Some("10.1.2.3"), Some("192.0.2.1")];
        let times = [None, Some("2020-01-01T00:00:00Z"), Some("2030-01-01T00:00:00Z")];
        addresses.into_iter().flat_map(|source_ip| times.map(|time| Self { source_ip, time })).collect()
    }

    fn fields(&self) -> Vec<(String, Value)> {
        [("source_ip", self.source_ip.map(Value::new_ip)), ("time", self.time.map(Value::new_datetime))]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// A user of the example's vocabulary.
pub(crate) fn user(
    sub: &str,
    roles: &[&str],
    tenant: &str,
    department: Option<&str>,
    scopes: &[&str],
) -> cedar::Entity {
    let text = |text: &str| Value::new_string(text.to_owned());
    let claims = department.map(|department| ("department".to_owned(), text(department)));
    let attributes = [
        ("sub", text(sub)),
        ("issuer", text("dev")),
        ("scopes", Value::new_set(scopes.iter().map(|scope| text(scope)))),
        ("claims", Value::new_record(claims).unwrap()),
    ];
    let parents = roles
        .iter()
        .map(|role| format!("Role::{role:?}"))
        .chain([format!("Tenant::{tenant:?}")])
        .map(|uid| uid.parse().unwrap())
        .collect();
    cedar::Entity::new(
        cedar::EntityUid::from_type_name_and_id(
            "User".parse().unwrap(),
            cedar::EntityId::new(format!("dev|{sub}")),
        ),
        attributes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
        parents,
    )
    .unwrap()
}

fn alice() -> cedar::Entity {
    user("alice", &["clerk"], "acme", Some("support"), &["42", "archive-1"])
}

/// The answer for `/orders/<id>` by one policy's condition; `permit (principal, action, resource)` beside a forbid.
fn check(policies: &str, id: &str, expected: GrantAnswer, facts: &[&str]) {
    let stage = Stage::new(policies).unwrap_or_else(|| panic!("not valid: {policies}"));
    let grant = stage.grant(&alice(), OPERATION);
    assert_eq!(Path::order(id).answer(&grant), expected, "{policies}\n{grant:?}");
    assert_eq!(grant.facts(), facts.iter().copied().collect::<BTreeSet<_>>(), "{policies}");
}

#[test]
fn a_condition_over_the_path_is_kept_and_all_else_is_decided() {
    use GrantAnswer::{Allow, Deny};
    let permit = |condition: &str| format!("permit (principal, action, resource) when {{ {condition} }};");
    let order = |condition: &str| {
        format!("permit (principal, action == Action::{OPERATION:?}, resource) when {{ {condition} }};")
    };
    for (condition, yes, no) in [
        ("context.params.orderId == \"42\"", "42", "43"),
        ("\"42\" == context.params.orderId", "42", "43"),
        ("context.params.orderId like \"a*z\"", "a-z", "a-y"),
        ("context.params.orderId like \"a\\**\"", "a*", "a"),
        ("context.params.orderId != \"42\"", "43", "42"),
        ("[\"1\", \"2\"].contains(context.params.orderId)", "2", "3"),
        ("principal.scopes.contains(context.params.orderId)", "archive-1", "archive-2"),
        ("context.params.orderId == principal.sub", "alice", "bob"),
        ("context.params has orderId && context.params.orderId == \"1\"", "1", "2"),
        ("context has params.orderId && context.params.orderId == \"1\"", "1", "2"),
        ("if principal.sub == \"alice\" then context.params.orderId == \"1\" else true", "1", "2"),
        (
            "if context.params.orderId like \"a*\" then context.params.orderId == \"ab\" else context.params.orderId == \"b\"",
            "b",
            "ac",
        ),
        ("(if principal.sub == \"alice\" then context.params.orderId else \"7\") == \"1\"", "1", "2"),
        (
            "action in Action::\"read\" && resource in Path::\"/orders\" && context.params.orderId == \"1\"",
            "1",
            "2",
        ),
        ("!(context.params.orderId == \"1\" || context.params.orderId == \"2\")", "3", "2"),
        ("context.path == \"/orders/7\"", "7", "8"),
        ("context.path like \"/orders/9*\"", "91", "19"),
    ] {
        check(&order(condition), yes, Allow, &[]);
        check(&order(condition), no, Deny, &[]);
    }
    for (condition, expected) in [
        ("principal in Role::\"clerk\" && resource.stage == \"prod\"", Allow),
        ("principal in Role::\"auditor\"", Deny),
        ("principal in Tenant::\"acme\"", Allow),
        ("principal.claims has department && principal.claims.department == \"support\"", Allow),
        ("principal has email", Deny),
        // An overflow: Cedar would skip the policy, we deny.
        ("(if principal.sub == \"alice\" then 9223372036854775807 else 0) + 1 == 1", Deny),
    ] {
        check(&permit(condition), "1", expected, &[]);
    }
}

#[test]
fn what_the_path_does_not_tell_is_unknown_unless_it_cannot_matter() {
    use GrantAnswer::{Allow, Deny, Unknown};
    const IP: &str = "context.http.source_ip";
    let inside = "context.http has source_ip && context.http.source_ip.isInRange(ip(\"10.0.0.0/8\"))";
    let all = "permit (principal, action, resource);";
    check(&format!("permit (principal, action, resource) when {{ {inside} }};"), "1", Unknown, &[IP]);
    check(&format!("{all} forbid (principal, action, resource) unless {{ {inside} }};"), "1", Unknown, &[IP]);
    check(&format!("{all} permit (principal, action, resource) when {{ {inside} }};"), "1", Unknown, &[IP]);
    let auditors =
        format!("forbid (principal in Role::\"auditor\", action, resource) unless {{ {inside} }};");
    check(&format!("{all} {auditors}"), "1", Allow, &[]);
    let elsewhere = format!(
        "{all} forbid (principal, action == Action::\"GET /health\", resource) unless {{ {inside} }};"
    );
    check(&elsewhere, "1", Allow, &[]);
    let order = format!("action == Action::{OPERATION:?}");
    let mixed = format!(
        "permit (principal, {order}, resource) when {{ context.params.orderId == \"1\" || ({inside}) }};"
    );
    check(&mixed, "1", Allow, &[IP]);
    check(&mixed, "2", Unknown, &[IP]);
    let both = format!(
        "permit (principal, {order}, resource) when {{ context.params.orderId == \"1\" && ({inside}) }};"
    );
    check(&both, "2", Deny, &[IP]);
}

#[test]
fn principals_share_what_the_policies_cannot_tell_apart() {
    let key = |policies: &str, principal: &cedar::Entity| {
        Stage::new(policies).unwrap_or_else(|| panic!("not valid: {policies}")).plan.reads().of(principal)
    };
    let (alice, bob) = (alice(), user("bob", &["clerk"], "acme", Some("sales"), &[]));
    let by_department = "permit (principal, action, resource) when { principal.claims has department && principal.claims.department == \"x\" };";
    for (policies, shared) in [
        ("permit (principal in Role::\"clerk\", action, resource);", true),
        ("permit (principal, action, resource) when { principal in Role::\"clerk\" };", true),
        ("permit (principal, action, resource) when { principal in [Role::\"a\", Role::\"b\"] };", true),
        ("permit (principal, action, resource) when { principal is User };", true),
        ("permit (principal, action, resource) when { principal is User in Tenant::\"acme\" };", true),
        ("permit (principal, action, resource) when { principal.issuer == \"dev\" };", true),
        ("permit (principal in Tenant::\"acme\", action, resource);", true),
        ("permit (principal == User::\"dev|alice\", action, resource);", false),
        ("permit (principal in User::\"dev|alice\", action, resource);", false),
        ("permit (principal, action, resource) when { principal == User::\"dev|alice\" };", false),
        (
            "permit (principal, action, resource) when { principal is User && [User::\"x\"].contains(principal) };",
            false,
        ),
        ("permit (principal, action, resource) when { principal in User::\"dev|alice\" };", false),
        ("permit (principal, action, resource) when { principal.sub == \"alice\" };", false),
        ("permit (principal, action, resource) when { principal.scopes.contains(\"x\") };", false),
        (by_department, false),
    ] {
        assert_eq!(key(policies, &alice) == key(policies, &bob), shared, "{policies}");
        assert_eq!(key(policies, &alice), key(policies, &alice));
    }
}

#[test]
fn what_anyone_could_need_is_found_without_knowing_who_asks() {
    let stage = Stage::new(
        "permit (principal in Role::\"clerk\", action, resource in Path::\"/orders\") when { context.http has time };
         forbid (principal is Client, action == Action::\"GET /health\", resource)
         unless { context.http has source_ip && context.http.source_ip.isLoopback() };
         permit (principal, action, resource) when { principal.sub == \"x\" && context.path == \"/health\" };",
    )
    .unwrap();
    let kinds = ["User", "Client"].map(|kind| kind.parse().unwrap());
    let found = |kinds: &[cedar::EntityTypeName]| {
        let reads = stage.plan.volatile_reads(stage.bundle.routes(), stage.bundle.schema(), kinds).unwrap();
        let operations = stage.bundle.routes().operations();
        reads
            .into_iter()
            .map(|read| {
                format!("{} {} {}", operations[read.operation.index()].name(), read.policy, read.fact)
            })
            .collect::<Vec<_>>()
    };
    let orders = [
        "GET /orders",
        "POST /orders",
        "GET /orders/{orderId}",
        "PUT /orders/{orderId}",
        "DELETE /orders/{orderId}",
    ];
    let mut expected: Vec<String> = orders.map(|name| format!("{name} policy0 context.http.time")).to_vec();
    assert_eq!(found(&kinds[..1]), expected);
    expected.push("GET /health policy1 context.http.source_ip".to_owned());
    assert_eq!(found(&kinds), expected);
}

/// A condition that Cedar may or may not accept for `GET /orders/{orderId}`.
pub(crate) fn condition() -> impl Strategy<Value = String> {
    let leaf = select(vec![
        "true",
        "false",
        "context.params.orderId == \"42\"",
        "context.params.orderId != \"a*\"",
        "context.params.orderId like \"a*\"",
        "context.params.orderId like \"*-1\"",
        "context.params.orderId like \"a\\**\"",
        "context.path like \"*/a*\"",
        "context.path == \"/orders/42\"",
        "context.params.orderId == principal.sub",
        "context.params.orderId == context.path",
        "(if principal.sub == \"alice\" then context.params.orderId else context.path) == \"42\"",
        "context.params.orderId == (if principal has email then principal.email else \"b\")",
        "(if principal in Role::\"clerk\" then [\"42\"] else [\"b\", \"a\"]).contains(context.params.orderId)",
        "action in Action::\"read\"",
        "[\"42\", \"b\"].contains(context.params.orderId)",
        "principal.scopes.contains(context.params.orderId)",
        "[context.params.orderId].contains(principal.sub)",
        "principal in Role::\"clerk\"",
        "principal in Tenant::\"globex\"",
        "principal is User",
        "principal.sub == \"alice\"",
        "(principal.claims has department && principal.claims.department == \"support\")",
        "resource.stage == \"prod\"",
        "resource in Path::\"/orders\"",
        "(context.http has source_ip && context.http.source_ip.isInRange(ip(\"10.0.0.0/8\")))",
        "(context.http has time && context.http.time < datetime(\"2025-01-01T00:00:00Z\"))",
        "context.http has source_ip",
        "((if principal.sub == \"alice\" then 9223372036854775807 else 0) + 1 == 1)",
        "((if context.params.orderId == \"42\" then 9223372036854775807 else 0) + 1 == 1)",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|x| format!("!({x})")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("({x} && {y})")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("({x} || {y})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(x, y, z)| format!("(if {x} then {y} else {z})")),
        ]
    })
}

fn policy() -> impl Strategy<Value = String> {
    let scope =
        select(vec!["principal", "principal in Role::\"clerk\"", "principal is Client", "principal is User"]);
    let clause =
        (select(vec!["when", "unless"]), condition()).prop_map(|(word, x)| format!("{word} {{ {x} }}"));
    (select(vec!["permit", "permit", "forbid"]), scope, prop::collection::vec(clause, 0..3)).prop_map(
        |(effect, scope, clauses)| {
            format!("{effect} ({scope}, action == Action::{OPERATION:?}, resource) {};\n", clauses.join(" "))
        },
    )
}

fn principal() -> impl Strategy<Value = cedar::Entity> {
    let subs = select(vec!["alice", "42", "a*", "b"]);
    let roles = select(vec![vec![], vec!["clerk"], vec!["auditor", "clerk"]]);
    let department = select(vec![None, Some("support"), Some("sales")]);
    let scopes = select(vec![vec![], vec!["42"], vec!["b", "x-1"]]);
    (subs, roles, select(vec!["acme", "globex"]), department, scopes)
        .prop_map(|(sub, roles, tenant, department, scopes)| user(sub, &roles, tenant, department, &scopes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Allow and deny are Cedar's own answers whatever the volatile facts; the same key gives the same grants.
    #[test]
    fn a_grant_never_says_other_than_cedar(
        policies in prop::collection::vec(policy(), 1..5),
        one in principal(),
        other in principal(),
    ) {
        let Some(stage) = Stage::new(&policies.concat()) else { return Ok(()) };
        let grant = stage.grant(&one, OPERATION);
        for id in ["42", "a", "a*", "ab-1", "alice", "b", "x-1", "zzz"] {
            let path = Path::order(id);
            let cedar: Vec<Effect> =
                Http::every().iter().map(|http| stage.decide(&one, OPERATION, &path, http)).collect();
            let answer = path.answer(&grant);
            match answer {
                GrantAnswer::Allow => prop_assert!(cedar.iter().all(|effect| *effect == Effect::Allow), "{id} {grant:?}"),
                GrantAnswer::Deny => prop_assert!(cedar.iter().all(|effect| *effect == Effect::Deny), "{id} {grant:?}"),
                GrantAnswer::Unknown => prop_assert!(!grant.facts().is_empty(), "{id} {grant:?}"),
            }
            if grant.is_determined_by_path() {
                prop_assert!(cedar.iter().all(|effect| *effect == cedar[0]), "{id} {grant:?}");
            }
        }
        if stage.plan.reads().of(&one) == stage.plan.reads().of(&other) && one.uid().type_name() == other.uid().type_name() {
            let parents = |entity: &cedar::Entity| entity.clone().into_inner().2;
            if parents(&one) == parents(&other) {
                prop_assert_eq!(grant, stage.grant(&other, OPERATION));
            }
        }
    }
}
