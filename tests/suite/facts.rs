//! What the policies are told about the caller and the request.

use cedar_gate::authorizer::{Answered, Authorizer};
use cedar_gate::bundle::Bundle;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::credential::BearerToken;
use cedar_gate::entities::{EntityFactory, HttpFacts, OperationEntities};
use cedar_gate::jose::{Algorithm, JwkSet, verify};
use cedar_gate::path::RequestPath;
use cedar_gate::record::Outcome;
use cedar_gate::route::Router;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{DevelopmentKey, TokenRequest, mint_for};
use cedar_policy as cedar;
use serde_json::json;

use crate::bundle::example;

/// 2026-11-21T18:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_284_000);

/// The bundle of these files, and a token of an admin, whose role includes others.
fn bundle_and_token(files: &SourceFiles) -> (Bundle, String) {
    let mut bundle = Bundle::load(files).unwrap_or_else(|errors| panic!("{errors}"));
    let key = DevelopmentKey::generate(Algorithm::Es256).unwrap();
    bundle.add_development_keys(JwkSet::from_json(key.public_jwks().to_string().as_bytes()).unwrap());
    let issuer = bundle.issuers().iter().find(|issuer| issuer.name() == "dev").unwrap();
    let request = TokenRequest {
        subject: "alice".to_owned(),
        client_id: None,
        roles: vec!["admin".to_owned()],
        scopes: vec!["orders/read".to_owned()],
        tenant: Some("acme".to_owned()),
        issued_at: NOW,
        expires_at: Timestamp::from_unix_seconds(NOW.unix_seconds() + 60),
        claims: serde_json::Map::from_iter([("department".to_owned(), json!("support"))]),
    };
    let token = mint_for(issuer, &key, &request).unwrap();
    (bundle, token)
}

#[test]
fn the_store_of_a_request_is_what_its_three_entities_make() {
    let (bundle, token) = bundle_and_token(&example());
    let claims = verify(&BearerToken::new(&token).unwrap(), bundle.issuers(), bundle.keys(), NOW).unwrap();
    let roles = &bundle.policy_versions().next().unwrap().roles;
    let factory = EntityFactory::new(bundle.vocabulary(), roles).unwrap();
    let principal = factory.principal(&claims).unwrap();
    let actions = bundle.schema().action_entities().unwrap();
    for operation in bundle.routes().operations() {
        let entities =
            OperationEntities::new(operation, "orders-rest", "prod", bundle.vocabulary(), &actions).unwrap();
        let path: RequestPath = operation.template().as_str().replace(['{', '}'], "").parse().unwrap();
        let verb = operation.verb().unwrap();
        let matched = bundle.routes().find(Router::Rest, verb, &path).unwrap();
        assert_eq!(matched.operation().id(), operation.id());
        let asked =
            factory.request(&principal, &entities, &matched, path.as_str(), &HttpFacts::default()).unwrap();
        let each = [Some(principal.entity()), entities.entities().get(entities.action())];
        let each = each.into_iter().chain([entities.entities().get(entities.route())]);
        let whole = cedar::Entities::from_entities(each.map(|entity| entity.unwrap().clone()), None).unwrap();
        assert!(asked.entities.deep_eq(&whole), "{}", operation.name());

        let uid = |text: &str| text.parse::<cedar::EntityUid>().unwrap();
        for role in ["admin", "clerk", "auditor"] {
            let role = uid(&format!("Role::{role:?}"));
            assert!(asked.entities.is_ancestor_of(&role, principal.uid()), "{role}");
        }
        assert!(asked.entities.is_ancestor_of(&uid("Tenant::\"acme\""), principal.uid()));
        assert!(asked.entities.is_ancestor_of(&uid("Path::\"/\""), entities.route()));
        let group = uid(&format!("Action::{:?}", verb.as_str()));
        assert!(asked.entities.is_ancestor_of(&group, entities.action()));
    }
}

/// Asks for `GET` of a path by a REQUEST event.
fn ask(authorizer: &Authorizer, token: &str, path: &str, source_ip: &str, now: Timestamp) -> Answered {
    let event = json!({
        "type": "REQUEST",
        "methodArn": format!("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET{path}"),
        "path": path,
        "httpMethod": "GET",
        "headers": { "Authorization": format!("Bearer {token}") },
        "multiValueHeaders": { "Authorization": [format!("Bearer {token}")] },
        "requestContext": { "identity": { "sourceIp": source_ip } },
    });
    authorizer.answer(event.to_string().as_bytes(), now)
}

#[test]
fn a_policy_that_reads_a_volatile_fact_is_told_it() {
    let mut files = example();
    files.insert(
        "policies/v1/facts.cedar",
        r#"
        @id("guests-see-no-list")
        forbid (principal, action == Action::"GET /orders", resource)
        when { context.http has source_ip && context.http.source_ip.isInRange(ip("192.0.2.0/24")) };

        @id("no-address-no-reports")
        forbid (principal, action == Action::"GET /admin/reports", resource)
        unless { context["http"] has source_ip };

        @id("closed-in-the-evening")
        forbid (principal, action, resource in Path::"/users")
        when { context.http has time && context.http.time >= datetime("2026-11-21T18:00:01Z") };
        "#,
    );
    let (bundle, token) = bundle_and_token(&files);
    let authorizer = Authorizer::new(bundle).unwrap();
    let late = Timestamp::from_unix_seconds(NOW.unix_seconds() + 1);
    let (guest, office) = ("192.0.2.17", "198.51.100.4");
    for (path, source_ip, now, outcome, policies) in [
        ("/orders", guest, NOW, Outcome::Deny, "guests-see-no-list"),
        ("/orders", office, NOW, Outcome::Allow, "auditors-read-orders clerks-keep-orders"),
        ("/orders/7", guest, late, Outcome::Allow, "auditors-read-orders clerks-keep-orders"),
        ("/admin/reports", "nowhere", NOW, Outcome::Deny, "no-address-no-reports"),
        ("/admin/reports", guest, NOW, Outcome::Allow, "admins-run-the-shop"),
        ("/users/bob", guest, NOW, Outcome::Allow, "support-sees-profiles"),
        ("/users/bob", guest, late, Outcome::Deny, "closed-in-the-evening"),
    ] {
        let record = ask(&authorizer, &token, path, source_ip, now).record;
        assert_eq!(
            (record.outcome, record.policies.join(" ")),
            (outcome, policies.to_owned()),
            "{path} at {now}"
        );
    }
}
