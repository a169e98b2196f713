//! Asking about opaque tokens, over HTTP on loopback: what is sent, what is believed, and that an endpoint that fails
//! neither lets anybody in nor makes everybody wait. Moments are arguments; what was asked of the server is counted.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cedar_gate::authorizer::{Authorizer, Evidence};
use cedar_gate::bundle::Bundle;
use cedar_gate::credential::BearerToken;
use cedar_gate::fetch::http::{HttpClient, REQUEST_TIMEOUT};
use cedar_gate::fetch::introspection::{IntrospectionClient, IntrospectionError, IntrospectionReport};
use cedar_gate::fetch::read_secrets;
use cedar_gate::jose::{Hmac, KeyRing, Need, TrustedIssuer, TrustedIssuers, verify, verify_token};
use cedar_gate::record::Outcome;
use cedar_gate::response::Reply;
use cedar_gate::time::Timestamp;
use serde_json::{Value, json};

use crate::bundle::example;
use crate::loopback::{Answer, Server};
use crate::tokens::vectors;

/// 2026-11-21T12:00:00Z, in milliseconds.
const START: i64 = 1_795_262_400_000;

const SECRET: &str = "p@ss:w\u{f6}rd + 100%~\n";

/// So many milliseconds after the beginning.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(START + millis)
}

fn token(text: &str) -> BearerToken<'static> {
    BearerToken::new(text.to_owned()).unwrap()
}

/// How long a question took, in milliseconds: an endpoint is left alone from its end on.
fn took(report: &IntrospectionReport) -> i64 {
    i64::try_from(report.took.as_millis()).unwrap()
}

/// A file with these bytes.
fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

/// `acme`, which is asked at `/introspect` about tokens that begin with `at_`, and whoever asks.
struct World {
    server: Server,
    secret: tempfile::NamedTempFile,
    issuers: TrustedIssuers,
    client: IntrospectionClient,
}

impl World {
    fn new() -> Self {
        let (server, secret) = (Server::start(), file(SECRET.as_bytes()));
        let issuer = |name: &str, prefix: &str| {
            TrustedIssuer::from_toml(&issuer_file(name, &server, secret.path().to_str().unwrap(), prefix))
                .unwrap()
        };
        let issuers = TrustedIssuers::new(vec![issuer("acme", "at_"), issuer("globex", "gl_")]).unwrap();
        Self { server, secret, issuers, client: IntrospectionClient::new(HttpClient::new()) }
    }

    fn serve(&self, answer: Answer) {
        self.server.set("/acme", answer);
    }

    fn ask(&self, millis: i64) -> IntrospectionReport {
        self.client.ask(&self.issuers, &token("at_s3cret"), at(millis), REQUEST_TIMEOUT).unwrap()
    }

    /// How often `acme` was asked.
    fn count(&self) -> usize {
        self.server.count("/acme")
    }
}

fn issuer_file(name: &str, server: &Server, secret: &str, prefix: &str) -> String {
    format!(
        r#"
name = "{name}"
issuer = "https://{name}.example"
provider = "oidc"
token_use = "access"
audience = ["orders"]
roles = {{ grant = ["clerk"] }}
development = true
introspection = {{ url = "{}", client_id = "gate:\u00e4 1", client_secret = {{ file = "{secret}" }}, prefix = "{prefix}" }}
"#,
        server.url(&format!("/{name}"))
    )
}

fn active() -> Answer {
    Answer::ok(said(json!({})))
}

fn said(changes: Value) -> String {
    let mut said = json!({
        "active": true, "sub": "ann", "client_id": "web", "aud": "orders", "exp": START / 1000 + 3600, "roles": ["clerk"],
        "token_type": "Bearer", "department": "support",
    });
    said.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    said.to_string()
}

#[test]
fn the_question_is_as_the_rfcs_say() {
    let world = World::new();
    world.serve(active());
    let asked = token("at_a-._~+/==");
    let report = world.client.ask(&world.issuers, &asked, at(0), REQUEST_TIMEOUT).unwrap();
    assert_eq!((report.issuer.as_str(), report.url.as_str()), ("acme", world.server.url("/acme").as_str()));
    let introspected = report.outcome.unwrap();
    let claims =
        verify_token(&asked, &world.issuers, &KeyRing::default(), Some(&introspected), at(0)).unwrap();
    assert_eq!((claims.issuer(), claims.subject()), ("acme", "ann"));

    let requests = world.server.requests();
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert!(request.head.starts_with("POST /acme HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("accept"), Some("application/json"));
    // RFC 6749 §2.3.1 and appendix B.
    let basic = STANDARD.encode("gate%3A%C3%A4+1:p%40ss%3Aw%C3%B6rd+%2B+100%25%7E");
    assert_eq!(request.header("authorization"), Some(format!("Basic {basic}").as_str()));
    assert_eq!(request.body, "token=at_a-._%7E%2B%2F%3D%3D&token_type_hint=access_token");
}

#[test]
fn only_the_issuer_of_a_token_is_asked_about_it() {
    let world = World::new();
    world.serve(active());
    assert!(world.client.ask(&world.issuers, &token("other"), at(0), REQUEST_TIMEOUT).is_none());
    assert!(
        world
            .client
            .ask(&world.issuers, &token(&vectors::accepted("oidc-es256")), at(0), REQUEST_TIMEOUT)
            .is_none()
    );
    assert_eq!(world.server.requests().len(), 0);
    assert_eq!(
        world.client.ask(&world.issuers, &token("gl_1"), at(0), REQUEST_TIMEOUT).unwrap().issuer,
        "globex"
    );
    assert_eq!((world.count(), world.server.count("/globex")), (0, 1));
}

/// Each way in which an endpoint fails: what is said of it, and whether it is left alone then. No token is accepted, and the
/// answer is a fault that says whom to ask.
#[test]
fn an_endpoint_that_fails_lets_nobody_in() {
    let refused = "it does not accept the client id or the client secret of this authorizer";
    let long = format!("{{\"active\":true,\"sub\":\"{}\"}}", "x".repeat(64 * 1024));
    let reply = |status: u16| Answer::status(status);
    for (answer, message, left_alone) in [
        (reply(400), "status 400".to_owned(), false),
        (reply(404), "status 404".to_owned(), false),
        (reply(500), "status 500".to_owned(), false),
        (reply(401), format!("status 401: {refused}"), true),
        (reply(403), format!("status 403: {refused}"), true),
        (reply(429), "status 429".to_owned(), true),
        (reply(502), "status 502".to_owned(), true),
        (reply(503), "status 503".to_owned(), true),
        (reply(504), "status 504".to_owned(), true),
        (reply(204), "status 204".to_owned(), false),
        (Answer::redirect("/elsewhere"), "status 302".to_owned(), false),
        (
            Answer::ok("<!doctype html><p>Log in"),
            "the answer is not JSON: line 1, column 1".to_owned(),
            false,
        ),
        (Answer::ok(""), "the answer is not JSON: line 1, column 0".to_owned(), false),
        (Answer::ok("true"), "the answer is not a JSON object".to_owned(), false),
        (Answer::ok("{\"active\":true,\"active\":true}"), "the answer has a member twice".to_owned(), false),
        (Answer::ok(long.clone()), format!("the answer has {} bytes: the limit is 65536", long.len()), false),
        (Answer::ok("x".repeat(10_000_000)), "the answer has more than 524288 bytes".to_owned(), false),
        (Answer::Raw(Vec::new()), "the answer is cut off".to_owned(), true),
        (Answer::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), "the answer is not HTTP/1.1".to_owned(), true),
        (
            Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"active\":true}".to_vec()),
            "the answer is cut off".to_owned(),
            true,
        ),
        (Answer::Stall(Vec::new()), "no whole answer within 2000 ms".to_owned(), true),
        (
            Answer::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"active\":true,".to_vec()),
            "no whole answer within 2000 ms".to_owned(),
            true,
        ),
    ] {
        let world = World::new();
        world.serve(answer.clone());
        world.server.set("/elsewhere", active());
        let report = world.ask(0);
        let shown = report.outcome.as_ref().unwrap_err().to_string();
        let expected = format!("`{}`: {message}", world.server.url("/acme"));
        let answer = format!("{answer:.60?}");
        assert_eq!(shown, expected, "{answer}");
        assert_eq!(world.server.count("/elsewhere"), 0, "{answer}");

        let unanswered = verify_token(&token("at_s3cret"), &world.issuers, &KeyRing::default(), None, at(0));
        assert_eq!(unanswered.unwrap_err().slug(), "introspection_unavailable");

        // A moment later.
        let took = took(&report);
        world.serve(active());
        let again = world.ask(took + 500);
        assert_eq!(again.outcome.is_err(), left_alone, "{answer}: {again:?}");
        assert_eq!(world.count(), if left_alone { 1 } else { 2 }, "{answer}");
        if left_alone {
            assert!(again.took < Duration::from_millis(500), "{answer}: nobody waits for it");
            assert!(matches!(again.outcome, Err(IntrospectionError::BackingOff { .. })), "{again:?}");
        }
        // Another issuer is not touched.
        world.server.set("/globex", active());
        assert!(
            world
                .client
                .ask(&world.issuers, &token("gl_1"), at(took + 500), REQUEST_TIMEOUT)
                .unwrap()
                .outcome
                .is_ok()
        );
    }
}

#[test]
fn nobody_listens() {
    let world = World::new();
    let url = world.server.url("/acme");
    let gone = TrustedIssuer::from_toml(
        &issuer_file("acme", &world.server, world.secret.path().to_str().unwrap(), "at_")
            .replace(&url, "http://127.0.0.1:1/acme"),
    );
    let issuers = TrustedIssuers::new(vec![gone.unwrap()]).unwrap();
    let outcome = world.client.ask(&issuers, &token("at_1"), at(0), REQUEST_TIMEOUT).unwrap().outcome;
    assert_eq!(
        outcome.unwrap_err().to_string(),
        "`http://127.0.0.1:1/acme`: no connection to `127.0.0.1`: connection refused"
    );
}

/// One endpoint for two issuers, which it knows by two client ids.
#[test]
fn a_client_that_is_not_accepted_closes_the_endpoint_to_no_other() {
    let world = World::new();
    let file = |name: &str, prefix: &str| {
        let file = issuer_file(name, &world.server, world.secret.path().to_str().unwrap(), prefix);
        TrustedIssuer::from_toml(&file.replace("/globex\"", "/acme\"").replace("gate:", name)).unwrap()
    };
    let issuers = TrustedIssuers::new(vec![file("acme", "at_"), file("globex", "gl_")]).unwrap();
    let ask =
        |asked: &str| world.client.ask(&issuers, &token(asked), at(0), REQUEST_TIMEOUT).unwrap().outcome;
    world.serve(Answer::status(401));
    assert!(matches!(ask("at_1"), Err(IntrospectionError::NotAuthorized { .. })));
    world.serve(active());
    assert!(ask("gl_1").is_ok());
    assert!(matches!(ask("at_1"), Err(IntrospectionError::BackingOff { .. })));
}

#[test]
fn an_endpoint_is_left_alone_for_longer_and_longer_and_then_asked_again() {
    let world = World::new();
    world.serve(Answer::status(503));
    let mut now = 0;
    for (times, pause) in [1_000, 2_000, 4_000, 8_000, 10_000, 10_000].into_iter().enumerate() {
        now += took(&world.ask(now));
        assert_eq!(world.count(), times + 1);
        assert!(matches!(world.ask(now + pause - 200).outcome, Err(IntrospectionError::BackingOff { .. })));
        assert_eq!(world.count(), times + 1, "after {pause} ms less a moment");
        now += pause + 200;
    }
    world.serve(active());
    assert!(world.ask(now).outcome.is_ok());
    // It answers, so all is forgotten.
    world.serve(Answer::status(503));
    let failed = world.ask(now);
    assert!(failed.outcome.is_err());
    world.serve(active());
    assert!(world.ask(now + took(&failed) + 1_500).outcome.is_ok());
}

#[test]
fn a_clock_that_was_set_back_leaves_no_endpoint_alone_for_ever() {
    let world = World::new();
    world.serve(Answer::status(503));
    assert!(world.ask(86_400_000).outcome.is_err());
    world.serve(active());
    assert!(world.ask(0).outcome.is_ok());
}

#[test]
fn a_question_for_which_there_was_too_little_time_says_nothing_about_the_endpoint() {
    let world = World::new();
    world.serve(Answer::Stall(Vec::new()));
    let within = Duration::from_millis(50);
    let report = world.client.ask(&world.issuers, &token("at_1"), at(0), within).unwrap();
    let message = format!("`{}`: no whole answer within 50 ms", world.server.url("/acme"));
    assert_eq!(report.outcome.unwrap_err().to_string(), message);
    world.serve(active());
    assert!(world.ask(51).outcome.is_ok());
}

/// While one caller finds out whether an endpoint answers again, the others are told at once that it did not.
#[test]
fn one_caller_waits_for_an_endpoint_that_failed() {
    let world = World::new();
    world.serve(Answer::status(503));
    let failed = world.ask(0);
    assert!(failed.outcome.is_err());
    let now = took(&failed) + 1_500;
    world.serve(Answer::After(Duration::from_millis(1_200), Box::new(active())));
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| world.ask(now).outcome.is_ok())).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|ok| **ok).count(), 1, "{outcomes:?}");
    assert_eq!(world.count(), 2);
    assert!(world.ask(now).outcome.is_ok());
}

/// What makes an endpoint answer in another way than others do is a caller's choice: it must not close it to the others.
#[test]
fn one_callers_token_does_not_close_the_endpoint_to_others() {
    let world = World::new();
    for answer in
        [Answer::status(400), Answer::status(500), Answer::ok("no"), Answer::ok("x".repeat(600_000))]
    {
        world.serve(answer);
        assert!(world.ask(0).outcome.is_err());
        world.serve(active());
        assert!(world.ask(0).outcome.is_ok());
    }
}

#[test]
fn a_secret_that_is_missing_is_named_and_a_new_one_is_taken_at_once() {
    let world = World::new();
    world.serve(active());
    let path = world.secret.path().to_str().unwrap().to_owned();
    for (bytes, message) in [
        (&b"\n"[..], format!("the client secret: file `{path}` is empty")),
        (b"\xff\xfe", format!("the client secret: file `{path}` is not UTF-8 text")),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(world.ask(0).outcome.unwrap_err().to_string(), message);
    }
    assert_eq!(world.count(), 0);
    std::fs::write(&path, "new").unwrap();
    assert!(world.ask(0).outcome.is_ok());
    let basic = STANDARD.encode("gate%3A%C3%A4+1:new");
    assert_eq!(world.server.requests()[0].header("authorization"), Some(format!("Basic {basic}").as_str()));
}

#[test]
fn nothing_that_is_shown_has_the_token_or_the_secret_or_the_answer_in_it() {
    let world = World::new();
    for answer in [
        active(),
        Answer::status(401),
        Answer::ok("at_s3cret p@ss ann"),
        Answer::redirect("https://a.example/?token=at_s3cret&secret=p@ss"),
        Answer::Raw(b"HTTP/1.1 at_s3cret\r\n\r\n".to_vec()),
        Answer::status(503),
    ] {
        world.serve(answer);
        let report = world.ask(0);
        let mut shown = format!("{report:?} {:?}", world.client);
        if let Err(error) = &report.outcome {
            shown.push_str(&error.to_string());
        }
        for secret in ["s3cret", "p@ss", "ann", "support"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// The example's bundle and these issuer files.
fn bundle_of(issuers: &[(&str, String)]) -> Bundle {
    let mut files = example();
    for (name, file) in issuers {
        files.insert(format!("policies/issuers/{name}.toml"), file.clone());
    }
    Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn an_opaque_token_is_a_fault_until_its_issuer_has_spoken() {
    let (server, secret) = (Server::start(), file(b"s"));
    let bundle =
        bundle_of(&[("globe", issuer_file("globe", &server, secret.path().to_str().unwrap(), "at_"))]);
    let authorizer = Authorizer::new(bundle).unwrap();
    let client = IntrospectionClient::new(HttpClient::new());
    let event = json!({
        "type": "TOKEN",
        "authorizationToken": "Bearer at_1",
        "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders",
    });
    let event = event.to_string();
    // What a shell does: asks, satisfies the need, and asks once more.
    let answer = |now: Timestamp| {
        let bundle = authorizer.bundle();
        let evidence = Evidence { keys: bundle.keys(), introspected: None };
        let answered = authorizer.answer_with(event.as_bytes(), evidence, now);
        let Some(Need::Introspection { issuer, token }) = &answered.need else { return answered };
        assert_eq!(issuer, "globe");
        let introspected = client.ask(bundle.issuers(), token, now, REQUEST_TIMEOUT).unwrap().outcome.ok();
        let evidence = Evidence { introspected: introspected.as_ref(), ..evidence };
        authorizer.answer_with(event.as_bytes(), evidence, now)
    };
    let told = |now: Timestamp| {
        let answered = answer(now);
        assert!(!format!("{answered:?}").contains("at_1"), "{answered:?}");
        let allowed = matches!(&answered.reply, Reply::Json(body) if body.as_str().contains("\"Allow\""));
        assert_eq!(allowed, answered.record.outcome == Outcome::Allow);
        (answered.record.outcome, answered.record.reason)
    };
    server.set("/globe", Answer::status(500));
    assert_eq!(told(at(0)), (Outcome::Fault, "introspection_unavailable"));
    server.set("/globe", Answer::ok("{\"active\":false}"));
    assert_eq!(told(at(0)), (Outcome::Unauthorized, "inactive_token"));
    assert_eq!(told(at(0)), (Outcome::Unauthorized, "inactive_token"));
    assert_eq!(server.count("/globe"), 3, "what is not active is not remembered");
    server.set("/globe", active());
    assert_eq!(told(at(0)), (Outcome::Allow, "policy"));
    server.set("/globe", Answer::ok(said(json!({ "roles": ["auditor"] }))));
    assert_eq!(told(at(59_999)), (Outcome::Allow, "policy"));
    assert_eq!(server.count("/globe"), 4, "what is active is remembered for a minute");
    assert_eq!(told(at(60_000)), (Outcome::Deny, "no_permit"));
    server.set("/globe", Answer::ok("{\"active\":false}"));
    assert_eq!(told(at(120_000)), (Outcome::Unauthorized, "inactive_token"));
    server.set("/globe", Answer::Raw(Vec::new()));
    assert_eq!(told(at(121_000)), (Outcome::Fault, "introspection_unavailable"));
    assert_eq!(told(at(121_500)), (Outcome::Fault, "introspection_unavailable"));
    assert_eq!(server.count("/globe"), 7);
}

#[test]
fn an_issuer_whose_secret_is_missing_has_no_keys_and_the_others_have_theirs() {
    let ledger =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tokens/issuers/ledger.toml"))
            .unwrap();
    let secret = file(&[vectors::LEDGER_SECRET, b"\n"].concat());
    let short = file(b"hunter2\n");
    let with = |source: String| ledger.replace("{ env = \"LEDGER_SECRET\" }", &source);
    let in_file =
        |file: &tempfile::NamedTempFile| with(format!("{{ file = \"{}\" }}", file.path().display()));
    // `check` loads the bundle, and needs no secret.
    let mut bundle = bundle_of(&[
        ("ledger", in_file(&secret)),
        ("absent", with("{ env = \"CEDAR_GATE_TEST_NO_SUCH_VARIABLE\" }".to_owned()).replace("ledger", "absent")),
        ("short", in_file(&short).replace("ledger", "short")),
        (
            "asked",
            "name = \"asked\"\nissuer = \"https://asked.example\"\nprovider = \"oidc\"\ntoken_use = \"access\"\naudience = \"any\"\n\
             introspection = { url = \"https://asked.example/i\", client_id = \"g\", client_secret = { file = \"/no/such/file\" } }\n"
                .to_owned(),
        ),
    ]);
    let missing: Vec<String> = read_secrets(&mut bundle).iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        [
            "issuer `absent` has no keys: environment variable `CEDAR_GATE_TEST_NO_SUCH_VARIABLE` is not set".to_owned(),
            "issuer `asked` cannot be asked about tokens: cannot read file `/no/such/file`: No such file or directory (os error 2)".to_owned(),
            format!(
                "issuer `short` has no keys: file `{}`: the secret is shorter than the 32 bytes that HS256 needs",
                short.path().display()
            ),
        ]
    );
    let slug = |issuer: &str, secret: &[u8]| {
        let claims = vectors::ledger(json!({ "iss": format!("https://{issuer}.example") })).to_string();
        let signed =
            vectors::hmac_signed_with(Hmac::Hs256, r#"{"alg":"HS256","typ":"at+jwt"}"#, &claims, secret);
        verify(&token(&signed), bundle.issuers(), bundle.keys(), vectors::now())
            .map_or_else(|error| error.slug(), |_| "accepted")
    };
    assert_eq!(slug("ledger", vectors::LEDGER_SECRET), "accepted");
    assert_eq!(slug("ledger", &[vectors::LEDGER_SECRET, b"\n"].concat()), "bad_signature");
    for secret in [&b"hunter2"[..], b"", vectors::LEDGER_SECRET] {
        assert_eq!(slug("absent", secret), "keys_unavailable");
        assert_eq!(slug("short", secret), "keys_unavailable");
    }
}
