//! Where the bundle of a running authorizer comes from, and how it learns that there is another: a path is looked up, a URL or
//! AWS AppConfig is asked. That happens with an event, at most every [`Settings::interval`], by one thread at a time, and for
//! at most as long as that event can wait: a Lambda function is frozen between two events, so nothing can happen there.
//!
//! Whatever goes wrong, the last good bundle stays in charge. What came from afar and was refused is not fetched again while
//! it is the same; what arrived damaged is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::http::HttpClient;
use super::origin::{Demands, InCharge, LoadError, Origin, load, load_fetched, origin_of};
use super::release::{APP_CONFIG_PORT, Fetched, ReleaseClient, ReleaseSource, RemoteRelease, Validator};
use super::{lasts, later, started};
use crate::bundle::built::BuiltError;
use crate::bundle::propagation::NEW_BUNDLE_SECONDS;
use crate::time::Timestamp;

/// How often a path is looked up, if nothing else is said.
pub const PATH_INTERVAL: Duration = Duration::from_secs(NEW_BUNDLE_SECONDS);

/// How often a URL or AppConfig is asked, if nothing else is said.
pub const REMOTE_INTERVAL: Duration = Duration::from_secs(60);

/// How long what stands at a path and was refused is not tried again while it is the same.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// The longest time that the start waits for a bundle from afar. Lambda gives a start ten seconds.
const START_BUDGET: Duration = Duration::from_secs(4);

/// The longest time that an answer waits for one.
const FETCH_BUDGET: Duration = Duration::from_secs(2);

/// How a running authorizer gets its bundles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where they are.
    pub source: ReleaseSource,
    /// Where a bundle stands on this machine by which it answers until one has come from afar.
    pub package: Option<PathBuf>,
    /// What is asked of each of them.
    pub demands: Demands,
    /// How long after the last time it is looked whether there is another one.
    pub interval: Duration,
    /// How long a bundle is in charge without its source having said that it still is the one; `None`: as long as need be.
    pub max_age: Option<MaxAge>,
    /// Where AWS AppConfig Agent listens.
    pub app_config_port: u16,
}

/// How old a bundle may become, counted from when its source last had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge {
    /// So old.
    pub age: Duration,
    /// And then.
    pub then: WhenStale,
}

/// What becomes of a bundle whose source has been silent for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// Every answer is a fault.
    Fault,
    /// It stays in charge, and the log says so.
    Stay,
}

impl Settings {
    /// A path, with nothing asked of what stands there.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self::of(ReleaseSource::Path(path.to_owned()))
    }

    /// A source, with nothing asked of what it has.
    #[must_use]
    pub fn of(source: ReleaseSource) -> Self {
        let interval = match &source {
            ReleaseSource::Path(_) => PATH_INTERVAL,
            ReleaseSource::Https(_) | ReleaseSource::AppConfig(_) => REMOTE_INTERVAL,
        };
        Self {
            source,
            package: None,
            demands: Demands::default(),
            interval,
            max_age: None,
            app_config_port: APP_CONFIG_PORT,
        }
    }
}

/// Looks after the source.
#[derive(Debug)]
pub(super) struct Follower {
    source: Source,
    demands: Demands,
    interval: Duration,
    max_age: Option<MaxAge>,
    /// When it was looked last, in milliseconds since the epoch.
    looked_at: AtomicI64,
    /// When the source last had what is in charge.
    confirmed_at: AtomicI64,
    /// Held while it is looked; meanwhile others go on with what is in charge.
    last: Mutex<Last>,
}

#[derive(Debug)]
enum Source {
    Path(PathBuf),
    Remote(RemoteRelease, ReleaseClient),
}

/// What was met last.
#[derive(Debug, Default)]
struct Last {
    /// What was refused and when; at a path that leads nowhere, nothing.
    refused: Option<(Option<Origin>, Timestamp)>,
    /// What names the file that was fetched last.
    validator: Option<Validator>,
}

/// What a look at the source came to.
#[derive(Debug)]
pub(super) enum Look {
    /// It was not time, or another thread is at it, or nothing is new.
    Nothing,
    /// It was asked from afar, and has what is in charge.
    Confirmed,
    /// It has another bundle.
    Loaded(Box<InCharge>),
    /// What it has is refused, or it does not answer.
    Refused {
        /// What was asked.
        place: String,
        /// Why.
        error: LoadError,
    },
}

/// What a start came to.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) follower: Follower,
    pub(super) in_charge: InCharge,
    /// Why the source does not have what is in charge.
    pub(super) problem: Option<LoadError>,
}

impl Follower {
    /// Gets the first bundle.
    pub(super) fn start(settings: &Settings, http: HttpClient, now: Timestamp) -> Result<Started, LoadError> {
        let demands = &settings.demands;
        let mut last = Last::default();
        let (source, in_charge, problem) = match &settings.source {
            ReleaseSource::Path(path) => {
                (Source::Path(path.clone()), load(origin_of(path)?, demands, None)?, None)
            }
            ReleaseSource::Https(url) => {
                let remote = RemoteRelease::Https(url.clone());
                Self::first(remote, settings, http, &mut last)?
            }
            ReleaseSource::AppConfig(app_config) => {
                let remote = RemoteRelease::AppConfig(app_config.clone());
                Self::first(remote, settings, http, &mut last)?
            }
        };
        // The link is looked up with the first event, as it always was; what was fetched a moment ago is not asked again.
        let looked_at = match source {
            Source::Path(_) => i64::MIN,
            Source::Remote(..) => now.unix_millis(),
        };
        let follower = Self {
            source,
            demands: demands.clone(),
            interval: settings.interval,
            max_age: settings.max_age,
            looked_at: AtomicI64::new(looked_at),
            confirmed_at: AtomicI64::new(now.unix_millis()),
            last: Mutex::new(last),
        };
        Ok(Started { follower, in_charge, problem })
    }

    /// The first bundle from afar; where there is none, the one of the package.
    fn first(
        remote: RemoteRelease,
        settings: &Settings,
        http: HttpClient,
        last: &mut Last,
    ) -> Result<(Source, InCharge, Option<LoadError>), LoadError> {
        let client = ReleaseClient::new(http, settings.app_config_port);
        let package = settings.package.as_ref().map(|path| {
            let origin = origin_of(path)?;
            load(origin, &settings.demands, None)
        });
        let package = package.transpose();
        let before = package.as_ref().ok().and_then(Option::as_ref);
        let fetched = fetch(&remote, &client, &settings.demands, before, START_BUDGET, last);
        let source = Source::Remote(remote, client);
        match (fetched, package) {
            (Ok(Some(in_charge)), _) => Ok((source, in_charge, None)),
            // It has the very bundle of the package.
            (Ok(None), Ok(Some(package))) => Ok((source, package, None)),
            (Err(problem), Ok(Some(package))) => Ok((source, package, Some(problem))),
            (Ok(None) | Err(_), Err(problem)) | (Err(problem), Ok(None)) => Err(problem),
            // Without a package there is nothing that it could be the same as.
            (Ok(None), Ok(None)) => Err(LoadError::Built(BuiltError::NotABundle)),
        }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        !lasts(self.looked_at.load(Ordering::Relaxed), self.interval, now)
    }

    /// Looks at the source, if it is time. Blocks, for at most `within` where it is asked from afar.
    pub(super) fn look(&self, in_charge: &InCharge, now: Timestamp, within: Duration) -> Look {
        let Some(mut last) = self.at_it() else { return Look::Nothing };
        if !self.is_due(now) {
            return Look::Nothing;
        }
        self.looked_at.store(now.unix_millis(), Ordering::Relaxed);
        let clock = started();
        let look = match &self.source {
            Source::Path(path) => self.look_up(path, in_charge, now, &mut last),
            Source::Remote(remote, client) => {
                let within = within.min(FETCH_BUDGET);
                match fetch(remote, client, &self.demands, Some(in_charge), within, &mut last) {
                    Ok(Some(loaded)) => Look::Loaded(Box::new(loaded)),
                    Ok(None) if last.refused.is_some() => Look::Nothing,
                    Ok(None) => Look::Confirmed,
                    Err(error) => Look::Refused { place: remote.to_string(), error },
                }
            }
        };
        let is_confirmed = match &look {
            Look::Confirmed | Look::Loaded(_) => true,
            Look::Nothing => matches!(self.source, Source::Path(_)) && last.refused.is_none(),
            Look::Refused { .. } => false,
        };
        if is_confirmed {
            self.confirmed_at.store(later(now, clock.elapsed()).unix_millis(), Ordering::Relaxed);
        }
        look
    }

    /// Nobody else is at it.
    fn at_it(&self) -> Option<MutexGuard<'_, Last>> {
        match self.last.try_lock() {
            Ok(last) => Some(last),
            Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn look_up(&self, path: &Path, in_charge: &InCharge, now: Timestamp, last: &mut Last) -> Look {
        let found = origin_of(path);
        let origin = found.as_ref().ok().cloned();
        if origin.as_ref() == Some(&in_charge.origin) {
            last.refused = None;
            return Look::Nothing;
        }
        let is_refused = last
            .refused
            .as_ref()
            .is_some_and(|(refused, at)| *refused == origin && lasts(at.unix_millis(), RETRY_INTERVAL, now));
        if is_refused {
            return Look::Nothing;
        }
        let loaded =
            found.map_err(LoadError::from).and_then(|found| load(found, &self.demands, Some(in_charge)));
        match loaded {
            Ok(loaded) => {
                last.refused = None;
                Look::Loaded(Box::new(loaded))
            }
            Err(error) => {
                let place = origin.as_ref().map_or_else(|| path.display().to_string(), Origin::to_string);
                last.refused = Some((origin, now));
                Look::Refused { place, error }
            }
        }
    }

    /// Whether the source is asked from afar.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.source, Source::Remote(..))
    }

    /// How long ago the source last had what is in charge.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        let since = now.unix_millis().saturating_sub(self.confirmed_at.load(Ordering::Relaxed));
        Duration::from_millis(u64::try_from(since).unwrap_or(0))
    }

    /// Whether that is too long ago, and what follows from it.
    pub(super) fn stale(&self, now: Timestamp) -> Option<WhenStale> {
        self.max_age.filter(|max| self.age(now) > max.age).map(|max| max.then)
    }
}

/// Asks from afar for another bundle than the one before; `None` where it has the same, or what was refused before.
fn fetch(
    remote: &RemoteRelease,
    client: &ReleaseClient,
    demands: &Demands,
    before: Option<&InCharge>,
    within: Duration,
    last: &mut Last,
) -> Result<Option<InCharge>, LoadError> {
    let (bytes, validator) = match client.fetch(remote, last.validator.as_ref(), within)? {
        Fetched::NotModified => return Ok(None),
        Fetched::File { bytes, validator } => (bytes, validator),
    };
    let loaded = load_fetched(remote, bytes, demands, before);
    // What arrived in pieces may arrive whole the next time.
    let is_damaged = matches!(
        &loaded,
        Err(LoadError::Built(
            BuiltError::NotABundle
                | BuiltError::Length { .. }
                | BuiltError::Damaged { .. }
                | BuiltError::Unreadable { .. }
        ))
    );
    last.validator = validator.filter(|_| !is_damaged);
    last.refused = match &loaded {
        // The time does not matter: it is refused for as long as it is the same.
        Err(_) if !is_damaged => Some((None, Timestamp::from_unix_millis(0))),
        Ok(_) | Err(_) => None,
    };
    loaded
}
