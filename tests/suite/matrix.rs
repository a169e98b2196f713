//! A cell of the matrix says of every request of its people what Cedar says.

use std::str::FromStr;

use cedar_gate::arn::Verb;
use cedar_gate::bundle::Bundle;
use cedar_gate::decision::Effect;
use cedar_gate::entities::{AccessRequest, HttpFacts};
use cedar_gate::jose::ClaimValue;
use cedar_gate::path::RequestPath;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::desk::{Desk, Target};
use cedar_gate::tools::matrix::{Facts, Matrix, May, markdown};
use cedar_gate::tools::people::{Attributes, Held, Person, named_tenants};
use cedar_policy as cedar;
use proptest::prelude::*;
use proptest::sample::select;

use crate::bundle::example;
use crate::grants::condition;

/// The example's schema, routes and roles with other policies; `None` where they do not hold together with it.
pub(crate) fn bundle(policies: &str) -> Option<Bundle> {
    let mut files = example();
    let others: Vec<String> = files.paths_in("policies/v1/", ".cedar").map(str::to_owned).collect();
    others.into_iter().for_each(|path| files.insert(path, ""));
    files.insert("policies/v1/all.cedar", policies);
    Bundle::load(&files).ok()
}

pub(crate) fn desk(bundle: &Bundle) -> Desk<'_> {
    Desk::new(bundle, None, None, None).unwrap()
}

pub(crate) fn everyone(desk: &Desk<'_>) -> Vec<Person> {
    Person::all(desk.version().roles.names(), named_tenants(desk.version()))
}

/// What a person may do with an operation, as the matrix says it.
fn said(policies: &str, held: &str, operation: &str) -> String {
    let bundle = bundle(policies).unwrap_or_else(|| panic!("not valid: {policies}"));
    let desk = desk(&bundle);
    let matrix = Matrix::new(&desk, everyone(&desk), &|_| true).unwrap();
    let person = matrix.people().iter().position(|person| person.to_string() == held).unwrap();
    let id = desk.operations().iter().find(|known| known.name() == operation).unwrap().id();
    matrix.row(id).unwrap().cell(person).unwrap().may.to_string()
}

#[test]
fn a_condition_reads_as_a_person_would_write_it() {
    const ORDER: &str = "action == Action::\"GET /orders/{orderId}\"";
    for (clauses, expected) in [
        ("when { context.params.orderId == principal.sub }", "if context.params.orderId == principal.sub"),
        (
            "unless { context.params.orderId like \"archive-*\" }",
            "unless context.params.orderId like \"archive-*\"",
        ),
        ("when { principal in Role::\"clerk\" && resource.stage == \"prod\" }", "allow"),
        ("when { principal in Role::\"auditor\" || principal is Client }", "deny"),
        ("when { principal in [Role::\"auditor\", Role::\"clerk\"] }", "allow"),
        (
            "when { principal in Role::\"auditor\" || principal in User::\"dev|alice\" }",
            "if principal in User::\"dev|alice\"",
        ),
        ("when { principal == User::\"dev|alice\" }", "if principal == User::\"dev|alice\""),
        ("when { principal == Client::\"dev|alice\" }", "deny"),
        ("when { principal in Tenant::\"globex\" }", "deny"),
        ("when { action in Action::\"write\" || resource in Path::\"/users\" }", "deny"),
        ("when { context.params has orderId && principal has sub && context has http }", "allow"),
        ("when { resource.template like \"/orders/*\" }", "allow"),
        (
            "when { principal has email && principal.email like \"*@x\\\"\\*\" }",
            "if principal has email && principal.email like \"*@x\\\"\\*\"",
        ),
        (
            "when { principal.claims has department && principal.claims.department == \"support\" }",
            "if principal.claims has department && principal.claims.department == \"support\"",
        ),
        (
            "when { context.http has source_ip && context.http.source_ip.isInRange(ip(\"10.0.0.0/8\")) } unless { principal.sub == \"x\" }",
            "if context.http has source_ip && context.http.source_ip.isInRange(ip(\"10.0.0.0/8\")) unless principal.sub == \"x\"",
        ),
        (
            "when { (principal.sub == \"a\" || principal.sub == \"b\") && !(principal.sub like \"*\" && principal.issuer == \"i\") }",
            "if principal.sub == \"a\" || principal.sub == \"b\" unless principal.sub like \"*\" && principal.issuer == \"i\"",
        ),
        (
            "when { principal.scopes.containsAny([\"a\", \"b\"]) }",
            "if principal.scopes.containsAny([\"a\", \"b\"])",
        ),
        (
            "when { (if principal.sub == \"a\" then 1 else 2) + 1 == 2 || true }",
            "if (if principal.sub == \"a\" then 1 else 2) + 1 == 2 || true",
        ),
        ("when { principal is Client && 1 + 9223372036854775807 == 2 }", "deny"),
        (
            "when { if principal in Role::\"clerk\" then principal.sub == \"a\" else principal.sub == \"b\" }",
            "if principal.sub == \"a\"",
        ),
    ] {
        let policy = format!(
            "@id(\"p\") permit (principal, {ORDER}, resource) {clauses};\n\
             @id(\"f\") forbid (principal in Tenant::\"globex\", action, resource);"
        );
        assert_eq!(said(&policy, "a User with role clerk", "GET /orders/{orderId}"), expected, "{clauses}");
        let globex = "a User with role clerk of tenant globex";
        assert_eq!(said(&policy, globex, "GET /orders/{orderId}"), "deny", "{clauses}");
    }
}

#[test]
fn several_policies_are_one_condition_and_none_is_lost_that_can_fail() {
    let two = |first: &str, second: &str| {
        format!(
            "@id(\"a\") permit (principal, action, resource) when {{ {first} }};
             @id(\"b\") permit (principal, action, resource) when {{ {second} }};"
        )
    };
    let fails = "(if principal.sub == \"x\" then 1 else 2) + 1 == 2";
    for (first, second, expected) in [
        (
            "principal.sub == \"a\"",
            "principal.sub == \"b\"",
            "if principal.sub == \"a\" || principal.sub == \"b\"".to_owned(),
        ),
        ("principal.sub == \"a\"", "principal.sub == \"a\"", "if principal.sub == \"a\"".to_owned()),
        ("principal.sub == \"a\"", "true", "allow".to_owned()),
        ("principal.sub == \"a\"", fails, format!("if {fails} || principal.sub == \"a\"")),
        ("true", fails, format!("if {fails} || true")),
        (
            fails,
            "(if principal.sub == \"y\" then 1 else 2) + 1 == 2",
            format!("if ({fails} || {}) && ({} || true)", fails.replace('x', "y"), fails.replace('x', "y")),
        ),
    ] {
        assert_eq!(said(&two(first, second), "a Client without a role", "GET /health"), expected);
    }
}

/// Attributes of somebody.
pub(crate) fn attributes() -> impl Strategy<Value = Attributes> {
    let subs = select(vec!["alice", "42", "a*", "b"]);
    let department = select(vec![None, Some("support"), Some("sales")]);
    let scopes = select(vec![vec![], vec!["42"], vec!["b", "x-1"]]);
    (subs, department, scopes).prop_map(|(sub, department, scopes)| {
        let text = |text: &str| ClaimValue::String(text.to_owned());
        let department = department.map(|department| ("claims.department".to_owned(), text(department)));
        let scopes = ClaimValue::Set(scopes.into_iter().map(str::to_owned).collect());
        [("sub".to_owned(), text(sub)), ("issuer".to_owned(), text("dev")), ("scopes".to_owned(), scopes)]
            .into_iter()
            .chain(department)
            .collect()
    })
}

/// Facts that change from request to request.
pub(crate) fn facts() -> impl Strategy<Value = HttpFacts> {
    let addresses = select(vec![None, Some("10.1.2.3"), Some("192.0.2.1")]);
    let times = select(vec![None, Some(1_577_836_800), Some(1_893_456_000)]);
    (addresses, times).prop_map(|(address, time)| HttpFacts {
        source_ip: address.map(|address| address.parse().unwrap()),
        time: time.map(Timestamp::from_unix_seconds),
        ..HttpFacts::default()
    })
}

pub(crate) fn policy() -> impl Strategy<Value = String> {
    let principal = select(vec![
        "principal",
        "principal in Role::\"clerk\"",
        "principal in Role::\"auditor\"",
        "principal in Tenant::\"globex\"",
        "principal is User in Role::\"admin\"",
        "principal is Client",
        "principal == User::\"dev|alice\"",
    ]);
    let order = "action == Action::\"GET /orders/{orderId}\"";
    let clause =
        (select(vec!["when", "unless"]), condition()).prop_map(|(word, x)| format!("{word} {{ {x} }}"));
    let with_condition =
        (select(vec!["permit", "permit", "forbid"]), principal.clone(), prop::collection::vec(clause, 1..3))
            .prop_map(move |(effect, principal, clauses)| {
                format!("{effect} ({principal}, {order}, resource) {};\n", clauses.join(" "))
            });
    let scopes = (
        select(vec!["permit", "permit", "permit", "forbid"]),
        principal,
        select(vec!["action", "action in Action::\"read\"", "action in Action::\"write\"", order]),
        select(vec!["resource", "resource in Path::\"/orders\"", "resource in Tag::\"admin\""]),
    )
        .prop_map(|(effect, principal, action, resource)| {
            format!("{effect} ({principal}, {action}, {resource});\n")
        });
    prop_oneof![with_condition, scopes]
}

/// Policies with an id each.
pub(crate) fn policies(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(policy(), 1..=most).prop_map(|policies| {
        let named = policies.iter().enumerate().map(|(index, policy)| format!("@id(\"p{index}\") {policy}"));
        named.collect()
    })
}

/// What is asked for: verb and path.
pub(crate) const REQUESTS: [(&str, &str); 9] = [
    ("GET", "/orders"),
    ("POST", "/orders"),
    ("GET", "/orders/42"),
    ("GET", "/orders/ab-1"),
    ("GET", "/orders/alice"),
    ("GET", "/orders/b"),
    ("DELETE", "/orders/42"),
    ("POST", "/admin/users"),
    ("GET", "/health"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_cell_says_of_every_request_what_cedar_says(
        policies in policies(5),
        somebody in prop::collection::vec((attributes(), facts()), 2),
    ) {
        let Some(bundle) = bundle(&policies) else { return Ok(()) };
        let desk = desk(&bundle);
        let matrix = Matrix::new(&desk, everyone(&desk), &|_| true).unwrap();
        for (index, person) in matrix.people().iter().enumerate() {
            for (attributes, facts) in &somebody {
                let id = match &attributes["sub"] {
                    ClaimValue::String(sub) => format!("dev|{sub}"),
                    _ => panic!("a sub is a text"),
                };
                let roles = &desk.version().roles;
                let entity = person.entity(&id, attributes, bundle.vocabulary(), roles).unwrap();
                // What is left where the attributes are not known, and where they are.
                let named = Held::Named { name: "somebody".to_owned(), roles: Vec::new() };
                let named = Person { roles: named, ..person.clone() };
                let own = Matrix::of_principals(&desk, vec![(named, entity.clone())], &|_| true).unwrap();
                for (verb, path) in REQUESTS {
                    let (verb, path) = (Verb::from_str(verb).unwrap(), RequestPath::from_str(path).unwrap());
                    let asked = desk.ask(&entity, Target::Method(&verb, &path), facts.clone()).unwrap();
                    let id = asked.matched.operation().id();
                    let effect = asked.decision.effect();
                    for cell in [matrix.row(id).unwrap().cell(index), own.row(id).unwrap().cell(0)] {
                        let may = &cell.unwrap().may;
                        let about = format!("{person} asks {verb} {path}: {may}\n{policies}");
                        prop_assert_eq!(effect, told(may, &asked.request), "{}", about);
                        prop_assert!(!may.to_string().contains("principal.sub") || cell != own.row(id).unwrap().cell(0));
                    }
                }
            }
        }
    }
}

/// What a cell says of one request.
fn told(may: &May, request: &AccessRequest) -> Effect {
    match may {
        May::Always => Effect::Allow,
        May::Never => Effect::Deny,
        May::If(terms) => {
            let text = format!("permit (principal, action, resource) {};", terms.to_cedar());
            let printed = cedar::PolicySet::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let response =
                cedar::Authorizer::new().is_authorized(&request.request, &printed, &request.entities);
            match response.decision() {
                cedar::Decision::Allow => Effect::Allow,
                cedar::Decision::Deny => Effect::Deny,
            }
        }
    }
}

#[test]
fn the_examples_reviewed_matrix_is_in_step() {
    let files = example();
    let bundle = Bundle::load(&files).unwrap();
    let desk = desk(&bundle);
    let matrix = Matrix::new(&desk, everyone(&desk), &|_| true).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/matrix.md");
    let reviewed = std::fs::read_to_string(path).unwrap();
    assert_eq!(markdown(&matrix, Facts { desk: &desk, files: &files }), reviewed.replace("\r\n", "\n"));
}

#[test]
fn people_are_named_as_shortly_as_they_can_be() {
    let policies = "@id(\"a\") permit (principal in Role::\"clerk\", action in Action::\"read\", resource);
         @id(\"b\") permit (principal is User, action == Action::\"GET /health\", resource);
         @id(\"c\") permit (principal is Client in Role::\"auditor\", action == Action::\"POST /orders\", resource);
         @id(\"d\") forbid (principal in Tenant::\"globex\", action == Action::\"GET /orders\", resource);";
    let bundle = bundle(policies).unwrap();
    let desk = desk(&bundle);
    let matrix = Matrix::new(&desk, everyone(&desk), &|_| true).unwrap();
    let who = |matrix: &Matrix, operation: &str| {
        let id = desk.operations().iter().find(|known| known.name() == operation).unwrap().id();
        let row = matrix.row(id).unwrap();
        let may: Vec<usize> = (0..matrix.people().len())
            .filter(|person| row.cell(*person).unwrap().may == May::Always)
            .collect();
        matrix.who(&may)
    };
    assert_eq!(who(&matrix, "GET /orders/{orderId}"), "admin, clerk, every role");
    assert_eq!(who(&matrix, "GET /health"), "User: everyone; Client: admin, clerk, every role");
    assert_eq!(who(&matrix, "POST /orders"), "Client: admin, auditor, every role");
    assert_eq!(who(&matrix, "GET /orders"), "admin, clerk, every role (not of globex)");
    let clerks = matrix.of_people(&|person| person.roles == Held::One("clerk".to_owned()));
    assert_eq!(who(&clerks, "GET /health"), "clerk");
}
