//! `cargo xtask soak`: the trials at their full counts; each prints its seed and its figures. First those with random cuts,
//! then those in real browsers.

use std::{path::Path, time::Duration};

use crate::{part::NEXTEST, run::Run, setup::Ground};

const CUTS: Duration = Duration::from_secs(6 * 3600);
const BUILD: Duration = Duration::from_secs(30 * 60);
const BROWSERS: Duration = Duration::from_secs(6 * 3600);

/// The trials are tests like any other, with `cuts` in their names; `TOKENWAY_SOAK` raises their counts.
const WITH_CUTS: &str = "test(/cuts/)";

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let ground = Ground::new(root);
    let missing = ground.prepare_tests();
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    if !ground.has_nextest() {
        return Err("cargo-nextest is not installed: `cargo install cargo-nextest --locked`".into());
    }
    // A long run tells all it can: what failed first is said last.
    cuts(root, &ground).and(browsers(root, &ground))
}

fn cuts(root: &Path, ground: &Ground) -> Result<(), String> {
    let nextest = NEXTEST.replace("--profile ci", "--profile soak --no-capture");
    at_full_counts(Run::new(&nextest, root, CUTS).arg("--filterset").arg(WITH_CUTS), ground)
}

fn browsers(root: &Path, ground: &Ground) -> Result<(), String> {
    Run::new("cargo build --locked --release --package tokenway", root, BUILD).must()?;
    Run::new("cargo build --locked --package impair", root, BUILD).must()?;
    let trials = Run::new("npm run test:trials", &root.join("client"), BROWSERS)
        .env("TOKENWAY_BIN", root.join("target/release/tokenway"));
    at_full_counts(trials, ground)
}

fn at_full_counts(run: Run, ground: &Ground) -> Result<(), String> {
    run.envs([ground.path()]).env("TOKENWAY_SOAK", "1").env("TOKENWAY_NOTHING_SKIPPED", "1").must()
}
