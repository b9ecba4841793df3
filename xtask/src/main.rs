//! The project's chores: `cargo xtask help` lists them.
//!
//! Nothing here is part of the gateway. A chore starts other programs, shows what they say, and ends with an exit code.

#![expect(clippy::print_stdout, reason = "a chore talks to a person on standard output")]

mod bench;
mod check;
mod dist;
mod example;
mod gateway;
mod part;
mod process;
mod run;
mod setup;
mod soak;
mod tally;
mod test;

use std::{env, path::PathBuf, process::ExitCode};

const HELP: &str = "\
cargo xtask COMMAND

  test    install what the tests need, run all of them, end with the last words of what failed and a table; fails if
          anything failed or was left out
  check   formatting, lints, dependencies: what to run before a commit
  bench   the app path through Tokenway, through nginx and direct, as ratios, then delivery to viewers; under five
          minutes (--baseline: without Tokenway, to look at the harness alone; --delivery: only that part)
  soak    the long trials at their full counts, with their figures
  dist    build the committed console file from client/
  help    this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let ended = match arguments.as_slice() {
        ["test"] => test::run(&root),
        ["check"] => check::run(&root),
        ["bench"] => bench::build_and_run(&root, bench::Part::All),
        ["bench", "--baseline"] => bench::build_and_run(&root, bench::Part::Baseline),
        ["bench", "--delivery"] => bench::build_and_run(&root, bench::Part::Delivery),
        // Where `bench` arrives in the optimised build of this program.
        ["bench", "--measure", part] => bench::Part::named(part)
            .ok_or_else(|| format!("no such part: {part}"))
            .and_then(|part| bench::measure(&root, part)),
        ["soak"] => soak::run(&root),
        ["dist"] => dist::run(&root),
        // One part of `test`: it needs a gateway to run beside it.
        ["examples"] => example::run(&root),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(format!("no such command: {}\n\n{HELP}", other.join(" "))),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The repository: the folder above this package.
fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().map(PathBuf::from).unwrap_or(package)
}
