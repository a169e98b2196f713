//! The command line for the people who write policies, deploy the authorizer and test both.
//!
//! stdout is data, stderr is talk. Exit codes: 0 yes, 1 no (denied, failed), 2 could not answer.

mod authorize;
mod batch;
mod bundle;
mod check;
mod completions;
mod demo;
mod explain;
mod fmt;
mod format;
mod init;
mod issuer;
mod keys;
mod matrix;
mod plan;
mod remedy;
mod replay;
mod revoke;
mod routes;
mod shell;
mod test;
mod tested;
mod token;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use crate::format::Format;
use crate::format::FormatName;
use crate::shell::{Answer, Failure};

/// Edit Cedar policies, see what they grant, and let Amazon API Gateway enforce exactly that.
#[derive(Parser)]
#[command(version, max_term_width = 110, after_help = EXIT_CODES)]
struct Cli {
    /// The bundle: a folder with `policies` and `schema` in it, or a built one.
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
    /// How results are written: for people, as one JSON document, or for a tool that a command knows.
    #[arg(long, global = true, value_enum, default_value_t = FormatName::Text, help_heading = COMMON)]
    format: FormatName,
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

#[derive(Subcommand)]
enum Command {
    /// Answer an authorizer event, byte for byte as the Lambda would.
    Authorize(authorize::Args),
    /// Build, sign, verify and look into the file that is released.
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Check that policies, schema, routes and issuers hold together.
    Check(check::Args),
    /// Print what a shell needs to complete command lines.
    Completions(completions::Args),
    /// Show a small API: who may do what, and for some requests the real document and why.
    Demo(demo::Args),
    /// Evaluate Cedar requests by the authorizer's own engine, one JSON line a test.
    Eval(batch::EvalArgs),
    /// Say why a request is decided as it is: claims, roles, route, and each policy's parts.
    Explain(Box<explain::Args>),
    /// Write policies in one form.
    Fmt(fmt::Args),
    /// Begin: write the files of a new bundle, from an OpenAPI document or from nothing.
    Init(init::Args),
    /// Trust token issuers, list them, and ask them for their keys.
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// Verify JSON Web Signatures by the authorizer's own rules, one JSON line a test.
    Jws(batch::JwsArgs),
    /// Show who may do what: roles and operations, allow, deny, or the condition.
    Matrix(matrix::Args),
    /// Show what a change of policies, roles or routes grants and what it takes away.
    Plan(plan::Args),
    /// Decide the requests of a log once more, and list what would flip.
    Replay(replay::Args),
    /// Refuse tokens before they expire: of a subject, of a client, or one token.
    Revoke(revoke::Args),
    /// Show the route table, and the schema that is generated from it.
    #[command(subcommand)]
    Routes(routes::Command),
    /// Hold the policies against the suites of tests/policies.
    Test(Box<test::Args>),
    /// Make development tokens, and look into tokens.
    #[command(subcommand)]
    Token(token::Command),
    /// List the versions of the policies, and say which one decides where.
    Versions(versions::Args),
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
    match answer(cli) {
        Ok(answer) => answer.into(),
        Err(failure) => {
            shell::report(&failure);
            Answer::Unanswered.into()
        }
    }
}

fn answer(cli: Cli) -> Result<Answer, Failure> {
    let (bundle, name) = (&cli.bundle, cli.format);
    match cli.command {
        Command::Authorize(args) => authorize::run(bundle, name.known_to("authorize")?, &args),
        Command::Bundle(command) => bundle::run(bundle, name.known_to("bundle")?, &command),
        Command::Check(args) => check::run(bundle, name.known_to("check")?, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Demo(args) => demo::run(name.known_to("demo")?, &args),
        Command::Eval(args) => batch::eval(&args),
        Command::Explain(args) => explain::run(bundle, name.known_to("explain")?, &args),
        Command::Fmt(args) => fmt::run(bundle, name.known_to("fmt")?, &args),
        Command::Init(args) => init::run(name.known_to("init")?, &args),
        Command::Issuer(command) => issuer::run(bundle, name.known_to("issuer")?, &command),
        Command::Jws(args) => batch::jws(&args),
        Command::Matrix(args) => matrix::run(bundle, name.known_to("matrix")?, &args),
        Command::Plan(args) => plan::run(bundle, name.known_to("plan")?, &args),
        Command::Replay(args) => replay::run(bundle, name.known_to("replay")?, &args),
        Command::Revoke(args) => revoke::run(bundle, name.known_to("revoke")?, &args),
        Command::Routes(command) => routes::run(bundle, name.known_to("routes")?, &command),
        Command::Test(args) => test::run(bundle, name.known_to("test")?, &args),
        Command::Token(command) => token::run(bundle, name.known_to("token")?, &command),
        Command::Versions(args) => versions::run(bundle, name.known_to("versions")?, &args),
    }
}
