//! `completions`: what a shell needs to complete command lines.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::Cli;
use crate::shell::{self, Answer, Failure};

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

const HELP: &str = "\
Exit codes: 0 printed, 2 there is no such shell.

Examples:
  cedar-gate completions bash > ~/.local/share/bash-completion/completions/cedar-gate
  cedar-gate completions zsh  > \"${fpath[1]}/_cedar-gate\"
  cedar-gate completions fish > ~/.config/fish/completions/cedar-gate.fish
  cedar-gate completions powershell >> $PROFILE";

pub(crate) fn run(args: &Args) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "cedar-gate", &mut script);
    shell::print_bytes(&script)?;
    Ok(Answer::Yes)
}
