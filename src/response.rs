//! From a verdict to the bytes that each kind of gateway understands: the one place that knows their answers.

use std::fmt;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::bundle::deployment::{ResponseForm, UnauthorizedForm};
use crate::context::AuthorizerContext;
use crate::event::EventKind;
use crate::iam::IamPolicy;

/// What is to be answered, before it is known in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The caller may do what was asked.
    Allow(Answer),
    /// The caller is known and may not.
    Deny(Answer),
    /// The caller is not known: no credential, or one that is not accepted.
    Unauthorized(Refusal),
    /// We could not decide: a fault of ours, of the configuration, or an event that is none. The text is for the log
    /// and must hold no secret.
    Fault(String),
}

/// A decision about a known caller, as the gateway is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who asked, for access logs and the backend; never empty.
    pub principal_id: String,
    /// What is allowed and denied. `None` for AppSync only, which knows no resource.
    pub policy: Option<IamPolicy>,
    /// What the backend is told; a denial's text too ([`AuthorizerContext::set_deny_message`]).
    pub context: AuthorizerContext,
    /// The API key whose usage plan the request counts against.
    pub usage_identifier_key: Option<UsageIdentifierKey>,
}

/// The refusal of an unknown caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A Deny of a fixed resource, so that nothing of the request is repeated. `None` for AppSync only.
    pub policy: Option<IamPolicy>,
    /// Why, for the decision record: it is never sent.
    pub reason: String,
}

/// The value of an API key (`apiKeySource: AUTHORIZER`), a secret: its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct UsageIdentifierKey(String);

impl UsageIdentifierKey {
    /// Takes a key; `None` for an empty one.
    #[must_use]
    pub fn new(key: &str) -> Option<Self> {
        (!key.is_empty()).then(|| Self(key.to_owned()))
    }
}

impl fmt::Debug for UsageIdentifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UsageIdentifierKey(…)")
    }
}

/// The form in which a gateway reads its authorizer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireForm {
    /// An IAM policy document: REST, WebSocket, HTTP API 1.0, and HTTP API 2.0 unless it has simple responses.
    IamPolicy {
        /// What an unknown caller gets.
        unauthorized: UnauthorizedForm,
    },
    /// `isAuthorized`: HTTP API 2.0 with simple responses.
    Simple,
    /// `isAuthorized` in AppSync's words.
    AppSync,
}

impl WireForm {
    /// The form for an event, under the settings of its API. That an HTTP API answers the error `Unauthorized` with 401
    /// is documented for REST only, so there an unknown caller is always refused by a Deny.
    #[must_use]
    pub const fn of(kind: EventKind, unauthorized: UnauthorizedForm, http_v2: ResponseForm) -> Self {
        match kind {
            EventKind::RestToken | EventKind::RestRequest | EventKind::WebSocketConnect => {
                Self::IamPolicy { unauthorized }
            }
            EventKind::HttpV1 => Self::IamPolicy { unauthorized: UnauthorizedForm::Deny },
            EventKind::HttpV2 => match http_v2 {
                ResponseForm::Iam => Self::IamPolicy { unauthorized: UnauthorizedForm::Deny },
                ResponseForm::Simple => Self::Simple,
            },
            EventKind::AppSync => Self::AppSync,
        }
    }
}

/// What the function does with its invocation. The `Debug` form leaves the JSON out: it may hold an API key.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// Succeeds with this JSON text.
    Json(JsonText),
    /// Fails with the message [`Reply::UNAUTHORIZED`] and nothing else.
    Unauthorized,
    /// Fails with this message, which begins with `cedar-gate: `: so it is never the word that means 401.
    Fault(String),
}

/// One JSON value, as it was written. It has no `Debug`: it may hold an API key.
#[derive(Clone)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// What serializes to exactly the text.
    #[must_use]
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }

    /// The same by itself.
    #[must_use]
    pub fn into_raw(self) -> Box<RawValue> {
        self.0
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for JsonText {}

impl Reply {
    /// The whole error message that a REST or WebSocket API answers with 401; any other is a 500.
    pub const UNAUTHORIZED: &'static str = "Unauthorized";
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(json) => write!(f, "Json({} bytes)", json.as_str().len()),
            Self::Unauthorized => f.write_str("Unauthorized"),
            Self::Fault(message) => write!(f, "Fault({message:?})"),
        }
    }
}

/// Writes a verdict in a gateway's form.
///
/// An answer that the form cannot carry — an IAM policy document without a policy or without a principal — is a fault,
/// whatever the verdict was.
#[must_use]
pub fn reply(form: WireForm, verdict: &Verdict) -> Reply {
    match verdict {
        Verdict::Allow(answer) => match form {
            WireForm::IamPolicy { .. } => policy_reply(answer, answer.usage_identifier_key.as_ref()),
            WireForm::Simple => simple(true, &answer.context),
            WireForm::AppSync => appsync(true, &answer.context),
        },
        Verdict::Deny(answer) => match form {
            // A request that is not let through counts against no usage plan.
            WireForm::IamPolicy { .. } => policy_reply(answer, None),
            WireForm::Simple => simple(false, &answer.context),
            WireForm::AppSync => appsync(false, &answer.context),
        },
        Verdict::Unauthorized(refusal) => match form {
            WireForm::IamPolicy { unauthorized: UnauthorizedForm::Error } => Reply::Unauthorized,
            WireForm::IamPolicy { unauthorized: UnauthorizedForm::Deny } => {
                policy_document(ANONYMOUS, refusal.policy.as_ref(), &AuthorizerContext::new(), None)
            }
            WireForm::Simple => simple(false, &AuthorizerContext::new()),
            WireForm::AppSync => appsync(false, &AuthorizerContext::new()),
        },
        Verdict::Fault(reason) => fault(reason),
    }
}

/// The `principalId` of an unknown caller: the member may not be empty.
const ANONYMOUS: &str = "anonymous";

fn policy_reply(answer: &Answer, usage_identifier_key: Option<&UsageIdentifierKey>) -> Reply {
    policy_document(&answer.principal_id, answer.policy.as_ref(), &answer.context, usage_identifier_key)
}

fn policy_document(
    principal_id: &str,
    policy: Option<&IamPolicy>,
    context: &AuthorizerContext,
    usage_identifier_key: Option<&UsageIdentifierKey>,
) -> Reply {
    let Some(policy_document) = policy else { return fault("the answer has no policy document") };
    if principal_id.is_empty() {
        return fault("the answer has no principal");
    }
    json(&PolicyResponse {
        principal_id,
        policy_document,
        context: &context.scalars(),
        usage_identifier_key: usage_identifier_key.map(|UsageIdentifierKey(key)| key.as_str()),
    })
}

fn simple(is_authorized: bool, context: &AuthorizerContext) -> Reply {
    json(&SimpleResponse { is_authorized, context })
}

fn appsync(is_authorized: bool, context: &AuthorizerContext) -> Reply {
    json(&AppSyncResponse { is_authorized, resolver_context: context.strings(), ttl_override: 0 })
}

fn json(response: &impl Serialize) -> Reply {
    match to_raw_value(response) {
        Ok(json) => Reply::Json(JsonText(json)),
        Err(error) => fault(&format!("the answer cannot be written: {error}")),
    }
}

fn fault(reason: &str) -> Reply {
    Reply::Fault(format!("cedar-gate: {reason}"))
}

/// Developer guide, "Output from an API Gateway Lambda authorizer". A member that is `null` would be refused.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyResponse<'a> {
    principal_id: &'a str,
    policy_document: &'a IamPolicy,
    #[serde(skip_serializing_if = "AuthorizerContext::is_empty")]
    context: &'a AuthorizerContext,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_identifier_key: Option<&'a str>,
}

/// Developer guide, "Authorizer response format" of HTTP APIs, format 2.0.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SimpleResponse<'a> {
    is_authorized: bool,
    #[serde(skip_serializing_if = "AuthorizerContext::is_empty")]
    context: &'a AuthorizerContext,
}

/// AppSync developer guide, "AWS_LAMBDA authorization". Its pages disagree about the default of `ttlOverride` (seconds),
/// so it is always sent: an answer holds for one request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppSyncResponse {
    is_authorized: bool,
    #[serde(skip_serializing_if = "AuthorizerContext::is_empty")]
    resolver_context: AuthorizerContext,
    ttl_override: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::deployment::ResourcePolicy;
    use crate::context::ContextValue;
    use crate::iam::ResourceArn;
    use proptest::prelude::*;

    const ERROR: WireForm = WireForm::IamPolicy { unauthorized: UnauthorizedForm::Error };
    const DENY: WireForm = WireForm::IamPolicy { unauthorized: UnauthorizedForm::Deny };

    fn orders() -> ResourceArn {
        ResourceArn::exact("arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/GET/orders").unwrap()
    }

    fn refusal() -> Verdict {
        let stage =
            ResourceArn::stage_wide("aws", "eu-west-1", "210987654321", "k3m9x2p7qa", "prod").unwrap();
        let reason = "the token of dana has expired".to_owned();
        Verdict::Unauthorized(Refusal { policy: Some(IamPolicy::deny_stage(stage)), reason })
    }

    fn answer(policy: IamPolicy) -> Answer {
        let mut context = AuthorizerContext::new();
        context.set("tenant", ContextValue::String("acme".to_owned()));
        context.set("level", ContextValue::Number(3));
        context.set("roles", ContextValue::List(vec!["clerk".to_owned()]));
        Answer {
            principal_id: "staff|dana".to_owned(),
            policy: Some(policy),
            context,
            usage_identifier_key: UsageIdentifierKey::new("key-7"),
        }
    }

    fn allow() -> Verdict {
        Verdict::Allow(answer(IamPolicy::allow(orders(), ResourcePolicy::Absent)))
    }

    fn deny() -> Verdict {
        let mut answer = answer(IamPolicy::deny(orders(), ResourcePolicy::Absent));
        answer.context = AuthorizerContext::new();
        answer.context.set_deny_message("orders are for clerks");
        Verdict::Deny(answer)
    }

    fn plain(verdict: Verdict) -> Verdict {
        let strip = |answer: Answer| Answer {
            context: AuthorizerContext::new(),
            usage_identifier_key: None,
            ..answer
        };
        match verdict {
            Verdict::Allow(answer) => Verdict::Allow(strip(answer)),
            Verdict::Deny(answer) => Verdict::Deny(strip(answer)),
            Verdict::Unauthorized(refusal) => Verdict::Unauthorized(refusal),
            Verdict::Fault(reason) => Verdict::Fault(reason),
        }
    }

    fn check(form: WireForm, verdict: &Verdict, expected: &str) {
        match reply(form, verdict) {
            Reply::Json(json) => {
                assert_eq!(json.as_str(), expected, "{form:?} {verdict:?}")
            }
            Reply::Unauthorized => panic!("{form:?} {verdict:?}: 401"),
            Reply::Fault(reason) => panic!("{form:?} {verdict:?}: {reason}"),
        }
    }

    #[test]
    fn an_iam_answer_has_a_principal_and_a_document() {
        for form in [ERROR, DENY] {
            check(
                form,
                &allow(),
                r#"{"principalId":"staff|dana","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":["arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/GET/orders"]}]},"context":{"tenant":"acme","level":3,"roles":"[\"clerk\"]"},"usageIdentifierKey":"key-7"}"#,
            );
            check(
                form,
                &deny(),
                r#"{"principalId":"staff|dana","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/GET/orders"]}]},"context":{"messageString":"orders are for clerks"}}"#,
            );
            check(
                form,
                &plain(allow()),
                r#"{"principalId":"staff|dana","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":["arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/GET/orders"]}]}}"#,
            );
        }
    }

    #[test]
    fn an_unknown_caller_is_an_error_or_a_deny_of_a_fixed_resource() {
        assert_eq!(reply(ERROR, &refusal()), Reply::Unauthorized);
        assert_eq!(Reply::UNAUTHORIZED, "Unauthorized");
        check(
            DENY,
            &refusal(),
            r#"{"principalId":"anonymous","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/*"]}]}}"#,
        );
    }

    #[test]
    fn a_simple_answer_keeps_lists() {
        check(
            WireForm::Simple,
            &allow(),
            r#"{"isAuthorized":true,"context":{"tenant":"acme","level":3,"roles":["clerk"]}}"#,
        );
        check(WireForm::Simple, &plain(allow()), r#"{"isAuthorized":true}"#);
        check(
            WireForm::Simple,
            &deny(),
            r#"{"isAuthorized":false,"context":{"messageString":"orders are for clerks"}}"#,
        );
        check(WireForm::Simple, &plain(deny()), r#"{"isAuthorized":false}"#);
        check(WireForm::Simple, &refusal(), r#"{"isAuthorized":false}"#);
    }

    #[test]
    fn an_appsync_answer_has_texts_only_and_always_a_ttl() {
        check(
            WireForm::AppSync,
            &allow(),
            r#"{"isAuthorized":true,"resolverContext":{"tenant":"acme","level":"3","roles":"[\"clerk\"]"},"ttlOverride":0}"#,
        );
        check(WireForm::AppSync, &plain(allow()), r#"{"isAuthorized":true,"ttlOverride":0}"#);
        check(
            WireForm::AppSync,
            &deny(),
            r#"{"isAuthorized":false,"resolverContext":{"messageString":"orders are for clerks"},"ttlOverride":0}"#,
        );
        check(WireForm::AppSync, &plain(deny()), r#"{"isAuthorized":false,"ttlOverride":0}"#);
        check(WireForm::AppSync, &refusal(), r#"{"isAuthorized":false,"ttlOverride":0}"#);
    }

    #[test]
    fn an_answer_that_a_form_cannot_carry_is_a_fault() {
        let without = |verdict: &Verdict| match verdict.clone() {
            Verdict::Allow(answer) => Verdict::Allow(Answer { policy: None, ..answer }),
            Verdict::Deny(answer) => Verdict::Deny(Answer { policy: None, ..answer }),
            Verdict::Unauthorized(refusal) => Verdict::Unauthorized(Refusal { policy: None, ..refusal }),
            Verdict::Fault(reason) => Verdict::Fault(reason),
        };
        for verdict in [allow(), deny(), refusal()] {
            let expected = Reply::Fault("cedar-gate: the answer has no policy document".to_owned());
            assert_eq!(reply(DENY, &without(&verdict)), expected);
            assert!(matches!(reply(WireForm::AppSync, &without(&verdict)), Reply::Json(_)));
        }
        let Verdict::Allow(answer) = allow() else { panic!("allow") };
        let nobody = Verdict::Allow(Answer { principal_id: String::new(), ..answer });
        assert_eq!(reply(ERROR, &nobody), Reply::Fault("cedar-gate: the answer has no principal".to_owned()));
    }

    #[test]
    fn each_event_kind_has_its_form() {
        use EventKind::{AppSync, HttpV1, HttpV2, RestRequest, RestToken, WebSocketConnect};
        for (kind, iam_policy, simple) in [
            (RestToken, ERROR, ERROR),
            (RestRequest, ERROR, ERROR),
            (WebSocketConnect, ERROR, ERROR),
            (HttpV1, DENY, DENY),
            (HttpV2, DENY, WireForm::Simple),
            (AppSync, WireForm::AppSync, WireForm::AppSync),
        ] {
            let of = |http_v2| WireForm::of(kind, UnauthorizedForm::Error, http_v2);
            assert_eq!((of(ResponseForm::Iam), of(ResponseForm::Simple)), (iam_policy, simple), "{kind}");
        }
        for kind in [RestToken, RestRequest, WebSocketConnect] {
            assert_eq!(WireForm::of(kind, UnauthorizedForm::Deny, ResponseForm::Iam), DENY);
        }
    }

    #[test]
    fn neither_the_api_key_nor_the_reason_of_a_refusal_shows() {
        assert_eq!(UsageIdentifierKey::new(""), None);
        assert!(!format!("{:?}", allow()).contains("key-7"));
        for form in [ERROR, DENY, WireForm::Simple, WireForm::AppSync] {
            let Reply::Json(json) = reply(form, &refusal()) else { continue };
            assert!(!json.as_str().contains("dana"), "{form:?}");
        }
        let Reply::Json(json) = reply(ERROR, &allow()) else { panic!("an allow is JSON") };
        assert!(json.as_str().contains("key-7"));
        assert_eq!(
            format!("{:?}", Reply::Json(json.clone())),
            format!("Json({} bytes)", json.as_str().len())
        );
    }

    proptest! {
        #[test]
        fn a_fault_is_a_fault_in_every_form_and_never_a_401(reason in "(?i:unauthorized)|.{0,20}") {
            for form in [ERROR, DENY, WireForm::Simple, WireForm::AppSync] {
                let Reply::Fault(message) = reply(form, &Verdict::Fault(reason.clone())) else {
                    panic!("no fault");
                };
                prop_assert_eq!(&message, &format!("cedar-gate: {reason}"));
                prop_assert!(!message.eq_ignore_ascii_case(Reply::UNAUTHORIZED));
            }
        }
    }
}
