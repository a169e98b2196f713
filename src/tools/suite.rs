//! The unit tests of the policies: who may do what, said in files and held against the policies.
//!
//! # `tests/policies/*.toml`
//! Suites stand beside the bundle's `policies` and `schema`, in `tests/policies`; they are no part of the bundle and of its
//! digest. A suite is about one stage of one API under one version of the policies:
//! ```toml
//! [suite]
//! name    = "orders"                # without it, the file's name
//! api     = "orders-rest"           # without it, the first of schema/authorizer.toml
//! stage   = "prod"                  # without it, the API's first
//! version = "v1"                    # without it, the one that is active there
//! now     = 2026-11-21T10:00:00Z    # the moment of all its requests; needed where a policy reads the time
//! facts   = "office"                # what its requests carry: a name from [facts], or { source_ip = "…" }
//! params  = { orderId = ["1"] }     # values that are tried for path parameters, beside those of the cases
//!
//! [[case]]
//! name       = "clerks keep orders"
//! principals = ["clara", "group:staff"]        # or "*", all of them
//! allow      = ["GET /orders", "POST /orders", "GET /orders/{orderId}", "PUT /orders/{orderId}"]
//! deny       = ["PUT /orders/archive-*"]
//!
//! [[case]]
//! name       = "the archive is frozen"
//! principals = ["clara"]
//! requests   = ["PUT /orders/archive-7"]
//! expect     = "deny"
//! because    = "archive-is-frozen"
//! ```
//! - A case with `allow` speaks of **every operation of the route table**: what is not in `allow` must be denied. An
//!   operation stands for all values of its parameters; a request (`GET /users/alice`) for itself; `*` in a request for any
//!   text in one segment. The closer of two lines holds, so `deny` makes exceptions. What is tried for a parameter: a value
//!   that no line names, those that any line of the case binds to a parameter of that name, and those of `params`.
//! - A case with `requests` asks those alone, and says what it expects: `expect`, `"allow"`, `"deny"`,
//!   `{ unauthorized = "expired" }`, `"fault"`; `because`, the policies that decide: an id or a list (these and perhaps
//!   others), `{ exact = [...] }`, `{ excludes = [...] }`; `document = { covers = [...], not = [...] }`, what the answer's
//!   document says of other requests, which counts under a cache; `context`, what the integration is told.
//! - A case with `event` sends an event of the gateway, a file in `tests/policies/events`, through the whole authorizer, for
//!   each principal with a fresh token where the API expects one (or where the event says `{{token}}`). Beside the above it
//!   may say the exact `response`: a table, or the name of a file in `tests/policies/responses` that
//!   `cedar-gate test --update` writes. The digests of the policies and of the bundle stand there, and in `context`, as
//!   `[policy digest]` and `[bundle digest]`.
//! - `token` changes what a principal's token says for one case: `expires_in = -60`, `signature = "forged"`,
//!   `claims = { … }`, `without = ["exp"]`, or anything else of a principal. `facts` and `now` do the same for the request.
//! - `skip = "why"` leaves a case out, and says so.
//!
//! # `tests/policies/principals.toml`
//! ```toml
//! [principal.clara]
//! issuer = "acme-staff"             # the alias of an issuer of the bundle
//! roles  = ["clerk"]                # names for the issuer's roles claim
//! # sub, client_id, tenant, scopes; `client = "id"` is a machine with a token of its own
//! # claims = { "custom:department" = "support" }: what the issuer signs; wins over all that follows from the above
//! # without = ["exp"]: claims that are left out
//! # refused = ["admin"]: roles that it names and its issuer may not confer
//!
//! [group]
//! staff = ["clara", "otto"]
//!
//! [facts.office]
//! source_ip = "203.0.113.7"         # client_cert_subject, headers, query, stage_variables: as the schema declares them
//!
//! [facts.nowhere]
//! absent = ["source_ip"]            # what requests are to be without, and a policy reads; "headers.x-a", or all "headers"
//! ```
//! What a token says beside that – `iss`, audience, kind, `iat`, `exp` – comes from the issuer's file. It is signed by a key
//! that is made for the run, and verified by the authorizer's own rules. Suites may declare principals, groups and facts of
//! their own.
//!
//! # Nothing passes by mistake
//! A name that does not exist – a principal, a route, a policy, a key –, a request that no route serves, a role that the
//! issuer cannot confer, a case about nobody or nothing, two cases that contradict each other, a policy that reads the time
//! without `now`, a request whose decision depends on another fact that is neither given nor said to be absent: each is an
//! error, and no test is run. An event says all its facts itself: what it does not carry is absent.
//!
//! # `tests/policies/*.json`
//! Tests in the format of `cedar run-tests`, against the version that is active in the first stage of the first API. A
//! request that the schema does not allow is an error.

mod callers;
mod cedar_tests;
mod events;
mod expect;
mod file;
mod filter;
mod load;
mod problems;
pub mod report;
mod requests;
mod run;
mod study;
mod unsaid;

use std::ops::Range;
use std::sync::OnceLock;

use crate::authorizer::Authorizer;
use crate::bundle::finding::Finding;
use crate::bundle::source::SourceFiles;
use crate::entities::HttpFacts;
use crate::tools::claimant::Claimant;
use crate::tools::desk::Desk;
use crate::tools::trace::Tracer;

use callers::Caller;
pub use callers::{NamedPrincipal, PRINCIPALS, principals};
use cedar_tests::CedarTest;
use expect::Expected;
pub use expect::{Got, Mismatch};
pub use filter::{Filter, FilterTerm};
pub use load::SuiteErrors;
use requests::Request;
pub use run::RunOptions;
pub use study::Studied;

/// The folder of the suites, in the bundle's folder.
pub const FOLDER: &str = "tests/policies/";

/// All suites, ready to be run.
#[derive(Debug)]
pub struct Suites<'b> {
    files: &'b SourceFiles,
    suites: Vec<Suite>,
    desks: Vec<Desk<'b>>,
    /// What explains the decisions of a desk.
    tracers: Vec<OnceLock<Option<Tracer>>>,
    authorizers: Vec<Authorizer>,
    claimant: Claimant<'b>,
    callers: Vec<Caller>,
    tests: Vec<Test>,
    /// What should be known, and keeps nothing from being run.
    pub warnings: Vec<Finding>,
}

/// A file of cases.
#[derive(Clone, Debug)]
pub struct Suite {
    /// What it calls itself.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The file, as a path in the bundle's folder.
    pub file: String,
    /// The API it is about.
    pub api: String,
    /// The stage.
    pub stage: String,
    /// The version of the policies.
    pub version: String,
    /// Its cases, in their order.
    pub cases: Vec<Case>,
}

/// Some tests under one name.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Why it is left out.
    pub skip: Option<String>,
    /// Where it stands in the file; the line and column of the span's start, from 1.
    pub position: (usize, usize),
    /// The bytes of the file that are its name.
    pub span: Range<usize>,
}

/// One question, and the answer that is expected.
#[derive(Debug)]
struct Test {
    suite: usize,
    case: usize,
    /// Who asks, for people.
    principal: String,
    /// What for, for people.
    request: String,
    question: Question,
    expected: Expected,
}

/// What is asked.
#[derive(Debug)]
enum Question {
    /// A request, by hand.
    Request { desk: usize, caller: usize, request: Request, facts: HttpFacts },
    /// Whether a token is believed.
    Token { caller: usize },
    /// An event, of the whole authorizer.
    Event {
        authorizer: usize,
        desk: usize,
        caller: Option<usize>,
        event: Box<serde_json::Value>,
        request: Option<Request>,
        now: crate::time::Timestamp,
    },
    /// A request in Cedar's own terms.
    Cedar { desk: usize, test: Box<CedarTest> },
}
