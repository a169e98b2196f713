//! A declarative Cedar authorizer for Amazon API Gateway.

pub mod time;

pub mod credential;
