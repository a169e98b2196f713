//! Events of the gateway: those that stand in files, and those that are made for a request; and where the token goes.

use serde_json::{Map, Value, json};

use crate::bundle::deployment::ApiKind;
use crate::credential::{Scheme, TokenSource};
use crate::event::{AuthorizerEvent, EventKind};
use crate::iam::matches_pattern;
use crate::record::DecisionRecord;
use crate::response::Reply;
use crate::tools::desk::Desk;

use super::file::FactsFile;
use super::requests::Request;

/// What stands for the token in an event's file.
pub(super) const PLACEHOLDER: &str = "{{token}}";

/// The region of the ARNs of events that are made.
const REGION: &str = "eu-west-1";

/// An address of nobody (RFC 5737), for requests that name none.
const ADDRESS: &str = "192.0.2.1";

/// What a policy document's ARN of a request is.
pub(super) fn arn(desk: &Desk<'_>, request: &Request) -> String {
    let (api, stage) = (desk.api(), desk.stage());
    let stage_arn =
        format!("arn:aws:execute-api:{REGION}:{}:{}/{stage}", api.account.as_str(), api.id.as_str());
    match &request.method {
        Some((verb, path)) => format!("{stage_arn}/{verb}{}", path.as_str()),
        None => format!("{stage_arn}/$connect"),
    }
}

/// The event that a gateway sends about a request, without a token.
pub(super) fn of_request(desk: &Desk<'_>, request: &Request, facts: &FactsFile) -> Value {
    let (api, stage) = (desk.api(), desk.stage());
    let (account, id) = (api.account.as_str(), api.id.as_str());
    let template =
        desk.operations().get(request.operation.index()).map(|operation| operation.template().as_str());
    let (verb, path) = match &request.method {
        Some((verb, path)) => (verb.as_str(), path.as_str()),
        None => ("GET", ""),
    };
    let is_absent = facts.absent.iter().any(|name| name == "source_ip");
    let address = facts.source_ip.as_deref().or((!is_absent).then_some(ADDRESS));
    let certificate =
        facts.client_cert_subject.as_ref().map(|subject| json!({ "clientCert": { "subjectDN": subject } }));
    let mut event = match api.kind {
        ApiKind::Rest | ApiKind::WebSocket => json!({
            "type": "REQUEST",
            "methodArn": arn(desk, request),
            "requestContext": {
                "accountId": account, "apiId": id, "stage": stage, "requestId": "test",
                "identity": { "sourceIp": address },
            },
        }),
        ApiKind::Http => json!({
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": arn(desk, request),
            "rawPath": path,
            "requestContext": {
                "accountId": account, "apiId": id, "stage": stage, "requestId": "test",
                "http": { "method": verb, "path": path, "sourceIp": address },
            },
        }),
        ApiKind::AppSync => json!({
            "authorizationToken": "",
            "requestContext": { "accountId": account, "apiId": id, "requestId": "test", "queryString": "query { me }" },
        }),
    };
    let route_key =
        template.map(
            |template| {
                if template == "$default" { template.to_owned() } else { format!("{verb} {template}") }
            },
        );
    match api.kind {
        ApiKind::Rest => {
            set(&mut event, "httpMethod", json!(verb));
            set(&mut event, "path", json!(path));
            set(&mut event, "resource", json!(template));
            if let Some(Value::Object(certificate)) = certificate
                && let Some(Value::Object(identity)) = event.pointer_mut("/requestContext/identity")
            {
                identity.extend(certificate);
            }
        }
        ApiKind::WebSocket => {
            if let Some(Value::Object(context)) = event.get_mut("requestContext") {
                context.insert("routeKey".to_owned(), json!("$connect"));
                context.insert("eventType".to_owned(), json!("CONNECT"));
                context.insert("connectionId".to_owned(), json!("test"));
            }
        }
        ApiKind::Http => {
            set(&mut event, "routeKey", json!(route_key));
            if let Some(Value::Object(context)) = event.get_mut("requestContext") {
                context.insert("routeKey".to_owned(), json!(route_key));
                if let Some(certificate) = certificate {
                    context.insert("authentication".to_owned(), certificate);
                }
            }
        }
        ApiKind::AppSync => {}
    }
    for (name, value) in &facts.headers {
        put_header(&mut event, name, value);
    }
    for (name, value) in &facts.query {
        put_query(&mut event, name, value);
    }
    if !facts.stage_variables.is_empty() {
        set(&mut event, "stageVariables", json!(facts.stage_variables));
    }
    event
}

/// Puts a token where the API expects it, in place of what stands there; in every place that says so, where the event's
/// author marked one.
pub(super) fn with_token(event: &Value, sources: &[TokenSource], token: &str) -> Result<Value, String> {
    let mut event = event.clone();
    if replace_placeholder(&mut event, token) {
        return Ok(event);
    }
    let source = sources.first().ok_or("the API takes no token")?;
    let text = event.to_string();
    let kind = AuthorizerEvent::parse(&text).map_err(|error| error.to_string())?.kind();
    match (kind, source) {
        (EventKind::RestToken | EventKind::AppSync, _) => {
            let scheme = sources.iter().find_map(|source| match source {
                TokenSource::Header { scheme, .. } => Some(*scheme),
                TokenSource::Cookie { .. } | TokenSource::Query { .. } | TokenSource::Subprotocol { .. } => {
                    None
                }
            });
            let scheme =
                scheme.ok_or("the API takes its token from no header, and such an event has nothing else")?;
            set(&mut event, "authorizationToken", json!(with_scheme(scheme, token)));
        }
        (_, TokenSource::Header { name, scheme }) => {
            put_header(&mut event, name, &with_scheme(*scheme, token))
        }
        (EventKind::HttpV2, TokenSource::Cookie { name }) => {
            set(&mut event, "cookies", json!([format!("{name}={token}")]));
        }
        (_, TokenSource::Cookie { name }) => put_header(&mut event, "Cookie", &format!("{name}={token}")),
        (_, TokenSource::Query { name }) => put_query(&mut event, name, token),
        (_, TokenSource::Subprotocol { marker }) => {
            put_header(&mut event, "Sec-WebSocket-Protocol", &format!("{marker}, {token}"));
        }
    }
    Ok(event)
}

fn with_scheme(scheme: Scheme, token: &str) -> String {
    match scheme {
        Scheme::Bearer => format!("Bearer {token}"),
        Scheme::None => token.to_owned(),
    }
}

/// Whether there was one.
fn replace_placeholder(value: &mut Value, token: &str) -> bool {
    match value {
        Value::String(text) if text.contains(PLACEHOLDER) => {
            *text = text.replace(PLACEHOLDER, token);
            true
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |found, item| replace_placeholder(item, token) | found)
        }
        Value::Object(members) => {
            members.values_mut().fold(false, |found, member| replace_placeholder(member, token) | found)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn set(event: &mut Value, member: &str, value: Value) {
    if let Value::Object(members) = event {
        members.insert(member.to_owned(), value);
    }
}

/// A header, alone of its name; in both of the lists that an event of a REST API has.
fn put_header(event: &mut Value, name: &str, value: &str) {
    let is_http_v2 = event.get("version").and_then(Value::as_str) == Some("2.0");
    put(event, "headers", name, json!(value), true);
    if !is_http_v2 {
        put(event, "multiValueHeaders", name, json!([value]), true);
    }
}

fn put_query(event: &mut Value, name: &str, value: &str) {
    let is_http_v2 = event.get("version").and_then(Value::as_str) == Some("2.0");
    put(event, "queryStringParameters", name, json!(value), false);
    if !is_http_v2 {
        put(event, "multiValueQueryStringParameters", name, json!([value]), false);
    }
}

fn put(event: &mut Value, list: &str, name: &str, value: Value, ignores_case: bool) {
    let Value::Object(members) = event else { return };
    let listed = members.entry(list).or_insert_with(|| Value::Object(Map::new()));
    if !listed.is_object() {
        *listed = Value::Object(Map::new());
    }
    if let Value::Object(listed) = listed {
        listed.retain(|known, _| known != name && !(ignores_case && known.eq_ignore_ascii_case(name)));
        listed.insert(name.to_owned(), value);
    }
}

/// What the function gives back: its JSON, or the error as Lambda reports it. A digest in it changes with every file that is
/// edited, so it stands there by what it is of.
pub(super) fn response(reply: &Reply, record: &DecisionRecord) -> Value {
    match reply {
        Reply::Json(json) => {
            let mut text = json.as_str().replace(&record.bundle, "[bundle digest]");
            if let Some(digest) = &record.policy_digest {
                text = text.replace(digest, "[policy digest]");
            }
            serde_json::from_str(&text).unwrap_or(Value::Null)
        }
        Reply::Unauthorized => json!({ "errorMessage": Reply::UNAUTHORIZED }),
        Reply::Fault(message) => json!({ "errorMessage": message }),
    }
}

/// What the integration is told, as the response has it.
pub(super) fn context(response: &Value) -> Map<String, Value> {
    let context = response.get("context").or_else(|| response.get("resolverContext"));
    context.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Whether the response's document allows a request, as IAM reads it: a Deny wins, and silence is no Allow. `None` where
/// there is no document.
pub(super) fn document_allows(response: &Value, arn: &str) -> Option<bool> {
    let statements = response.pointer("/policyDocument/Statement")?.as_array()?;
    let lists = |statement: &Value, member: &str| {
        let patterns = statement.get(member).and_then(Value::as_array)?;
        Some(patterns.iter().filter_map(Value::as_str).any(|pattern| matches_pattern(pattern, arn)))
    };
    let mut allowed = false;
    for statement in statements {
        let covers =
            lists(statement, "Resource").or_else(|| lists(statement, "NotResource").map(|listed| !listed));
        // What ends with the token's life is in force while it lives.
        let expired_only = statement.pointer("/Condition/DateGreaterThanEquals").is_some();
        if covers != Some(true) || expired_only {
            continue;
        }
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => allowed = true,
            Some(_) | None => return Some(false),
        }
    }
    Some(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::deployment::ResourcePolicy;
    use crate::credential;
    use crate::decision::Effect;
    use crate::iam::{IamPolicy, ResourceArn};

    /// The token is found where the authorizer looks for it, whatever stood there before.
    #[test]
    fn the_token_stands_where_the_api_expects_it() {
        let header = |name: &str, scheme| TokenSource::Header { name: name.to_owned(), scheme };
        let bearer = header("Authorization", Scheme::Bearer);
        let bare = header("X-Token", Scheme::None);
        let cookie = TokenSource::Cookie { name: "session".to_owned() };
        let query = TokenSource::Query { name: "token".to_owned() };
        let subprotocol = TokenSource::Subprotocol { marker: "bearer".to_owned() };
        let request: &[&TokenSource] = &[&bearer, &bare, &cookie, &query];
        let events: [(&str, &[&TokenSource]); 8] = [
            (include_str!("../../../tests/events/rest-token.json"), &[&bearer, &bare]),
            (include_str!("../../../tests/events/rest-request.json"), request),
            (include_str!("../../../tests/events/rest-request-null-maps.json"), request),
            (include_str!("../../../tests/events/http-v1.json"), request),
            (include_str!("../../../tests/events/http-v2.json"), request),
            (include_str!("../../../tests/events/http-v2-null-maps.json"), request),
            (include_str!("../../../tests/events/websocket-connect.json"), &[&bearer, &query, &subprotocol]),
            (include_str!("../../../tests/events/appsync.json"), &[&bearer, &bare]),
        ];
        for (text, sources) in events {
            let event: Value = serde_json::from_str(text).unwrap();
            for source in sources {
                let sources = [(*source).clone()];
                let with = with_token(&event, &sources, "a.b.c").unwrap().to_string();
                let read = AuthorizerEvent::parse(&with).unwrap();
                let found = credential::find(&read, &sources);
                assert_eq!(
                    found.map(|token| token.expose().to_owned()),
                    Ok("a.b.c".to_owned()),
                    "{source} {with}"
                );
            }
        }
    }

    #[test]
    fn a_place_that_is_marked_is_the_only_one() {
        let event = json!({ "type": "REQUEST", "methodArn": "a", "headers": { "X-A": "t={{token}};" }, "more": ["{{token}}"] });
        let with = with_token(&event, &[TokenSource::authorization()], "a.b").unwrap();
        let expected =
            json!({ "type": "REQUEST", "methodArn": "a", "headers": { "X-A": "t=a.b;" }, "more": ["a.b"] });
        assert_eq!(with, expected);
    }

    /// A document's JSON is read as the library reads the document itself.
    #[test]
    fn a_document_is_read_as_iam_reads_it() {
        let arn = |path: &str| format!("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/{path}");
        let exact = |path: &str| ResourceArn::exact(&arn(path)).unwrap();
        for resource_policy in [ResourcePolicy::Present, ResourcePolicy::Absent] {
            for policy in [
                IamPolicy::allow(exact("GET/orders"), resource_policy),
                IamPolicy::deny(exact("GET/orders"), resource_policy),
                IamPolicy::allow(exact("GET/orders"), resource_policy).with_denied(exact("PUT/orders")),
                IamPolicy::allow(exact("GET/orders"), resource_policy).with_denied(exact("GET/orders")),
            ] {
                let response = json!({ "policyDocument": policy });
                for path in ["GET/orders", "PUT/orders", "GET/orders/1", "GET/order"] {
                    let expected = policy.effect_for(&arn(path)) == Some(Effect::Allow);
                    assert_eq!(document_allows(&response, &arn(path)), Some(expected), "{path} {response}");
                }
            }
        }
        assert_eq!(document_allows(&json!({ "isAuthorized": true }), &arn("GET/orders")), None);
    }
}
