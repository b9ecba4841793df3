//! Puts on the machine what the tests need, where it is missing: Debian packages, npm packages, a Python environment,
//! cargo-nextest.
//!
//! Whatever is not a Debian package stays inside the repository, under `target/tools` and the `node_modules` folders.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::run::Run;

/// The oldest Node that the client and the SDK tests run on.
const NODE: &str = "20";
/// Compiling cargo-nextest on two cores; after this the tests run by `cargo test`.
const NEXTEST: Duration = Duration::from_secs(12 * 60);
const PACKAGES: Duration = Duration::from_secs(10 * 60);

/// A Debian package and the shell command that succeeds where it is not needed.
pub(crate) struct Package(&'static str, &'static str);

/// What the tests need.
pub(crate) const TEST_PACKAGES: &[Package] = &[
    Package("chromium", "command -v chromium"),
    Package("firefox-esr", "command -v firefox-esr"),
    // Network namespaces, in which a browser loses its address.
    Package("iproute2", "command -v ip"),
    Package("nodejs", "command -v node"),
    Package("npm", "command -v npm"),
    Package("python3", "command -v python3"),
    Package("python3-venv", "python3 -c 'import venv, ensurepip'"),
    // The engine of gateways that share what they serve.
    Package("nats-server", "command -v nats-server || test -x /usr/sbin/nats-server"),
    // It scrapes a gateway, and answers the dashboard's questions.
    Package("prometheus", "command -v prometheus"),
    // Chromium draws the console's text, in several scripts and with emoji.
    Package("fonts-dejavu-core", "dpkg -s fonts-dejavu-core"),
    Package("fonts-noto-color-emoji", "dpkg -s fonts-noto-color-emoji"),
];

/// What the bench needs.
pub(crate) const BENCH_PACKAGES: &[Package] =
    &[Package("nginx-light", "command -v nginx || test -x /usr/sbin/nginx")];

/// Where things are once they are there.
pub(crate) struct Ground {
    root: PathBuf,
}

impl Ground {
    /// The repository's ground.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// What the chores install for themselves.
    fn tools(&self) -> PathBuf {
        self.root.join("target/tools")
    }

    /// The search path with our own tools in front.
    pub(crate) fn path(&self) -> (OsString, OsString) {
        let tools = self.tools();
        let ours =
            [tools.join("bin"), tools.join("node/node_modules/node/bin"), tools.join("venv/bin")];
        let theirs = env::var_os("PATH").unwrap_or_default();
        let all = env::join_paths(ours.into_iter().chain(env::split_paths(&theirs)));
        ("PATH".into(), all.unwrap_or(theirs))
    }

    /// Whether tests run by nextest or, without it, by `cargo test`.
    pub(crate) fn has_nextest(&self) -> bool {
        self.succeeds("cargo nextest --version")
    }

    /// Makes everything that `cargo xtask test` needs; every line of the answer is something that is still missing.
    pub(crate) fn prepare_tests(&self) -> Vec<String> {
        let mut missing = Vec::new();
        missing.extend(self.packages(TEST_PACKAGES).err());
        missing.extend(self.node().err());
        missing.extend(self.npm("client").err());
        missing.extend(self.npm("tests/sdk").err());
        missing.extend(self.npm("examples/chat").err());
        missing.extend(self.python().err());
        self.nextest();
        missing
    }

    /// Installs the Debian packages that are missing.
    pub(crate) fn packages(&self, packages: &[Package]) -> Result<(), String> {
        let needed: Vec<&str> = packages
            .iter()
            .filter(|Package(_, there)| !self.succeeds(there))
            .map(|Package(name, _)| *name)
            .collect();
        if needed.is_empty() {
            return Ok(());
        }
        let needed = needed.join(" ");
        if !self.succeeds("command -v apt-get") {
            return Err(format!("this machine has no apt-get; install by hand: {needed}"));
        }
        let sudo = if self.succeeds("test $(id -u) = 0") { "" } else { "sudo --preserve-env " };
        let apt = |line: &str| {
            Run::new(&format!("{sudo}apt-get {line}"), &self.root, PACKAGES)
                .env("DEBIAN_FRONTEND", "noninteractive")
                // Debian starts what it installs, except in this run level; nobody asked for a server on port 80.
                .env("RUNLEVEL", "1")
                .must()
        };
        apt("update --quiet")?;
        apt(&format!("install --yes --quiet --no-install-recommends {needed}"))
    }

    /// Debian 12 ships an older Node than we need; npm has newer ones.
    fn node(&self) -> Result<(), String> {
        let enough =
            format!("node -e 'process.exit(parseInt(process.versions.node) >= {NODE} ? 0 : 1)'");
        if self.succeeds(&enough) {
            return Ok(());
        }
        let place = self.tools().join("node");
        fs::create_dir_all(&place).map_err(|why| format!("{}: {why}", place.display()))?;
        self.run(
            &format!("npm install --no-audit --no-fund --prefix . node@{NODE}"),
            &place,
            PACKAGES,
        )
    }

    /// Exactly the packages of a lock file; nothing where they are there already.
    pub(crate) fn npm(&self, folder: &str) -> Result<(), String> {
        let place = self.root.join(folder);
        let mark = place.join("node_modules/.tokenway-lock");
        self.once(&place.join("package-lock.json"), &mark, || {
            self.run("npm ci --no-audit --no-fund", &place, PACKAGES)
        })
    }

    /// A Python environment with the official SDK, pinned.
    fn python(&self) -> Result<(), String> {
        let place = self.tools().join("venv");
        let pinned = self.root.join("tests/sdk/requirements.txt");
        self.once(&pinned, &place.join(".tokenway-lock"), || {
            self.run("python3 -m venv --clear target/tools/venv", &self.root, PACKAGES)?;
            let pip = "target/tools/venv/bin/pip --disable-pip-version-check --quiet install";
            self.run(
                &format!("{pip} --requirement tests/sdk/requirements.txt"),
                &self.root,
                PACKAGES,
            )
        })
    }

    /// It is worth minutes of compiling (it kills what hangs), but not worth failing for.
    fn nextest(&self) {
        if self.has_nextest() {
            return;
        }
        println!(
            "cargo-nextest is not installed: compiling it, once, into target/tools (some minutes)"
        );
        // Away from target/debug, or it would throw out what is compiled there; unoptimised, for it only waits.
        let install = "cargo install cargo-nextest --locked --debug --config profile.dev.debug=false --root target/tools --target-dir target/tools/build";
        if let Err(why) = self.run(install, &self.root, NEXTEST) {
            println!(
                "!! {why}\n!! going on by `cargo test`: a test that hangs will hold up the whole part"
            );
        }
    }

    /// Does what depends on `source` unless `mark` shows that it was done for the same content.
    fn once(
        &self,
        source: &Path,
        mark: &Path,
        work: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        let wanted = fs::read(source).map_err(|why| format!("{}: {why}", source.display()))?;
        if fs::read(mark).is_ok_and(|done| done == wanted) {
            return Ok(());
        }
        work()?;
        fs::write(mark, wanted).map_err(|why| format!("{}: {why}", mark.display()))
    }

    fn run(&self, line: &str, dir: &Path, timeout: Duration) -> Result<(), String> {
        Run::new(line, dir, timeout).envs([self.path()]).must()
    }

    fn succeeds(&self, script: &str) -> bool {
        let shell = Run::new("sh -c", &self.root, Duration::MAX);
        shell.arg(script).envs([self.path()]).read().is_some()
    }
}
