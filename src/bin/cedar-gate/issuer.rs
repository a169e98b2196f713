//! `issuer`: whose tokens are believed: added, listed, and asked for their keys.

mod add;
mod address;
mod list;
mod probe;

use std::path::Path;

use clap::Subcommand;

use crate::Format;
use crate::shell::{Answer, Failure};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Trust an issuer: write its file in policies/issuers.
    // Much larger than its neighbours, and made once.
    Add(Box<add::Args>),
    /// List the issuers: kind of token, where their keys come from, what they may confer.
    #[command(after_help = "Example:\n  cedar-gate issuer list")]
    List,
    /// Ask an issuer for its keys, and say which of its tokens would be believed.
    Probe(probe::Args),
}

pub(crate) fn run(root: &Path, format: Format, command: &Command) -> Result<Answer, Failure> {
    match command {
        Command::Add(args) => add::run(root, format, args),
        Command::List => list::run(root, format),
        Command::Probe(args) => probe::run(root, format, args),
    }
}
