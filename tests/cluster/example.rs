//! `examples/cluster/run.sh` does what its README says.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{gateway::client, nats, seen::replay};

struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        // It ends what it started.
        let told = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(told.expect("it runs").success());
        let ended = self.0.wait().expect("it ends");
        assert_eq!(ended.code(), Some(143), "in order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_is_two_gateways_with_one_command() {
    if !nats::is_there() {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("it is bound").port().to_string();
    drop(free);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cluster/run.sh");
    let mut command = Command::new("sh");
    command.arg(script).env("TOKENWAY", env!("CARGO_BIN_EXE_tokenway")).env("NATS_PORT", port);
    for variable in ["HTTP_A", "HTTP_B", "WEBTRANSPORT_A", "WEBTRANSPORT_B"] {
        command.env(variable, "0");
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("sh");
    let mut stderr = BufReader::new(child.stderr.take().expect("it was piped"));
    let _example = Example(child);
    let mut urls = Vec::new();
    let mut said = String::new();
    while urls.len() < 2 {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).expect("text") > 0, "it ended: {said}");
        said += &line;
        let port = line.trim().strip_prefix("for apps       OPENAI_BASE_URL=http://localhost:");
        if let Some(port) = port {
            urls.push(format!("http://127.0.0.1:{}", port.trim_end_matches("/v1")));
        }
    }
    let http = client();
    let body = json!({ "model": "sim-text", "max_tokens": 8, "messages": [{ "role": "user", "content": "hello" }] });
    let call = http.post(format!("{}/v1/chat/completions", urls[0])).json(&body);
    let answer = call.header("tokenway-channel", "chat-42").send().await.expect("it answers");
    let answer: Value = answer.json().await.expect("JSON");
    let text = answer["choices"][0]["message"]["content"].as_str();
    let text = text.unwrap_or_else(|| panic!("no text: {answer}")).to_owned();
    let began = Instant::now();
    loop {
        let told = replay(&http, &urls[1], "chat-42", "0").await.expect("it is there");
        let said: String = told.iter().filter_map(|(_, _, data)| data["text"].as_str()).collect();
        if said == text {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{said} is not {text}");
    }
}
