//! What people who write policies need beside the authorizer: pure functions, called by the command line.

pub mod eval;
pub mod jws_batch;
pub mod mint;
