//! `cargo xtask soak`: the trials with random cuts, at their full counts; each prints its seed and its figures.

use std::{path::Path, time::Duration};

use crate::{part::NEXTEST, run::Run, setup::Ground};

const ALL: Duration = Duration::from_secs(6 * 3600);

/// The trials are tests like any other, with `cuts` in their names; `TOKENWAY_SOAK` raises their counts.
const TRIALS: &str = "test(/cuts/)";

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let ground = Ground::new(root);
    if !ground.has_nextest() {
        return Err("cargo-nextest is not installed: `cargo install cargo-nextest --locked`".into());
    }
    let nextest = NEXTEST.replace("--profile ci", "--profile soak --no-capture");
    Run::new(&nextest, root, ALL)
        .arg("--filterset")
        .arg(TRIALS)
        .envs([ground.path()])
        .env("TOKENWAY_SOAK", "1")
        .env("TOKENWAY_NOTHING_SKIPPED", "1")
        .must()
}
