//! A released bundle on its way into charge: from a file, a URL or AppConfig, signed or not, newer or older, whole or damaged.
//! Whatever comes, the last good one answers on. The clock is an argument; what is on disk and on the network is real.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cedar_gate::bundle::built::SigningKey;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::fetch::http::HttpClient;
use cedar_gate::fetch::live::{Demands, Followed, Live, MaxAge, Settings, WhenStale};
use cedar_gate::fetch::read_bundle;
use cedar_gate::fetch::release::ReleaseSource;
use cedar_gate::jose::Algorithm;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::mint::DevelopmentKey;
use cedar_gate::tools::release::{Release, build};
use serde_json::json;
use tempfile::TempDir;

use crate::live::{clerks_token, issuer_file};
use crate::loopback::{Answer, Server};

/// 2026-11-21T12:00:00Z.
const START: i64 = 1_795_262_400;

/// More than anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who knows this may read it, as with a presigned URL.
const PLACE: &str = "/release.cgb?X-Amz-Signature=secret";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

/// What tenants sign with.
static KEY: LazyLock<DevelopmentKey> = LazyLock::new(|| DevelopmentKey::generate(Algorithm::Es256).unwrap());

/// An issuer whose keys stand in a file.
fn tenant(name: &str) -> String {
    issuer_file(name, "{ file = \"tenants.jwks.json\" }")
}

/// The example, with these tenants more; no answer speaks of a whole API, so that policies are read when they are asked.
fn sources(tenants: &[&str]) -> SourceFiles {
    let mut files = read_bundle(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap();
    let path = "schema/authorizer.toml";
    let deployment = files
        .text(path)
        .unwrap()
        .replace("= \"api\" ", "= \"request\" ")
        .replace("seconds = 300", "seconds = 0");
    assert!(!deployment.contains("\"api\" "));
    files.insert(path, deployment);
    let keys = json!({ "keys": [KEY.public_jwk()] });
    files.insert("policies/issuers/tenants.jwks.json", keys.to_string());
    for name in tenants {
        files.insert(format!("policies/issuers/{name}.toml"), tenant(name));
    }
    files
}

fn released(number: u64, tenants: &[&str]) -> Vec<u8> {
    build(&sources(tenants), &Release::new(Some(number))).unwrap_or_else(|error| panic!("{error}"))
}

fn signed(mut bundle: Vec<u8>, key: &SigningKey) -> Vec<u8> {
    bundle.extend(key.sign(&bundle).unwrap().to_bytes());
    bundle
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).unwrap()
}

fn trusting(key: &SigningKey) -> Demands {
    Demands { trusted: Some(key.public().to_string().parse().unwrap()), ..Demands::default() }
}

/// A clerk of a tenant asks for an order.
fn event(tenant_name: &str) -> Vec<u8> {
    let token = clerks_token(&tenant(tenant_name), &KEY, START - 60);
    let arn = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders/1";
    json!({ "type": "TOKEN", "authorizationToken": format!("Bearer {token}"), "methodArn": arn })
        .to_string()
        .into_bytes()
}

fn reason(live: &Live, tenant: &str, seconds: i64) -> &'static str {
    live.ask(&event(tenant), at(seconds)).answered.record.reason
}

fn news(live: &Live, seconds: i64) -> String {
    match live.follow(at(seconds), PATIENCE) {
        None => "nothing".to_owned(),
        Some(Followed::Confirmed) => "confirmed".to_owned(),
        Some(Followed::Swapped { .. }) => live
            .in_charge()
            .release
            .map_or_else(|| "sources".to_owned(), |number| format!("release {number}")),
        Some(Followed::Refused { error, .. }) => error.to_string(),
    }
}

/// A server with a bundle, and a folder.
struct World {
    server: Server,
    folder: TempDir,
}

impl World {
    fn new(bundle: Vec<u8>) -> Self {
        let world = Self { server: Server::start(), folder: tempfile::tempdir().unwrap() };
        world.serve("\"1\"", bundle);
        world
    }

    fn serve(&self, etag: &str, bundle: Vec<u8>) {
        self.server.set(PLACE, Answer::Tagged(etag.to_owned(), Box::new(Answer::ok(bundle))));
    }

    fn settings(&self) -> Settings {
        Settings::of(ReleaseSource::parse(&self.server.url(PLACE)).unwrap())
    }

    fn start(&self, demands: Demands) -> Live {
        let settings = Settings { demands, ..self.settings() };
        let (live, problem) = Live::start(&settings, HttpClient::new(), at(0)).unwrap();
        assert!(problem.is_none(), "{problem:?}");
        live
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn a_tenant_that_is_released_is_served_within_the_interval() {
    let world = World::new(signed(released(1, &["one"]), &key(1)));
    let live = world.start(trusting(&key(1)));
    assert_eq!((reason(&live, "one", 0), reason(&live, "two", 0)), ("policy", "unknown_issuer"));
    assert_eq!(live.bundle_age(at(0)).unwrap().as_secs(), 0);
    world.serve("\"2\"", signed(released(2, &["one", "two"]), &key(1)));
    assert_eq!((live.is_due(at(59)), news(&live, 59)), (false, "nothing".to_owned()));
    assert!(live.is_due(at(60)), "it is asked once in {} s", world.settings().interval.as_secs());
    assert_eq!(news(&live, 60), "release 2");
    assert_eq!((reason(&live, "one", 60), reason(&live, "two", 60)), ("policy", "policy"));
    assert_eq!(live.in_charge().signed_by, Some(key(1).public().id()));
    assert_eq!(news(&live, 120), "confirmed");
    let asked = world.server.requests();
    let known: Vec<Option<&str>> = asked.iter().map(|request| request.header("if-none-match")).collect();
    assert_eq!(known, [None, Some("\"1\""), Some("\"2\"")], "it is fetched once");
}

#[test]
fn whatever_comes_the_last_good_bundle_answers_on() {
    let good = signed(released(5, &["one"]), &key(1));
    let world = World::new(good.clone());
    let live = world.start(trusting(&key(1)));
    let next = released(6, &["one", "two"]);
    let cut = good[..good.len() / 2].to_vec();
    let mut flipped = signed(next.clone(), &key(1));
    let middle = next.len() - 100;
    flipped[middle] ^= 1;
    let mut head = signed(next.clone(), &key(1));
    head[100] ^= 1;
    let id = |number| key(number).public().id();
    let unsigned =
        format!("the bundle is not signed, and this deployment trusts only what is signed by {}", id(1));
    let other = format!("the bundle is signed by {}, and this deployment trusts {}", id(2), id(1));
    let older =
        "release 4 is older than release 5: to go back to it, allow exactly that (CEDAR_GATE_ALLOW_RELEASE)";
    let none = "a bundle without a release number is older than release 5: to go back to it, allow exactly that (CEDAR_GATE_ALLOW_RELEASE)";
    let same = "release 5 is in charge already, and this is another bundle of the same number";
    let numberless = build(&sources(&["one", "two"]), &Release::new(None)).unwrap();
    let host = "http://127.0.0.1";
    let status = |status: u16| format!("`{host}`: status {status}");
    let reply = |bytes: Vec<u8>| Answer::ok(bytes);
    let answers: Vec<(Answer, String)> = vec![
        (reply(next.clone()), unsigned.clone()),
        (reply(signed(next.clone(), &key(2))), other),
        (reply(signed(released(4, &["two"]), &key(1))), older.to_owned()),
        (reply(signed(numberless, &key(1))), none.to_owned()),
        (reply(signed(released(5, &["two"]), &key(1))), same.to_owned()),
        (reply(cut), "the file is cut off or has something added".to_owned()),
        (reply(flipped), "the file is damaged: block".to_owned()),
        (reply(head), "the file is damaged: its manifest is not the one that was built".to_owned()),
        (reply(b"<html>Maintenance</html>".to_vec()), "the file is no built bundle".to_owned()),
        (reply(Vec::new()), "the file is no built bundle".to_owned()),
        (Answer::status(404), status(404)),
        (Answer::status(403), status(403)),
        (Answer::status(500), status(500)),
        (
            Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nCEDARGATE-BUNDLE".to_vec()),
            format!("`{host}`: "),
        ),
        (Answer::Raw(b"\x00\x01".to_vec()), format!("`{host}`: ")),
        (Answer::Stall(Vec::new()), format!("`{host}`: no whole answer within")),
        (Answer::redirect("https://elsewhere.example/x?token=1"), format!("`{host}`: ")),
    ];
    let mut seconds = 0;
    for (answer, expected) in answers {
        let shown = format!("{answer:.60?}");
        world.server.set(PLACE, answer);
        seconds += 60;
        let said = live.follow(at(seconds), Duration::from_millis(500));
        let Some(Followed::Refused { place, error }) = said else { panic!("{said:?} to {shown}") };
        let error = error.to_string();
        assert!(error.starts_with(&expected), "{error}, and not {expected}");
        assert!(
            !error.contains("secret") && !error.contains("token=") && !place.contains("secret"),
            "{place}: {error}"
        );
        assert_eq!(
            (reason(&live, "one", seconds), reason(&live, "two", seconds)),
            ("policy", "unknown_issuer")
        );
        assert_eq!(live.bundle_age(at(seconds)).unwrap().as_secs(), u64::try_from(seconds).unwrap());
    }
    world.serve("\"6\"", signed(next, &key(1)));
    assert_eq!(news(&live, seconds + 60), "release 6");
    assert_eq!(reason(&live, "two", seconds + 60), "policy");
    assert_eq!(live.bundle_age(at(seconds + 60)).unwrap().as_secs(), 0);
}

#[test]
fn what_was_refused_is_not_fetched_again_while_it_is_the_same_and_what_was_damaged_is() {
    let world = World::new(released(5, &["one"]));
    let live = world.start(Demands::default());
    world.serve("\"2\"", released(4, &[]));
    assert!(news(&live, 60).starts_with("release 4 is older"));
    assert_eq!(news(&live, 120), "nothing");
    assert_eq!(live.bundle_age(at(120)).unwrap().as_secs(), 120, "that is no confirmation");
    let good = released(6, &["one", "two"]);
    world.serve("\"3\"", good[..good.len() - 1].to_vec());
    assert!(news(&live, 180).starts_with("the file is cut off"));
    // The whole of it, under the same name.
    world.serve("\"3\"", good);
    assert_eq!(news(&live, 240), "release 6");
}

#[test]
fn a_release_goes_back_only_where_exactly_that_is_allowed() {
    let allowing = |allowed: Option<u64>, least: Option<u64>| Demands {
        allowed_release: allowed,
        least_release: least,
        ..Demands::default()
    };
    for (demands, number, expected) in [
        (
            allowing(None, None),
            4,
            "release 4 is older than release 5: to go back to it, allow exactly that (CEDAR_GATE_ALLOW_RELEASE)",
        ),
        (
            allowing(Some(3), None),
            4,
            "release 4 is older than release 5: to go back to it, allow exactly that (CEDAR_GATE_ALLOW_RELEASE)",
        ),
        (allowing(Some(4), None), 4, "release 4"),
        (allowing(Some(4), Some(5)), 4, "release 4"),
        (allowing(None, Some(5)), 6, "release 6"),
    ] {
        let world = World::new(released(5, &["one"]));
        let live = world.start(demands.clone());
        world.serve("\"2\"", released(number, &["two"]));
        assert_eq!(news(&live, 60), expected, "{demands:?}");
    }
    let world = World::new(released(5, &["one"]));
    let settings = Settings { demands: allowing(None, Some(6)), ..world.settings() };
    let error = Live::start(&settings, HttpClient::new(), at(0)).unwrap_err();
    assert!(error.to_string().starts_with("release 5 is older than release 6"), "{error}");
}

#[test]
fn the_package_answers_until_there_is_something_newer() {
    let world = World::new(released(5, &["one"]));
    let start = |package: &[u8], demands: Demands| {
        let package = Some(world.file("package.cgb", package));
        let settings = Settings { package, demands, ..world.settings() };
        let (live, problem) = Live::start(&settings, HttpClient::new(), at(0)).unwrap();
        (live, problem.map(|problem| problem.to_string()))
    };
    // Newer from afar.
    let (live, problem) = start(&released(4, &[]), Demands::default());
    assert_eq!((live.in_charge().release, problem), (Some(5), None));
    // The same.
    let (live, problem) = start(&released(5, &["one"]), Demands::default());
    assert_eq!((live.in_charge().release, problem), (Some(5), None));
    assert_eq!(
        live.in_charge().origin.to_string(),
        world.folder.path().join("package.cgb").canonicalize().unwrap().display().to_string()
    );
    assert_eq!(news(&live, 60), "confirmed");
    // Older from afar.
    let (live, problem) = start(&released(6, &["two"]), Demands::default());
    assert!(problem.unwrap().starts_with("release 5 is older than release 6"));
    assert_eq!((live.in_charge().release, reason(&live, "two", 0)), (Some(6), "policy"));
    // Nobody answers, then somebody does.
    world.server.set(PLACE, Answer::status(500));
    let (live, problem) = start(&released(4, &["two"]), Demands::default());
    assert!(problem.unwrap().contains("status 500"));
    assert_eq!((live.in_charge().release, reason(&live, "two", 0)), (Some(4), "policy"));
    world.serve("\"9\"", released(9, &["one"]));
    assert_eq!((news(&live, 60), reason(&live, "one", 60)), ("release 9".to_owned(), "policy"));
    // The package is not trusted: that the other is there suffices, and without it there is nothing to answer by.
    world.serve("\"10\"", signed(released(10, &["one"]), &key(1)));
    let (live, problem) = start(&released(4, &[]), trusting(&key(1)));
    assert_eq!((live.in_charge().release, problem), (Some(10), None));
    world.server.set(PLACE, Answer::status(500));
    let package = Some(world.file("package.cgb", &released(4, &[])));
    let settings = Settings { package, demands: trusting(&key(1)), ..world.settings() };
    let error = Live::start(&settings, HttpClient::new(), at(0)).unwrap_err();
    assert!(error.to_string().starts_with("the bundle is not signed"), "{error}");
    let error = Live::start(&world.settings(), HttpClient::new(), at(0)).unwrap_err();
    assert!(error.to_string().contains("status 500"), "{error}");
}

#[test]
fn app_config_is_asked_by_version() {
    let server = Server::start();
    let path = "/applications/orders/environments/prod/configurations/policies";
    let serve = |version: &str, bundle: Vec<u8>| {
        server.set(path, Answer::ok(bundle).with_header("Configuration-Version", version));
    };
    serve("1", released(1, &["one"]));
    let port = server.url("").rsplit(':').next().unwrap().parse().unwrap();
    let source = ReleaseSource::parse("appconfig:orders/prod/policies").unwrap();
    let settings = Settings { app_config_port: port, ..Settings::of(source) };
    let (live, _) = Live::start(&settings, HttpClient::new(), at(0)).unwrap();
    assert_eq!(live.in_charge().origin.to_string(), "appconfig:orders/prod/policies");
    assert_eq!(news(&live, 60), "confirmed");
    serve("2", released(2, &["two"]));
    assert_eq!((news(&live, 120), reason(&live, "two", 120)), ("release 2".to_owned(), "policy"));
}

#[test]
fn a_bundle_that_nobody_confirms_ends_or_stays_as_configured() {
    for (then, expected) in [(WhenStale::Fault, "bundle_stale"), (WhenStale::Stay, "policy")] {
        let world = World::new(released(1, &["one"]));
        let max_age = Some(MaxAge { age: Duration::from_secs(100), then });
        let settings = Settings { max_age, ..world.settings() };
        let (live, _) = Live::start(&settings, HttpClient::new(), at(0)).unwrap();
        world.server.set(PLACE, Answer::status(503));
        assert!(news(&live, 60).contains("status 503"));
        assert_eq!((reason(&live, "one", 100), live.stale(at(100))), ("policy", None));
        assert_eq!((reason(&live, "one", 101), live.stale(at(101))), (expected, Some(then)));
        let answer = live.ask(&event("one"), at(101)).answered;
        if then == WhenStale::Fault {
            let detail = "the bundle in charge was last confirmed 101 s ago, which is too long";
            assert_eq!(answer.record.detail.as_deref(), Some(detail));
        }
        world.serve("\"1\"", released(1, &["one"]));
        assert_eq!(news(&live, 160), "confirmed");
        assert_eq!((reason(&live, "one", 161), live.stale(at(161))), ("policy", None));
    }
}

#[test]
fn a_file_that_another_takes_the_place_of_is_followed() {
    let world = World::new(Vec::new());
    let path = world.file("current.cgb", &released(1, &["one"]));
    let (live, _) = Live::start(&Settings::at(&path), HttpClient::new(), at(0)).unwrap();
    assert_eq!((news(&live, 0), reason(&live, "one", 0)), ("nothing".to_owned(), "policy"));
    assert_eq!(live.bundle_age(at(0)), None, "a path is at hand");
    let replace = |bytes: &[u8]| std::fs::rename(world.file("next.cgb", bytes), &path).unwrap();
    replace(&released(2, &["two"]));
    assert_eq!((news(&live, 9), news(&live, 10)), ("nothing".to_owned(), "release 2".to_owned()));
    assert_eq!((reason(&live, "one", 10), reason(&live, "two", 10)), ("unknown_issuer", "policy"));
    replace(&released(1, &["one"]));
    assert!(news(&live, 20).starts_with("release 1 is older than release 2"));
    assert_eq!(news(&live, 30), "nothing");
    replace(b"garbage");
    assert!(news(&live, 40).starts_with("the file is no built bundle"));
    std::fs::remove_file(&path).unwrap();
    assert!(news(&live, 50).starts_with("no bundle at"));
    assert_eq!(reason(&live, "two", 50), "policy", "what is opened stays open");
    replace(&released(3, &["one"]));
    assert_eq!((news(&live, 60), reason(&live, "one", 60)), ("release 3".to_owned(), "policy"));
    // A detached signature, and a folder where signatures are asked for.
    let bundle = released(4, &["one"]);
    world.file("signed.cgb.sig", &key(1).sign(&bundle).unwrap().to_bytes());
    let settings =
        Settings { demands: trusting(&key(1)), ..Settings::at(&world.file("signed.cgb", &bundle)) };
    let (live, _) = Live::start(&settings, HttpClient::new(), at(0)).unwrap();
    assert_eq!(live.in_charge().signed_by, Some(key(1).public().id()));
    let folder = Settings { demands: trusting(&key(1)), ..Settings::at(env!("CARGO_MANIFEST_DIR").as_ref()) };
    let error = Live::start(&folder, HttpClient::new(), at(0)).unwrap_err();
    assert!(error.to_string().starts_with("a folder of sources is not signed"), "{error}");
}

/// Who writes into the file in charge takes nothing over: what has been read stays, and what has not is a fault.
#[test]
fn what_is_written_over_a_file_in_charge_is_never_believed() {
    let world = World::new(Vec::new());
    let good = released(1, &["one"]);
    let path = world.file("current.cgb", &good);
    let (live, _) = Live::start(&Settings::at(&path), HttpClient::new(), at(0)).unwrap();
    let opened = &good[..good.len() - 1];
    std::fs::write(&path, opened.iter().map(|byte| byte ^ 0xff).collect::<Vec<u8>>()).unwrap();
    assert_eq!(reason(&live, "one", 0), "bundle_damaged");
    assert!(news(&live, 10).starts_with("the file is no built bundle"));
    std::fs::write(&path, &good).unwrap();
    // It is another file by what the system says of it, and the same bundle.
    assert_eq!((news(&live, 20), reason(&live, "one", 20)), ("release 1".to_owned(), "policy"));
}

#[test]
fn while_bundles_are_swapped_every_answer_is_that_of_one_of_them() {
    let world = World::new(released(1, &["one"]));
    let live = world.start(Demands::default());
    let (one, two, done) = (event("one"), event("two"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for (event, others) in [(&one, "even"), (&two, "odd")] {
                        let answered = live.ask(event, at(0));
                        let release = answered.in_charge.release.unwrap();
                        let is_other = release.is_multiple_of(2) == (others == "even");
                        let expected = if is_other { "unknown_issuer" } else { "policy" };
                        assert_eq!(answered.answered.record.reason, expected, "release {release}");
                        assert_eq!(
                            answered.answered.record.bundle,
                            answered.in_charge.authorizer.bundle().digest()
                        );
                    }
                }
            });
        }
        for number in 2..12_i64 {
            let release = u64::try_from(number).unwrap();
            let tenant = if number % 2 == 0 { "two" } else { "one" };
            world.serve(&format!("\"{number}\""), released(release, &[tenant]));
            assert_eq!(news(&live, number * 60), format!("release {number}"));
        }
        done.store(true, Ordering::Relaxed);
    });
}
