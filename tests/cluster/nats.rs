//! A real `nats-server`, in a process of its own that can be killed and started again on the same files.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use tempfile::TempDir;

pub(crate) struct Nats {
    dir: TempDir,
    port: u16,
    /// A name and a password, where it asks for them.
    login: Option<(&'static str, &'static str)>,
    child: Option<Child>,
}

impl Nats {
    /// `None`: this machine has none.
    pub(crate) fn start() -> Option<Self> {
        Self::that_asks(None)
    }

    /// One that asks for a name and a password.
    pub(crate) fn that_asks(login: Option<(&'static str, &'static str)>) -> Option<Self> {
        if !is_there() {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        loop {
            // Another process may take it meanwhile: then another one is tried.
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = free.local_addr().expect("it is bound").port();
            drop(free);
            if let Some(child) = run(&dir, port, login) {
                return Some(Self { dir, port, login, child: Some(child) });
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        match self.login {
            None => format!("nats://127.0.0.1:{}", self.port),
            Some((name, password)) => format!("nats://{name}:{password}@127.0.0.1:{}", self.port),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it as the kernel would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// What it has kept so far, to be gone back to. It is away for a moment.
    pub(crate) fn copy(&mut self) -> TempDir {
        self.kill();
        let copy = tempfile::tempdir().expect("a directory");
        copy_all(self.dir.path(), copy.path());
        self.revive();
        copy
    }

    /// Goes back to what it had kept then: its machine has failed before it had synced what came since.
    pub(crate) fn go_back_to(&mut self, copy: &TempDir) {
        self.kill();
        fs::remove_dir_all(self.dir.path()).expect("it is there");
        copy_all(copy.path(), self.dir.path());
        self.revive();
    }

    /// Starts it again, with what it has kept.
    pub(crate) fn revive(&mut self) {
        self.kill();
        self.child = Some(run(&self.dir, self.port, self.login).expect("its port is free"));
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let (entry, to) = (entry.expect("an entry"), to);
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy_all(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a file")),
        }
    }
}

/// Where Debian puts it not everybody looks.
fn program() -> &'static str {
    const DEBIAN: &str = "/usr/sbin/nats-server";
    if Path::new(DEBIAN).exists() { DEBIAN } else { "nats-server" }
}

#[expect(clippy::disallowed_methods, reason = "the environment says whether that is a failure")]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
pub(crate) fn is_there() -> bool {
    let there = Command::new(program()).arg("--version").stdout(Stdio::null()).status();
    if there.is_err() {
        let said = "left out: no `nats-server` on this machine (Debian has it under this name)";
        println!("{said}");
        let nothing_skipped = std::env::var("TOKENWAY_NOTHING_SKIPPED");
        assert_ne!(nothing_skipped.as_deref(), Ok("1"), "{said}");
    }
    there.is_ok()
}

/// `None`: it cannot listen there.
fn run(dir: &TempDir, port: u16, login: Option<(&str, &str)>) -> Option<Child> {
    let mut command = Command::new(program());
    command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(dir.path());
    if let Some((name, password)) = login {
        command.args(["--user", name, "--pass", password]);
    }
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it is there");
    let mut said = BufReader::new(child.stderr.take().expect("it was piped"));
    let mut all = String::new();
    loop {
        let mut line = String::new();
        if said.read_line(&mut line).expect("text") == 0 {
            child.wait().expect("it ends");
            assert!(all.contains("address already in use"), "it ended: {all}");
            return None;
        }
        all += &line;
        if line.contains("Server is ready") {
            break;
        }
    }
    // Ends with the process.
    thread::spawn(move || said.read_to_end(&mut Vec::new()));
    Some(child)
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}
