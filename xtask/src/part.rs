//! The parts of `cargo xtask test`, in order. This list is the one place to add to.
//!
//! A part whose folder or program is missing fails: under `test` nothing is left out in silence.

/// One command that passes or fails.
pub(crate) struct Part {
    /// As the table at the end shows it.
    pub(crate) name: &'static str,
    /// Where it runs, from the repository's root.
    pub(crate) dir: &'static str,
    /// The command line; `cargo-tests` stands for nextest or, without it, `cargo test`.
    pub(crate) command: &'static str,
    /// After how many minutes it is killed.
    pub(crate) minutes: u64,
    /// What it must say at its end.
    pub(crate) counts: Counts,
}

/// Whether a part counts tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Counts {
    /// Its exit code says all.
    Nothing,
    /// It says how many tests ran; a test left out is a failure.
    Tests,
    /// It says how many tests ran; having none, or having left one out, is a failure.
    SomeTests,
}

/// Stands for the command that runs the Rust tests.
pub(crate) const CARGO_TESTS: &str = "cargo-tests";

/// By nextest, where it is there.
pub(crate) const NEXTEST: &str =
    "cargo nextest run --locked --workspace --profile ci --no-tests fail";

/// Without it.
pub(crate) const CARGO_TEST: &str =
    "cargo test --locked --workspace --no-fail-fast --lib --bins --tests";

/// The gateway that SDKs and browsers meet: as the Rust tests have built it, with its assertions. A release, which the bench and
/// the soak measure, would be compiled from nothing once more.
pub(crate) const GATEWAY: &str = "target/debug/tokenway";

/// Every part that must pass.
pub(crate) const PARTS: &[Part] = &[
    part("format", ".", "cargo fmt --all --check", 2, Counts::Nothing),
    part("lints", ".", CLIPPY, 15, Counts::Nothing),
    part("rust tests", ".", CARGO_TESTS, 25, Counts::SomeTests),
    part("doc tests", ".", "cargo test --locked --workspace --doc", 8, Counts::Tests),
    part("client check", "client", "npm run check", 4, Counts::Nothing),
    part("client tests", "client", "npm test", 5, Counts::SomeTests),
    part("client dist", "client", "npm run verify-dist", 3, Counts::Nothing),
    part("client size", "client", "npm run size", 3, Counts::Nothing),
    part(
        "python sdk",
        "tests/sdk",
        "python3 -m pytest -q -p no:cacheprovider python",
        8,
        Counts::SomeTests,
    ),
    part("node sdk", "tests/sdk", "npm test", 6, Counts::SomeTests),
    part("client package", "client", "npm run test:package", 6, Counts::SomeTests),
    part("browser", "client", "npm run test:browser", 12, Counts::SomeTests),
    part("trials", "client", "npm run test:trials", 17, Counts::SomeTests),
    part("apps", "client", "npm run test:apps", 8, Counts::SomeTests),
    part("examples", ".", "cargo xtask examples", 8, Counts::Nothing),
];

/// Every target of every package; a warning is an error.
pub(crate) const CLIPPY: &str = "cargo clippy --locked --workspace --all-targets -- -D warnings";

const fn part(
    name: &'static str,
    dir: &'static str,
    command: &'static str,
    minutes: u64,
    counts: Counts,
) -> Part {
    Part { name, dir, command, minutes, counts }
}
