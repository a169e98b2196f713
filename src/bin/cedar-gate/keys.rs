//! The keys by which commands verify tokens: those of the bundle, and, as the authorizer does it, those that issuers
//! publish.

use std::sync::Arc;

use cedar_gate::authorizer::{Answered, Authorizer, Evidence};
use cedar_gate::bundle::Bundle;
use cedar_gate::fetch::http::HttpClient;
use cedar_gate::fetch::keys::{FetchOutcome, KeyFetchError, KeyStore};
use cedar_gate::jose::{KeyRing, Need};
use cedar_gate::time::Timestamp;

/// Whether issuers may be asked for their keys.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Network {
    /// Ask no issuer for its keys: tokens of those whose keys are not in the bundle are then not verified.
    #[arg(long)]
    offline: bool,
}

/// All keys of a bundle's issuers, fetched when one is missed.
pub(crate) struct Keys {
    store: KeyStore,
    network: Network,
}

impl Keys {
    pub(crate) fn of(bundle: &Bundle, network: Network) -> Self {
        let store = KeyStore::new(HttpClient::new());
        store.adopt(bundle);
        Self { store, network }
    }

    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        self.store.ring()
    }

    /// Fetches what is needed. Whether asking once more is worth it, and why it could not be fetched.
    pub(crate) fn fetch(&self, need: &Need, now: Timestamp) -> Fetched {
        let Need::Keys { key_set } = need else { return Fetched::Nothing };
        if self.network.offline {
            return Fetched::Forbidden;
        }
        match self.store.refresh(key_set, now).map(|report| report.outcome) {
            None => Fetched::Nothing,
            Some(
                FetchOutcome::Failed { error, .. } | FetchOutcome::BackingOff { error: Some(error), .. },
            ) => Fetched::Failed(error),
            Some(_) => Fetched::Asked,
        }
    }

    /// The answer to an event, by keys that are fetched where it needs them; and why one could not be.
    pub(crate) fn answer(
        &self,
        authorizer: &Authorizer,
        event: &[u8],
        now: Timestamp,
    ) -> (Answered, Fetched) {
        let ask = || authorizer.answer_with(event, Evidence { keys: &self.ring(), introspected: None }, now);
        let answered = ask();
        let Some(need) = &answered.need else { return (answered, Fetched::Nothing) };
        match self.fetch(need, now) {
            fetched @ (Fetched::Nothing | Fetched::Forbidden) => (answered, fetched),
            fetched @ (Fetched::Asked | Fetched::Failed(_)) => (ask(), fetched),
        }
    }
}

/// What became of the wish for newer keys.
pub(crate) enum Fetched {
    /// There was nothing to fetch.
    Nothing,
    /// The command line forbids it.
    Forbidden,
    /// The issuer was asked, now or a moment ago.
    Asked,
    /// It was asked, and there are no newer keys.
    Failed(KeyFetchError),
}

impl Fetched {
    /// Why there are no newer keys.
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self::Failed(error) => Some(error.to_string()),
            Self::Nothing | Self::Forbidden | Self::Asked => None,
        }
    }
}
