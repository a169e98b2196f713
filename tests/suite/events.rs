//! Every kind of authorizer event: what is read from it, held against the types of `aws_lambda_events` too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequest, ApiGatewayCustomAuthorizerRequestTypeRequest,
    ApiGatewayCustomAuthorizerRequestTypeRequestIdentity as Identity, ApiGatewayV2CustomAuthorizerV1Request,
    ApiGatewayV2CustomAuthorizerV2Request, ApiGatewayWebsocketProxyRequest,
};
use aws_lambda_events::appsync::AppSyncLambdaAuthorizerRequest;
use aws_lambda_events::http::HeaderMap;
use cedar_gate::event::{AuthorizerEvent, EventError, EventKind};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What we read from an event, whole, so that two readings can be compared.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    method_arn: Option<String>,
    path: Option<String>,
    route_template: Option<String>,
    authorization_token: Option<String>,
    request_id: Option<String>,
    source_ip: Option<String>,
    client_cert_subject: Option<String>,
    time_epoch_millis: Option<i64>,
    api_id: Option<String>,
    account_id: Option<String>,
    headers: BTreeMap<String, Vec<String>>,
    query: BTreeMap<String, Vec<String>>,
    cookies: BTreeMap<String, Vec<String>>,
    stage_variables: BTreeMap<String, String>,
}

/// The only place that asks an event for its facts. The maps hold what `names` has names for.
fn reading(event: &AuthorizerEvent<'_>, names: &Reading) -> Reading {
    let own = |value: Option<&str>| value.map(str::to_owned);
    let all = |names: &BTreeMap<String, Vec<String>>, values: &dyn Fn(&str) -> Vec<String>| {
        names.keys().map(|name| (name.clone(), values(name))).collect()
    };
    let owned = |values: Vec<std::borrow::Cow<'_, str>>| values.into_iter().map(Into::into).collect();
    Reading {
        method_arn: own(event.method_arn()),
        path: own(event.path()),
        route_template: own(event.route_template()),
        authorization_token: own(event.authorization_token()),
        request_id: event.request_id().map(Into::into),
        source_ip: event.source_ip().map(Into::into),
        client_cert_subject: event.client_cert_subject().map(Into::into),
        time_epoch_millis: event.time_epoch_millis(),
        api_id: event.api_id().map(Into::into),
        account_id: event.account_id().map(Into::into),
        headers: all(&names.headers, &|name| owned(event.header_values(name))),
        query: all(&names.query, &|name| owned(event.query_values(name))),
        cookies: all(&names.cookies, &|name| owned(event.cookie_values(name))),
        stage_variables: names
            .stage_variables
            .keys()
            .filter_map(|name| Some((name.clone(), event.stage_variable(name)?.into())))
            .collect(),
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/events")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn fixture(name: &str) -> Vec<u8> {
    read(&fixtures().join(name))
}

fn event_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| !name_of(path).starts_with("response-"))
        .collect();
    files.sort();
    files
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn pairs<V: Clone>(entries: &[(&str, V)]) -> BTreeMap<String, V> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn many(entries: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    entries
        .iter()
        .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()))
        .collect()
}

fn check(name: &str, kind: EventKind, expected: &Reading) {
    let bytes = fixture(name);
    let text = AuthorizerEvent::text(&bytes);
    let event = AuthorizerEvent::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(event.kind(), kind, "{name}");
    assert_eq!(reading(&event, expected), *expected, "{name}");
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_rest_token_event_is_a_token_and_an_arn() {
    check(
        "rest-token-console-test.json",
        EventKind::RestToken,
        &Reading {
            method_arn: some("arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/ESTestInvoke-stage/GET/"),
            authorization_token: some("Bearer abc.def.ghi"),
            ..Reading::default()
        },
    );
}

#[test]
fn a_rest_request_event_keeps_the_paths_encoding() {
    check(
        "rest-request.json",
        EventKind::RestRequest,
        &Reading {
            method_arn: some(
                "arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/GET/orders/4711/items/a%2Bb",
            ),
            path: some("/orders/4711/items/a%2Bb"),
            route_template: some("/orders/{orderId}/items/{itemId}"),
            request_id: some("7d1f0a2e-5b7c-4d2e-9e55-1c2d3e4f5a6b"),
            source_ip: some("198.51.100.7"),
            client_cert_subject: some("CN=till-07.shops.acme.example,O=Acme"),
            time_epoch_millis: Some(1_795_255_200_123),
            headers: many(&[
                ("host", &["api.acme.example"]),
                ("x-TAG", &["first", "second"]),
                ("Absent", &[]),
            ]),
            query: many(&[
                ("expand", &["customer", "items"]),
                ("page", &["2"]),
                ("page size", &["10"]),
                ("Page", &[]),
            ]),
            cookies: many(&[("theme", &["dark"]), ("session", &["s-0001"]), ("Session", &[])]),
            stage_variables: pairs(&[("backend", "orders-v3".to_owned())]),
            ..Reading::default()
        },
    );
}

#[test]
fn null_maps_are_empty_maps() {
    check(
        "rest-request-null-maps.json",
        EventKind::RestRequest,
        &Reading {
            method_arn: some(
                "arn:aws-cn:execute-api:cn-north-1:210987654321:k3m9x2p7qa/test-invoke-stage/POST/",
            ),
            path: some("/"),
            route_template: some("/"),
            request_id: some("test-invoke-request"),
            source_ip: some("test-invoke-source-ip"),
            headers: many(&[("Authorization", &[])]),
            query: many(&[("a", &[])]),
            cookies: many(&[("a", &[])]),
            ..Reading::default()
        },
    );
    check(
        "http-v2-null-maps.json",
        EventKind::HttpV2,
        &Reading {
            method_arn: some("arn:aws:execute-api:eu-west-1:210987654321:h7v2api000/dev/ANY/x"),
            path: some("/dev/x"),
            route_template: some("/x"),
            request_id: some("UHttpTwo="),
            source_ip: some("2001:db8::7"),
            time_epoch_millis: Some(1_795_255_202_345),
            headers: many(&[("Authorization", &[])]),
            query: many(&[("a", &[])]),
            cookies: many(&[("a", &[])]),
            ..Reading::default()
        },
    );
}

#[test]
fn an_http_1_0_event_is_no_rest_event() {
    check(
        "http-v1.json",
        EventKind::HttpV1,
        &Reading {
            method_arn: some("arn:aws:execute-api:eu-west-1:210987654321:h7v1api000/staging/PUT/users/7"),
            path: some("/staging/users/7"),
            route_template: some("/users/{userId}"),
            request_id: some("UHttpOne="),
            source_ip: some("203.0.113.77"),
            client_cert_subject: some("CN=till-07.shops.acme.example,O=Acme"),
            time_epoch_millis: Some(1_795_255_201_000),
            headers: many(&[("authorization", &["Bearer abc.def.ghi"])]),
            query: many(&[("notify", &["true"])]),
            cookies: many(&[("theme", &["dark"])]),
            stage_variables: pairs(&[("backend", "users-v1".to_owned())]),
            ..Reading::default()
        },
    );
}

#[test]
fn an_http_2_0_event_has_a_route_arn_and_decoded_paths() {
    check(
        "http-v2.json",
        EventKind::HttpV2,
        &Reading {
            method_arn: some("arn:aws:execute-api:eu-west-1:210987654321:h7v2api000/$default/GET/files/a b"),
            path: some("/files/a b"),
            route_template: some("/files/{name}"),
            request_id: some("UHttpTwo="),
            source_ip: some("2001:db8::7"),
            client_cert_subject: some("CN=till-07.shops.acme.example,O=Acme"),
            time_epoch_millis: Some(1_795_255_202_345),
            headers: many(&[("X-Tag", &["first,second"])]),
            query: many(&[("tag", &["red,blue"]), ("q", &["a+b"])]),
            cookies: many(&[("theme", &["dark"]), ("session", &["s-0002"])]),
            stage_variables: pairs(&[("backend", "files-v2".to_owned())]),
            ..Reading::default()
        },
    );
}

#[test]
fn the_default_route_stays_the_default_route() {
    check(
        "http-v2-sparse.json",
        EventKind::HttpV2,
        &Reading {
            method_arn: some(
                "arn:aws-us-gov:execute-api:us-gov-west-1:210987654321:h7v2api000/$default/DELETE/",
            ),
            path: some("/"),
            route_template: some("$default"),
            request_id: some("UHttpTwo="),
            source_ip: some("2001:db8::7"),
            time_epoch_millis: Some(1_795_255_202_345),
            cookies: many(&[("session", &[])]),
            ..Reading::default()
        },
    );
}

#[test]
fn a_websocket_event_has_no_path_whatever_its_version_says() {
    let connect = Reading {
        method_arn: some("arn:aws:execute-api:eu-west-1:210987654321:w5ocket000/live/$connect"),
        request_id: some("USocket="),
        source_ip: some("198.51.100.7"),
        time_epoch_millis: Some(1_795_255_203_001),
        headers: many(&[
            ("Sec-WebSocket-Key", &["ZXhhbXBsZSBub25jZQ=="]),
            ("sec-websocket-protocol", &["bearer, abc.def.ghi"]),
        ]),
        ..Reading::default()
    };
    check("websocket-connect-latest.json", EventKind::WebSocketConnect, &connect);
    let query = many(&[("room", &["lobby"])]);
    let stage_variables = pairs(&[("backend", "chat-v1".to_owned())]);
    check(
        "websocket-connect.json",
        EventKind::WebSocketConnect,
        &Reading { query, stage_variables, ..connect },
    );
}

#[test]
fn an_appsync_event_names_its_api_in_its_context() {
    check(
        "appsync.json",
        EventKind::AppSync,
        &Reading {
            authorization_token: some("Bearer abc.def.ghi"),
            request_id: some("11aa22bb-33cc-44dd-55ee-66ff77aa88bb"),
            api_id: some("appsync7example000000000"),
            account_id: some("210987654321"),
            headers: many(&[("X-Tag", &["first"])]),
            ..Reading::default()
        },
    );
}

#[test]
fn odd_headers_are_read_as_far_as_they_are_text() {
    check(
        "http-v1-odd-headers.json",
        EventKind::HttpV1,
        &Reading {
            method_arn: some("arn:aws:execute-api:eu-west-1:210987654321:k3m9x2p7qa/prod/GET/odd"),
            path: some("/odd"),
            route_template: some("/odd"),
            request_id: some("odd"),
            source_ip: some("198.51.100.7"),
            headers: many(&[
                ("authorization", &["Bearer abc.def.ghi"]),
                ("X-Number", &[]),
                ("X-Null", &[]),
                ("X-List", &["a", "b"]),
                ("", &["no name"]),
                ("Space In Name", &["x"]),
                ("X-Surrogate", &["\u{fffd}\u{fffd}\u{fffd}"]),
                ("X-Line", &["a\nb"]),
            ]),
            query: many(&[("\u{fffd}\u{fffd}\u{fffd}", &["x"])]),
            ..Reading::default()
        },
    );
}

#[test]
fn one_value_is_given_and_several_are_not() {
    let bytes = fixture("rest-request.json");
    let text = AuthorizerEvent::text(&bytes);
    let event = AuthorizerEvent::parse(&text).unwrap();
    assert_eq!(event.header("HOST").as_deref(), Some("api.acme.example"));
    assert_eq!(event.header("x-tag"), None);
    assert_eq!(event.header("absent"), None);
    assert_eq!(event.query("page").as_deref(), Some("2"));
    assert_eq!(event.query("expand"), None);
    assert_eq!(event.stage_variable("logLevel").as_deref(), Some("warn"));
    assert_eq!(event.stage_variable("loglevel"), None);
}

#[test]
fn an_absent_client_certificate_is_no_empty_subject() {
    let mut event: Value = serde_json::from_slice(&fixture("http-v2.json")).unwrap();
    event["requestContext"]["authentication"]["clientCert"]["subjectDN"] = json!("");
    let bytes = serde_json::to_vec(&event).unwrap();
    assert_eq!(AuthorizerEvent::parse(&AuthorizerEvent::text(&bytes)).unwrap().client_cert_subject(), None);
}

#[test]
fn bytes_that_are_not_utf_8_spoil_only_the_text_they_stand_in() {
    let mut bytes = fixture("rest-request.json");
    let names = rest_request_names();
    let clean = fixture("rest-request.json");
    let clean = reading(&AuthorizerEvent::parse(&AuthorizerEvent::text(&clean)).unwrap(), &names);
    let at = bytes.windows(7).position(|window| window == b"Firefox").unwrap();
    bytes[at] = 0xff;
    let text = AuthorizerEvent::text(&bytes);
    let event = AuthorizerEvent::parse(&text).unwrap();
    assert_eq!(reading(&event, &names), clean);
    assert!(event.header_values("user-agent").iter().any(|value| value.contains("\u{fffd}irefox")));
}

#[test]
fn a_name_that_is_no_text_spoils_nothing_wherever_it_stands() {
    let (clean, names) = (fixture("rest-request.json"), rest_request_names());
    let expected = reading(&AuthorizerEvent::parse(&AuthorizerEvent::text(&clean)).unwrap(), &names);
    assert!(expected.source_ip.is_some() && expected.request_id.is_some());
    let text = String::from_utf8(clean).unwrap();
    let objects: Vec<usize> = text.match_indices("{\n").map(|(at, _)| at + 1).collect();
    assert!(objects.len() > 4);
    for at in objects {
        let spoilt = format!(r#"{}"\ud800":1,{}"#, &text[..at], &text[at..]);
        let event = AuthorizerEvent::parse(&spoilt).unwrap();
        assert_eq!(reading(&event, &names), expected, "{spoilt}");
    }
}

fn rest_request_names() -> Reading {
    Reading {
        headers: many(&[("authorization", &[]), ("x-tag", &[]), ("host", &[])]),
        query: many(&[("expand", &[])]),
        cookies: many(&[("session", &[])]),
        stage_variables: pairs(&[("backend", String::new())]),
        ..Reading::default()
    }
}

#[test]
fn an_escaped_spelling_means_the_same() {
    let event =
        r#"{"t\u0079pe":"TO\u004bEN","method\u0041rn":"arn\/a","authorizationToken":"Bearer \u0061"}"#;
    let event = AuthorizerEvent::parse(event).unwrap();
    assert_eq!(event.kind(), EventKind::RestToken);
    assert_eq!(event.method_arn(), Some("arn/a"));
    assert_eq!(event.authorization_token(), Some("Bearer a"));
}

#[test]
fn deep_nesting_that_nobody_reads_is_skipped() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let event = format!(r#"{{"type":"TOKEN","methodArn":"arn","x":{nested},"headers":{{"a":{nested}}}}}"#);
    let event = AuthorizerEvent::parse(&event).unwrap();
    assert_eq!((event.kind(), event.header("a")), (EventKind::RestToken, None));
}

#[test]
fn ten_thousand_headers_are_read() {
    let headers: BTreeMap<String, String> = (0..10_000).map(|n| (format!("x-{n}"), n.to_string())).collect();
    let bytes =
        serde_json::to_vec(&json!({ "version": "2.0", "routeArn": "arn", "headers": headers })).unwrap();
    assert_eq!(
        AuthorizerEvent::parse(&AuthorizerEvent::text(&bytes)).unwrap().header("X-9999").as_deref(),
        Some("9999")
    );
}

#[test]
fn the_kind_is_told_by_type_version_arn_and_context() {
    for (event, kind) in [
        (r#"{"type":"TOKEN","methodArn":"a/$connect","version":"2.0","routeArn":"b"}"#, EventKind::RestToken),
        (r#"{"version":"2.0","routeArn":"a"}"#, EventKind::HttpV2),
        (r#"{"type":"REQUEST","version":"2.0","routeArn":"a","methodArn":"b"}"#, EventKind::HttpV2),
        (r#"{"type":"REQUEST","version":"1.0","methodArn":"a"}"#, EventKind::HttpV1),
        (r#"{"type":"REQUEST","version":"1.0","methodArn":"a/$connect"}"#, EventKind::HttpV1),
        (r#"{"type":"REQUEST","methodArn":"a/s/$connect"}"#, EventKind::WebSocketConnect),
        (r#"{"type":"REQUEST","methodArn":"a/s/GET/$connect"}"#, EventKind::RestRequest),
        (r#"{"type":"REQUEST","methodArn":"a/s/GET/x/$connect"}"#, EventKind::RestRequest),
        (
            r#"{"type":"REQUEST","methodArn":"a","requestContext":{"eventType":"CONNECT"}}"#,
            EventKind::WebSocketConnect,
        ),
        (
            r#"{"type":"REQUEST","methodArn":"a","requestContext":{"eventType":"MESSAGE"}}"#,
            EventKind::RestRequest,
        ),
        (r#"{"type":"REQUEST","version":"$LATEST","methodArn":"a"}"#, EventKind::RestRequest),
        (r#"{"type":"REQUEST","methodArn":"a","requestContext":null}"#, EventKind::RestRequest),
        (r#"{"type":null,"authorizationToken":"","requestContext":{"queryString":"q"}}"#, EventKind::AppSync),
    ] {
        assert_eq!(AuthorizerEvent::parse(event).map(|event| event.kind()), Ok(kind), "{event}");
    }
}

#[test]
fn anything_else_is_refused_by_what_is_missing() {
    for (event, message) in [
        ("", "event is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{\"type\":", "event is not JSON: EOF while parsing a value at line 1 column 8"),
        ("{} {}", "event is not JSON: trailing characters at line 1 column 4"),
        ("\u{feff}{}", "event is not JSON: expected value at line 1 column 1"),
        ("null", "event is not a JSON object"),
        ("[]", "event is not a JSON object"),
        (r#""Bearer hunter2""#, "event is not a JSON object"),
        (r#"{"type":"TOKEN","methodArn":"a","methodArn":"b"}"#, "event has more than one `methodArn`"),
        (r#"{"headers":{},"headers":{}}"#, "event has more than one `headers`"),
        (
            r#"{"type":"TOKEN"}"#,
            "REST TOKEN event without `methodArn`: expected the ARN of the requested method as a string",
        ),
        (
            r#"{"type":"TOKEN","methodArn":["arn"]}"#,
            "REST TOKEN event without `methodArn`: expected the ARN of the requested method as a string",
        ),
        (
            r#"{"type":"REQUEST","methodArn":null}"#,
            "REST REQUEST event without `methodArn`: expected the ARN of the requested method as a string",
        ),
        (
            r#"{"type":"REQUEST","version":"1.0"}"#,
            "HTTP API 1.0 event without `methodArn`: expected the ARN of the requested method as a string",
        ),
        (
            r#"{"type":"REQUEST","version":"2.0"}"#,
            "HTTP API 2.0 event without `routeArn`: expected the ARN of the requested route as a string",
        ),
        (
            r#"{"type":"REQUEST","requestContext":{"eventType":"CONNECT"}}"#,
            "WebSocket $connect event without `methodArn`: expected the ARN of the requested method as a string",
        ),
        (
            "{}",
            "not an authorizer event, rather an event of another service: `type` is missing, expected `TOKEN` or `REQUEST`",
        ),
        (
            r#"{"type":"token","methodArn":"a"}"#,
            "not an authorizer event, rather an event of another service: `type` is `token`, expected `TOKEN` or `REQUEST`",
        ),
        (
            r#"{"type":7,"methodArn":"a"}"#,
            "not an authorizer event, rather an event of another service: `type` is not a string, expected `TOKEN` or `REQUEST`",
        ),
        (
            r#"{"type":"line\nbreak"}"#,
            "not an authorizer event, rather an event of another service: `type` is another text, expected `TOKEN` or `REQUEST`",
        ),
        (
            r#"{"type":"OTHER","authorizationToken":"a","requestContext":{"queryString":"q"}}"#,
            "not an authorizer event, rather an event of another service: `type` is `OTHER`, expected `TOKEN` or `REQUEST`",
        ),
        (
            r#"{"protocolData":{"mqtt":{}},"token":"x"}"#,
            "not an authorizer event, rather an AWS IoT custom authorizer event: `type` is missing, expected `TOKEN` or `REQUEST`",
        ),
        (
            r#"{"version":"2.0","routeKey":"$default","rawPath":"/"}"#,
            "not an authorizer event, rather an HTTP API 2.0 integration event: `routeArn` is missing, expected the ARN of the requested route",
        ),
        (
            r#"{"resource":"/","path":"/","httpMethod":"GET"}"#,
            "not an authorizer event, rather a REST API integration event: `type` is missing, expected `REQUEST`",
        ),
        (
            r#"{"methodArn":"a","authorizationToken":"b"}"#,
            "not an authorizer event, rather an incomplete REST TOKEN event: `type` is missing, expected `TOKEN`",
        ),
        (
            r#"{"methodArn":"a","httpMethod":"GET"}"#,
            "not an authorizer event, rather an incomplete REST REQUEST event: `type` is missing, expected `REQUEST`",
        ),
        (
            r#"{"authorizationToken":"a","requestContext":{}}"#,
            "not an authorizer event, rather an incomplete AppSync event: `requestContext.queryString` is missing, expected the GraphQL document",
        ),
        (
            r#"{"authorizationToken":null,"requestContext":{"queryString":"query { me }"}}"#,
            "not an authorizer event, rather an incomplete AppSync event: `authorizationToken` is missing, expected the value of the header `Authorization`",
        ),
    ] {
        assert_eq!(AuthorizerEvent::parse(event).unwrap_err().to_string(), message, "{event}");
    }
}

#[test]
fn an_event_over_six_megabytes_is_not_looked_at() {
    let mut bytes = fixture("rest-token.json");
    bytes.resize(AuthorizerEvent::MAX_BYTES, b' ');
    assert!(AuthorizerEvent::parse(&AuthorizerEvent::text(&bytes)).is_ok());
    bytes.push(b' ');
    let text = AuthorizerEvent::text(&bytes);
    let error = AuthorizerEvent::parse(&text).unwrap_err();
    assert_eq!(error, EventError::TooLarge { bytes: 6_291_457 });
    assert_eq!(error.to_string(), "event of 6291457 bytes is too large: the limit is 6291456 bytes");
}

/// Events that `aws_lambda_events` cannot read and we can, with its reason.
const UNREADABLE_FOR_THE_LIBRARY: [(&str, &str); 2] = [
    // An invalid header name or value fails its whole event, though nobody asks for that header.
    ("http-v1-odd-headers.json", "invalid type: integer `1`"),
    // HTTP API maps and lists may be `null`; its `cookies` and `headers` may not.
    ("http-v2-null-maps.json", "invalid type: null"),
];

/// Holds our reading of one event against the library's; `None` where the library fails as it is known to.
fn check_against_library(path: &Path) {
    let name = name_of(path);
    let bytes = read(path);
    let text = AuthorizerEvent::text(&bytes);
    let event = AuthorizerEvent::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let known = UNREADABLE_FOR_THE_LIBRARY.iter().find(|(file, _)| *file == name);
    match (library_reading(event.kind(), &bytes), known) {
        (Ok(library), None) => assert_eq!(reading(&event, &library), library, "{name}"),
        (Err(error), Some((_, reason))) => {
            assert!(error.to_string().contains(reason), "{name}: {error}");
        }
        (Ok(_), Some(_)) => panic!("{name}: the library reads it by now"),
        (Err(error), None) => panic!("{name}: the library does not read it: {error}"),
    }
}

#[test]
fn our_fixtures_read_as_the_library_reads_them() {
    let files = event_files(&fixtures());
    assert_eq!(files.len(), 12);
    files.iter().for_each(|path| check_against_library(path));
}

/// The sample events are not part of this repository: they are read where they lie beside it.
#[test]
fn the_sample_events_read_as_the_library_reads_them() {
    let Some(folder) = sample_events() else { return };
    let files = event_files(&folder);
    assert!(files.len() >= 10, "{} has no sample events", folder.display());
    for path in files {
        if name_of(&path).starts_with("neighbour-") {
            let error = AuthorizerEvent::parse(&AuthorizerEvent::text(&read(&path))).unwrap_err();
            assert!(matches!(error, EventError::NotAnAuthorizer { .. }), "{}: {error}", path.display());
        } else {
            check_against_library(&path);
        }
    }
}

fn sample_events() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("CEDAR_GATE_SAMPLE_EVENTS") {
        return Some(folder.into());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/events");
    folder.is_dir().then_some(folder)
}

fn library_reading(kind: EventKind, bytes: &[u8]) -> serde_json::Result<Reading> {
    match kind {
        EventKind::RestToken => library_token(bytes),
        EventKind::RestRequest => library_request(bytes),
        EventKind::HttpV1 => library_http_v1(bytes),
        EventKind::HttpV2 => library_http_v2(bytes),
        EventKind::WebSocketConnect => library_websocket(bytes),
        EventKind::AppSync => library_appsync(bytes),
    }
}

fn library_token(bytes: &[u8]) -> serde_json::Result<Reading> {
    let event: ApiGatewayCustomAuthorizerRequest = serde_json::from_slice(bytes)?;
    assert_eq!(event.type_.as_deref(), Some("TOKEN"));
    Ok(Reading {
        method_arn: event.method_arn,
        authorization_token: event.authorization_token,
        ..Reading::default()
    })
}

fn library_request(bytes: &[u8]) -> serde_json::Result<Reading> {
    let event: ApiGatewayCustomAuthorizerRequestTypeRequest = serde_json::from_slice(bytes)?;
    let identity = event.request_context.identity.unwrap_or_default();
    let query = if event.multi_value_query_string_parameters.is_empty() {
        event.query_string_parameters
    } else {
        event.multi_value_query_string_parameters
    };
    Ok(Reading {
        method_arn: event.method_arn,
        path: event.path,
        route_template: event.resource,
        request_id: event.request_context.request_id,
        source_ip: identity.source_ip.clone(),
        client_cert_subject: certificate_subject(&identity),
        time_epoch_millis: time_in(bytes, "requestTimeEpoch"),
        headers: header_map(&event.headers, &event.multi_value_headers),
        query: query
            .iter()
            .map(|(name, _)| (name.to_owned(), query.all(name).unwrap_or_default()))
            .map(|(name, values)| (name, values.into_iter().map(str::to_owned).collect()))
            .collect(),
        stage_variables: event.stage_variables.into_iter().collect(),
        ..Reading::default()
    })
}

fn library_http_v1(bytes: &[u8]) -> serde_json::Result<Reading> {
    let event: ApiGatewayV2CustomAuthorizerV1Request = serde_json::from_slice(bytes)?;
    assert_eq!(event.version.as_deref(), Some("1.0"));
    Ok(Reading {
        method_arn: event.method_arn,
        path: event.path,
        route_template: event.resource,
        request_id: event.request_context.request_id,
        source_ip: event.request_context.identity.source_ip.clone(),
        client_cert_subject: certificate_subject(&event.request_context.identity),
        time_epoch_millis: time_in(bytes, "requestTimeEpoch").or_else(|| time_in(bytes, "timeEpoch")),
        headers: header_map(&event.headers, &HeaderMap::new()),
        query: event.query_string_parameters.into_iter().map(|(name, value)| (name, vec![value])).collect(),
        stage_variables: event.stage_variables.into_iter().collect(),
        ..Reading::default()
    })
}

fn library_http_v2(bytes: &[u8]) -> serde_json::Result<Reading> {
    let event: ApiGatewayV2CustomAuthorizerV2Request = serde_json::from_slice(bytes)?;
    assert_eq!(event.version.as_deref(), Some("2.0"));
    let certificate = event.request_context.authentication.and_then(|it| it.client_cert);
    let route_key = event.route_key.unwrap();
    Ok(Reading {
        method_arn: event.route_arn,
        path: event.raw_path,
        route_template: route_key.split(' ').next_back().map(str::to_owned),
        request_id: event.request_context.request_id,
        source_ip: event.request_context.http.source_ip,
        client_cert_subject: certificate.and_then(|it| it.subject_dn),
        time_epoch_millis: Some(event.request_context.time_epoch),
        headers: header_map(&event.headers, &HeaderMap::new()),
        query: event.query_string_parameters.into_iter().map(|(name, value)| (name, vec![value])).collect(),
        cookies: event
            .cookies
            .iter()
            .filter_map(|cookie| cookie.split_once('='))
            .map(|(name, value)| (name.to_owned(), vec![value.to_owned()]))
            .collect(),
        stage_variables: event.stage_variables.into_iter().collect(),
        ..Reading::default()
    })
}

/// The library has no type for a WebSocket authorizer's event: the one for REST knows its ARN and maps, the one for a
/// WebSocket integration its context.
fn library_websocket(bytes: &[u8]) -> serde_json::Result<Reading> {
    let event: ApiGatewayWebsocketProxyRequest = serde_json::from_slice(bytes)?;
    assert_eq!(event.request_context.event_type.as_deref(), Some("CONNECT"));
    Ok(Reading {
        request_id: event.request_context.request_id,
        source_ip: event.request_context.identity.source_ip,
        time_epoch_millis: Some(event.request_context.request_time_epoch),
        ..library_request(bytes)?
    })
}

fn library_appsync(bytes: &[u8]) -> serde_json::Result<Reading> {
    let event: AppSyncLambdaAuthorizerRequest = serde_json::from_slice(bytes)?;
    Ok(Reading {
        authorization_token: event.authorization_token,
        request_id: event.request_context.request_id,
        api_id: event.request_context.apiid,
        account_id: event.request_context.account_id,
        ..Reading::default()
    })
}

fn certificate_subject(identity: &Identity) -> Option<String> {
    identity.client_cert.as_ref().and_then(|certificate| certificate.subject_dn.clone())
}

/// The library's authorizer types leave the request's time out.
fn time_in(bytes: &[u8], name: &str) -> Option<i64> {
    serde_json::from_slice::<Value>(bytes).unwrap()["requestContext"][name].as_i64()
}

fn header_map(last: &HeaderMap, all: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let headers = if all.is_empty() { last } else { all };
    let values =
        |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    headers.keys().map(|name| (name.to_string(), values(name))).collect()
}

/// Asks an event everything.
fn ask(event: &AuthorizerEvent<'_>, name: &str) -> Reading {
    let names = Reading {
        headers: many(&[(name, &[])]),
        query: many(&[(name, &[])]),
        cookies: many(&[(name, &[])]),
        stage_variables: pairs(&[(name, String::new())]),
        ..Reading::default()
    };
    reading(event, &names)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        event_word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(prop_oneof![event_word(), any::<String>()], inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names and values that decide how an event is read: random JSON would seldom hit them.
fn event_word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "type",
        "version",
        "methodArn",
        "routeArn",
        "authorizationToken",
        "headers",
        "multiValueHeaders",
        "requestContext",
        "queryString",
        "eventType",
        "cookies",
        "routeKey",
        "identity",
        "sourceIp",
        "stageVariables",
        "queryStringParameters",
        "requestHeaders",
        "TOKEN",
        "REQUEST",
        "1.0",
        "2.0",
        "CONNECT",
        "GET /a",
        "a=b; c=d",
    ])
    .prop_map(str::to_owned)
}

fn any_fixture() -> impl Strategy<Value = PathBuf> {
    prop::sample::select(event_files(&fixtures()))
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = AuthorizerEvent::parse(&AuthorizerEvent::text(&bytes));
    }

    #[test]
    fn no_broken_event_makes_it_panic(path in any_fixture(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = read(&path).trim_ascii_end().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(event) = AuthorizerEvent::parse(&AuthorizerEvent::text(&bytes)) {
            ask(&event, "Authorization");
        }
        bytes.truncate(at);
        prop_assert!(AuthorizerEvent::parse(&AuthorizerEvent::text(&bytes)).is_err());
    }

    #[test]
    fn no_json_makes_it_panic(value in any_json(), name in any::<String>()) {
        let bytes = serde_json::to_vec(&value).unwrap();
        if let Ok(event) = AuthorizerEvent::parse(&AuthorizerEvent::text(&bytes)) {
            ask(&event, &name);
        }
    }

    #[test]
    fn additions_leave_the_facts_alone(
        path in any_fixture(),
        member in "[a-z]{1,8}-[a-z]{1,8}",
        value in any_json(),
        header in "odd-.{0,12}",
    ) {
        let mut event: Value = match serde_json::from_slice(&read(&path)) {
            Ok(event) => event,
            // serde_json's own `Value` has no place for the lone surrogates of one fixture.
            Err(_) => return Ok(()),
        };
        let names = Reading { headers: many(&[("authorization", &[]), ("x-tag", &[])]), ..Reading::default() };
        let before = serde_json::to_vec(&event).unwrap();
        let text = AuthorizerEvent::text(&before);
        let before = AuthorizerEvent::parse(&text).unwrap();
        event[&member] = value.clone();
        event["requestContext"][&member] = value.clone();
        for map in ["headers", "multiValueHeaders", "queryStringParameters", "requestHeaders"] {
            if event[map].is_object() {
                event[map][&header] = value.clone();
            }
        }
        let after = serde_json::to_vec(&event).unwrap();
        let text = AuthorizerEvent::text(&after);
        let after = AuthorizerEvent::parse(&text).unwrap();
        prop_assert_eq!(before.kind(), after.kind());
        prop_assert_eq!(reading(&before, &names), reading(&after, &names));
    }
}
