//! Published keys: rotated, removed, stalled, broken, moved, by a real server on loopback. A valid token is never refused
//! while its key is served within the rules, and a removed key is never accepted past `max_age`. The clock is an argument,
//! so hours pass in milliseconds; what was asked of the server is counted.

use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use cedar_gate::bundle::Bundle;
use cedar_gate::credential::BearerToken;
use cedar_gate::fetch::http::HttpClient;
use cedar_gate::fetch::keys::{FetchOutcome, FetchReport, KeyStore};
use cedar_gate::jose::{Algorithm, Need, TokenError, verify};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{DevelopmentKey, TokenRequest, mint_for};
use serde_json::{Map, Value, json};

use crate::bundle::example;
use crate::loopback::{Answer, Server};

/// 2026-11-21T12:00:00Z.
const START: i64 = 1_795_262_400;

/// So many seconds after the beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

/// Keys to sign with; making one takes a moment.
static KEYS: LazyLock<Vec<DevelopmentKey>> =
    LazyLock::new(|| (0..4).map(|_| DevelopmentKey::generate(Algorithm::Es256).unwrap()).collect());

fn jwks(keys: &[usize]) -> String {
    json!({ "keys": keys.iter().map(|key| KEYS[*key].public_jwk()).collect::<Vec<Value>>() }).to_string()
}

fn issuer_file(name: &str, iss: &str, keys: &str) -> String {
    format!(
        "name = \"{name}\"\nissuer = \"{iss}\"\nprovider = \"oidc\"\ntoken_use = \"access\"\naudience = \"any\"\ndevelopment = true\nkeys = {keys}\n"
    )
}

/// The example's bundle, whose own issuers have pinned keys, and these issuer files.
fn bundle_of(issuers: impl IntoIterator<Item = (String, String)>) -> Bundle {
    let mut files = example();
    for (name, file) in issuers {
        files.insert(format!("policies/issuers/{name}.toml"), file);
    }
    Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A bundle, a store that has adopted it, and the server where its issuers publish.
struct World {
    server: Server,
    bundle: Bundle,
    store: KeyStore,
}

impl World {
    /// `issuers`: name, and `keys` of its file with `{server}` for the server's address.
    fn new(issuers: &[(&str, &str)]) -> Self {
        let server = Server::start();
        let files = issuers.iter().map(|(name, keys)| {
            let keys = keys.replace("{server}", &server.url(""));
            ((*name).to_owned(), issuer_file(name, &format!("https://{name}.example"), &keys))
        });
        let bundle = bundle_of(files);
        let store = KeyStore::new(HttpClient::new());
        store.adopt(&bundle);
        Self { server, bundle, store }
    }

    /// One issuer, `acme`, with its key set at `/jwks` and a `max_age` of an hour.
    fn acme() -> Self {
        Self::new(&[("acme", "{ url = \"{server}/jwks\" }")])
    }

    fn token(&self, issuer: &str, key: usize) -> BearerToken {
        let issuer = self.bundle.issuers().iter().find(|known| known.name() == issuer).unwrap();
        let request = TokenRequest {
            subject: "amal".to_owned(),
            client_id: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            tenant: None,
            issued_at: at(-60),
            expires_at: at(1_000_000),
            claims: Map::from_iter([("client_id".to_owned(), json!("c1")), ("jti".to_owned(), json!("t1"))]),
        };
        BearerToken::new(&mint_for(issuer, &KEYS[key], &request).unwrap()).unwrap()
    }

    /// What a shell does: asks, fetches what is needed, and asks once more.
    fn answer(&self, token: &BearerToken, now: Timestamp) -> Result<(), TokenError> {
        let verified = || verify(token, self.bundle.issuers(), &self.store.ring(), now).map(drop);
        let error = match verified() {
            Err(error) => error,
            accepted => return accepted,
        };
        match error.need() {
            Some(Need::Keys { key_set }) => {
                self.store.refresh(&key_set, now);
                verified()
            }
            Some(Need::Introspection { .. }) | None => Err(error),
        }
    }

    fn slug(&self, issuer: &str, key: usize, now: Timestamp) -> &'static str {
        self.answer(&self.token(issuer, key), now).map_or_else(|error| error.slug(), |()| "accepted")
    }

    fn refresh(&self, key_set: &str, now: Timestamp) -> FetchOutcome {
        self.store.refresh(key_set, now).unwrap().outcome
    }
}

#[test]
fn a_rotated_key_is_fetched_with_its_first_token() {
    let world = World::acme();
    world.server.set("/jwks", Answer::ok(jwks(&[0])));
    assert_eq!(world.slug("acme", 0, at(0)), "accepted");
    assert_eq!(world.slug("acme", 0, at(100)), "accepted");
    assert_eq!(world.server.count("/jwks"), 1);
    world.server.set("/jwks", Answer::ok(jwks(&[0, 1])));
    assert_eq!(world.slug("acme", 1, at(100)), "accepted");
    assert_eq!(world.slug("acme", 0, at(101)), "accepted");
    assert_eq!(world.server.count("/jwks"), 2);
}

#[test]
fn discovery_leads_to_the_keys() {
    let world = World::new(&[("acme", "{ url = \"{server}/jwks\" }")]);
    let issuer = world.server.url("");
    let bundle = bundle_of([("acme".to_owned(), issuer_file("acme", &issuer, "\"discovery\""))]);
    let metadata = json!({ "issuer": issuer, "jwks_uri": world.server.url("/keys") });
    world.server.set("/.well-known/openid-configuration", Answer::ok(metadata.to_string()));
    world.server.set("/keys", Answer::ok(jwks(&[0])));
    world.store.adopt(&bundle);
    let world = World { bundle, ..world };
    assert_eq!(world.slug("acme", 0, at(0)), "accepted");
    assert_eq!(world.server.count("/.well-known/openid-configuration"), 1);
    assert_eq!(world.server.count("/keys"), 1);
}

#[test]
fn invented_key_ids_cost_one_request_in_ten_seconds() {
    let world = World::acme();
    world.server.set("/jwks", Answer::ok(jwks(&[0])));
    assert_eq!(world.slug("acme", 0, at(0)), "accepted");
    for second in 10..70 {
        for _ in 0..10 {
            assert_eq!(world.slug("acme", 1, at(second)), "unknown_key");
        }
    }
    assert_eq!(world.server.count("/jwks"), 1 + 6);
}

#[test]
fn sixteen_threads_ask_once() {
    let world = World::acme();
    world.server.set("/jwks", Answer::After(Duration::from_millis(200), Box::new(Answer::ok(jwks(&[0])))));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| world.slug("acme", 0, at(0)))).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), "accepted");
        }
    });
    assert_eq!(world.server.count("/jwks"), 1);
}

#[test]
fn a_prefetch_has_all_keys_at_hand_and_waits_for_none_too_long() {
    let names: Vec<String> = (0..20).map(|i| format!("issuer-{i:02}")).collect();
    let files: Vec<(String, String)> =
        names.iter().map(|name| (name.clone(), format!("{{ url = \"{{server}}/{name}\" }}"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, keys)| (name.as_str(), keys.as_str())).collect();
    let world = World::new(&files);
    for name in &names {
        world.server.set(&format!("/{name}"), Answer::ok(jwks(&[0])));
    }
    world.server.set("/issuer-03", Answer::Stall(Vec::new()));
    world.server.set("/issuer-04", Answer::status(500));
    let reports = world.store.prefetch(at(0), Duration::from_millis(500));
    assert_eq!(reports.len(), 20);
    let outcome =
        |name: &str| &reports.iter().find(|FetchReport { key_set, .. }| &**key_set == name).unwrap().outcome;
    assert_eq!(outcome("issuer-03"), &FetchOutcome::CutOff);
    assert!(matches!(outcome("issuer-04"), FetchOutcome::Failed { .. }));
    assert!(matches!(outcome("issuer-05"), FetchOutcome::Fetched { keys: 1, skipped: 0, changed: true }));
    for name in names.iter().filter(|name| !["issuer-03", "issuer-04"].contains(&name.as_str())) {
        assert_eq!(world.slug(name, 0, at(1)), "accepted");
        assert_eq!(world.server.count(&format!("/{name}")), 1);
    }
}

#[test]
fn a_set_that_did_not_change_is_the_same_set() {
    let world = World::acme();
    world.server.set("/jwks", Answer::ok(jwks(&[0])));
    let set = |seconds| Arc::clone(world.store.ring().keys_of("acme", at(seconds)).unwrap());
    assert_eq!(world.refresh("acme", at(0)), FetchOutcome::Fetched { keys: 1, skipped: 0, changed: true });
    let first = set(0);
    assert_eq!(world.refresh("acme", at(10)), FetchOutcome::Fetched { keys: 1, skipped: 0, changed: false });
    assert!(Arc::ptr_eq(&first, &set(10)));
    world.server.set("/jwks", Answer::ok(jwks(&[0, 1])));
    assert_eq!(world.refresh("acme", at(20)), FetchOutcome::Fetched { keys: 2, skipped: 0, changed: true });
    assert!(!Arc::ptr_eq(&first, &set(20)));
}

/// What a server may answer instead of a key set, and what is said of it.
#[test]
fn an_answer_that_is_no_key_set_says_why() {
    let world = World::acme();
    let other = Server::start();
    let keys = || Answer::ok(jwks(&[0]));
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Answer::Raw(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes())
    };
    let chunks_without_end = {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        Answer::Raw((head + &format!("2000\r\n{}\r\n", " ".repeat(0x2000)).repeat(100)).into_bytes())
    };
    let length = |length: usize| keys().with_header("Content-Length", &length.to_string());
    let body = jwks(&[0]).len();
    let moved = world.server.url("/moved");
    let away = other.url("/jwks");
    other.set("/jwks", keys());
    world.server.set("/moved", keys());
    let half: Vec<u8> = keys().bytes().into_iter().take(60).collect();
    for (answer, expected) in [
        (keys(), "fetched"),
        (chunked(&jwks(&[0])), "fetched"),
        (Answer::redirect("/moved"), "fetched"),
        (Answer::redirect(&moved), "fetched"),
        (Answer::redirect(moved.trim_start_matches("http:")), "fetched"),
        (Answer::redirect(&away), &format!("redirected to `{away}`, which is not the same host")),
        (Answer::redirect("/jwks"), "redirected more than 2 times"),
        (Answer::redirect("moved"), "redirected to `moved`, which is not the same host"),
        (
            Answer::redirect("https://a.example/"),
            "redirected to `https://a.example/`, which is not the same host",
        ),
        (
            Answer::redirect("file:///etc/passwd"),
            "redirected to `file:///etc/passwd`, which is not the same host",
        ),
        (Answer::status(302), "redirected to ``, which is not the same host"),
        (Answer::status(404), "status 404"),
        (Answer::status(500), "status 500"),
        (Answer::status(204), "status 204"),
        (Answer::status(304), "status 304"),
        (Answer::ok("<html><body>Sign in</body></html>"), "the key set is not JSON: line 1, column 1"),
        (Answer::ok(""), "the key set is not JSON: line 1, column 0"),
        (Answer::ok("{}"), "the key set is not an object with an array `keys`"),
        (Answer::ok(r#"{"keys":[]}"#), "the key set has no key that can be used"),
        (
            Answer::ok(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#),
            "the key set has no key that can be used: the key is not RSA, EC P-256, EC P-384 or OKP Ed25519",
        ),
        (Answer::ok(vec![b' '; 10_000_000]), "the answer has more than 524288 bytes"),
        (chunks_without_end, "the answer has more than 524288 bytes"),
        (length(body + 1), "the answer is cut off"),
        (length(body - 1), "the key set is not JSON: line 1, column 214"),
        (length(1 << 40), "the answer is cut off"),
        (Answer::Raw(half), "the answer is cut off"),
        (Answer::Raw(Vec::new()), "the answer is cut off"),
        (Answer::Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()), "the answer is not HTTP/1.1"),
    ] {
        world.server.set("/jwks", answer.clone());
        let store = KeyStore::new(HttpClient::new());
        store.adopt(&world.bundle);
        let said = match store.refresh("acme", at(0)).unwrap().outcome {
            FetchOutcome::Fetched { .. } => "fetched".to_owned(),
            FetchOutcome::Failed { error, .. } => error.to_string(),
            other => panic!("{other:?}"),
        };
        let expected = match expected {
            "fetched" => expected.to_owned(),
            why => format!("`{}`: {why}", world.server.url("/jwks")),
        };
        assert_eq!(said, expected, "{answer:?}");
    }
    assert_eq!(other.count("/jwks"), 0);
}

/// Nothing at all, half an answer, and one that comes byte by byte.
#[test]
fn an_answer_that_does_not_end_is_not_waited_for() {
    let keys = Answer::ok(jwks(&[0])).bytes();
    let endless = [
        ("nothing", Answer::Stall(Vec::new())),
        ("half", Answer::Stall(keys[..100].to_vec())),
        ("drip", Answer::Drip(keys, Duration::from_millis(50))),
    ];
    let places = endless.each_ref().map(|(name, _)| (*name, format!("{{ url = \"{{server}}/{name}\" }}")));
    let world = World::new(&places.each_ref().map(|(name, keys)| (*name, keys.as_str())));
    thread::scope(|scope| {
        for (name, answer) in &endless {
            world.server.set(&format!("/{name}"), answer.clone());
            let world = &world;
            scope.spawn(move || match world.refresh(name, at(0)) {
                FetchOutcome::Failed { error, retry_at } => {
                    let url = world.server.url(&format!("/{name}"));
                    assert_eq!(error.to_string(), format!("`{url}`: no whole answer within 2000 ms"));
                    assert_eq!(retry_at, at(10));
                }
                other => panic!("{name}: {other:?}"),
            });
        }
    });
}

#[test]
fn a_key_is_unknown_only_where_the_newest_keys_are_there() {
    let world = World::acme();
    assert_eq!(world.slug("acme", 0, at(-30)), "keys_unavailable");
    world.server.set("/jwks", Answer::ok(jwks(&[0])));
    assert_eq!(world.slug("acme", 1, at(0)), "unknown_key");
    world.server.set("/jwks", Answer::status(500));
    assert_eq!(world.slug("acme", 1, at(5)), "unknown_key");
    let error = world.answer(&world.token("acme", 1), at(10)).unwrap_err();
    let kid = KEYS[1].key_id();
    assert_eq!(error.slug(), "keys_unavailable");
    assert_eq!(
        error.to_string(),
        format!("issuer `acme` has no key `{kid}`, and newer keys could not be fetched")
    );
    assert_eq!(world.slug("acme", 0, at(10)), "accepted");
    assert_eq!(world.slug("acme", 1, at(19)), "keys_unavailable");
    world.server.set("/jwks", Answer::ok(jwks(&[1])));
    assert_eq!(world.slug("acme", 1, at(20)), "accepted");
    assert_eq!(world.slug("acme", 0, at(20)), "unknown_key");
    assert_eq!(world.server.count("/jwks"), 4);
}
