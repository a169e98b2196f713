//! Published keys: rotated, removed, stalled, broken, moved, by a real server on loopback. A valid token is never refused
//! while its key is served within the rules, and a removed key is never accepted past `max_age`. The clock is an argument,
//! so hours pass in milliseconds; what was asked of the server is counted.

mod model;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use cedar_gate::bundle::Bundle;
use cedar_gate::credential::BearerToken;
use cedar_gate::fetch::http::HttpClient;
use cedar_gate::fetch::keys::{FetchOutcome, FetchReport, KeyStore, MAX_PREFETCH};
use cedar_gate::jose::{Algorithm, Need, TokenError, verify};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{DevelopmentKey, TokenRequest, mint_for};
use serde_json::{Map, Value, json};

use crate::bundle::example;
use crate::loopback::{Answer, Server};

/// So many seconds after the beginning, 2026-11-21T12:00:00Z.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_795_262_400 + seconds)
}

/// Keys to sign with; making one takes a moment.
static KEYS: LazyLock<Vec<DevelopmentKey>> =
    LazyLock::new(|| (0..4).map(|_| DevelopmentKey::generate(Algorithm::Es256).unwrap()).collect());

fn jwks(keys: &[usize]) -> String {
    json!({ "keys": keys.iter().map(|key| KEYS[*key].public_jwk()).collect::<Vec<Value>>() }).to_string()
}

fn serving(keys: &[usize]) -> Answer {
    Answer::ok(jwks(keys))
}

/// The example's bundle, whose own issuers have pinned keys, and issuers with this name, `iss` and `keys`.
fn bundle_of(issuers: &[(&str, &str, &str)]) -> Bundle {
    let mut files = example();
    for (name, iss, keys) in issuers {
        let file = format!(
            "name = \"{name}\"\nissuer = \"{iss}\"\nprovider = \"oidc\"\ntoken_use = \"access\"\naudience = \"any\"\ndevelopment = true\nkeys = {keys}\n"
        );
        files.insert(format!("policies/issuers/published-{name}.toml"), file);
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
    /// With issuers of this name, and `keys` in their file, in which `{server}` stands for the server's address.
    fn new(issuers: &[(&str, &str)]) -> Self {
        let server = Server::start();
        let bundle = Self::bundle(&server, issuers);
        let store = KeyStore::new(HttpClient::new());
        store.adopt(&bundle);
        Self { server, bundle, store }
    }

    /// One issuer, `acme`, with its key set at `/jwks` and a `max_age` of an hour.
    fn acme() -> Self {
        Self::new(&[("acme", ACME)])
    }

    /// So many issuers, `i00` and so on, each with its key set at its name.
    fn many(count: usize) -> (Self, Vec<String>) {
        let names: Vec<String> = (0..count).map(|number| format!("i{number:02}")).collect();
        let keys: Vec<String> =
            names.iter().map(|name| format!("{{ url = \"{{server}}/{name}\" }}")).collect();
        let issuers: Vec<(&str, &str)> =
            names.iter().zip(&keys).map(|(name, keys)| (name.as_str(), keys.as_str())).collect();
        let world = Self::new(&issuers);
        for name in &names {
            world.server.set(&format!("/{name}"), serving(&[0]));
        }
        (world, names)
    }

    fn bundle(server: &Server, issuers: &[(&str, &str)]) -> Bundle {
        let issuers: Vec<(&str, String, String)> = issuers
            .iter()
            .map(|(name, keys)| {
                (*name, server.url(&format!("/{name}")), keys.replace("{server}", &server.url("")))
            })
            .collect();
        let issuers: Vec<(&str, &str, &str)> =
            issuers.iter().map(|(name, iss, keys)| (*name, iss.as_str(), keys.as_str())).collect();
        bundle_of(&issuers)
    }

    /// Swaps the bundle for one with these issuers.
    fn swap(&mut self, issuers: &[(&str, &str)]) {
        self.bundle = Self::bundle(&self.server, issuers);
        self.store.adopt(&self.bundle);
    }

    fn token(&self, issuer: &str, key: usize) -> BearerToken<'static> {
        let issuer = self.bundle.issuers().iter().find(|known| known.name() == issuer).unwrap();
        let request = TokenRequest {
            subject: "amal".to_owned(),
            client_id: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            tenant: None,
            issued_at: at(-1_000_000),
            expires_at: at(1_000_000),
            claims: Map::from_iter([("client_id".to_owned(), json!("c1")), ("jti".to_owned(), json!("t1"))]),
        };
        BearerToken::new(mint_for(issuer, &KEYS[key], &request).unwrap()).unwrap()
    }

    fn answer(&self, token: &BearerToken<'_>, now: Timestamp) -> Result<(), TokenError> {
        answer(&self.store, &self.bundle, token, now)
    }

    /// `accepted`, or the slug of why not.
    fn slug(&self, issuer: &str, key: usize, seconds: i64) -> &'static str {
        slug(&self.answer(&self.token(issuer, key), at(seconds)))
    }

    fn refresh(&self, key_set: &str, seconds: i64) -> FetchOutcome {
        self.store.refresh(key_set, at(seconds)).unwrap().outcome
    }
}

/// What a shell does: asks, fetches what is needed, and asks once more.
fn answer(
    store: &KeyStore,
    bundle: &Bundle,
    token: &BearerToken<'_>,
    now: Timestamp,
) -> Result<(), TokenError> {
    let verified = || verify(token, bundle.issuers(), &store.ring(), now).map(drop);
    let error = match verified() {
        Err(error) => error,
        accepted => return accepted,
    };
    match error.need() {
        Some(Need::Keys { key_set }) => {
            store.refresh(&key_set, now);
            verified()
        }
        need => panic!("{need:?} of {error}"),
    }
}

const ACME: &str = "{ url = \"{server}/jwks\" }";

fn slug(answer: &Result<(), TokenError>) -> &'static str {
    answer.as_ref().map_or_else(TokenError::slug, |()| "accepted")
}

/// How long a thread is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for another thread, and not for ever.
fn wait_until(happened: impl Fn() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < PATIENCE, "it did not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

const FETCHED: FetchOutcome = FetchOutcome::Fetched { keys: 1, skipped: 0, changed: true };
const UNCHANGED: FetchOutcome = FetchOutcome::Fetched { keys: 1, skipped: 0, changed: false };

#[test]
fn a_new_key_is_fetched_with_its_first_token_and_a_removed_one_goes() {
    let world = World::acme();
    world.server.set("/jwks", serving(&[0]));
    assert_eq!(world.slug("acme", 0, 0), "accepted");
    assert_eq!(world.slug("acme", 0, 899), "accepted");
    assert_eq!(world.server.count("/jwks"), 1);
    world.server.set("/jwks", serving(&[0, 1]));
    assert_eq!(world.slug("acme", 1, 899), "accepted");
    assert_eq!(world.slug("acme", 0, 899), "accepted");
    assert_eq!(world.server.count("/jwks"), 2);
    world.server.set("/jwks", serving(&[1]));
    assert_eq!(world.slug("acme", 0, 899 + 899), "accepted");
    assert_eq!(world.slug("acme", 0, 899 + 900), "unknown_key");
    assert_eq!(world.slug("acme", 1, 899 + 900), "accepted");
    assert_eq!(world.server.count("/jwks"), 3);
}

#[test]
fn a_dead_server_refuses_nobody_before_max_age_and_everybody_from_then_on() {
    for dead in [Answer::status(503), Answer::ok(r#"{"keys":[]}"#), Answer::Raw(Vec::new())] {
        let world = World::acme();
        let token = world.token("acme", 0);
        world.server.set("/jwks", serving(&[0]));
        assert_eq!(world.answer(&token, at(0)), Ok(()));
        world.server.set("/jwks", dead);
        for seconds in (0..3600).step_by(10).chain([3599]) {
            assert_eq!(world.answer(&token, at(seconds)), Ok(()), "after {seconds} s");
        }
        // At 900, 910, 930, 970, 1030 and then each minute.
        assert_eq!(world.server.count("/jwks"), 1 + 4 + (3600 - 1030) / 60 + 1);
        for seconds in (3600..3700).step_by(10) {
            assert_eq!(slug(&world.answer(&token, at(seconds))), "keys_unavailable", "after {seconds} s");
        }
        world.server.set("/jwks", serving(&[0]));
        assert_eq!(world.slug("acme", 0, 3750), "accepted");
    }
}

#[test]
fn cache_control_shortens_and_never_lengthens() {
    for (cache_control, fetched_again) in [("max-age=120", 120), ("max-age=86400", 900), ("no-cache", 10)] {
        let world = World::acme();
        world.server.set("/jwks", serving(&[0]).with_header("Cache-Control", cache_control));
        for (seconds, count) in [(0, 1), (fetched_again - 1, 1), (fetched_again, 2), (fetched_again + 1, 2)] {
            assert_eq!(world.slug("acme", 0, seconds), "accepted");
            assert_eq!(world.server.count("/jwks"), count, "{cache_control} at {seconds}");
        }
    }
}

#[test]
fn a_set_that_did_not_change_is_the_same_set() {
    let world = World::acme();
    world.server.set("/jwks", serving(&[0]));
    let set = |seconds| Arc::clone(world.store.ring().keys_of("acme", at(seconds)).unwrap());
    assert_eq!(world.refresh("acme", 0), FETCHED);
    let first = set(0);
    assert_eq!(world.refresh("acme", 10), UNCHANGED);
    assert!(Arc::ptr_eq(&first, &set(10)));
    world.server.set("/jwks", Answer::status(500));
    assert!(matches!(world.refresh("acme", 20), FetchOutcome::Failed { .. }));
    assert!(Arc::ptr_eq(&first, &set(20)));
    world.server.set("/jwks", serving(&[0, 1]));
    assert_eq!(world.refresh("acme", 30), FetchOutcome::Fetched { keys: 2, skipped: 0, changed: true });
    assert!(!Arc::ptr_eq(&first, &set(30)));
}

#[test]
fn invented_key_ids_cost_one_request_in_ten_seconds() {
    let world = World::acme();
    world.server.set("/jwks", serving(&[0]));
    assert_eq!(world.slug("acme", 0, 0), "accepted");
    let invented: Vec<BearerToken<'static>> = (1..4).map(|key| world.token("acme", key)).collect();
    for seconds in 10..70 {
        for token in &invented {
            assert_eq!(slug(&world.answer(token, at(seconds))), "unknown_key");
        }
    }
    assert_eq!(world.server.count("/jwks"), 1 + 6);
    world.server.set("/jwks", Answer::status(500));
    for seconds in 70..370 {
        for token in &invented {
            assert_eq!(slug(&world.answer(token, at(seconds))), "keys_unavailable");
        }
        assert_eq!(world.slug("acme", 0, seconds), "accepted");
    }
    // At 70, 80, 100, 140, 200, 260, 320.
    assert_eq!(world.server.count("/jwks"), 1 + 6 + 7);
}

#[test]
fn a_key_is_unknown_only_where_the_newest_keys_are_there() {
    let world = World::acme();
    assert_eq!(world.slug("acme", 0, -30), "keys_unavailable");
    world.server.set("/jwks", Answer::ok(jwks(&[0])));
    assert_eq!(world.slug("acme", 1, 0), "unknown_key");
    world.server.set("/jwks", Answer::status(500));
    assert_eq!(world.slug("acme", 1, 5), "unknown_key");
    let error = world.answer(&world.token("acme", 1), at(10)).unwrap_err();
    let kid = KEYS[1].key_id();
    assert_eq!(error.slug(), "keys_unavailable");
    assert_eq!(
        error.to_string(),
        format!("issuer `acme` has no key `{kid}`, and newer keys could not be fetched")
    );
    assert_eq!(world.slug("acme", 0, 10), "accepted");
    assert_eq!(world.slug("acme", 1, 19), "keys_unavailable");
    world.server.set("/jwks", Answer::ok(jwks(&[1])));
    assert_eq!(world.slug("acme", 1, 20), "accepted");
    assert_eq!(world.slug("acme", 0, 20), "unknown_key");
    assert_eq!(world.server.count("/jwks"), 4);
}

/// What a server may answer instead of a key set, and what is said of it.
#[test]
fn an_answer_that_is_no_key_set_says_why() {
    let world = World::acme();
    let other = Server::start();
    let keys = || serving(&[0]);
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
        (Answer::Raw([b"HTTP/1.1 100 Continue\r\n\r\n", &keys().bytes()[..]].concat()), "fetched"),
        (keys().with_header("X-Padding", &"x".repeat(15_000)), "fetched"),
        (keys().with_header("X-Padding", &"x".repeat(17_000)), "the answer is not HTTP/1.1"),
        (
            Answer::Raw([b"HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(100_000).as_bytes()].concat()),
            "the answer is not HTTP/1.1",
        ),
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
        (length(body).with_header("Content-Length", "1"), "the answer is not HTTP/1.1"),
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
            scope.spawn(move || match world.refresh(name, 0) {
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
fn discovery_leads_to_the_keys_each_time_anew() {
    const METADATA: &str = "/acme/.well-known/openid-configuration";
    let world = World::new(&[("acme", "\"discovery\"")]);
    let issuer = world.server.url("/acme");
    let metadata = |issuer: &str, jwks_uri: &str| {
        Answer::ok(json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string())
    };
    world.server.set(METADATA, metadata(&issuer, &world.server.url("/one")));
    world.server.set("/one", serving(&[0]));
    assert_eq!(world.slug("acme", 0, 0), "accepted");
    assert_eq!((world.server.count(METADATA), world.server.count("/one")), (1, 1));
    // The keys move, and the metadata with them.
    world.server.set(METADATA, metadata(&issuer, &world.server.url("/two")));
    world.server.set("/two", serving(&[0, 1]));
    world.server.set("/one", Answer::status(410));
    assert_eq!(world.slug("acme", 1, 10), "accepted");
    assert_eq!((world.server.count(METADATA), world.server.count("/two")), (2, 1));
    let said = |seconds| match world.refresh("acme", seconds) {
        FetchOutcome::Failed { error, .. } => error.to_string(),
        other => panic!("{other:?}"),
    };
    let place = world.server.url(METADATA);
    let other = world.server.url("/acme/");
    for (seconds, answer, expected) in [
        // Between the two requests.
        (
            100,
            metadata(&issuer, &world.server.url("/one")),
            format!("`{}`: status 410", world.server.url("/one")),
        ),
        (
            200,
            metadata(&other, &world.server.url("/two")),
            format!("`{place}`: the metadata is of issuer `{other}`, and `{issuer}` was asked for"),
        ),
        (
            300,
            metadata(&issuer, "http://idp.example/jwks"),
            format!(
                "`{place}`: the metadata's `jwks_uri` is `http://idp.example/jwks`: expected an https URL"
            ),
        ),
        (400, Answer::ok("<html></html>"), format!("`{place}`: the metadata is not a JSON object")),
        (500, Answer::status(404), format!("`{place}`: status 404")),
    ] {
        world.server.set(METADATA, answer);
        assert_eq!(said(seconds), expected);
        assert_eq!(world.slug("acme", 1, seconds), "accepted");
    }
    assert_eq!(world.server.count("/two"), 1);
}

/// The server was asked before the keys changed, and answers after it.
#[test]
fn keys_that_change_while_they_are_fetched_are_had_ten_seconds_later() {
    let world = World::acme();
    world.server.set("/jwks", Answer::After(Duration::from_millis(300), Box::new(serving(&[0]))));
    thread::scope(|scope| {
        let early = scope.spawn(|| world.slug("acme", 1, 0));
        wait_until(|| world.server.count("/jwks") > 0);
        world.server.set("/jwks", serving(&[1]));
        assert_eq!(early.join().unwrap(), "unknown_key");
    });
    assert_eq!(world.slug("acme", 1, 9), "unknown_key");
    assert_eq!(world.slug("acme", 1, 10), "accepted");
    assert_eq!(world.slug("acme", 0, 10), "unknown_key");
    assert_eq!(world.server.count("/jwks"), 2);
}

#[test]
fn sixteen_threads_ask_once() {
    for (answer, expected) in [(serving(&[0]), "accepted"), (Answer::status(500), "keys_unavailable")] {
        let world = World::acme();
        let token = world.token("acme", 0);
        world.server.set("/jwks", Answer::After(Duration::from_millis(200), Box::new(answer)));
        let results: Vec<&str> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..16).map(|_| scope.spawn(|| slug(&world.answer(&token, at(0))))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results, [expected; 16]);
        assert_eq!(world.server.count("/jwks"), 1);
    }
}

/// One thread fetches what has become old; the others are answered by what is known, without waiting for it.
#[test]
fn who_does_not_fetch_does_not_wait() {
    let world = World::acme();
    let token = world.token("acme", 0);
    world.server.set("/jwks", serving(&[0]));
    assert_eq!(world.answer(&token, at(0)), Ok(()));
    world.server.set("/jwks", Answer::Stall(Vec::new()));
    thread::scope(|scope| {
        let first = scope.spawn(|| world.answer(&token, at(900)));
        wait_until(|| world.server.count("/jwks") > 1);
        let started = Instant::now();
        assert_eq!(world.answer(&token, at(900)), Ok(()));
        assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
        assert_eq!(first.join().unwrap(), Ok(()));
    });
    assert_eq!(world.server.count("/jwks"), 2);
}

/// Sixteen threads whose clocks differ a little, and keys that are published ten seconds before they sign.
#[test]
fn keys_rotate_under_load_without_a_refusal() {
    let world = World::acme();
    let tokens: Vec<BearerToken<'static>> = (0..KEYS.len()).map(|key| world.token("acme", key)).collect();
    world.server.set("/jwks", serving(&[0]));
    // The moment, and the key that signs; a thread that asks holds the lock.
    let signing = RwLock::new(Some((0, 0)));
    let answered = AtomicUsize::new(0);
    let until_more_are_answered = || {
        let before = answered.load(Ordering::SeqCst);
        wait_until(|| answered.load(Ordering::SeqCst) >= before + 24);
    };
    let mut seconds = 0;
    const GENERATIONS: usize = 8;
    thread::scope(|scope| {
        for number in 0..16 {
            let (world, tokens, signing, answered) = (&world, &tokens, &signing, &answered);
            scope.spawn(move || {
                let started = Instant::now();
                while started.elapsed() < PATIENCE {
                    let lock = signing.read().unwrap();
                    let Some((seconds, key)) = *lock else { return };
                    world.answer(&tokens[key], at(seconds - number % 3)).unwrap();
                    drop(lock);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        until_more_are_answered();
        for generation in 1..=GENERATIONS {
            let (old, new) = ((generation - 1) % KEYS.len(), generation % KEYS.len());
            world.server.set("/jwks", serving(&[old, new]));
            seconds += 15;
            *signing.write().unwrap() = Some((seconds, new));
            until_more_are_answered();
            world.server.set("/jwks", serving(&[new]));
            seconds += 1000;
            *signing.write().unwrap() = Some((seconds, new));
            until_more_are_answered();
        }
        *signing.write().unwrap() = None;
    });
    // At most twice in each generation, for the new key and for its age; a fetch for the age that is still under way may
    // find the next generation's key.
    let count = world.server.count("/jwks");
    assert!((GENERATIONS..=1 + 2 * GENERATIONS).contains(&count), "{count}");
}

#[test]
fn a_clock_that_is_set_back_has_the_keys_fetched_anew() {
    let world = World::acme();
    world.server.set("/jwks", serving(&[0]));
    assert_eq!(world.slug("acme", 0, 100_000), "accepted");
    // By a minute or less: a correction, and threads that run together.
    assert_eq!(world.slug("acme", 0, 99_940), "accepted");
    assert_eq!(world.server.count("/jwks"), 1);
    world.server.set("/jwks", serving(&[1]));
    assert_eq!(world.slug("acme", 0, 50_000), "unknown_key");
    assert_eq!(world.server.count("/jwks"), 2);
    assert_eq!(world.slug("acme", 1, 50_001), "accepted");
    world.server.set("/jwks", Answer::status(500));
    assert_eq!(world.slug("acme", 1, 1000), "keys_unavailable");
    // And forward: what is too old stays so.
    assert_eq!(world.slug("acme", 1, 50_100), "keys_unavailable");
    world.server.set("/jwks", serving(&[1]));
    assert_eq!(world.slug("acme", 1, 50_200), "accepted");
}

#[test]
fn one_dead_and_one_slow_issuer_delay_nobody_else() {
    let (world, names) = World::many(50);
    world.server.set("/i07", Answer::Stall(Vec::new()));
    world.server.set("/i08", Answer::After(Duration::from_millis(1500), Box::new(serving(&[0]))));
    let ask = |name: &str| {
        let token = world.token(name, 0);
        let started = Instant::now();
        (slug(&world.answer(&token, at(0))), started.elapsed())
    };
    thread::scope(|scope| {
        let (dead, slow) = (scope.spawn(|| ask("i07")), scope.spawn(|| ask("i08")));
        wait_until(|| world.server.count("/i07") + world.server.count("/i08") == 2);
        for name in names.iter().filter(|name| !["i07", "i08"].contains(&name.as_str())) {
            let (slug, took) = ask(name);
            assert_eq!(slug, "accepted");
            assert!(took < Duration::from_millis(1300), "{name}: {took:?}");
        }
        assert_eq!(dead.join().unwrap().0, "keys_unavailable");
        assert_eq!(slow.join().unwrap().0, "accepted");
    });
    for name in &names {
        assert_eq!(world.server.count(&format!("/{name}")), 1, "{name}");
    }
}

#[test]
fn a_prefetch_has_the_keys_at_hand_within_its_budget() {
    let (world, names) = World::many(50);
    world.server.set("/i07", Answer::Stall(Vec::new()));
    world.server.set("/i08", Answer::Drip(serving(&[0]).bytes(), Duration::from_millis(20)));
    world.server.set("/i09", Answer::status(500));
    let started = Instant::now();
    let reports = world.store.prefetch(at(0), Duration::from_millis(1500));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(1490) && took < Duration::from_millis(1980), "{took:?}");
    let reported: BTreeSet<&str> = reports.iter().map(|report| &*report.key_set).collect();
    assert_eq!((reports.len(), reported), (50, names.iter().map(String::as_str).collect()));
    for FetchReport { key_set, url, outcome, took } in &reports {
        assert_eq!(url.as_str(), world.server.url(&format!("/{key_set}")));
        match &**key_set {
            "i07" | "i08" => assert_eq!(outcome, &FetchOutcome::CutOff),
            "i09" => assert!(matches!(outcome, FetchOutcome::Failed { .. })),
            _ => assert_eq!(outcome, &FETCHED, "{key_set} after {took:?}"),
        }
    }
    // What was cut off is fetched by its first token, and what failed is left alone for a while.
    world.server.set("/i07", serving(&[0]));
    world.server.set("/i09", serving(&[0]));
    let answers: Vec<&str> = ["i06", "i07", "i09"].map(|name| world.slug(name, 0, 1)).into();
    assert_eq!(answers, ["accepted", "accepted", "keys_unavailable"]);
    assert_eq!(world.slug("i09", 0, 10), "accepted");
    for (name, count) in [("i06", 1), ("i07", 2), ("i08", 1), ("i09", 2)] {
        assert_eq!(world.server.count(&format!("/{name}")), count, "{name}");
    }
    // Once more: only what is missing.
    world.server.set("/i08", serving(&[0]));
    let reports = world.store.prefetch(at(20), Duration::from_secs(2));
    assert_eq!(reports.iter().map(|report| &*report.key_set).collect::<Vec<_>>(), ["i08"]);
    assert!(world.store.prefetch(at(20), Duration::from_secs(2)).is_empty());
}

#[test]
fn a_prefetch_without_time_and_one_of_very_many_do_what_they_can() {
    let (world, names) = World::many(MAX_PREFETCH + 6);
    let reports = world.store.prefetch(at(0), Duration::ZERO);
    assert_eq!(reports.len(), MAX_PREFETCH);
    assert!(reports.iter().all(|report| report.outcome == FetchOutcome::CutOff));
    let reports = world.store.prefetch(at(0), Duration::from_secs(5));
    assert_eq!(reports.len(), MAX_PREFETCH);
    assert!(reports.iter().all(|report| report.outcome == FETCHED));
    for (number, name) in names.iter().enumerate() {
        assert_eq!(world.server.count(&format!("/{name}")), usize::from(number < MAX_PREFETCH), "{name}");
    }
    assert_eq!(world.store.prefetch(at(0), Duration::from_secs(5)).len(), 6);
}

/// A token that comes while others are still awaited.
#[test]
fn what_a_prefetch_has_is_there_before_it_ends() {
    let (world, _) = World::many(2);
    world.server.set("/i01", Answer::After(Duration::from_millis(1500), Box::new(serving(&[0]))));
    thread::scope(|scope| {
        let prefetch = scope.spawn(|| world.store.prefetch(at(0), Duration::from_secs(10)));
        wait_until(|| world.server.count("/i00") + world.server.count("/i01") == 2);
        assert_eq!(world.slug("i00", 0, 1), "accepted");
        assert!(!prefetch.is_finished());
        assert_eq!(prefetch.join().unwrap().len(), 2);
    });
    assert_eq!(world.slug("i01", 0, 1), "accepted");
    assert_eq!((world.server.count("/i00"), world.server.count("/i01")), (1, 1));
}

#[test]
fn a_thousand_issuers_of_one_place_are_served_by_one_request() {
    let names: Vec<String> = (0..1000).map(|number| format!("tenant-{number}")).collect();
    let world = World::new(&names.iter().map(|name| (name.as_str(), ACME)).collect::<Vec<_>>());
    world.server.set("/jwks", serving(&[0]));
    let reports = world.store.prefetch(at(0), Duration::from_secs(5));
    assert_eq!(reports.iter().map(|report| &*report.key_set).collect::<Vec<_>>(), ["tenant-0"]);
    let ring = world.store.ring();
    assert!(names.iter().all(|name| ring.keys_of(name, at(0)).is_some()));
    assert_eq!(world.server.count("/jwks"), 1);
}

#[test]
fn issuers_who_share_a_place_share_what_is_known_of_it() {
    const MINUTE: &str = "{ url = \"{server}/jwks\", max_age = 60 }";
    let world = World::new(&[("acme", ACME), ("globex", MINUTE), ("other", "{ url = \"{server}/other\" }")]);
    world.server.set("/jwks", serving(&[0]));
    world.server.set("/other", serving(&[1]));
    assert_eq!(world.store.prefetch(at(0), Duration::from_secs(5)).len(), 2);
    for issuer in ["acme", "globex"] {
        assert_eq!(world.slug(issuer, 0, 1), "accepted");
        // The place was asked a moment ago, whoever asked.
        assert_eq!(world.slug(issuer, 1, 9), "unknown_key");
    }
    assert_eq!(world.server.count("/jwks"), 1);
    // A minute's keys are fetched more often, and the hour's are as new.
    assert_eq!(world.slug("globex", 0, 15), "accepted");
    assert_eq!(world.server.count("/jwks"), 2);
    assert_eq!(world.slug("acme", 0, 914), "accepted");
    assert_eq!(world.server.count("/jwks"), 2);
    world.server.set("/jwks", Answer::status(500));
    assert_eq!(world.slug("globex", 0, 914), "keys_unavailable");
    assert_eq!(world.slug("acme", 0, 920), "accepted");
    assert_eq!(world.server.count("/jwks"), 3);
    assert_eq!(world.slug("other", 1, 800), "accepted");
    assert_eq!(world.server.count("/other"), 1);
}

#[test]
fn a_bundle_that_is_swapped_keeps_what_it_still_wants() {
    let mut world = World::new(&[("acme", ACME), ("globex", "{ url = \"{server}/globex\" }")]);
    world.server.set("/jwks", serving(&[0]));
    world.server.set("/globex", serving(&[1]));
    world.server.set("/moved", serving(&[2]));
    assert_eq!(world.slug("acme", 0, 0), "accepted");
    assert_eq!(world.slug("globex", 1, 0), "accepted");
    let pinned = |world: &World| world.store.ring().keys_of("acme-staff", at(0)).is_some();
    let held = |world: &World, key_set: &str| world.store.ring().keys_of(key_set, at(1)).is_some();
    assert!(pinned(&world));
    // Another issuer joins at the same place, and one goes.
    world.swap(&[("acme", ACME), ("initech", ACME)]);
    assert!(pinned(&world) && held(&world, "acme") && held(&world, "initech") && !held(&world, "globex"));
    assert_eq!(world.store.refresh("globex", at(100)), None);
    assert_eq!(world.slug("initech", 0, 1), "accepted");
    assert_eq!((world.server.count("/jwks"), world.server.count("/globex")), (1, 1));
    // The keys stand elsewhere: those of before are nobody's any more.
    world.swap(&[("acme", "{ url = \"{server}/moved\" }")]);
    assert!(!held(&world, "acme"));
    assert_eq!(world.slug("acme", 0, 1), "unknown_key");
    assert_eq!(world.slug("acme", 2, 1), "accepted");
    // A shorter `max_age` holds at once, for what was fetched before too.
    world.swap(&[("acme", "{ url = \"{server}/moved\", max_age = 60 }")]);
    world.server.set("/moved", Answer::status(500));
    assert_eq!(world.slug("acme", 2, 60), "accepted");
    assert_eq!(world.slug("acme", 2, 61), "keys_unavailable");
    // Pinned keys take the place of fetched ones.
    let set = jwks(&[3]).replace("\":", "\" = ");
    world.swap(&[("acme", &format!("{{ inline = {set} }}"))]);
    assert_eq!(world.slug("acme", 3, 1_000), "accepted");
    assert_eq!(world.store.refresh("acme", at(1_000)), None);
    assert_eq!(world.store.prefetch(at(1_000), Duration::from_secs(1)), []);
}

/// What is fetched while the bundle is swapped goes to those who want it now.
#[test]
fn a_swap_while_keys_are_fetched_loses_nothing() {
    let world = World::acme();
    world.server.set("/jwks", Answer::After(Duration::from_millis(300), Box::new(serving(&[0]))));
    let next = World::bundle(&world.server, &[("initech", ACME)]);
    thread::scope(|scope| {
        let early = scope.spawn(|| world.refresh("acme", 0));
        wait_until(|| world.server.count("/jwks") > 0);
        world.store.adopt(&next);
        assert_eq!(early.join().unwrap(), FETCHED);
    });
    let ring = world.store.ring();
    assert!(ring.keys_of("initech", at(0)).is_some() && ring.keys_of("acme", at(0)).is_none());
    assert_eq!(world.server.count("/jwks"), 1);
}
