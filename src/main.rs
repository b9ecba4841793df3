//! The `tokenway` command. See `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tokenway::cli::main()
}
