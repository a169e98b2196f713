//! By what commands verify tokens: the keys of the bundle and, as the authorizer does it, those that issuers publish, and
//! what issuers say about opaque tokens.

use std::sync::Arc;

use cedar_gate::authorizer::{Answered, Authorizer, Evidence};
use cedar_gate::bundle::BundleFacts;
use cedar_gate::fetch::http::{HttpClient, REQUEST_TIMEOUT};
use cedar_gate::fetch::introspection::IntrospectionClient;
use cedar_gate::fetch::keys::{FetchOutcome, KeyStore};
use cedar_gate::jose::{Introspected, KeyRing, Need, TrustedIssuers};
use cedar_gate::time::Timestamp;

/// Whether issuers may be asked for their keys, and about opaque tokens.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Network {
    /// Ask no issuer: opaque tokens, and those of issuers whose keys are not in the bundle, are then not verified.
    #[arg(long)]
    offline: bool,
}

/// All keys of a bundle's issuers, fetched when one is missed.
pub(crate) struct Keys {
    store: KeyStore,
    introspection: IntrospectionClient,
    network: Network,
}

impl Keys {
    pub(crate) fn of(bundle: &BundleFacts, network: Network) -> Self {
        let http = HttpClient::new();
        let store = KeyStore::new(http.clone());
        store.adopt(bundle);
        Self { store, introspection: IntrospectionClient::new(http), network }
    }

    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        self.store.ring()
    }

    /// Fetches what is needed. Whether asking once more is worth it, and what an issuer said.
    pub(crate) fn fetch(
        &self,
        need: &Need,
        issuers: &TrustedIssuers,
        now: Timestamp,
    ) -> (Fetched, Option<Introspected>) {
        if self.network.offline {
            return (Fetched::Forbidden, None);
        }
        match need {
            Need::Keys { key_set } => match self.store.refresh(key_set, now).map(|report| report.outcome) {
                None => (Fetched::Nothing, None),
                Some(
                    FetchOutcome::Failed { error, .. } | FetchOutcome::BackingOff { error: Some(error), .. },
                ) => (Fetched::Failed(error.to_string()), None),
                Some(_) => (Fetched::Asked, None),
            },
            Need::Introspection { token, .. } => {
                let report = self.introspection.ask(issuers, token, now, REQUEST_TIMEOUT);
                match report.map(|report| report.outcome) {
                    None => (Fetched::Nothing, None),
                    Some(Ok(introspected)) => (Fetched::Asked, Some(introspected)),
                    Some(Err(error)) => (Fetched::Failed(error.to_string()), None),
                }
            }
        }
    }

    /// The answer to an event, by what is fetched where it needs that; and why it could not be.
    pub(crate) fn answer(
        &self,
        authorizer: &Authorizer,
        event: &[u8],
        now: Timestamp,
    ) -> (Answered, Fetched) {
        let ask =
            |introspected| authorizer.answer_with(event, Evidence { keys: &self.ring(), introspected }, now);
        let answered = ask(None);
        let Some(need) = &answered.need else { return (answered, Fetched::Nothing) };
        match self.fetch(need, authorizer.bundle().issuers(), now) {
            (fetched @ (Fetched::Nothing | Fetched::Forbidden), _) => (answered, fetched),
            (fetched @ (Fetched::Asked | Fetched::Failed(_)), said) => (ask(said.as_ref()), fetched),
        }
    }
}

/// What became of the wish for more.
pub(crate) enum Fetched {
    /// There was nothing to fetch.
    Nothing,
    /// The command line forbids it.
    Forbidden,
    /// The issuer was asked, now or a moment ago.
    Asked,
    /// It was asked, and gave no usable answer: why.
    Failed(String),
}

impl Fetched {
    /// Why there is nothing newer.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self {
            Self::Failed(why) => Some(why),
            Self::Nothing | Self::Forbidden | Self::Asked => None,
        }
    }
}
