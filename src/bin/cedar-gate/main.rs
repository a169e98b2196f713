//! The command line for the people who write policies, deploy the authorizer and test both.
//!
//! stdout is data, stderr is talk. Exit codes: 0 yes, 1 no (denied, failed), 2 could not answer.

mod authorize;
mod batch;
mod check;
mod demo;
mod routes;
mod shell;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Edit Cedar policies, prove what they grant, and let API Gateway enforce exactly that.
#[derive(Parser)]
#[command(version, max_term_width = 110, after_help = EXIT_CODES)]
struct Cli {
    /// The bundle: a folder with `policies` and `schema` in it.
    #[arg(long, global = true, value_name = "DIR", env = "CEDAR_GATE_BUNDLE", default_value = ".")]
    bundle: PathBuf,
    /// How results are written.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 yes, 1 no (denied, failed, findings), 2 could not answer.
Colour follows the terminal; NO_COLOR switches it off.

Start here:
  cedar-gate demo                          a small API: who may do what, and the real answers
  cedar-gate check                         whether this folder's policies and schema hold together
  cedar-gate token mint --issuer dev --sub alice --role clerk";

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Answer an authorizer event, byte for byte as the Lambda would.
    Authorize(authorize::Args),
    /// Check that policies, schema, routes and issuers hold together.
    Check,
    /// Show a small API: who may do what, and for some requests the real document and why.
    Demo,
    /// Evaluate Cedar requests by the authorizer's own engine, one JSON line a test.
    Eval(batch::EvalArgs),
    /// Verify JSON Web Signatures by the authorizer's own rules, one JSON line a test.
    Jws(batch::JwsArgs),
    /// The route table and the schema that is generated from it.
    #[command(subcommand)]
    Routes(routes::Command),
    /// Development tokens: make one, look into one.
    #[command(subcommand)]
    Token(token::Command),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Authorize(args) => authorize::run(&cli.bundle, cli.format, &args),
        Command::Check => check::run(&cli.bundle, cli.format),
        Command::Demo => demo::run(cli.format),
        Command::Eval(args) => batch::eval(&args),
        Command::Jws(args) => batch::jws(&args),
        Command::Routes(command) => routes::run(&cli.bundle, cli.format, &command),
        Command::Token(command) => token::run(&cli.bundle, cli.format, &command),
    };
    match outcome {
        Ok(answer) => answer.into(),
        Err(failure) => {
            shell::report(&failure);
            ExitCode::from(2)
        }
    }
}
