//! The real binary, in a process of its own that can be killed.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use parking_lot::Mutex;

/// A client of a gateway's.
pub(crate) fn client() -> reqwest::Client {
    // Installed already, by another test of this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A gateway that runs.
pub(crate) struct Gateway {
    child: Child,
    /// Where it is, such as `http://127.0.0.1:40000`.
    pub(crate) url: String,
    log: Arc<Mutex<String>>,
}

/// A configuration with the simulator and a store in this directory.
pub(crate) fn configure(dir: &Path, store: &Path) -> PathBuf {
    let file = dir.join("tokenway.yaml");
    let yaml = format!(
        r#"
version: 1
listen: {{ http: "127.0.0.1:0", webtransport: "127.0.0.1:0" }}
providers:
  sim: {{ dialect: simulator, tokens_per_second: 400 }}
models:
  "*": {{ targets: [ {{ provider: sim }} ] }}
channels: {{ retention: {{ after_end: 24h }} }}
store: {{ engine: disk, path: "{}" }}
"#,
        store.display()
    );
    std::fs::write(&file, yaml).expect("a file");
    file
}

impl Gateway {
    pub(crate) fn start(config: &Path) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_tokenway")), config)
    }

    /// Runs it by a command to which its own is appended.
    pub(crate) fn run(mut command: Command, config: &Path) -> Self {
        let state = config.parent().expect("it is in a directory");
        command.args(["--log", "info", "serve", "--config"]).arg(config);
        command.arg("--state-dir").arg(state).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it was piped"));
        let mut said = String::new();
        let url = loop {
            let mut line = String::new();
            let length = stderr.read_line(&mut line).expect("text");
            assert!(length > 0, "it ended: {said}");
            said += &line;
            let port = line.trim().strip_prefix("for apps       OPENAI_BASE_URL=http://localhost:");
            if let Some(port) = port {
                break format!("http://127.0.0.1:{}", port.trim_end_matches("/v1"));
            }
        };
        let log = Arc::new(Mutex::new(said));
        let rest = Arc::clone(&log);
        // Ends with the process.
        thread::spawn(move || {
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                rest.lock().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
            let _ = stderr.read_to_end(&mut line);
        });
        Self { child, url, log }
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// Kills it as the kernel would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().expect("it runs");
        assert!(told.success() && self.child.wait().expect("it ends").success(), "{}", self.log());
        self.log()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Killed already, perhaps.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
