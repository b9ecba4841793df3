//! The real binary, as a node: in a process of its own that can be killed, on a NATS that it may have to reach through a proxy.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use parking_lot::Mutex;
use tempfile::TempDir;

/// A client of a gateway's.
pub(crate) fn client() -> reqwest::Client {
    // Installed already, by another test of this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A node, whether or not it runs.
pub(crate) struct Gateway {
    dir: TempDir,
    level: &'static str,
    child: Option<Child>,
    /// Where it is, such as `http://127.0.0.1:40000`.
    pub(crate) url: String,
    pub(crate) log: Arc<Mutex<String>>,
}

fn configure(dir: &Path, nats: &str, provider: &str, model: &str) -> PathBuf {
    let file = dir.join("tokenway.yaml");
    let yaml = format!(
        r#"
version: 1
listen: {{ http: "127.0.0.1:0", webtransport: "127.0.0.1:0" }}
providers:
{provider}
  sim: {{ dialect: simulator, tokens_per_second: 200 }}
models:
  "*": {{ targets: [ {{ provider: sim }} ] }}
{model}
channels: {{ retention: {{ after_end: 24h }} }}
store: {{ engine: jetstream, url: "{nats}", lease: 1s }}
"#
    );
    fs::write(&file, yaml).expect("a file");
    file
}

impl Gateway {
    pub(crate) fn start(nats: &str) -> Self {
        Self::new(nats, "info", "", "")
    }

    /// With a log of this level.
    pub(crate) fn that_logs(nats: &str, level: &'static str) -> Self {
        Self::new(nats, level, "", "")
    }

    /// With a provider, which is the first, and a model of its own: a line of YAML each. What else it is to have may follow the model.
    pub(crate) fn with(nats: &str, provider: &str, model: &str) -> Self {
        Self::new(nats, "info", provider, model)
    }

    fn new(nats: &str, level: &'static str, provider: &str, model: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        configure(dir.path(), nats, provider, model);
        let (url, log) = (String::new(), Arc::default());
        let mut gateway = Self { dir, level, child: None, url, log };
        gateway.revive();
        gateway
    }

    /// Starts it again, as another node: nothing of what it was is left but its files.
    pub(crate) fn revive(&mut self) {
        self.kill();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenway"));
        command.args(["--log", self.level, "serve", "--config"]);
        command.arg(self.dir.path().join("tokenway.yaml"));
        command.arg("--state-dir").arg(self.dir.path()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it was piped"));
        let mut said = String::new();
        self.url = loop {
            let mut line = String::new();
            let length = stderr.read_line(&mut line).expect("text");
            assert!(length > 0, "it ended: {said}");
            said += &line;
            let port = line.trim().strip_prefix("for apps       OPENAI_BASE_URL=http://localhost:");
            if let Some(port) = port {
                break format!("http://127.0.0.1:{}", port.trim_end_matches("/v1"));
            }
        };
        self.log.lock().push_str(&said);
        let log = Arc::clone(&self.log);
        // Ends with the process.
        thread::spawn(move || {
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                log.lock().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        self.child = Some(child);
    }

    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Kills it as the kernel would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// Its machine does nothing more for it, or goes on with it.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let told = Command::new("kill").args([name, &id]).status();
        assert!(told.expect("it runs").success());
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.signal("-TERM");
        let mut child = self.child.take().expect("it runs");
        assert!(child.wait().expect("it ends").success(), "{}", self.log.lock());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}
