//! The issuers' published keys: fetched when they are needed, kept, and believed for a while. See [`KeyStore`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};

use super::discovery::{MetadataError, jwks_uri};
use super::freshness::{KeyState, Permit, fresh_within};
pub use super::freshness::{MAX_BACK_OFF, MIN_INTERVAL};
use super::http::{HttpClient, HttpError, HttpResponse, REQUEST_TIMEOUT};
use crate::bundle::BundleFacts;
use crate::jose::issuer::{HttpUrl, KeyPlace, KeySource};
use crate::jose::{JwkError, JwkSet, KeyRing};
use crate::time::Timestamp;

/// The most places that [`KeyStore::prefetch`] asks: each is a thread and a TLS connection at the same time. The keys of
/// further issuers are fetched with their first token.
pub const MAX_PREFETCH: usize = 64;

/// The issuers' keys: those that a bundle pins, and those that the issuers publish. A place that several issuers share is
/// asked once for all of them, and its failures are theirs together; no other issuer is touched by them.
///
/// Nothing happens in the background, where a Lambda function is frozen: [`Self::refresh`] is called when an answer needs
/// newer keys. To read ([`Self::ring`]) takes no lock.
#[derive(Debug)]
pub struct KeyStore {
    http: HttpClient,
    ring: ArcSwap<AdoptedRing>,
    wanted: Mutex<Wanted>,
}

/// The keys there are, and the number of the adoption that they are for.
#[derive(Clone, Debug, Default)]
struct AdoptedRing {
    ring: Arc<KeyRing>,
    adoption: u64,
}

/// What a bundle's issuers want fetched.
#[derive(Debug, Default)]
struct Wanted {
    places: HashMap<KeyPlace, Arc<Place>>,
    by_key_set: HashMap<Arc<str>, Arc<Place>>,
    /// Who uses a place: key set, and `max_age`. Sorted.
    users: HashMap<KeyPlace, Vec<(Arc<str>, Duration)>>,
}

/// Where keys are published, and what is known of it.
#[derive(Debug)]
struct Place {
    place: KeyPlace,
    /// Held while the place is asked: who waits for it finds the result in `state`.
    flight: Mutex<()>,
    state: Mutex<KeyState>,
}

/// What became of the wish for newer keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReport {
    /// The key set; where several share a place, the first of them by name.
    pub key_set: Arc<str>,
    /// The address that was to be asked first.
    pub url: HttpUrl,
    /// What happened.
    pub outcome: FetchOutcome,
    /// How long it took, waiting for another thread included.
    pub took: Duration,
}

/// What became of the wish for newer keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// They were fetched.
    Fetched {
        /// How many keys can be used.
        keys: usize,
        /// How many cannot.
        skipped: usize,
        /// Whether the set is another than before.
        changed: bool,
    },
    /// They were fetched a moment ago, maybe by another thread: there are no newer ones.
    Recent,
    /// They could not be fetched. The last known set is believed on, within the issuer's `max_age`.
    Failed {
        /// Why.
        error: KeyFetchError,
        /// Before then the place is not asked again.
        retry_at: Timestamp,
    },
    /// They could not be fetched a moment ago, and the place is not asked again so soon.
    BackingOff {
        /// Why not then, where that is known.
        error: Option<KeyFetchError>,
        /// Before then the place is not asked again.
        retry_at: Timestamp,
    },
    /// The prefetch's time ran out. The first token that needs the keys has them fetched.
    CutOff,
}

impl FetchOutcome {
    /// Whether the ring now holds what the issuer publishes. A key that it lacks then does not exist; otherwise nobody
    /// can tell.
    #[must_use]
    pub fn is_current(&self) -> bool {
        match self {
            Self::Fetched { .. } | Self::Recent => true,
            Self::Failed { .. } | Self::BackingOff { .. } | Self::CutOff => false,
        }
    }
}

/// Why published keys could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFetchError {
    /// No usable answer.
    #[error("`{url}`: {error}")]
    Http {
        /// What was asked.
        url: HttpUrl,
        /// Why.
        error: HttpError,
    },
    /// The issuer's metadata does not say where its keys are.
    #[error("`{url}`: {error}")]
    Metadata {
        /// Where the metadata is.
        url: HttpUrl,
        /// Why.
        error: MetadataError,
    },
    /// Not a key set.
    #[error("`{url}`: {error}")]
    Keys {
        /// What was asked.
        url: HttpUrl,
        /// Why.
        error: JwkError,
    },
    /// A key set with no key that can be used. It does not replace one that has some: a mistake is likelier than an issuer
    /// that wants all its tokens refused, and if it does, `max_age` does it.
    #[error("`{url}`: the key set has no key that can be used{}", first_reason(.reason))]
    NoUsableKey {
        /// What was asked.
        url: HttpUrl,
        /// Why the first one cannot be used; `None` where there is none.
        reason: Option<JwkError>,
    },
}

fn first_reason(reason: &Option<JwkError>) -> String {
    reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))
}

impl KeyStore {
    /// A store without any keys; [`Self::adopt`] says whose it shall have.
    #[must_use]
    pub fn new(http: HttpClient) -> Self {
        Self { http, ring: ArcSwap::default(), wanted: Mutex::default() }
    }

    /// Takes over what a bundle wants: its pinned keys at once, and where the others are published. Called at the start and
    /// whenever the bundle is swapped: what was fetched and is still wanted stays, the rest is forgotten.
    /// Gives the number of this adoption, which [`Self::adopted_ring`] names too.
    pub fn adopt(&self, bundle: &BundleFacts) -> u64 {
        let mut wanted = lock(&self.wanted);
        let mut next = Wanted::default();
        for issuer in bundle.issuers().by_key_set() {
            match issuer.keys() {
                KeySource::Published(published) => {
                    let max_age = Duration::from_millis(published.max_age.millis().unsigned_abs());
                    let known = wanted.places.get(&published.place);
                    next.want(&published.place, known, issuer.key_set(), max_age);
                }
                // The bundle has them already, as far as it can.
                KeySource::Development
                | KeySource::File(_)
                | KeySource::Inline(_)
                | KeySource::Secret(_)
                | KeySource::Opaque => {}
            }
        }
        next.users.values_mut().for_each(|users| users.sort());
        *wanted = next;
        let mut ring = bundle.keys().clone();
        for place in wanted.places.values() {
            wanted.put(place, &mut ring);
        }
        let adoption = self.ring.load().adoption + 1;
        self.ring.store(Arc::new(AdoptedRing { ring: Arc::new(ring), adoption }));
        adoption
    }

    /// All keys, each with the time in which it is believed.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.load().ring)
    }

    /// The same, and the number of the adoption that it is for.
    #[must_use]
    pub fn adopted_ring(&self) -> (Arc<KeyRing>, u64) {
        let AdoptedRing { ring, adoption } = self.ring.load().as_ref().clone();
        (ring, adoption)
    }

    /// Fetches what is missing, all places at once, for at most `budget` together. A place that has not answered by then
    /// delays nobody; the first token that needs its keys has them fetched. Never fails, and no report means that nothing
    /// was missing.
    #[must_use]
    pub fn prefetch(&self, now: Timestamp, budget: Duration) -> Vec<FetchReport> {
        let clock = Clock::starting(budget, TooLate::CutOff);
        let missing = self.missing(now);
        let reports: Vec<FetchReport> = thread::scope(|scope| {
            let threads: Vec<_> = missing
                .iter()
                .map(|(key_set, place)| {
                    thread::Builder::new().spawn_scoped(scope, || {
                        // Somebody else is asking already.
                        let _flight = place.flight.try_lock().ok()?;
                        let outcome = self.ask(place, now, &clock, || {});
                        Some(clock.report(Arc::clone(key_set), place, outcome))
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.ok()?.join().ok()?).collect()
        });
        self.publish(missing.iter().map(|(_, place)| place));
        reports
    }

    /// Fetches the newest keys of a key set, unless that was done or tried a moment ago. Waits while another thread does it.
    /// `None` for a set that is nowhere published: the bundle's pinned keys are the newest.
    pub fn refresh(&self, key_set: &str, now: Timestamp) -> Option<FetchReport> {
        self.refresh_within(key_set, now, Duration::MAX)
    }

    /// The same for at most `within`, or for as long as the other thread may take.
    pub fn refresh_within(&self, key_set: &str, now: Timestamp, within: Duration) -> Option<FetchReport> {
        let clock = Clock::starting(within, TooLate::Failure);
        let (key_set, place) = {
            let wanted = lock(&self.wanted);
            let (key_set, place) = wanted.by_key_set.get_key_value(key_set)?;
            (Arc::clone(key_set), Arc::clone(place))
        };
        let _flight = lock(&place.flight);
        let publish = || {
            if lock(&place.state).is_news() {
                self.publish([&place]);
            }
        };
        let outcome = self.ask(&place, now, &clock, publish);
        // Also what a prefetch found, which publishes all at its end.
        publish();
        Some(clock.report(key_set, &place, outcome))
    }

    /// Places of which no keys are believed at `now`, at most [`MAX_PREFETCH`], by the name of the first key set there.
    fn missing(&self, now: Timestamp) -> Vec<(Arc<str>, Arc<Place>)> {
        let ring = self.ring();
        let wanted = lock(&self.wanted);
        let mut missing: Vec<(Arc<str>, Arc<Place>)> = wanted
            .users
            .iter()
            .filter_map(|(place, users)| {
                let (key_set, _) = users.iter().find(|(key_set, _)| ring.keys_of(key_set, now).is_none())?;
                Some((Arc::clone(key_set), Arc::clone(wanted.places.get(place)?)))
            })
            .collect();
        missing.sort_by(|(one, _), (other, _)| one.cmp(other));
        missing.truncate(MAX_PREFETCH);
        missing
    }

    /// Asks a place, if it may be asked. The caller holds its flight.
    fn ask(&self, place: &Place, now: Timestamp, clock: &Clock, begun: impl FnOnce()) -> FetchOutcome {
        match lock(&place.state).permit(now) {
            Permit::Ask => {}
            Permit::Recent => return FetchOutcome::Recent,
            Permit::BackingOff { until, error } => {
                return FetchOutcome::BackingOff { error, retry_at: until };
            }
        }
        let before = lock(&place.state).begin(now);
        begun();
        let fetched = fetch(&self.http, &place.place, clock);
        let mut state = lock(&place.state);
        match fetched {
            Ok(PublishedSet { set, digest, fresh_for, .. }) => {
                let (keys, skipped) = (set.keys().len(), set.skipped().len());
                let changed = state.succeed(now, set, digest, fresh_for);
                FetchOutcome::Fetched { keys, skipped, changed }
            }
            // The client would have waited longer, so this says nothing about the place.
            Err(KeyFetchError::Http { error: HttpError::TimedOut { within }, .. })
                if clock.too_late == TooLate::CutOff && within < REQUEST_TIMEOUT =>
            {
                state.cut_off(before);
                FetchOutcome::CutOff
            }
            Err(error) => {
                let retry_at = state.fail(error.clone()).unwrap_or(now);
                FetchOutcome::Failed { error, retry_at }
            }
        }
    }

    /// Puts what is now known of some places into the ring, all at once.
    fn publish<'p>(&self, places: impl IntoIterator<Item = &'p Arc<Place>>) {
        let wanted = lock(&self.wanted);
        let AdoptedRing { ring, adoption } = self.ring.load().as_ref().clone();
        let mut ring = KeyRing::clone(&ring);
        for place in places {
            wanted.put(place, &mut ring);
        }
        self.ring.store(Arc::new(AdoptedRing { ring: Arc::new(ring), adoption }));
    }
}

/// What an issuer published when it was asked.
#[derive(Debug)]
pub struct PublishedSet {
    /// The keys: one at least that can be used.
    pub set: JwkSet,
    /// Where they were: for discovery, where the metadata said.
    pub url: HttpUrl,
    /// For how long the server calls them fresh; `None` where it does not say.
    pub fresh_for: Option<Duration>,
    digest: [u8; 32],
}

impl PublishedSet {
    /// For how long an issuer with this `max_age` believes them before it asks again.
    #[must_use]
    pub fn believed_for(&self, max_age: Duration) -> Duration {
        fresh_within(self.fresh_for, max_age)
    }

    /// Asks a place once, whatever was asked before: for who wants to see what stands there.
    ///
    /// # Errors
    /// [`KeyFetchError`].
    pub fn fetch(http: &HttpClient, place: &KeyPlace) -> Result<Self, KeyFetchError> {
        fetch(http, place, &Clock::starting(Duration::MAX, TooLate::Failure))
    }
}

fn fetch(http: &HttpClient, place: &KeyPlace, clock: &Clock) -> Result<PublishedSet, KeyFetchError> {
    let get = |url: &HttpUrl| -> Result<HttpResponse, KeyFetchError> {
        http.get(url, clock.left()).map_err(|error| KeyFetchError::Http { url: url.clone(), error })
    };
    let url = match place {
        KeyPlace::Jwks(url) => url.clone(),
        KeyPlace::Discovery { url, issuer } => jwks_uri(&get(url)?.body, url, issuer)
            .map_err(|error| KeyFetchError::Metadata { url: url.clone(), error })?,
    };
    let response = get(&url)?;
    let set = match JwkSet::from_json(&response.body) {
        Ok(set) => set,
        Err(error) => return Err(KeyFetchError::Keys { url, error }),
    };
    if set.keys().is_empty() {
        let reason = set.skipped().first().map(|(_, reason)| reason.clone());
        return Err(KeyFetchError::NoUsableKey { url, reason });
    }
    let mut sha256 = [0; 32];
    for (byte, of_digest) in sha256.iter_mut().zip(digest(&SHA256, &response.body).as_ref()) {
        *byte = *of_digest;
    }
    Ok(PublishedSet { set, url, fresh_for: response.fresh_for, digest: sha256 })
}

impl Wanted {
    fn want(&mut self, place: &KeyPlace, known: Option<&Arc<Place>>, key_set: &Arc<str>, max_age: Duration) {
        let entry = self.places.entry(place.clone());
        let shared = entry.or_insert_with(|| known.map_or_else(|| Arc::new(Place::new(place)), Arc::clone));
        self.by_key_set.insert(Arc::clone(key_set), Arc::clone(shared));
        self.users.entry(place.clone()).or_default().push((Arc::clone(key_set), max_age));
    }

    /// Puts what is known of a place into a ring, for all who use it. A place that nobody wants any more has no users.
    fn put(&self, place: &Place, ring: &mut KeyRing) {
        let mut state = lock(&place.state);
        state.publish();
        for (key_set, max_age) in self.users.get(&place.place).into_iter().flatten() {
            match state.believed(*max_age) {
                Some((keys, during)) => ring.insert_during(key_set, Arc::clone(keys), during),
                None => ring.remove(key_set),
            }
            if state.is_outdated() {
                ring.mark_outdated(key_set);
            }
        }
    }
}

impl Place {
    fn new(place: &KeyPlace) -> Self {
        Self { place: place.clone(), flight: Mutex::default(), state: Mutex::default() }
    }
}

/// A thread that panicked leaves nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When something began, and how long it may take.
struct Clock {
    started: Instant,
    budget: Duration,
    too_late: TooLate,
}

/// What it means when a place has not answered by then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TooLate {
    /// Nothing: the time was shared with others. It may be asked again at once.
    CutOff,
    /// That it is slow. It is not asked again so soon, or each answer would wait for it.
    Failure,
}

#[expect(clippy::disallowed_methods, reason = "this module waits for servers, and must stop waiting")]
impl Clock {
    fn starting(budget: Duration, too_late: TooLate) -> Self {
        Self { started: Instant::now(), budget, too_late }
    }

    fn left(&self) -> Duration {
        self.budget.saturating_sub(self.started.elapsed())
    }

    fn report(&self, key_set: Arc<str>, place: &Place, outcome: FetchOutcome) -> FetchReport {
        FetchReport { key_set, url: place.place.url().clone(), outcome, took: self.started.elapsed() }
    }
}
