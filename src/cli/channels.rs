//! `tokenway channels`: which channels a gateway has, what one of them says, and how to forget one.
//!
//! Asks a gateway that runs, over HTTP: with the caller's own rights, and whatever the store is.

use std::io::Write;

use clap::{Args, Subcommand};
use reqwest::{Method, Url};
use serde_json::Value;

use super::{Failure, printable::printable, say};

/// List, inspect and delete the channels of a gateway that runs.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tokenway channels list
  tokenway channels list --prefix chat- --json | jq -r .channel
  tokenway channels inspect chat-42
  tokenway channels delete chat-42 --cancel")]
pub(super) struct Channels {
    #[command(subcommand)]
    verb: Verb,

    /// The gateway's HTTP address.
    #[arg(long, global = true, env = "TOKENWAY_URL", default_value = "http://localhost:8080")]
    url: String,

    /// A key or a channel token, where the gateway wants one.
    #[arg(long, global = true, env = "TOKENWAY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The channels there are, in the order of their ids.
    List {
        /// Only those whose ids begin so.
        #[arg(long, default_value = "")]
        prefix: String,
        /// One JSON object a line, for programs.
        #[arg(long)]
        json: bool,
    },
    /// How a channel stands, and what was said on it.
    Inspect {
        /// The channel's id.
        channel: String,
        /// The state as the API has it, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Forget a channel. Nobody can read it after that.
    Delete {
        /// The channel's id.
        channel: String,
        /// Stop what runs on it first; without this, that is an error.
        #[arg(long)]
        cancel: bool,
    },
}

impl Channels {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        runtime.block_on(self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let gateway = Gateway::at(&self.url, self.token.clone())?;
        match &self.verb {
            Verb::List { prefix, json } => list(&gateway, prefix, *json).await,
            Verb::Inspect { channel, json } => {
                let state = gateway.call(Method::GET, &[channel], &[]).await?;
                if *json { print(&state.to_string()) } else { print(&described(&state)) }
            }
            Verb::Delete { channel, cancel } => {
                let query: &[_] = if *cancel { &[("cancel", "true")] } else { &[] };
                gateway.call(Method::DELETE, &[channel], query).await?;
                say(&format!("{channel} is deleted"));
                Ok(())
            }
        }
    }
}

async fn list(gateway: &Gateway, prefix: &str, json: bool) -> Result<(), Failure> {
    let mut after = String::new();
    let mut count = 0;
    if !json {
        let (id, state) = ("CHANNEL", "STATE");
        let head = "GENERATIONS  LAST SEQ      BYTES  WHERE   LAST EVENT (UTC)";
        print(&format!("{id:<32}  {state:<8}  {head}"))?;
    }
    loop {
        let mut query = vec![("limit", "1000"), ("prefix", prefix)];
        if !after.is_empty() {
            query.push(("after", &after));
        }
        let page = gateway.call(Method::GET, &[], &query).await?;
        for channel in page["channels"].as_array().into_iter().flatten() {
            count += 1;
            if json { print(&channel.to_string())? } else { print(&line(channel))? }
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    if !json {
        say(&format!("{count} channels"));
    }
    Ok(())
}

/// A channel as a line of the list.
fn line(channel: &Value) -> String {
    let text = |member: &str| channel[member].as_str().unwrap_or_default();
    let number = |member: &str| channel[member].as_u64().unwrap_or_default();
    let place = if channel["in_memory"] == true { "memory" } else { "store" };
    format!(
        "{:<32}  {:<8}  {:>11}  {:>8}  {:>9}  {place:<6}  {}",
        text("channel"),
        text("state"),
        number("generations"),
        number("last_seq"),
        number("bytes"),
        time(number("last_event_ms")),
    )
}

/// A channel's state, for people.
fn described(state: &Value) -> String {
    let text = |member: &str| state[member].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![
        format!("channel      {}", text("channel")),
        format!("epoch        {}", text("epoch")),
        format!("events       {} to {}", state["first_seq"], state["last_seq"]),
    ];
    for generation in state["generations"].as_array().into_iter().flatten() {
        let text = |member: &str| generation[member].as_str().unwrap_or_default();
        lines.push(String::new());
        lines.push(format!("generation   {}", text("generation")));
        lines.push(format!("  model      {} at {}", text("model"), text("provider")));
        let why = match text("state") {
            "failed" => generation["error"]["code"].as_str().unwrap_or_default(),
            _ => text("finish_reason"),
        };
        lines.push(format!("  state      {} {why}", text("state")).trim_end().to_owned());
        let created = generation["created_ms"].as_u64().unwrap_or_default();
        lines.push(format!("  begun      {}", time(created)));
        let said = text("text");
        lines.push(format!("  text       {} characters", said.chars().count()));
        lines.extend(printable(said).lines().map(|line| format!("    {line}")));
    }
    lines.join("\n")
}

/// Date and time of day.
fn time(ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
    httpdate::fmt_http_date(at)
}

/// A gateway that is asked.
struct Gateway {
    base: Url,
    token: Option<String>,
    http: reqwest::Client,
}

impl Gateway {
    fn at(url: &str, token: Option<String>) -> Result<Self, Failure> {
        // Nothing else in this process has chosen one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base =
            Url::parse(url).ok().filter(|it| it.scheme().starts_with("http") && it.has_host());
        let base = base
            .ok_or_else(|| format!("--url: `{url}` is not a URL such as http://localhost:8080"))?;
        Ok(Self { base, token, http: reqwest::Client::new() })
    }

    /// Calls a route under `/v1/channels`. Gives its answer; null where there is no body.
    async fn call(
        &self,
        method: Method,
        path: &[&String],
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", "channels"]).extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let hint = "--url or TOKENWAY_URL says where the gateway is";
        let failed = |error: reqwest::Error| {
            format!("no gateway answers at {}: {}; {hint}", self.base, error.without_url())
        };
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed)?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status.is_success() {
            true => Ok(json),
            false => {
                let said = json["error"]["message"].as_str();
                Err(said.map_or_else(|| format!("the gateway answered {status}"), str::to_owned))
            }
        }
    }
}

/// What was asked for. Whoever reads it may have had enough: `channels list | head`.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_channel_is_a_line() {
        let channel = json!({ "channel": "chat-42", "state": "open", "generations": 2, "last_seq": 214,
            "bytes": 3_200, "in_memory": false, "last_event_ms": 1_700_000_000_000u64 });
        let expected = "chat-42                           open                2       214       \
                        3200  store   Tue, 14 Nov 2023 22:13:20 GMT";
        assert_eq!(line(&channel), expected);
    }

    #[test]
    fn a_state_is_told_with_its_text() {
        let state = json!({ "channel": "c", "epoch": "9f3a6c1e", "first_seq": 1, "last_seq": 9,
            "generations": [{ "generation": "gen_1", "model": "fast", "provider": "sim", "state": "failed",
                "error": { "code": "gateway_lost" }, "created_ms": 0, "text": "so\nfar" }] });
        let told = described(&state);
        for part in ["events       1 to 9", "failed gateway_lost", "    so\n    far", "fast at sim"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
