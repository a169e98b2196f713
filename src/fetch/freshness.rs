//! How long fetched keys are believed, and when they are asked for again. Pure: moments are arguments, so that hours pass in
//! a test's milliseconds.
//!
//! - A set is believed while it is fresh: a quarter of the issuer's `max_age`, less where `Cache-Control` says so, at least
//!   [`MIN_INTERVAL`].
//! - When it is not, it is asked for. Until that has succeeded, the set is believed for as long as nobody may ask again, and
//!   never beyond `max_age` after it was fetched: a removed key is refused by then, and a dead server refuses nobody before.
//! - Nobody asks twice within [`MIN_INTERVAL`], nor, after failures, before the back-off has run out.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::keys::KeyFetchError;
use crate::jose::JwkSet;
use crate::time::Timestamp;

/// How long a place is not asked again, whatever `kid` a token invents.
pub const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The longest back-off after failures.
pub const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// How far the clock may be behind a moment that was noted. Threads that run together have moments that differ a little,
/// and clocks are corrected a little. A clock that was set back further makes every noted moment meaningless.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// What is known of the keys at one place.
#[derive(Debug, Default)]
pub(super) struct KeyState {
    known: Option<KnownKeys>,
    attempt: Option<Attempt>,
    /// Whether the ring does not say so yet.
    is_news: bool,
}

#[derive(Clone, Debug)]
struct KnownKeys {
    set: Arc<JwkSet>,
    digest: [u8; 32],
    fetched_at: Timestamp,
    fresh_for: Option<Duration>,
}

/// The last time that the place was asked.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    at: Timestamp,
    result: Result<(), Failures>,
}

/// Failures in a row. An attempt that is under way counts as failed until it has succeeded.
#[derive(Clone, Debug)]
struct Failures {
    count: u32,
    last: Option<KeyFetchError>,
}

/// Whether the place may be asked now.
#[derive(Debug)]
pub(super) enum Permit {
    /// It may.
    Ask,
    /// What is known is what was there a moment ago.
    Recent,
    /// It failed, and the back-off has not run out.
    BackingOff { until: Timestamp, error: Option<KeyFetchError> },
}

impl KeyState {
    pub(super) fn permit(&self, now: Timestamp) -> Permit {
        match &self.attempt {
            None => Permit::Ask,
            Some(attempt) if attempt.is_over(now) || was_set_back(attempt.at, now) => Permit::Ask,
            Some(Attempt { result: Ok(()), .. }) => Permit::Recent,
            Some(attempt @ Attempt { result: Err(failures), .. }) => {
                Permit::BackingOff { until: attempt.next(), error: failures.last.clone() }
            }
        }
    }

    /// Notes that the place is being asked. What is known is believed meanwhile, so that one thread waits and not all.
    /// The result is for [`Self::cut_off`].
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<Attempt> {
        // How old the set is, nobody can tell any more.
        self.known.take_if(|known| was_set_back(known.fetched_at, now));
        let count = self.failures().saturating_add(1);
        let last = self.attempt.as_ref().and_then(|attempt| attempt.result.as_ref().err()?.last.clone());
        self.is_news = true;
        self.attempt.replace(Attempt { at: now, result: Err(Failures { count, last }) })
    }

    /// The keys that were there at the moment of [`Self::begin`]. Says whether they differ from those before.
    pub(super) fn succeed(
        &mut self,
        now: Timestamp,
        keys: JwkSet,
        digest: [u8; 32],
        fresh_for: Option<Duration>,
    ) -> bool {
        self.attempt = Some(Attempt { at: now, result: Ok(()) });
        self.is_news = true;
        let unchanged = self.known.take().filter(|known| known.digest == digest);
        let changed = unchanged.is_none();
        let set = unchanged.map_or_else(|| Arc::new(keys), |known| known.set);
        self.known = Some(KnownKeys { set, digest, fetched_at: now, fresh_for });
        changed
    }

    /// Says when the place may be asked again.
    pub(super) fn fail(&mut self, error: KeyFetchError) -> Option<Timestamp> {
        let attempt = self.attempt.as_mut()?;
        if let Err(failures) = &mut attempt.result {
            failures.last = Some(error);
        }
        Some(attempt.next())
    }

    /// Takes an attempt back that had too little time: it says nothing about the place.
    pub(super) fn cut_off(&mut self, before: Option<Attempt>) {
        self.attempt = before;
        self.is_news = true;
    }

    /// Whether something happened since [`Self::publish`].
    pub(super) fn is_news(&self) -> bool {
        self.is_news
    }

    /// Notes that the ring says what is known.
    pub(super) fn publish(&mut self) {
        self.is_news = false;
    }

    /// The known keys, and from when to when an issuer with this `max_age` believes them.
    pub(super) fn believed(&self, max_age: Duration) -> Option<(&Arc<JwkSet>, Range<Timestamp>)> {
        let known = self.known.as_ref()?;
        let mut end = after(known.fetched_at, fresh_within(known.fresh_for, max_age));
        if let Some(attempt @ Attempt { result: Err(_), .. }) = &self.attempt {
            end = end.max(attempt.next());
        }
        let end = end.min(after(known.fetched_at, max_age));
        Some((&known.set, before(known.fetched_at, CLOCK_TOLERANCE)..end))
    }

    /// Whether newer keys were wanted and are not there.
    pub(super) fn is_outdated(&self) -> bool {
        self.failures() > 0
    }

    fn failures(&self) -> u32 {
        match &self.attempt {
            Some(Attempt { result: Err(failures), .. }) => failures.count,
            Some(Attempt { result: Ok(()), .. }) | None => 0,
        }
    }
}

impl Attempt {
    /// When the place may be asked again.
    fn next(&self) -> Timestamp {
        let wait = match &self.result {
            Ok(()) => MIN_INTERVAL,
            Err(Failures { count, .. }) => {
                let doublings = count.saturating_sub(1).min(16);
                MIN_INTERVAL.saturating_mul(1 << doublings).min(MAX_BACK_OFF)
            }
        };
        after(self.at, wait)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.next() <= now
    }
}

/// How long a set is believed before it is asked for again, where the server calls it fresh for `fresh_for`.
pub(super) fn fresh_within(fresh_for: Option<Duration>, max_age: Duration) -> Duration {
    fresh_for.unwrap_or(Duration::MAX).min(max_age / 4).max(MIN_INTERVAL)
}

fn was_set_back(noted: Timestamp, now: Timestamp) -> bool {
    now < before(noted, CLOCK_TOLERANCE)
}

fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    Timestamp::from_unix_millis(moment.unix_millis().saturating_add(millis(duration)))
}

fn before(moment: Timestamp, duration: Duration) -> Timestamp {
    Timestamp::from_unix_millis(moment.unix_millis().saturating_sub(millis(duration)))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// For how long an answer is fresh by its `Cache-Control` and `Age` (RFC 9111 §4.2, §5.1); `None` where they do not say.
/// What contradicts itself or cannot be read is stale (§4.2.1).
pub(super) fn fresh_for(cache_control: &str, age: &str) -> Option<Duration> {
    let mut max_age: Option<u64> = None;
    for directive in cache_control.split(',') {
        let (name, value) = directive.split_once('=').map_or((directive, ""), |(name, value)| (name, value));
        let seconds = match name.trim().to_ascii_lowercase().as_str() {
            "max-age" => seconds(value.trim().trim_matches('"')).unwrap_or(0),
            "no-cache" | "no-store" => 0,
            _ => continue,
        };
        max_age = Some(max_age.map_or(seconds, |lower| lower.min(seconds)));
    }
    // §5.1: of several ages the first counts, and one that is no number does not.
    let age = age.split(',').next().and_then(|age| seconds(age.trim())).unwrap_or(0);
    max_age.map(|max_age| Duration::from_secs(max_age.saturating_sub(age)))
}

/// §1.2.2 delta-seconds: digits alone; more than fit are very many.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jose::issuer::HttpUrl;

    /// So many seconds after the beginning.
    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_795_262_400 + seconds)
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn fetched(fresh_for: Option<u64>) -> KeyState {
        let mut state = KeyState::default();
        state.begin(at(0));
        state.succeed(at(0), JwkSet::default(), [0; 32], fresh_for.map(Duration::from_secs));
        state
    }

    /// Until when a set is believed, in seconds after the beginning.
    fn end(state: &KeyState, max_age: Duration) -> Option<i64> {
        let (_, during) = state.believed(max_age)?;
        Some((during.end.unix_millis() - at(0).unix_millis()) / 1000)
    }

    fn fail(state: &mut KeyState, seconds: i64) {
        assert!(matches!(state.permit(at(seconds)), Permit::Ask));
        state.begin(at(seconds));
        state.fail(KeyFetchError::NoUsableKey {
            url: HttpUrl::try_from("https://a.example".to_owned()).unwrap(),
            reason: None,
        });
    }

    #[test]
    fn a_set_is_believed_while_it_is_fresh() {
        for (fresh_for, max_age, expected) in [
            (None, 3600, 900),
            (Some(300), 3600, 300),
            (Some(86_400), 3600, 900),
            (Some(u64::MAX), 86_400, 21_600),
            (Some(9), 3600, 10),
            (Some(0), 3600, 10),
            (None, 60, 15),
        ] {
            assert_eq!(
                end(&fetched(fresh_for), Duration::from_secs(max_age)),
                Some(expected),
                "{fresh_for:?}"
            );
        }
        assert_eq!(end(&KeyState::default(), HOUR), None);
    }

    #[test]
    fn failures_prolong_it_by_the_back_off_but_not_past_its_age() {
        let mut state = fetched(None);
        let mut now = 900;
        for back_off in [10, 20, 40, 60, 60, 60] {
            fail(&mut state, now);
            assert_eq!(end(&state, HOUR), Some(now + back_off));
            assert!(matches!(
                state.permit(at(now + back_off - 1)),
                Permit::BackingOff { until, error: Some(_) } if until == at(now + back_off)
            ));
            now += back_off;
        }
        fail(&mut state, 3590);
        assert_eq!(end(&state, HOUR), Some(3600));
        assert_eq!(end(&state, 2 * HOUR), Some(3650));
        state.begin(at(4000));
        state.succeed(at(4000), JwkSet::default(), [0; 32], None);
        fail(&mut state, 4010);
        assert_eq!(end(&state, HOUR), Some(4900));
        assert!(matches!(state.permit(at(4019)), Permit::BackingOff { .. }));
        assert!(matches!(state.permit(at(4020)), Permit::Ask));
    }

    #[test]
    fn a_failure_takes_no_belief_away() {
        let mut state = fetched(None);
        fail(&mut state, 100);
        assert_eq!(end(&state, HOUR), Some(900));
    }

    #[test]
    fn an_attempt_under_way_counts_as_failed() {
        let mut state = fetched(None);
        state.begin(at(900));
        assert_eq!(end(&state, HOUR), Some(910));
        assert!(state.is_outdated());
        assert!(matches!(state.permit(at(901)), Permit::BackingOff { error: None, .. }));
        state.succeed(at(900), JwkSet::default(), [0; 32], None);
        assert!(!state.is_outdated());
        assert!(matches!(state.permit(at(901)), Permit::Recent));
    }

    #[test]
    fn an_attempt_that_was_cut_off_leaves_no_trace() {
        let mut state = KeyState::default();
        let before = state.begin(at(0));
        state.cut_off(before);
        assert!(matches!(state.permit(at(0)), Permit::Ask));
        fail(&mut state, 0);
        let before = state.begin(at(10));
        state.cut_off(before);
        fail(&mut state, 10);
        assert!(matches!(state.permit(at(29)), Permit::BackingOff { .. }));
        assert!(matches!(state.permit(at(30)), Permit::Ask));
    }

    #[test]
    fn a_clock_that_was_corrected_a_little_changes_nothing() {
        let state = fetched(None);
        assert!(matches!(state.permit(at(-60)), Permit::Recent));
        assert!(state.believed(HOUR).is_some_and(|(_, during)| during.contains(&at(-60))));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_everything_unknown() {
        let mut state = fetched(None);
        assert!(state.believed(HOUR).is_some_and(|(_, during)| !during.contains(&at(-61))));
        fail(&mut state, -61);
        assert!(state.believed(HOUR).is_none());
        assert!(matches!(state.permit(at(-52)), Permit::BackingOff { .. }));
        assert!(matches!(state.permit(at(-51)), Permit::Ask));
    }

    #[test]
    fn cache_control_is_read_as_its_rfc_says() {
        for (cache_control, age, expected) in [
            ("", "", None),
            ("max-age=300", "", Some(300)),
            ("public, max-age=300, must-revalidate", "", Some(300)),
            ("Public,MAX-AGE=300", "100", Some(200)),
            ("max-age=\"300\"", "", Some(300)),
            ("max-age=300", "400", Some(0)),
            ("max-age=300", "100, 5", Some(200)),
            ("max-age=300", "-5", Some(300)),
            ("max-age=300", "soon", Some(300)),
            ("max-age=300, max-age=60", "", Some(60)),
            ("max-age=300,no-cache", "", Some(0)),
            ("no-store", "", Some(0)),
            ("no-cache=\"set-cookie\"", "", Some(0)),
            ("max-age", "", Some(0)),
            ("max-age=", "", Some(0)),
            ("max-age=-1", "", Some(0)),
            ("max-age=1.5", "", Some(0)),
            ("max-age=+1", "", Some(0)),
            ("max-age=99999999999999999999", "", Some(u64::MAX)),
            ("max-age =300", "", Some(300)),
            ("s-maxage=300", "", None),
            ("x-max-age=300", "", None),
            ("private; max-age=300", "", None),
        ] {
            assert_eq!(
                fresh_for(cache_control, age),
                expected.map(Duration::from_secs),
                "{cache_control}, {age}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_cache_control_is_answered(cache_control in ".{0,40}", age in ".{0,8}", max_age in any::<u64>()) {
            fresh_for(&cache_control, &age);
            let said = fresh_for(&format!("{cache_control},max-age={max_age}"), &age);
            prop_assert!(said.is_some_and(|said| said <= Duration::from_secs(max_age)));
        }
    }
}
