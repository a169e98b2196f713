//! The command line for the people who write policies, deploy the authorizer and test both.
//!
//! stdout is data, stderr is talk. Exit codes: 0 yes, 1 no (denied, failed), 2 could not answer.

mod authorize;
mod batch;
mod check;
mod demo;
mod issuer;
mod keys;
mod remedy;
mod revoke;
mod routes;
mod shell;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::shell::{Answer, Failure};

/// Edit Cedar policies, see what they grant, and let Amazon API Gateway enforce exactly that.
#[derive(Parser)]
#[command(version, max_term_width = 110, after_help = EXIT_CODES)]
struct Cli {
    /// The bundle: a folder with `policies` and `schema` in it.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "CEDAR_GATE_BUNDLE",
        hide_env_values = true,
        default_value = ".",
        help_heading = COMMON
    )]
    bundle: PathBuf,
    /// How results are written: for people, or one JSON document.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, help_heading = COMMON)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes; listed below what it takes alone.
const COMMON: &str = "Common options";

const EXIT_CODES: &str = "\
Exit codes: 0 yes, 1 no (denied, refused, findings), 2 could not answer.
stdout is data, stderr is talk. Colour follows the terminal; NO_COLOR switches it off.

Start here:
  cedar-gate demo               a small API: who may do what, and some of the real answers
  cedar-gate check              whether this folder's policies and schema hold together
  cedar-gate routes list        what can be asked for, and what a policy calls it
  cedar-gate help authorize     ask it as API Gateway would";

const CHECK_HELP: &str = "\
Reads policies/ and schema/, and says all that is wrong with them at once: file, line, what to do.

Of a bundle that holds together it says how long, at most, a call is still admitted that should not
be: after the release of the bundle that changes a policy, revokes the token or removes its pinned
key; after its issuer has removed its published key, calls it inactive or takes a role away; and
after the token has expired. The terms of the sum:
  result TTL       the gateway answers from its cache
  open connection  a WebSocket API asks on $connect alone
  new bundle       a running function follows the link to its bundle; with the bundle in its
                   zip, the deployment is the release, and nothing is waited for
  token cache      what was verified is forgotten with the bundle, and with the key
  key max_age      published keys are believed
  introspection    an issuer's word about an opaque token is believed
  token life       a token says what it said when it was made; `max_token_age` bounds it
  leeway           of the issuer's file, after a token's end

Exit codes: 0 it holds together, 1 it does not, 2 it could not be read.

Examples:
  cedar-gate check
  cedar-gate check --bundle ../orders --format json";

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    // A doc comment on a value would spread every help text over twice as many lines.
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Answer an authorizer event, byte for byte as the Lambda would.
    Authorize(authorize::Args),
    /// Check that policies, schema, routes and issuers hold together.
    #[command(after_help = CHECK_HELP)]
    Check,
    /// Show a small API: who may do what, and for some requests the real document and why.
    Demo(demo::Args),
    /// Evaluate Cedar requests by the authorizer's own engine, one JSON line a test.
    Eval(batch::EvalArgs),
    /// Trust token issuers, list them, and ask them for their keys.
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// Verify JSON Web Signatures by the authorizer's own rules, one JSON line a test.
    Jws(batch::JwsArgs),
    /// Refuse tokens before they expire: of a subject, of a client, or one token.
    Revoke(revoke::Args),
    /// Show the route table, and the schema that is generated from it.
    #[command(subcommand)]
    Routes(routes::Command),
    /// Make development tokens, and look into tokens.
    #[command(subcommand)]
    Token(token::Command),
}

/// Stack for the parser and the validator of Cedar, which call themselves once for each part of a policy or a schema.
/// Memory is taken as it is used.
const STACK_BYTES: usize = 64 * 1024 * 1024;

fn main() -> ExitCode {
    let answered = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).map(|thread| thread.join());
    match answered {
        Ok(Ok(code)) => code,
        // The panic has said so itself.
        Ok(Err(_)) => Answer::Unanswered.into(),
        Err(error) => {
            shell::report(&Failure::Message(format!("cannot start: {error}")));
            Answer::Unanswered.into()
        }
    }
}

fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return shell::usage(&usage),
    };
    let outcome = match cli.command {
        Command::Authorize(args) => authorize::run(&cli.bundle, cli.format, &args),
        Command::Check => check::run(&cli.bundle, cli.format),
        Command::Demo(args) => demo::run(cli.format, &args),
        Command::Eval(args) => batch::eval(&args),
        Command::Issuer(command) => issuer::run(&cli.bundle, cli.format, &command),
        Command::Jws(args) => batch::jws(&args),
        Command::Revoke(args) => revoke::run(&cli.bundle, cli.format, &args),
        Command::Routes(command) => routes::run(&cli.bundle, cli.format, &command),
        Command::Token(command) => token::run(&cli.bundle, cli.format, &command),
    };
    match outcome {
        Ok(answer) => answer.into(),
        Err(failure) => {
            shell::report(&failure);
            Answer::Unanswered.into()
        }
    }
}
