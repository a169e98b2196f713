//! The authorizer as it runs: the bundle that is in charge, and what is fetched for it. Both change while events are
//! answered, and nothing happens between two events, where a Lambda function is frozen.
//!
//! **What is fetched.** An answer that needs newer keys, or an issuer's word about an opaque token, has it fetched, and is
//! then given anew, once. See [`super::keys`] and [`super::introspection`].
//!
//! **The bundle.** The path that was given, to a folder of sources or to a built file, may be, or lead through, a symbolic
//! link. What stands there is looked up with an event, at most every [`LINK_INTERVAL`]. When that is another folder, or
//! another file, it is loaded, and takes over if it is good.
//! If it is not, the last good one stays in charge, and the other is tried again when the link moves or when
//! [`RETRY_INTERVAL`] has passed. Fetched keys stay. What is written into the folder in charge is not seen: a release is a
//! folder that does not change, or a bundle could be read when it is half written.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use super::http::HttpClient;
use super::introspection::{IntrospectionClient, IntrospectionReport};
use super::keys::{FetchReport, KeyStore};
pub use super::origin::{Demands, InCharge, LoadError, Origin};
use super::origin::{load, origin_of};
use crate::authorizer::{Answered, Evidence};
use crate::bundle::propagation::NEW_BUNDLE_SECONDS;
use crate::jose::{KeyRing, Need};
use crate::time::Timestamp;

/// How long it takes at most until an event finds that the link leads elsewhere.
pub const LINK_INTERVAL: Duration = Duration::from_secs(NEW_BUNDLE_SECONDS);

/// How long a bundle that was refused is not tried again while the link leads to it.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// An authorizer whose bundle and keys change at run time. Many threads may ask it at once.
#[derive(Debug)]
pub struct Live {
    /// Not to be swapped by itself: an issuer's alias may mean another issuer in the next bundle, so a bundle must never be
    /// asked with the keys of another. To answer takes the lock for as long as two pointers are copied.
    in_charge: RwLock<Arc<InCharge>>,
    keys: KeyStore,
    introspection: IntrospectionClient,
    demands: Demands,
    link: Link,
}

/// The path that leads to the bundle.
#[derive(Debug)]
struct Link {
    path: PathBuf,
    /// When it was followed last, in milliseconds since the epoch.
    followed_at: AtomicI64,
    /// The last bundle that was not good. Held while one is loaded; meanwhile others go on with the one in charge.
    refused: Mutex<Option<Refused>>,
}

/// What stood there when the bundle was not good, and when that was found.
#[derive(Debug)]
struct Refused {
    found: Option<Origin>,
    at: Timestamp,
}

/// An answer, and what was done for it.
#[derive(Debug)]
pub struct LiveAnswer {
    /// The reply and its record.
    pub answered: Answered,
    /// What decided, and answers what is left to ask.
    pub in_charge: Arc<InCharge>,
    /// What became of what it needed.
    pub fetched: Option<Fetched>,
}

/// What became of what an answer needed.
#[derive(Debug)]
pub enum Fetched {
    /// Newer keys.
    Keys(FetchReport),
    /// An issuer's word about an opaque token.
    Introspection(IntrospectionReport),
}

/// What following the link found, when that was news.
#[derive(Debug)]
pub enum Followed {
    /// Another bundle, which is now in charge.
    Swapped {
        /// How long it took to load it.
        took: Duration,
    },
    /// A bundle that is refused; the last good one stays in charge.
    Refused {
        /// Where it stands.
        place: String,
        /// Why.
        error: LoadError,
    },
}

impl Live {
    /// Loads the bundle to which `path` leads. Nothing is asked over the network yet.
    ///
    /// # Errors
    /// [`LoadError`]: without a first good bundle there is nothing to answer by.
    pub fn start(path: &Path, demands: Demands, http: HttpClient) -> Result<Self, LoadError> {
        let in_charge = load(origin_of(path)?, &demands, None)?;
        let introspection = IntrospectionClient::new(http.clone());
        let keys = KeyStore::new(http);
        keys.adopt(in_charge.authorizer.bundle());
        Ok(Self {
            in_charge: RwLock::new(Arc::new(in_charge)),
            keys,
            introspection,
            demands,
            link: Link {
                path: path.to_owned(),
                followed_at: AtomicI64::new(i64::MIN),
                refused: Mutex::default(),
            },
        })
    }

    /// The bundle that is in charge.
    #[must_use]
    pub fn in_charge(&self) -> Arc<InCharge> {
        Arc::clone(&self.in_charge.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fetches the keys that the bundle's issuers publish, all at once, for at most `budget` together: see
    /// [`KeyStore::prefetch`].
    #[must_use]
    pub fn prefetch(&self, now: Timestamp, budget: Duration) -> Vec<FetchReport> {
        self.keys.prefetch(now, budget)
    }

    /// Answers by what is there, and never waits. Where [`Answered::need`] says that more could give another reply,
    /// [`Self::ask_again`] comes next.
    #[must_use]
    pub fn ask(&self, event: &[u8], now: Timestamp) -> LiveAnswer {
        let (in_charge, keys) = self.bundle_and_keys();
        in_charge.answer(event, Evidence { keys: &keys, introspected: None }, now)
    }

    /// Fetches what the first answer to an event needs, for at most `within`, and answers once more. Blocks; without a need,
    /// or the time for it, the first answer is the last.
    #[must_use]
    pub fn ask_again(&self, first: LiveAnswer, event: &[u8], now: Timestamp, within: Duration) -> LiveAnswer {
        let clock = started();
        match first.answered.need.as_ref().filter(|_| !within.is_zero()) {
            None => first,
            Some(Need::Keys { key_set }) => match self.keys.refresh_within(key_set, now, within) {
                // Keys that are nowhere published are what they are.
                None => first,
                Some(report) => {
                    let answer = self.ask(event, later(now, clock.elapsed()));
                    LiveAnswer { fetched: Some(Fetched::Keys(report)), ..answer }
                }
            },
            Some(Need::Introspection { token, .. }) => {
                // Whatever happens meanwhile: what is said is held against the bundle that had it asked.
                let (in_charge, keys) = self.bundle_and_keys();
                let issuers = in_charge.authorizer.bundle().issuers();
                let Some(report) = self.introspection.ask(issuers, token, now, within) else { return first };
                let evidence = Evidence { keys: &keys, introspected: report.outcome.as_ref().ok() };
                let answer = in_charge.answer(event, evidence, later(now, clock.elapsed()));
                LiveAnswer { fetched: Some(Fetched::Introspection(report)), ..answer }
            }
        }
    }

    /// [`Self::ask`], and [`Self::ask_again`] where there is a need.
    #[must_use]
    pub fn answer(&self, event: &[u8], now: Timestamp, within: Duration) -> LiveAnswer {
        self.ask_again(self.ask(event, now), event, now, within)
    }

    /// Whether it is time to [`follow`](Self::follow) the link.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        !lasts(self.link.followed_at.load(Ordering::Relaxed), LINK_INTERVAL, now)
    }

    /// Looks up where the link leads, if it is time, and loads what stands there, if that is another bundle than the one in
    /// charge. Blocks. `None` where there is no news, or another thread is at it.
    pub fn follow(&self, now: Timestamp) -> Option<Followed> {
        let mut refused = match self.link.refused.try_lock() {
            Ok(refused) => refused,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if !self.is_due(now) {
            return None;
        }
        self.link.followed_at.store(now.unix_millis(), Ordering::Relaxed);
        let found = origin_of(&self.link.path);
        let origin = found.as_ref().ok().cloned();
        let before = self.in_charge();
        if origin.as_ref() == Some(&before.origin) {
            *refused = None;
            return None;
        }
        if refused.as_ref().is_some_and(|refused| {
            refused.found == origin && lasts(refused.at.unix_millis(), RETRY_INTERVAL, now)
        }) {
            return None;
        }
        let clock = started();
        let loaded =
            found.map_err(LoadError::from).and_then(|found| load(found, &self.demands, Some(&before)));
        match loaded {
            Ok(loaded) => {
                self.put_in_charge(loaded);
                *refused = None;
                Some(Followed::Swapped { took: clock.elapsed() })
            }
            Err(error) => {
                let place =
                    origin.as_ref().map_or_else(|| self.link.path.display().to_string(), Origin::to_string);
                *refused = Some(Refused { found: origin, at: now });
                Some(Followed::Refused { place, error })
            }
        }
    }

    /// What belongs together.
    fn bundle_and_keys(&self) -> (Arc<InCharge>, Arc<KeyRing>) {
        let in_charge = self.in_charge.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&in_charge), self.keys.ring())
    }

    fn put_in_charge(&self, loaded: InCharge) {
        let mut in_charge = self.in_charge.write().unwrap_or_else(PoisonError::into_inner);
        self.keys.adopt(loaded.authorizer.bundle());
        *in_charge = Arc::new(loaded);
    }
}

impl InCharge {
    fn answer(self: &Arc<Self>, event: &[u8], evidence: Evidence<'_>, now: Timestamp) -> LiveAnswer {
        let answered = self.authorizer.answer_with(event, evidence, now);
        LiveAnswer { answered, in_charge: Arc::clone(self), fetched: None }
    }
}

/// Whether something that began lasts at `now`. A clock that was set back before its beginning says nothing about that.
fn lasts(began_at: i64, interval: Duration, now: Timestamp) -> bool {
    (began_at..began_at.saturating_add(millis(interval))).contains(&now.unix_millis())
}

#[expect(clippy::disallowed_methods, reason = "this module waits, and says how long")]
fn started() -> Instant {
    Instant::now()
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_unix_millis(now.unix_millis().saturating_add(millis(by)))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
