//! What stands outside. The only module of the library with input and output.

mod files;

pub use files::{DEVELOPMENT_JWKS, FetchError, add_development_keys, development_home, read_bundle};
