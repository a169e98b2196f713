//! The authorizer over time: keys are fetched when an answer needs them, and the bundle follows its link. The clock is an
//! argument; what is on disk and on the network is real.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use cedar_gate::fetch::http::{HttpClient, HttpError};
use cedar_gate::fetch::introspection::{IntrospectionError, IntrospectionReport};
use cedar_gate::fetch::keys::{FetchOutcome, KeyFetchError};
use cedar_gate::fetch::live::{Fetched, Followed, Live, LiveAnswer, Origin, Settings};
use cedar_gate::jose::{Algorithm, TrustedIssuer};
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::{DevelopmentKey, TokenRequest, mint_for};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::loopback::{Answer, Server};

/// 2026-11-21T12:00:00Z.
const START: i64 = 1_795_262_400;

/// More than anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many seconds after the beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

/// Keys to sign with; making one takes a moment.
static KEYS: LazyLock<Vec<DevelopmentKey>> =
    LazyLock::new(|| (0..2).map(|_| DevelopmentKey::generate(Algorithm::Es256).unwrap()).collect());

/// An issuer that publishes its keys; `keys` as its file says.
pub(crate) fn issuer_file(name: &str, keys: &str) -> String {
    format!(
        "name = \"{name}\"\nissuer = \"https://{name}.example\"\nprovider = \"oidc\"\ntoken_use = \"access\"\n\
         audience = [\"orders-api\"]\ntenant = \"acme\"\nroles = {{ claim = \"roles\", grant = [\"clerk\"] }}\n\
         development = true\nkeys = {keys}\n"
    )
}

/// An issuer whose tokens begin with its name and `-`, and are nothing to us but what it says about them.
pub(crate) fn opaque_issuer_file(name: &str, url: &str, secret: &str) -> String {
    format!(
        "name = \"{name}\"\nissuer = \"https://{name}.example\"\nprovider = \"oidc\"\ntoken_use = \"access\"\n\
         audience = [\"orders-api\"]\ntenant = \"acme\"\nroles = {{ claim = \"roles\", grant = [\"clerk\"] }}\n\
         development = true\nintrospection = {{ url = \"{url}\", client_id = \"gate\", client_secret = {secret}, \
         prefix = \"{name}-\" }}\n"
    )
}

/// What an issuer says about a clerk's token that is valid for an hour from `now` on.
pub(crate) fn said_of_a_clerk(now: i64) -> Answer {
    let said = json!({
        "active": true, "sub": "ann", "client_id": "web", "aud": "orders-api", "roles": ["clerk"], "exp": now + 3_600,
    });
    Answer::ok(said.to_string())
}

pub(crate) fn jwks(keys: &[&DevelopmentKey]) -> String {
    json!({ "keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<Value>>() }).to_string()
}

/// A token of a clerk, valid for an hour from `now` on.
pub(crate) fn clerks_token(issuer_file: &str, key: &DevelopmentKey, now: i64) -> String {
    let request = TokenRequest {
        subject: "alice".to_owned(),
        client_id: None,
        roles: vec!["clerk".to_owned()],
        scopes: Vec::new(),
        tenant: None,
        issued_at: Timestamp::from_unix_seconds(now),
        expires_at: Timestamp::from_unix_seconds(now + 3_600),
        claims: Map::from_iter([("client_id".to_owned(), json!("shop")), ("jti".to_owned(), json!("t-1"))]),
    };
    mint_for(&TrustedIssuer::from_toml(issuer_file).unwrap(), key, &request).unwrap()
}

/// Releases of the example's bundle with an issuer `idp` more, and a link to one of them.
struct World {
    root: TempDir,
    server: Server,
    idp: String,
}

impl World {
    fn new() -> Self {
        let server = Server::start();
        server.set("/jwks", Answer::ok(jwks(&[&KEYS[0]])));
        let idp = issuer_file("idp", &format!("{{ url = \"{}\" }}", server.url("/jwks")));
        let world = Self { root: tempfile::tempdir().unwrap(), server, idp };
        world.release("1");
        world.link("1");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// Writes a release.
    fn release(&self, name: &str) {
        for part in ["policies", "schema"] {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &self.path(name).join(part));
        }
        std::fs::write(self.path(name).join("policies/issuers/idp.toml"), &self.idp).unwrap();
    }

    /// Replaces a text in a file of a release.
    fn edit(&self, release: &str, file: &str, from: &str, to: &str) {
        let path = self.path(release).join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} does not contain {from:?}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Moves the link at once, as a deployment does.
    fn link(&self, release: &str) {
        let next = self.path("next");
        symlink(self.path(release), &next).unwrap();
        std::fs::rename(next, self.path("current")).unwrap();
    }

    fn start(&self) -> Live {
        Live::start(&Settings::at(&self.path("current")), HttpClient::new(), at(0)).unwrap().0
    }

    /// A clerk asks for an order, with a token that this key signed.
    fn event(&self, key: usize) -> Vec<u8> {
        let token = clerks_token(&self.idp, &KEYS[key], START - 60);
        let arn = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders/1";
        json!({ "type": "TOKEN", "authorizationToken": format!("Bearer {token}"), "methodArn": arn })
            .to_string()
            .into_bytes()
    }

    fn fetches(&self) -> usize {
        self.server.count("/jwks")
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = { (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name())) };
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(&from, &to).map(|_| ()).unwrap() }
    }
}

/// What became of the keys that an answer needed.
fn fetched(answer: &LiveAnswer) -> Option<&FetchOutcome> {
    match &answer.fetched {
        None => None,
        Some(Fetched::Keys(report)) => Some(&report.outcome),
        Some(Fetched::Introspection(report)) => panic!("{report:?}"),
    }
}

fn reason(answer: &LiveAnswer) -> &'static str {
    answer.answered.record.reason
}

/// What following the link found, `…` for the folder of the releases.
fn news(world: &World, live: &Live, now: Timestamp) -> String {
    let shown = |text: String| text.replace(world.path("").to_str().unwrap(), "…/");
    match live.follow(now, PATIENCE) {
        None => "nothing".to_owned(),
        Some(Followed::Confirmed) => "confirmed".to_owned(),
        Some(Followed::Swapped { .. }) => shown(format!("swapped to {}", live.in_charge().origin)),
        Some(Followed::Refused { place, error }) => shown(format!("refused {place}: {error}")),
    }
}

#[test]
fn an_answer_has_the_keys_fetched_that_it_needs() {
    let world = World::new();
    let live = world.start();
    let first = live.ask(&world.event(0), at(0));
    assert_eq!((reason(&first), world.fetches()), ("keys_unavailable", 0), "to ask never waits");
    let second = live.ask_again(first, &world.event(0), at(0), PATIENCE);
    assert_eq!(reason(&second), "policy");
    assert!(matches!(fetched(&second), Some(FetchOutcome::Fetched { keys: 1, .. })));
    for seconds in [0, 100] {
        let answer = live.answer(&world.event(0), at(seconds), PATIENCE);
        assert_eq!((reason(&answer), fetched(&answer)), ("policy", None));
    }
    assert_eq!(world.fetches(), 1);

    // A key that is new to us; what was fetched a moment ago is the newest.
    world.server.set("/jwks", Answer::ok(jwks(&[&KEYS[0], &KEYS[1]])));
    assert_eq!(reason(&live.answer(&world.event(1), at(5), PATIENCE)), "unknown_key");
    assert_eq!(world.fetches(), 1);
    assert_eq!(reason(&live.answer(&world.event(1), at(101), PATIENCE)), "policy");
    assert_eq!(world.fetches(), 2);
}

#[test]
fn a_prefetch_leaves_nothing_to_wait_for() {
    let world = World::new();
    let live = world.start();
    assert_eq!(live.prefetch(at(0), PATIENCE).len(), 1);
    assert_eq!(reason(&live.ask(&world.event(0), at(0))), "policy");
    assert_eq!(live.prefetch(at(0), PATIENCE), []);
}

#[test]
fn nobody_waits_longer_than_there_is_time() {
    let world = World::new();
    world.server.set("/jwks", Answer::Stall(Vec::new()));
    let live = world.start();
    let none = live.answer(&world.event(0), at(0), Duration::ZERO);
    assert_eq!((reason(&none), fetched(&none), world.fetches()), ("keys_unavailable", None, 0));
    let answer = live.answer(&world.event(0), at(0), Duration::from_millis(300));
    assert_eq!(reason(&answer), "keys_unavailable");
    match fetched(&answer) {
        Some(FetchOutcome::Failed {
            error: KeyFetchError::Http { error: HttpError::TimedOut { within }, .. },
            ..
        }) => {
            assert!(*within <= Duration::from_millis(300), "{within:?}");
        }
        other => panic!("{other:?}"),
    }

    // The next one does not wait for it again.
    let answer = live.answer(&world.event(0), at(1), PATIENCE);
    assert!(matches!(fetched(&answer), Some(FetchOutcome::BackingOff { .. })));
    assert_eq!(world.fetches(), 1);
    world.server.set("/jwks", Answer::ok(jwks(&[&KEYS[0]])));
    assert_eq!(reason(&live.answer(&world.event(0), at(10), PATIENCE)), "policy");
}

#[test]
fn a_good_bundle_takes_over_when_the_link_moves() {
    let world = World::new();
    let (live, event) = (world.start(), world.event(0));
    assert_eq!(news(&world, &live, at(0)), "nothing");
    assert_eq!(reason(&live.answer(&event, at(0), PATIENCE)), "policy");
    assert!(live.ask(&event, at(1)).answered.token_known);

    world.release("2");
    world.edit("2", "policies/v1/orders.cedar", "Role::\"clerk\"", "Role::\"auditor\"");
    world.link("2");
    assert!(!live.is_due(at(9)));
    assert_eq!(news(&world, &live, at(9)), "nothing", "it is not looked up with each event");
    assert_eq!(reason(&live.ask(&event, at(9))), "policy");
    assert!(live.is_due(at(10)));
    assert_eq!(news(&world, &live, at(10)), "swapped to …/2");
    assert_eq!(live.in_charge().origin, Origin::Folder(world.path("2")));

    let answer = live.ask(&event, at(10));
    assert_eq!(reason(&answer), "no_permit");
    assert_eq!(answer.answered.record.bundle, live.in_charge().authorizer.bundle().digest());
    assert!(!answer.answered.token_known, "another bundle knows no token");
    assert_eq!(world.fetches(), 1, "fetched keys stay");
    assert_eq!(news(&world, &live, at(20)), "nothing");

    world.link("1");
    assert_eq!(news(&world, &live, at(30)), "swapped to …/1");
    assert_eq!(reason(&live.ask(&event, at(30))), "policy");
}

#[test]
fn the_last_good_bundle_stays_in_charge() {
    let world = World::new();
    let live = world.start();
    let digest = live.in_charge().authorizer.bundle().digest().to_owned();
    world.release("2");
    world.edit("2", "policies/issuers/acme.toml", "token_use = \"access\"", "token_use = \"acces\"");
    let refused = "refused …/2: policies/issuers/acme.toml:5:13: CG0401: unknown variant `acces`, expected one of `access`, `id`, `any`";
    let no_bundle = |path: &str| {
        format!(
            "refused …/{path}: no bundle at `…/{path}`: expected a folder with `policies` and `schema` in it"
        )
    };
    let timeline: [(i64, &dyn Fn(), &str); 15] = [
        (0, &|| world.link("2"), refused),
        (10, &|| {}, "nothing"),
        (59, &|| {}, "nothing"),
        // It is tried again after a while, though the link did not move.
        (70, &|| {}, refused),
        // There and back.
        (80, &|| world.link("1"), "nothing"),
        (90, &|| world.link("2"), refused),
        (100, &|| world.link("absent"), &no_bundle("current")),
        (110, &|| {}, "nothing"),
        (120, &|| std::fs::create_dir(world.path("empty")).unwrap(), "nothing"),
        (130, &|| world.link("empty"), &no_bundle("empty")),
        (140, &|| std::fs::remove_file(world.path("current")).unwrap(), &no_bundle("current")),
        (150, &|| world.link("2"), refused),
        // A clock that was set back says nothing about how long ago that was.
        (20, &|| {}, refused),
        (30, &|| world.edit("2", "policies/issuers/acme.toml", "\"acces\"", "\"access\""), "nothing"),
        (79, &|| {}, "nothing"),
    ];
    for (seconds, happens, expected) in timeline {
        happens();
        assert_eq!(news(&world, &live, at(seconds)), expected, "after {seconds} s");
        assert_eq!(live.ask(&world.event(0), at(seconds)).answered.record.bundle, digest);
        assert_eq!(live.in_charge().origin, Origin::Folder(world.path("1")));
    }
    assert_eq!(news(&world, &live, at(90)), "swapped to …/2");
}

#[test]
fn what_is_written_into_the_folder_in_charge_is_not_seen() {
    let world = World::new();
    let live = world.start();
    world.edit("1", "policies/v1/orders.cedar", "permit (", "permitted (");
    assert_eq!(news(&world, &live, at(0)), "nothing");
    assert_eq!(reason(&live.answer(&world.event(0), at(0), PATIENCE)), "policy");
}

#[test]
fn a_link_in_the_middle_of_the_path_counts_too() {
    let world = World::new();
    world.release("v1/bundle");
    world.release("v2/bundle");
    world.link("v1");
    let live = Live::start(&Settings::at(&world.path("current/bundle")), HttpClient::new(), at(0)).unwrap().0;
    assert_eq!(live.in_charge().origin, Origin::Folder(world.path("v1/bundle")));
    world.link("v2");
    assert_eq!(news(&world, &live, at(0)), "swapped to …/v2/bundle");
}

#[test]
fn keys_are_those_of_the_bundle_in_charge() {
    let world = World::new();
    let live = world.start();
    assert_eq!(reason(&live.answer(&world.event(0), at(0), PATIENCE)), "policy");
    let other = Server::start();
    other.set("/jwks", Answer::ok(jwks(&[&KEYS[1]])));
    world.release("2");
    world.edit("2", "policies/issuers/idp.toml", &world.server.url("/jwks"), &other.url("/jwks"));
    world.link("2");
    assert_eq!(news(&world, &live, at(10)), "swapped to …/2");
    assert_eq!(reason(&live.ask(&world.event(0), at(10))), "keys_unavailable");
    assert_eq!(reason(&live.answer(&world.event(0), at(10), PATIENCE)), "unknown_key");
    assert_eq!(reason(&live.answer(&world.event(1), at(10), PATIENCE)), "policy");
    assert_eq!((world.fetches(), other.count("/jwks")), (1, 1));
}

#[test]
fn one_thread_loads_while_the_others_answer() {
    let world = World::new();
    let live = world.start();
    assert_eq!(live.prefetch(at(0), PATIENCE).len(), 1);
    world.release("2");
    world.edit("2", "policies/v1/orders.cedar", "Role::\"clerk\"", "Role::\"auditor\"");
    let first = live.in_charge().authorizer.bundle().digest().to_owned();
    let event = world.event(0);
    for (now, release, news) in [(0, "2", 1), (10, "1", 1), (20, "1", 0), (30, "2", 1)] {
        world.link(release);
        let found: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let news = usize::from(live.follow(at(now), PATIENCE).is_some());
                        let answer = live.ask(&event, at(now));
                        let by_first = answer.answered.record.bundle == first;
                        assert_eq!(reason(&answer), if by_first { "policy" } else { "no_permit" });
                        news
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(found, news, "after {now} s");
    }
}

#[test]
fn an_issuer_is_asked_about_an_opaque_token_once_a_minute() {
    let world = World::new();
    let secret = world.path("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    let file = opaque_issuer_file(
        "opaque",
        &world.server.url("/ask"),
        &format!("{{ file = \"{}\" }}", secret.display()),
    );
    std::fs::write(world.path("1/policies/issuers/opaque.toml"), file).unwrap();
    world.server.set("/ask", said_of_a_clerk(START));
    let live = world.start();
    assert_eq!(live.in_charge().missing_secrets, []);
    let arn = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders/1";
    let event = json!({ "type": "TOKEN", "authorizationToken": "Bearer opaque-1", "methodArn": arn })
        .to_string()
        .into_bytes();
    let asked = || world.server.count("/ask");
    let answer = |seconds| reason(&live.answer(&event, at(seconds), PATIENCE));
    assert_eq!((reason(&live.ask(&event, at(0))), asked()), ("introspection_unavailable", 0));
    assert_eq!((answer(0), asked()), ("policy", 1));
    assert_eq!((answer(30), asked()), ("policy", 1), "what it said is remembered");
    world.server.set("/ask", Answer::ok(json!({ "active": false }).to_string()));
    assert_eq!((answer(59), asked()), ("policy", 1));
    assert_eq!((answer(61), asked()), ("inactive_token", 2));
    world.server.set("/ask", Answer::Stall(Vec::new()));
    let late = live.answer(&event, at(62), Duration::from_millis(200));
    assert_eq!(reason(&late), "introspection_unavailable");
    match late.fetched {
        Some(Fetched::Introspection(IntrospectionReport {
            outcome: Err(IntrospectionError::Http { error: HttpError::TimedOut { within }, .. }),
            ..
        })) => assert!(within <= Duration::from_millis(200), "{within:?}"),
        other => panic!("{other:?}"),
    }

    // Another bundle has not asked yet.
    world.server.set("/ask", said_of_a_clerk(START));
    assert_eq!(answer(70), "policy");
    copy(&world.path("1"), &world.path("2"));
    world.link("2");
    assert_eq!(news(&world, &live, at(71)), "swapped to …/2");
    assert_eq!(reason(&live.ask(&event, at(71))), "introspection_unavailable");
    assert_eq!(answer(71), "policy");
}
