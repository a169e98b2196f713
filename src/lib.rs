//! A declarative Cedar authorizer for Amazon API Gateway.

pub mod time;

pub mod arn;
pub mod path;
pub mod route;

pub mod event;

pub mod credential;

pub mod jose;

pub mod bundle;

pub mod entities;

pub mod decision;

pub mod iam;

pub mod context;

pub mod response;

pub mod record;

pub mod authorizer;

pub mod fetch;

#[cfg(feature = "cli")]
pub mod tools;
