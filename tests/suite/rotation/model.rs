//! Whatever the server does and however the clock runs: a token is accepted if and only if its key was in the last set that
//! could be fetched, and that is younger than `max_age`; and the server is asked exactly when it must and may be.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Issuers who share a place, and their `max_age`.
const ISSUERS: [(&str, i64); 3] = [("hour", 3600), ("minute", 60), ("day", 86_400)];

#[derive(Clone, Debug)]
enum Step {
    /// The clock runs, or is corrected, or set back.
    Pass(i64),
    /// From now on the server has these keys, with this `Cache-Control: max-age`.
    Serve(BTreeSet<usize>, Option<i64>),
    /// From now on it has nothing of use.
    Break(Answer),
    /// A token of an issuer, signed with a key.
    Ask(usize, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![4 => 0..30_i64, 4 => 0..1_000_i64, 2 => 0..8_000_i64, 1 => -60..0_i64, 1 => -9_000..-60_i64];
    let broken = select(vec![
        Answer::status(500),
        Answer::ok("<html></html>"),
        Answer::ok(r#"{"keys":[]}"#),
        Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"keys\":[".to_vec()),
        Answer::redirect("http://127.0.0.2/jwks"),
    ]);
    let fresh_for = select(vec![None, None, Some(0), Some(30), Some(600), Some(7200)]);
    prop_oneof![
        4 => seconds.prop_map(Step::Pass),
        2 => (prop::collection::btree_set(0..KEYS.len(), 1..KEYS.len()), fresh_for).prop_map(|(keys, fresh_for)| Step::Serve(keys, fresh_for)),
        1 => broken.prop_map(Step::Break),
        6 => (0..ISSUERS.len(), 0..KEYS.len()).prop_map(|(issuer, key)| Step::Ask(issuer, key)),
    ]
}

/// The rules, as they are told in words.
struct Model {
    now: i64,
    /// What the server has.
    served: Option<(BTreeSet<usize>, Option<i64>)>,
    last_good: Option<Fetched>,
    last_asked: Option<Asked>,
}

struct Fetched {
    at: i64,
    keys: BTreeSet<usize>,
    fresh_for: Option<i64>,
}

struct Asked {
    at: i64,
    failures: u32,
}

impl Asked {
    /// When the place may be asked again: after ten seconds, and after failures in a row later and later.
    fn again(&self) -> i64 {
        self.at + [10, 10, 20, 40, 60].get(self.failures as usize).unwrap_or(&60)
    }
}

impl Model {
    fn new() -> Self {
        Self { now: 0, served: None, last_good: None, last_asked: None }
    }

    /// What must be answered, and whether the server is asked before.
    fn ask(&mut self, max_age: i64, key: usize) -> (&'static str, bool) {
        let asks = self.needs(max_age, key) && self.may_ask();
        if asks {
            self.fetch();
        }
        let has_key = |good: &Fetched| self.is_young(good, max_age) && good.keys.contains(&key);
        let answer = match (&self.last_good, &self.last_asked) {
            (Some(good), _) if has_key(good) => "accepted",
            (_, Some(Asked { failures: 0, .. })) => "unknown_key",
            _ => "keys_unavailable",
        };
        (answer, asks)
    }

    fn needs(&self, max_age: i64, key: usize) -> bool {
        self.last_good.as_ref().is_none_or(|good| {
            let fresh = good.fresh_for.unwrap_or(i64::MAX).min(max_age / 4).max(10);
            let backing_off =
                self.last_asked.as_ref().is_some_and(|asked| asked.failures > 0 && self.now < asked.again());
            let is_fresh = self.now < good.at + fresh || backing_off;
            !good.keys.contains(&key) || !self.is_young(good, max_age) || !is_fresh
        })
    }

    /// Not older than it may be, as far as the clock can tell.
    fn is_young(&self, good: &Fetched, max_age: i64) -> bool {
        (good.at - 60..good.at + max_age).contains(&self.now)
    }

    fn may_ask(&self) -> bool {
        self.last_asked.as_ref().is_none_or(|asked| self.now < asked.at - 60 || asked.again() <= self.now)
    }

    fn fetch(&mut self) {
        let failures = self.last_asked.as_ref().map_or(0, |asked| asked.failures);
        self.last_good.take_if(|good| self.now < good.at - 60);
        let failures = match &self.served {
            Some((keys, fresh_for)) => {
                self.last_good = Some(Fetched { at: self.now, keys: keys.clone(), fresh_for: *fresh_for });
                0
            }
            None => failures + 1,
        };
        self.last_asked = Some(Asked { at: self.now, failures });
    }
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let keys = ISSUERS
        .map(|(name, max_age)| (name, format!("{{ url = \"{{server}}/jwks\", max_age = {max_age} }}")));
    World::new(&keys.each_ref().map(|(name, keys)| (*name, keys.as_str())))
});

/// The tokens of each issuer by each key.
static TOKENS: LazyLock<Vec<Vec<BearerToken<'static>>>> = LazyLock::new(|| {
    ISSUERS.iter().map(|(name, _)| (0..KEYS.len()).map(|key| WORLD.token(name, key)).collect()).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn what_is_accepted_and_what_is_asked_is_what_the_rules_say(steps in prop::collection::vec(any_step(), 1..80)) {
        let World { server, bundle, .. } = &*WORLD;
        let store = KeyStore::new(HttpClient::new());
        store.adopt(bundle);
        server.set("/jwks", Answer::status(503));
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Pass(seconds) => model.now += seconds,
                Step::Break(answer) => {
                    server.set("/jwks", answer);
                    model.served = None;
                }
                Step::Serve(keys, fresh_for) => {
                    let answer = serving(&keys.iter().copied().collect::<Vec<_>>());
                    server.set("/jwks", match fresh_for {
                        Some(seconds) => answer.with_header("Cache-Control", &format!("max-age={seconds}")),
                        None => answer,
                    });
                    model.served = Some((keys, fresh_for));
                }
                Step::Ask(issuer, key) => {
                    let asked_before = server.count("/jwks");
                    let answer = answer(&store, bundle, &TOKENS[issuer][key], at(model.now));
                    let asked = server.count("/jwks") - asked_before;
                    let (expected, asks) = model.ask(ISSUERS[issuer].1, key);
                    prop_assert_eq!((slug(&answer), asked), (expected, usize::from(asks)), "at {}", model.now);
                }
            }
        }
    }
}
