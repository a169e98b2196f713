//! The authorizer as it runs: the bundle that is in charge, and what is fetched for it. Both change while events are
//! answered, and nothing happens between two events, where a Lambda function is frozen.
//!
//! **What is fetched.** An answer that needs newer keys, or an issuer's word about an opaque token, has it fetched, and is
//! then given anew, once. See [`super::keys`] and [`super::introspection`].
//!
//! **The bundle.** Where it comes from is looked after by [`super::follow`]: a path to a folder of sources or to a built
//! file, which may be, or lead through, a symbolic link; a URL; AWS AppConfig. When there is another bundle, it is loaded, and
//! takes over if it is good. If it is not, the last good one stays in charge. Fetched keys stay. What is written into a folder
//! in charge is not seen: a release is a folder that does not change, or a bundle could be read when it is half written.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::follow::{Follower, Look, Started};
pub use super::follow::{MaxAge, PATH_INTERVAL, REMOTE_INTERVAL, RETRY_INTERVAL, Settings, WhenStale};
use super::http::HttpClient;
use super::introspection::{IntrospectionClient, IntrospectionReport};
use super::keys::{FetchReport, KeyStore};
pub use super::origin::{Demands, InCharge, LoadError, Origin};
use super::{later, started};
use crate::authorizer::{Answered, Evidence};
use crate::jose::{KeyRing, Need};
use crate::time::Timestamp;

/// An authorizer whose bundle and keys change at run time. Many threads may ask it at once.
#[derive(Debug)]
pub struct Live {
    /// To answer takes no lock.
    current: ArcSwap<Current>,
    /// Held by whoever puts another bundle in charge.
    changing: Mutex<()>,
    keys: KeyStore,
    introspection: IntrospectionClient,
    follower: Follower,
}

/// What answers are given by. An issuer's alias may mean another issuer in the next bundle, so a bundle must never be asked
/// with the keys of another: it is known of which adoption by the [`KeyStore`] its keys are.
#[derive(Debug)]
struct Current {
    in_charge: Arc<InCharge>,
    adoption: u64,
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

/// What a look at the source of the bundle found, when that was news.
#[derive(Debug)]
pub enum Followed {
    /// It was asked from afar, and still has the bundle in charge.
    Confirmed,
    /// Another bundle, which is now in charge.
    Swapped {
        /// How long it took to load it.
        took: Duration,
    },
    /// A bundle that is refused, or that cannot be fetched; the last good one stays in charge.
    Refused {
        /// Where it stands.
        place: String,
        /// Why.
        error: LoadError,
    },
}

impl Live {
    /// Gets the first bundle. Nothing else is asked over the network yet. With it comes why the source does not have what is
    /// in charge, where it is the one of the package instead.
    ///
    /// # Errors
    /// [`LoadError`]: without a first good bundle there is nothing to answer by.
    pub fn start(
        settings: &Settings,
        http: HttpClient,
        now: Timestamp,
    ) -> Result<(Self, Option<LoadError>), LoadError> {
        let Started { follower, in_charge, problem } = Follower::start(settings, http.clone(), now)?;
        let introspection = IntrospectionClient::new(http.clone());
        let keys = KeyStore::new(http);
        let adoption = keys.adopt(in_charge.authorizer.bundle());
        let current = Current { in_charge: Arc::new(in_charge), adoption };
        let (current, changing) = (ArcSwap::from_pointee(current), Mutex::default());
        Ok((Self { current, changing, keys, introspection, follower }, problem))
    }

    /// The bundle that is in charge.
    #[must_use]
    pub fn in_charge(&self) -> Arc<InCharge> {
        Arc::clone(&self.current.load().in_charge)
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
        if self.stale(now) == Some(WhenStale::Fault) {
            let seconds = self.follower.age(now).as_secs();
            let detail =
                format!("the bundle in charge was last confirmed {seconds} s ago, which is too long");
            let answered = in_charge.authorizer.unanswered(now, "bundle_stale", detail);
            return LiveAnswer { answered, in_charge, fetched: None };
        }
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

    /// Whether it is time to [`follow`](Self::follow) the source of the bundle.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.follower.is_due(now)
    }

    /// Looks whether there is another bundle, if it is time, and puts it in charge if it is good. Blocks, for at most `within`
    /// where it is asked from afar. `None` where there is no news, or another thread is at it.
    pub fn follow(&self, now: Timestamp, within: Duration) -> Option<Followed> {
        let clock = started();
        match self.follower.look(&self.in_charge(), now, within) {
            Look::Nothing => None,
            Look::Confirmed => Some(Followed::Confirmed),
            Look::Loaded(loaded) => {
                self.put_in_charge(*loaded);
                Some(Followed::Swapped { took: clock.elapsed() })
            }
            Look::Refused { place, error } => Some(Followed::Refused { place, error }),
        }
    }

    /// How long ago the source last had the bundle in charge, where it is asked from afar.
    #[must_use]
    pub fn bundle_age(&self, now: Timestamp) -> Option<Duration> {
        self.follower.is_remote().then(|| self.follower.age(now))
    }

    /// What follows from the age of the bundle in charge, where that is too high.
    #[must_use]
    pub fn stale(&self, now: Timestamp) -> Option<WhenStale> {
        self.follower.stale(now)
    }

    /// What belongs together.
    fn bundle_and_keys(&self) -> (Arc<InCharge>, Arc<KeyRing>) {
        let current = self.current.load();
        let (keys, adoption) = self.keys.adopted_ring();
        if adoption == current.adoption {
            return (Arc::clone(&current.in_charge), keys);
        }
        // Another bundle is just taking over.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        (self.in_charge(), self.keys.ring())
    }

    fn put_in_charge(&self, loaded: InCharge) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let adoption = self.keys.adopt(loaded.authorizer.bundle());
        self.current.store(Arc::new(Current { in_charge: Arc::new(loaded), adoption }));
    }
}

impl InCharge {
    fn answer(self: &Arc<Self>, event: &[u8], evidence: Evidence<'_>, now: Timestamp) -> LiveAnswer {
        let answered = self.authorizer.answer_with(event, evidence, now);
        LiveAnswer { answered, in_charge: Arc::clone(self), fetched: None }
    }
}
