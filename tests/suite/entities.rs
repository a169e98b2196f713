//! What is built conforms to the schema by construction: Cedar itself checks the entities and the request here, which the
//! authorizer does not do for each request.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::vocabulary::HttpShape;
use cedar_gate::credential::BearerToken;
use cedar_gate::entities::{
    AccessRequest, EntityError, EntityFactory, HttpFacts, OperationEntities, Principal,
};
use cedar_gate::jose::{JwkSet, VerifiedClaims, verify};
use cedar_gate::path::RequestPath;
use cedar_gate::route::{Operation, Router};
use cedar_gate::time::Timestamp;
use cedar_policy as cedar;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::pipeline::{bundle, sign};

const NOW: Timestamp = Timestamp::from_unix_millis(1_795_262_400_250);

/// A bundle, and what is made of it once.
struct Ready {
    bundle: Bundle,
    factory: EntityFactory,
    operations: Vec<OperationEntities>,
}

impl Ready {
    fn new(bundle: Bundle, api: &str, stage: &str) -> Self {
        let version = bundle.active(api, stage).unwrap();
        let factory = EntityFactory::new(bundle.vocabulary(), &version.roles).unwrap();
        let actions = bundle.schema().action_entities().unwrap();
        let entities =
            |operation| OperationEntities::new(operation, api, stage, bundle.vocabulary(), &actions).unwrap();
        let operations = bundle.routes().operations().iter().map(entities).collect();
        Self { factory, operations, bundle }
    }

    fn verify(&self, token: &str) -> VerifiedClaims {
        let token = BearerToken::new(token).unwrap();
        verify(&token, self.bundle.issuers(), self.bundle.keys(), NOW)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The request of every operation, each with a path that leads to it.
    fn requests(
        &self,
        claims: &VerifiedClaims,
        param: &str,
        facts: &HttpFacts,
    ) -> Result<Vec<AccessRequest>, EntityError> {
        let operations = self.bundle.routes().operations();
        operations.iter().map(|operation| self.request(operation, claims, param, facts)).collect()
    }

    fn request(
        &self,
        operation: &Operation,
        claims: &VerifiedClaims,
        param: &str,
        facts: &HttpFacts,
    ) -> Result<AccessRequest, EntityError> {
        let template = operation.template().as_str();
        let path: Option<RequestPath> = match template {
            "$connect" => None,
            template => Some(filled(template, param).parse().unwrap()),
        };
        let routes = self.bundle.routes();
        let matched = match &path {
            None => routes.find_connect(),
            Some(path) => routes.find(Router::Rest, operation.verb().unwrap(), path),
        };
        let matched = matched.unwrap_or_else(|| panic!("{template} is not found by {path:?}"));
        assert_eq!(matched.operation().id(), operation.id(), "{template} {path:?}");
        let entities = &self.operations[operation.id().index()];
        let path = path.as_ref().map_or("", RequestPath::as_str);
        self.factory.request(&self.factory.principal(claims)?, entities, &matched, path, facts)
    }

    /// Cedar's own check of what was built.
    fn check(&self, built: &AccessRequest) {
        let schema = self.bundle.schema();
        let request = &built.request;
        cedar::Entities::from_entities(built.entities.iter().cloned(), Some(schema))
            .unwrap_or_else(|error| panic!("{error:?}\n{:?}", built.entities));
        cedar::Request::new(
            request.principal().unwrap().clone(),
            request.action().unwrap().clone(),
            request.resource().unwrap().clone(),
            request.context().unwrap().clone(),
            Some(schema),
        )
        .unwrap_or_else(|error| panic!("{error:?}\n{request:?}"));
    }
}

/// A path of the template, with one text for every parameter.
fn filled(template: &str, param: &str) -> String {
    let segment =
        |segment: &str| if segment.starts_with('{') { param.to_owned() } else { segment.to_owned() };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// One text of a path, in normal form and no static part of a route.
fn param() -> impl Strategy<Value = String> {
    "[a-z0-9:@!,=_~-]{1,12}(%C3%A9|%20|%22)?".prop_filter("a route has it", |text| {
        !["orders", "users", "admin", "reports", "health", "files", "graphql"].contains(&text.as_str())
    })
}

/// A text as a token may hold it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z|\"\\\\é\u{1F600} .@-]{1,20}", Just("x".repeat(255)), Just("__entity".to_owned())]
}

/// Any claims that an issuer of the bundle may make, each there or not.
fn staff_claims() -> impl Strategy<Value = Value> {
    let present = |strategy: BoxedStrategy<Value>| prop::option::of(strategy);
    let strings = || prop::collection::vec(text(), 0..4).prop_map(|texts| json!(texts)).boxed();
    let truth = || select(vec![json!(true), json!(false), json!("true"), json!("false")]).boxed();
    let level = prop_oneof![
        any::<i64>().prop_map(|level| json!(level)),
        any::<i64>().prop_map(|level| json!(level.to_string())),
    ];
    let roles = prop::sample::subsequence(vec!["clerk", "auditor", "admin", "probe", "king"], 0..=5);
    let client_id = prop_oneof![text(), Just("same".to_owned())];
    (
        prop_oneof![text(), Just("same".to_owned())],
        select(&["acme", "globex"]),
        (
            present(client_id.prop_map(|id| json!(id)).boxed()),
            present(roles.prop_map(|roles| json!(roles)).boxed()),
            present(strings()),
            present("[a-z/:]{1,8}( [a-z]{1,4}){0,3}".prop_map(|scope| json!(scope)).boxed()),
        ),
        (
            present(text().prop_map(|email| json!(email)).boxed()),
            present(truth()),
            present(text().prop_map(|department| json!(department)).boxed()),
            present(level.boxed()),
            present(truth()),
        ),
    )
        .prop_map(
            |(
                sub,
                tenant,
                (client_id, roles, regions, scope),
                (email, verified, department, level, contractor),
            )| {
                let mut claims = json!({ "sub": sub, "tenant": tenant });
                let optional = [
                    ("client_id", client_id),
                    ("roles", roles),
                    ("regions", regions),
                    ("scope", scope),
                    ("email", email),
                    ("email_verified", verified),
                    ("department", department),
                    ("level", level),
                    ("contractor", contractor),
                ];
                let present =
                    optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
                claims.as_object_mut().unwrap().extend(present.collect::<Map<_, _>>());
                claims
            },
        )
}

/// Any facts that the shape has room for.
fn facts(shape: &HttpShape) -> impl Strategy<Value = HttpFacts> {
    let named = |names: &[String]| {
        let value = prop::option::of(".{0,10}");
        let names = names.to_vec();
        prop::collection::vec(value, names.len()).prop_map(move |values| {
            let pairs = names.iter().cloned().zip(values);
            pairs.filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>()
        })
    };
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets))),
        any::<[u16; 8]>().prop_map(|groups| IpAddr::from(Ipv6Addr::from(groups))),
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets).to_ipv6_mapped())),
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets).to_ipv6_compatible())),
        Just(IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    ];
    // The years that Cedar can write are 0000 to 9999.
    let time = (-62_167_219_200_000..253_402_300_800_000_i64).prop_map(Timestamp::from_unix_millis);
    let optional = |declared: bool| prop::bool::weighted(if declared { 0.6 } else { 0.0 });
    let (has_ip, has_time, has_cert) =
        (optional(shape.source_ip), optional(shape.time), optional(shape.client_cert_subject));
    (
        (has_ip, address),
        (has_time, time),
        (has_cert, ".{0,20}"),
        named(&shape.headers),
        named(&shape.query),
        named(&shape.stage_variables),
    )
        .prop_map(
            |((has_ip, address), (has_time, time), (has_cert, cert), headers, query, stage_variables)| {
                HttpFacts {
                    source_ip: has_ip.then_some(address),
                    time: has_time.then_some(time),
                    client_cert_subject: has_cert.then_some(cert),
                    headers,
                    query,
                    stage_variables,
                }
            },
        )
}

/// The names of the facts that were given.
fn given(facts: &HttpFacts) -> BTreeSet<String> {
    let names = [
        ("source_ip", facts.source_ip.is_some()),
        ("time", facts.time.is_some()),
        ("client_cert_subject", facts.client_cert_subject.is_some()),
        ("headers", !facts.headers.is_empty()),
        ("query", !facts.query.is_empty()),
        ("stage_variables", !facts.stage_variables.is_empty()),
    ];
    names.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned()).collect()
}

/// The names of the facts that the policies can read.
fn readable(request: &cedar::Request) -> BTreeSet<String> {
    let http = request.context().unwrap().get("http").unwrap();
    let cedar::EvalResult::Record(http) = http else { panic!("{http:?}") };
    http.iter().map(|(name, _)| name.clone()).collect()
}

#[test]
fn what_is_built_conforms_to_a_schema_that_declares_everything() {
    let ready = Ready::new(bundle(), "rest", "prod");
    let strategy = (staff_claims(), param(), facts(ready.factory.http_shape()));
    let config = ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&strategy, |(claims, param, facts)| {
            let mut token =
                json!({ "iss": "https://id.staff.example/", "aud": ["orders"], "exp": 1_795_266_000 });
            token.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            let claims = ready.verify(&sign("acme-1", "acme-1", "at+jwt", &token));
            let requests = ready.requests(&claims, &param, &facts);
            let requests = requests.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(requests.len(), ready.bundle.routes().operations().len());
            for built in &requests {
                ready.check(built);
                prop_assert_eq!(readable(&built.request), given(&facts));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_built_conforms_to_the_schema_of_the_example() {
    let mut bundle = Bundle::load(&crate::bundle::example()).unwrap();
    let jwks = std::fs::read(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/pipeline/bundle/policies/issuers/staff.jwks.json"),
    );
    bundle.add_development_keys(JwkSet::from_json(&jwks.unwrap()).unwrap());
    let ready = Ready::new(bundle, "orders-rest", "prod");
    let strategy = (staff_claims(), param(), facts(ready.factory.http_shape()));
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&strategy, |(claims, param, facts)| {
            let mut token =
                json!({ "iss": "https://dev.cedar-gate.invalid", "aud": "orders-api", "exp": 1_795_266_000 });
            token.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            let claims = ready.verify(&sign("acme-1", "acme-1", "at+jwt", &token));
            let requests = ready.requests(&claims, &param, &facts);
            for built in requests.map_err(|error| TestCaseError::fail(error.to_string()))? {
                ready.check(&built);
                prop_assert_eq!(readable(&built.request), given(&facts));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_claim_of_another_type_makes_no_principal() {
    let ready = Ready::new(bundle(), "rest", "prod");
    for (claim, value, expected) in [
        ("department", json!(7), "a string"),
        ("department", json!(["a"]), "a string"),
        ("level", json!("seven"), "a whole number"),
        ("level", json!("1.0"), "a whole number"),
        ("level", json!(true), "a whole number"),
        ("contractor", json!("yes"), "true or false"),
        ("contractor", json!(1), "true or false"),
        ("regions", json!("eu"), "a list of strings"),
    ] {
        let mut token = json!({ "iss": "https://id.staff.example/", "aud": "orders", "exp": 1_795_266_000, "sub": "ann", "tenant": "acme" });
        token[claim] = value.clone();
        let claims = ready.verify(&sign("acme-1", "acme-1", "at+jwt", &token));
        let error = ready.factory.principal(&claims).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the token's claim for `claims.{claim}` is not {expected}"),
            "{value}"
        );
    }
}

proptest! {
    #[test]
    fn a_principal_is_written_as_cedar_writes_its_name(id in r#"[ -~]{0,12}|[a-z"'\\|\n]{0,8}|.{0,8}"#) {
        let kind = "User".parse().unwrap();
        let uid = cedar::EntityUid::from_type_name_and_id(kind, cedar::EntityId::new(&id));
        let principal = Principal::from(cedar::Entity::new_no_attrs(uid.clone(), Default::default()));
        prop_assert_eq!(principal.to_string(), uid.to_string());
    }
}

/// An address that is an IPv4 address in the clothes of IPv6 is the IPv4 address: a rule about it must bite.
#[test]
fn a_mapped_address_is_the_address_that_it_maps() {
    let ready = Ready::new(bundle(), "rest", "prod");
    let token = json!({ "iss": "https://id.staff.example/", "aud": "orders", "exp": 1_795_266_000, "sub": "ann", "tenant": "acme" });
    let claims = ready.verify(&sign("acme-1", "acme-1", "at+jwt", &token));
    let facts = HttpFacts { source_ip: "::ffff:192.0.2.7".parse().ok(), ..HttpFacts::default() };
    let policies: cedar::PolicySet =
        "permit(principal, action, resource) when { context.http.source_ip == ip(\"192.0.2.7\") };"
            .parse()
            .unwrap();
    for built in ready.requests(&claims, "x", &facts).unwrap() {
        let response = cedar::Authorizer::new().is_authorized(&built.request, &policies, &built.entities);
        assert_eq!(response.decision(), cedar::Decision::Allow, "{response:?}");
    }
}
