//! A declarative Cedar authorizer for Amazon API Gateway.

pub mod time;

pub mod arn;
pub mod path;
pub mod route;

pub mod event;

pub mod credential;

pub mod jose;

#[cfg(feature = "cli")]
pub mod tools;
