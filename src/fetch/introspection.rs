//! Asking issuers about opaque tokens (RFC 7662 §2.1). See [`IntrospectionClient`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::http::{ClientCredentials, HttpClient, HttpError, REQUEST_TIMEOUT};
use super::secrets::{SecretError, client_secret};
use crate::credential::BearerToken;
use crate::jose::issuer::{HttpUrl, Introspection};
use crate::jose::{AnswerError, Introspected, TrustedIssuer, TrustedIssuers};
use crate::time::Timestamp;

/// How long an endpoint is left alone after its first failure; twice as long after each further one.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);

/// The longest time for which an endpoint is left alone.
pub const MAX_BACK_OFF: Duration = Duration::from_secs(10);

/// Asks issuers about opaque tokens, a request each: what was answered is remembered with the token that it is about, and
/// not here.
///
/// An endpoint that does not answer is left alone for a while, so that not every caller waits for it. Only what says
/// something about the endpoint counts: if an answer to one token did, whoever finds a token that the endpoint chokes on
/// could have all others refused.
#[derive(Debug)]
pub struct IntrospectionClient {
    http: HttpClient,
    failing: Mutex<HashMap<Endpoint, Failing>>,
}

/// An address, and the client id by which it is asked: it may know one client and not the other.
type Endpoint = (HttpUrl, String);

/// An endpoint that does not answer.
#[derive(Clone, Copy, Debug)]
struct Failing {
    times: u32,
    /// Before then it is not asked again.
    until: Timestamp,
}

/// What became of a question.
#[derive(Debug)]
pub struct IntrospectionReport {
    /// Alias of the issuer that was to be asked.
    pub issuer: String,
    /// Its endpoint.
    pub url: HttpUrl,
    /// What it said, or why it said nothing.
    pub outcome: Result<Introspected, IntrospectionError>,
    /// How long it took.
    pub took: Duration,
}

/// Why an issuer could not be asked about a token. No message holds the token, a secret or the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionError {
    /// The secret by which we are known to it cannot be read.
    #[error("the client secret: {0}")]
    Secret(SecretError),
    /// It does not know us, or not by this secret (RFC 7662 §2.3).
    #[error(
        "`{url}`: status {status}: it does not accept the client id or the client secret of this authorizer"
    )]
    NotAuthorized {
        /// The endpoint.
        url: HttpUrl,
        /// 401 or 403.
        status: u16,
    },
    /// No usable answer.
    #[error("`{url}`: {error}")]
    Http {
        /// The endpoint.
        url: HttpUrl,
        /// Why.
        error: HttpError,
    },
    /// Something else than an answer about a token.
    #[error("`{url}`: {error}")]
    Answer {
        /// The endpoint.
        url: HttpUrl,
        /// Why.
        error: AnswerError,
    },
    /// It failed a moment ago, and is not asked again so soon.
    #[error("`{url}` failed a moment ago and is not asked before {retry_at}")]
    BackingOff {
        /// The endpoint.
        url: HttpUrl,
        /// When it may be asked again.
        retry_at: Timestamp,
    },
}

impl IntrospectionClient {
    /// A client that asks through `http`.
    #[must_use]
    pub fn new(http: HttpClient) -> Self {
        Self { http, failing: Mutex::default() }
    }

    /// Asks the issuer of an opaque token about it, for at most `within` and [`REQUEST_TIMEOUT`]. `None` for a token that no
    /// issuer is asked about.
    ///
    /// The client secret is read for each question, so that a new one needs no new start.
    pub fn ask(
        &self,
        issuers: &TrustedIssuers,
        token: &BearerToken<'_>,
        now: Timestamp,
        within: Duration,
    ) -> Option<IntrospectionReport> {
        let issuer = issuers.introspecting(token)?;
        let rule = issuer.introspection()?;
        let endpoint = (rule.url.clone(), rule.client_id().to_owned());
        let started = started();
        let outcome = match self.permit(&endpoint, now) {
            Ok(()) => self.post(issuer, rule, token, now, within),
            Err(retry_at) => Err(IntrospectionError::BackingOff { url: rule.url.clone(), retry_at }),
        };
        let took = started.elapsed();
        let (issuer, url) = (issuer.name().to_owned(), rule.url.clone());
        self.note(endpoint, &outcome, later(now, took));
        Some(IntrospectionReport { issuer, url, outcome, took })
    }

    fn post(
        &self,
        issuer: &TrustedIssuer,
        rule: &Introspection,
        token: &BearerToken<'_>,
        now: Timestamp,
        within: Duration,
    ) -> Result<Introspected, IntrospectionError> {
        let url = &rule.url;
        let secret = client_secret(rule).map_err(IntrospectionError::Secret)?;
        let credentials = ClientCredentials { id: rule.client_id(), secret: &secret };
        let form = [("token", token.expose()), ("token_type_hint", "access_token")];
        match self.http.post_form(url, &form, credentials, within) {
            Ok(response) => Introspected::new(issuer, token, now, response.body)
                .map_err(|error| IntrospectionError::Answer { url: url.clone(), error }),
            Err(HttpError::Status { status: status @ (401 | 403) }) => {
                Err(IntrospectionError::NotAuthorized { url: url.clone(), status })
            }
            Err(error) => Err(IntrospectionError::Http { url: url.clone(), error }),
        }
    }

    /// Whether an endpoint may be asked; if not, when.
    fn permit(&self, endpoint: &Endpoint, now: Timestamp) -> Result<(), Timestamp> {
        let mut failing = self.lock();
        let Some(failed) = failing.get_mut(endpoint) else { return Ok(()) };
        // A clock that was set back says nothing about how long ago it failed.
        let clock_was_set_back = later(now, MAX_BACK_OFF.saturating_add(REQUEST_TIMEOUT)) < failed.until;
        if now < failed.until && !clock_was_set_back {
            return Err(failed.until);
        }
        // One caller finds out whether it answers again; the others need not wait for the same.
        failed.until = later(now, back_off(failed.times));
        Ok(())
    }

    /// Keeps in mind that an endpoint failed, or that it answers.
    fn note(&self, endpoint: Endpoint, outcome: &Result<Introspected, IntrospectionError>, now: Timestamp) {
        match outcome {
            // Nothing was learnt.
            Err(IntrospectionError::Secret(_) | IntrospectionError::BackingOff { .. }) => {}
            // The client would have waited longer.
            Err(IntrospectionError::Http { error: HttpError::TimedOut { within }, .. })
                if *within < REQUEST_TIMEOUT => {}
            Err(error) if is_about_the_endpoint(error) => {
                let mut failing = self.lock();
                let times = failing.get(&endpoint).map_or(1, |failed| failed.times.saturating_add(1));
                failing.insert(endpoint, Failing { times, until: later(now, back_off(times)) });
            }
            Ok(_) | Err(_) => drop(self.lock().remove(&endpoint)),
        }
    }

    /// A thread that panicked leaves nothing half done behind this lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another token would fare no better.
fn is_about_the_endpoint(error: &IntrospectionError) -> bool {
    match error {
        IntrospectionError::NotAuthorized { .. } => true,
        // RFC 6585 §4, RFC 9110 §15.6: too many requests, or nobody behind a gateway.
        IntrospectionError::Http { error: HttpError::Status { status }, .. } => {
            matches!(status, 429 | 502 | 503 | 504)
        }
        IntrospectionError::Http { error: HttpError::TooLarge { .. }, .. } => false,
        IntrospectionError::Http { .. } => true,
        IntrospectionError::Secret(_)
        | IntrospectionError::Answer { .. }
        | IntrospectionError::BackingOff { .. } => false,
    }
}

fn back_off(times: u32) -> Duration {
    let doubled = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_BACK_OFF.saturating_mul(doubled).min(MAX_BACK_OFF)
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(moment.unix_millis().saturating_add(millis))
}

#[expect(clippy::disallowed_methods, reason = "this module waits for servers, and says how long")]
fn started() -> Instant {
    Instant::now()
}
