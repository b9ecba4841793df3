//! `cargo xtask check`: formatting, lints and dependencies, as they must be before a commit.

use std::{path::Path, time::Duration};

use crate::{part::CLIPPY, run::Run};

const EACH: Duration = Duration::from_secs(20 * 60);

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let step = |line: &str| Run::new(line, root, EACH);
    let mut failed = Vec::new();
    failed.extend(step("cargo fmt --all --check").must().err());
    failed.extend(step(CLIPPY).must().err());
    if step("cargo deny --version").read().is_some() {
        failed.extend(step("cargo deny --locked check").must().err());
    } else {
        println!("!! cargo-deny is not installed: licences and advisories were not checked");
        println!("!! `cargo install cargo-deny --locked` adds it");
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}
