#![doc = include_str!("../README.md")]
//!
//! # The modules, in the order of the pipeline

// What everything stands on.
pub mod time;

// The question: an event's bytes, the method it is about, the route that serves it, the caller's token.
pub mod arn;
pub mod path;
pub mod route;

pub mod event;

pub mod credential;

// Whom we believe.
pub mod jose;

// What people wrote: policies, schema, routes, issuers, the deployment.
pub mod bundle;

// The decision.
mod cedar_core;

pub mod entities;

pub mod decision;

pub mod grants;

// The answer.
pub mod iam;

pub mod context;

pub mod response;

pub mod record;

// All of it, in one call.
pub mod authorizer;

// The world outside, and the command line's tools.
pub mod fetch;

#[cfg(feature = "cli")]
pub mod tools;
