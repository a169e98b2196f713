//! The integration tests: one binary, one module a subject, data beside it in `tests/<subject>`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and reads files and clocks"
)]

#[cfg(feature = "cli")]
mod allocations;
#[cfg(feature = "cli")]
mod built;
mod bundle;
#[cfg(feature = "cli")]
mod cache_safety;
#[cfg(feature = "cli")]
mod claimant;
#[cfg(feature = "cli")]
mod cli;
mod dependencies;
#[cfg(feature = "cli")]
mod editor_schemas;
#[cfg(feature = "cli")]
mod engine;
#[cfg(feature = "cli")]
mod entities;
mod events;
#[cfg(feature = "cli")]
mod facts;
#[cfg(all(feature = "cli", unix))]
mod follow;
#[cfg(feature = "cli")]
mod grants;
#[cfg(feature = "cli")]
mod https;
#[cfg(feature = "cli")]
mod introspection;
#[cfg(feature = "cli")]
mod lint;
#[cfg(all(feature = "cli", unix))]
mod live;
#[cfg(feature = "cli")]
mod loopback;
#[cfg(feature = "cli")]
mod matrix;
#[cfg(feature = "cli")]
mod mutate;
#[cfg(feature = "cli")]
mod opaque;
#[cfg(feature = "cli")]
mod oracle;
#[cfg(feature = "cli")]
mod pipeline;
#[cfg(feature = "cli")]
mod plan;
#[cfg(feature = "cli")]
mod policies;
#[cfg(feature = "cli")]
mod probe;
#[cfg(feature = "cli")]
mod release;
#[cfg(feature = "cli")]
mod replay;
#[cfg(feature = "cli")]
mod revocation;
#[cfg(feature = "cli")]
mod rotation;
#[cfg(all(feature = "cli", feature = "lambda", unix))]
mod runtime;
#[cfg(all(feature = "cli", feature = "lambda", unix))]
mod runtime_api;
#[cfg(feature = "cli")]
mod shadow;
mod source;
mod tidy;
#[cfg(feature = "cli")]
mod tokens;
#[cfg(feature = "cli")]
mod trace;
