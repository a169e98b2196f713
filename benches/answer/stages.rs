//! What each stage of an answer to a REQUEST event costs.

use cedar_gate::arn::{MethodArn, Target};
use cedar_gate::context::contract::{ContextFacts, Provenance, fill};
use cedar_gate::credential;
use cedar_gate::entities::{HttpFacts, principal_id};
use cedar_gate::event::AuthorizerEvent;
use cedar_gate::iam::{IamPolicy, ResourceArn};
use cedar_gate::jose::verify;
use cedar_gate::path::{PathEncoding, RequestPath, reconcile};
use cedar_gate::response::{Answer, Reply, Verdict, WireForm, reply};

use crate::subject::{METHOD_ARN, NOW, Prepared, Subject, facts};
use crate::{Measured, measured};

/// Hands the stages over, in the order of the pipeline. `record` is the log line, which the shell writes.
pub(crate) fn with(subject: &Subject, report: impl FnOnce(Vec<Measured<'_>>)) {
    let bundle = subject.bundle();
    let api = bundle.deployment().api("123456789012", "a1b2c3d4e5").expect("the bundle has the API");
    let text = AuthorizerEvent::text(&subject.request_event);
    let event = AuthorizerEvent::parse(&text).expect("the event is one");
    let path = asked_path(&event);
    let prepared = Prepared::new(bundle, &path);
    let find = || credential::find(&event, &api.token).expect("the event has a token");
    let token = find();
    let claims = subject.claims(bundle);
    let (principal, http) = (prepared.principal(&claims), facts());
    let request = prepared.request(&claims);
    let answer = || {
        let principal_id = principal_id(&claims);
        let facts = ContextFacts {
            claims: &claims,
            principal_id: &principal_id,
            provenance: Provenance {
                policy_version: &prepared.version.name,
                policy_digest: &prepared.version.digest,
                bundle_digest: bundle.digest(),
            },
        };
        let context = fill(&bundle.deployment().context, &facts).expect("the context is small");
        let method = ResourceArn::exact(METHOD_ARN).expect("the method can be named");
        let policy = Some(IamPolicy::allow(method, api.resource_policy));
        let verdict = Verdict::Allow(Answer { principal_id, policy, context, usage_identifier_key: None });
        reply(WireForm::IamPolicy { unauthorized: api.unauthorized }, &verdict)
    };
    assert!(matches!(answer(), Reply::Json(_)), "the reply is a document");
    let record = subject.authorizer.answer(&subject.request_event, NOW).record;
    report(vec![
        measured("event, ARN and path", || {
            let text = AuthorizerEvent::text(&subject.request_event);
            asked_path(&AuthorizerEvent::parse(&text).expect("the event is one"))
        }),
        measured("credential and token", || {
            verify(&find(), bundle.issuers(), bundle.keys(), NOW).expect("the token is right")
        }),
        measured("of which the credential", find),
        measured("of which the token", || verify(&token, bundle.issuers(), bundle.keys(), NOW)),
        measured("route", || {
            let verb = "GET".parse().expect("GET is a verb");
            bundle.routes().find(cedar_gate::route::Router::Rest, &verb, &path).is_some()
        }),
        measured("principal", || prepared.principal(&claims)),
        measured("request", || prepared.request_with(&principal, &HttpFacts::default())),
        measured("the same with address and time", || prepared.request_with(&principal, &http)),
        measured("decision", || prepared.candidates(&principal).decide_on(&request)),
        measured("context, document and reply", answer),
        measured("record", || serde_json::to_vec(&record)),
    ]);
}

fn asked_path(event: &AuthorizerEvent<'_>) -> RequestPath {
    let arn: MethodArn = event.method_arn().expect("the event has an ARN").parse().expect("the ARN is one");
    let path = match arn.target() {
        Target::Method { path, .. } => Some(path),
        Target::RouteKey(_) => None,
    };
    reconcile(PathEncoding::Raw, path.expect("the ARN names a method"), event.path(), &[])
        .expect("the path is in its normal form")
}
