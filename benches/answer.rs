//! What an answer costs, beside the one thing in it that nobody can avoid: the RS256 check of its token.
//!
//! `cargo bench --bench answer` first measures the raw check by aws-lc-rs and whole answers, event bytes to response
//! bytes, **in turns within one run**, prints each one's ratio to the check, and fails when a ratio is above
//! [`PROMISE`]; then criterion measures each by itself and compares with the last time.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark reads clocks and files, reports on stdout and stops at whatever fails"
)]

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::Bundle;
use cedar_gate::fetch;
use cedar_gate::response::Reply;
use cedar_gate::time::Timestamp;
use criterion::Criterion;
use serde_json::json;

/// The most that an answer may cost, in raw RS256 checks.
const PROMISE: f64 = 3.0;

/// Turns: enough for a median that a busy machine does not move.
const ROUNDS: usize = 61;

/// How long one side's turn lasts.
const TURN: Duration = Duration::from_millis(5);

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_200);
const ISSUER: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456";
const CLIENT: &str = "1example23456789";
const KEY_ID: &str = "bench-1";
const METHOD_ARN: &str = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders/4711";

fn main() -> ExitCode {
    let subject = Subject::new();
    // `cargo test` starts benchmarks too, without this argument, to see that they run.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let kept = !measured || compare(&subject);
    let mut criterion = Criterion::default().configure_from_args();
    for (name, run) in subject.runs() {
        criterion.bench_function(name, |bencher| bencher.iter(&run));
    }
    criterion.final_summary();
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

type Run<'a> = Box<dyn Fn() + 'a>;

/// What is measured: one token, its key, and the events that carry it.
struct Subject {
    key: ParsedPublicKey,
    signed: String,
    signature: Vec<u8>,
    authorizer: Authorizer,
    token_event: Vec<u8>,
    request_event: Vec<u8>,
}

impl Subject {
    fn new() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair can be generated");
        let (signed, signature) = sign(&pair);
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature));
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
            .expect("the public key parses");
        let authorizer = Authorizer::new(bundle(&pair)).expect("the bundle can be prepared");
        let (token_event, request_event) = (token_event(&token), request_event(&token));
        let subject = Self { key, signed, signature, authorizer, token_event, request_event };
        subject.check();
        subject
    }

    /// A refusal is cheap: only an answer that allows shows what an answer costs.
    fn check(&self) {
        self.key.verify_sig(self.signed.as_bytes(), &self.signature).expect("the signature is right");
        for event in [&self.token_event, &self.request_event] {
            let reply = self.authorizer.answer(event, NOW).reply;
            let allows =
                matches!(&reply, Reply::Json(body) if String::from_utf8_lossy(body).contains(r#""Allow""#));
            assert!(allows, "the bundle refuses the event of this benchmark: {reply:?}");
        }
    }

    /// The raw check first: the others are compared with it.
    fn runs(&self) -> [(&'static str, Run<'_>); 3] {
        let answer = |event: &'_ [u8]| {
            black_box(self.authorizer.answer(black_box(event), NOW));
        };
        [
            (
                "raw RS256 check",
                Box::new(|| {
                    let message = black_box(self.signed.as_bytes());
                    black_box(self.key.verify_sig(message, &self.signature)).expect("the signature is right");
                }),
            ),
            ("answer to a TOKEN event", Box::new(move || answer(&self.token_event))),
            ("answer to a REQUEST event", Box::new(move || answer(&self.request_event))),
        ]
    }
}

/// Measures all in turns, prints the table, and says whether the promise is kept.
fn compare(subject: &Subject) -> bool {
    let runs = subject.runs();
    let batches: Vec<u32> = runs.iter().map(|(_, run)| batch(run)).collect();
    let mut times: Vec<Vec<f64>> = vec![Vec::with_capacity(ROUNDS); runs.len()];
    for _ in 0..ROUNDS {
        for (((_, run), batch), times) in runs.iter().zip(&batches).zip(&mut times) {
            times.push(microseconds(run, *batch));
        }
    }
    let raw = times.first().cloned().unwrap_or_default();
    println!("{:<28}{:>12}{:>10}{:>8}", format!("{ROUNDS} turns each"), "median us", "min us", "ratio");
    let mut kept = true;
    for ((name, _), times) in runs.iter().zip(times) {
        // Paired by turn: what disturbs a turn disturbs both sides.
        let ratio = median(times.iter().zip(&raw).map(|(time, raw)| time / raw).collect());
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{name:<28}{:>12.2}{least:>10.2}{ratio:>8.2}", median(times));
        kept &= ratio <= PROMISE;
    }
    println!("promise: at most {PROMISE:.1} x the raw check: {}\n", if kept { "kept" } else { "BROKEN" });
    kept
}

/// How many runs fill a turn; this also warms up.
fn batch(run: &dyn Fn()) -> u32 {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < TURN * 4 {
        run();
        count += 1;
    }
    (count / 4).max(1)
}

fn microseconds(run: &dyn Fn(), count: u32) -> f64 {
    let started = Instant::now();
    for _ in 0..count {
        run();
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The signed part of an access token as Cognito issues it, and its signature.
fn sign(pair: &KeyPair) -> (String, Vec<u8>) {
    let header = json!({ "kid": KEY_ID, "alg": "RS256" });
    let claims = json!({
        "sub": "a1b2c3d4-1111-2222-3333-444455556666",
        "device_key": "eu-west-1_0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        "cognito:groups": ["clerk", "auditor"],
        "token_use": "access",
        "scope": "openid profile orders/read orders/write",
        "auth_time": NOW.unix_seconds() - 600,
        "iss": ISSUER,
        "exp": NOW.unix_seconds() + 3_000,
        "iat": NOW.unix_seconds() - 600,
        "version": 2,
        "jti": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        "client_id": CLIENT,
        "username": "a1b2c3d4-1111-2222-3333-444455556666",
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let padding: &'static dyn RsaEncoding = &RSA_PKCS1_SHA256;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("the key signs");
    (signed, signature)
}

/// The bundle of this repository with one issuer more, whose key is made here.
fn bundle(pair: &KeyPair) -> Bundle {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["policies", "schema"] {
        copy(&root.join(part), &directory.path().join(part));
    }
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = pair.public_key();
    let jwks = json!({ "keys": [{
        "kid": KEY_ID,
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "n": part(public.modulus().big_endian_without_leading_zero()),
        "e": part(public.exponent().big_endian_without_leading_zero()),
    }] });
    let issuer = format!(
        "name = \"bench-staff\"\nissuer = \"{ISSUER}\"\nprovider = \"cognito\"\ntoken_use = \"access\"\n\
         audience = [\"{CLIENT}\"]\ntenant = \"acme\"\n\
         roles = {{ claim = \"cognito:groups\", grant = [\"clerk\", \"auditor\"] }}\n\
         keys = {{ file = \"bench.jwks.json\" }}\n"
    );
    let issuers = directory.path().join("policies/issuers");
    std::fs::create_dir_all(&issuers).expect("a directory can be made");
    std::fs::write(issuers.join("bench.jwks.json"), jwks.to_string()).expect("a file can be written");
    std::fs::write(issuers.join("bench.toml"), issuer).expect("a file can be written");
    let files = fetch::read_bundle(directory.path()).expect("the bundle can be read");
    Bundle::load(&files).unwrap_or_else(|errors| {
        println!("{errors}");
        std::process::abort()
    })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    for entry in std::fs::read_dir(from).expect("the bundle's directory can be read") {
        let entry = entry.expect("the bundle's directory can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).expect("a file can be copied");
        }
    }
}

fn token_event(token: &str) -> Vec<u8> {
    let event =
        json!({ "type": "TOKEN", "authorizationToken": format!("Bearer {token}"), "methodArn": METHOD_ARN });
    event.to_string().into_bytes()
}

/// A REST REQUEST event as a browser behind CloudFront causes it: each header twice, as API Gateway sends them.
fn request_event(token: &str) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Accept", "application/json, text/plain, */*"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
        ("Authorization", bearer.as_str()),
        ("CloudFront-Forwarded-Proto", "https"),
        ("CloudFront-Is-Desktop-Viewer", "true"),
        ("CloudFront-Viewer-Country", "IE"),
        ("Host", "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"),
        ("Origin", "https://orders.example"),
        ("Referer", "https://orders.example/"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793"),
        ("X-Forwarded-For", "192.0.2.17, 198.51.100.4"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ];
    let single: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let multi: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let event = json!({
        "type": "REQUEST",
        "methodArn": METHOD_ARN,
        "resource": "/orders/{orderId}",
        "path": "/orders/4711",
        "httpMethod": "GET",
        "headers": single,
        "multiValueHeaders": multi,
        "queryStringParameters": { "expand": "lines" },
        "multiValueQueryStringParameters": { "expand": ["lines"] },
        "pathParameters": { "orderId": "4711" },
        "stageVariables": null,
        "requestContext": {
            "resourceId": "abc123",
            "resourcePath": "/orders/{orderId}",
            "httpMethod": "GET",
            "path": "/prod/orders/4711",
            "accountId": "123456789012",
            "stage": "prod",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "extendedRequestId": "NvWWKEZbliAFliA=",
            "requestTimeEpoch": NOW.unix_millis(),
            "apiId": "a1b2c3d4e5",
            "protocol": "HTTP/1.1",
            "domainName": "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
            "identity": { "sourceIp": "192.0.2.17", "userAgent": "Mozilla/5.0", "apiKey": null, "clientCert": null },
        },
    });
    event.to_string().into_bytes()
}
