//! `tokenway completions`: a shell's completion script.

use clap::CommandFactory;

use super::{Cli, Failure};

pub(super) fn print(shell: clap_complete::Shell) -> Result<(), Failure> {
    clap_complete::generate(shell, &mut Cli::command(), "tokenway", &mut std::io::stdout());
    Ok(())
}
