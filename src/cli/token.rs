//! `tokenway token`: mints a channel token.
//!
//! With `--config` it is signed here, with the file's secret; with TOKENWAY_TOKEN_SECRET in the environment and no `--url`
//! too; else the gateway is asked, with an access key. Only the token goes to standard output.

use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::{Failure, say};
use crate::{
    access::{Access, Action, Pattern, Wish},
    clock,
    config::{self, Config, Environment, Secret},
    ident::{GenerationId, Owner},
};

/// The variable with the secret that tokens are signed with.
const SECRET: &str = "TOKENWAY_TOKEN_SECRET";

/// Mint a channel token.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tokenway token --channel chat-42 --ttl 10m --config tokenway.yaml
  TOKENWAY_TOKEN_SECRET=… tokenway token --channel 'chat-*' --owner web --allow read,cancel
  tokenway token --channel chat-42 --url https://gateway.example --token \"$WEB_KEY\"")]
pub(super) struct Token {
    /// The channel's id, or the beginning of one and a `*`; several by saying it several times.
    #[arg(long, required = true, value_name = "PATTERN", value_parser = pattern)]
    channel: Vec<Pattern>,

    /// How long it holds: 1s to 24h.
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = duration)]
    ttl: Duration,

    /// What it allows.
    #[arg(
        long,
        default_value = "read",
        value_delimiter = ',',
        value_name = "ACTIONS",
        value_parser = ["read", "cancel", "publish"]
    )]
    allow: Vec<String>,

    /// Who it is for, by your own name: counted as one client.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,

    /// The only generation that it may stop.
    #[arg(long, value_name = "ID")]
    generation: Option<String>,

    /// Sign it here, with this configuration's `access.token_secret`.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Whose channels, by the name of an access key, where it is signed here and there are several.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,

    /// The gateway's HTTP address, to let it mint; http://localhost:8080 by default.
    #[arg(long, env = "TOKENWAY_URL")]
    url: Option<String>,

    /// The access key to ask with.
    #[arg(long, env = "TOKENWAY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Token {
    pub(super) fn run(self) -> Result<(), Failure> {
        let environment = Environment::of_process();
        let secret = environment.value(SECRET).filter(|secret| !secret.is_empty());
        let token = match (&self.config, &self.url, secret) {
            (Some(file), ..) => Some(self.by_config(file, &environment)?),
            (None, None, Some(secret)) => Some(self.by_secret(secret)?),
            (None, url, _) => self.by_gateway(url.as_deref().unwrap_or("http://localhost:8080"))?,
        };
        match token {
            Some(token) => writeln!(stdout(), "{token}").map_err(|error| error.to_string()),
            None => {
                say("the gateway has no access keys: no token is needed");
                Ok(())
            }
        }
    }

    fn by_config(&self, file: &Path, environment: &Environment) -> Result<String, Failure> {
        let config = Config::load(file, environment).map_err(|error| error.to_string())?;
        let names: Vec<_> = config.access.keys.iter().map(|key| key.name.as_str()).collect();
        let owner = match (&self.owner, &names[..]) {
            (Some(owner), _) if names.contains(&owner.as_str()) => owner.as_str(),
            (Some(owner), _) => {
                return Err(format!("`{owner}` is none of the keys: {}", names.join(", ")));
            }
            (None, [only]) => only,
            (None, []) => return Err("the file has no access.keys: no token is needed".to_owned()),
            (None, _) => {
                return Err(format!("--owner says whose channels: one of {}", names.join(", ")));
            }
        };
        self.sign(&config.access, owner)
    }

    fn by_secret(&self, secret: &str) -> Result<String, Failure> {
        let owner = self.owner.as_deref().ok_or_else(|| {
            format!("{SECRET} is set: --owner says whose channels, by the name of an access key")
        })?;
        let token_secret = Some(Secret::new(secret));
        self.sign(&config::Access { token_secret, ..config::Access::default() }, owner)
    }

    fn sign(&self, access: &config::Access, owner: &str) -> Result<String, Failure> {
        let wish = Wish {
            channels: self.channel.clone(),
            allow: self.allow.iter().filter_map(|word| Action::parse(word)).collect(),
            client: self.client.clone(),
            generation: self.generation.as_deref().map(GenerationId::claimed),
        };
        let access = Access::new(access);
        let minted = access.mint(&Owner::new(owner), &wish, self.ttl, clock::now_ms());
        minted.map(|minted| minted.token).map_err(|error| error.to_string())
    }

    /// `None`: the gateway is open.
    fn by_gateway(&self, url: &str) -> Result<Option<String>, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
        }
        if self.owner.is_some() {
            return Err(
                "--owner is for tokens that are signed here; at a gateway, the key says it"
                    .to_owned(),
            );
        }
        let channels: Vec<_> = self.channel.iter().map(Pattern::as_str).collect();
        let mut body =
            json!({ "channel": channels, "ttl": self.ttl.as_secs(), "allow": self.allow });
        for (name, value) in [("client", &self.client), ("generation", &self.generation)] {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        let url = format!("{}/v1/tokens", url.trim_end_matches('/'));
        let body = post(&url, self.token.as_deref(), &body.to_string())?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| format!("{url} did not answer as a Tokenway gateway does"))?;
        Ok(answer.token)
    }
}

/// The body of a successful answer.
fn post(url: &str, key: Option<&str>, body: &str) -> Result<Vec<u8>, Failure> {
    // Installed already, by a gateway in this process: then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        let mut request = reqwest::Client::new().post(url).body(body.to_owned());
        request = request.header("content-type", "application/json");
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let unreachable = |error: reqwest::Error| {
            let error = error.without_url();
            format!("no gateway answers at {url}: {error}; --url or TOKENWAY_URL says where it is")
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        match status.is_success() {
            true => Ok(body.to_vec()),
            false => {
                let said: String = String::from_utf8_lossy(&body).chars().take(500).collect();
                Err(format!(
                    "{url} answered {status}: {said}; --token or TOKENWAY_TOKEN is the access key"
                ))
            }
        }
    })
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text).map_err(|expected| format!("expected {expected}"))
}
