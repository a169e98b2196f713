//! What stands outside: the files of a bundle, and what issuers answer over the network. The only module of the library
//! with input and output.
//!
//! ```text
//! files           a bundle's files, and this machine's development key
//! http            one client: https, a few seconds, half a megabyte
//! secrets         what issuers share with us, from the environment or a file
//! keys            the issuers' published keys: fetched, kept, believed for a while
//!   discovery     where an issuer's metadata says that its keys are
//!   freshness     how long keys are believed, and when they are asked for again
//! introspection   what an issuer says about an opaque token
//! release         a released bundle: one file behind a URL, or in AWS AppConfig
//! origin          where a bundle comes from, and what is asked of it before it is in charge
//! follow          how a running authorizer learns that there is another bundle
//! settings        what the environment of the function says of all that
//! live            the authorizer as it runs: its bundle is swapped, and what it needs is fetched
//! ```

mod files;

pub mod http;

pub mod secrets;

mod discovery;
mod freshness;

pub mod keys;

pub mod introspection;

pub mod release;

mod origin;

mod follow;

pub mod settings;

pub mod live;

pub use discovery::MetadataError;
pub use files::{
    DEVELOPMENT_JWKS, FetchError, SIGNATURES, add_development_keys, development_home, open_built,
    read_bundle, read_policy_tests,
};
pub use secrets::read_secrets;

use std::time::{Duration, Instant};

use crate::time::Timestamp;

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
