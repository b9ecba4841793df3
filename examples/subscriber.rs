//! A subscriber in Rust, over native WebTransport: starts a generation that belongs to nobody, follows its channel, loses
//! its connection in the middle, and misses nothing.
//!
//! ```sh
//! cargo run --release -- demo &
//! cargo run --example subscriber
//! ```
//!
//! `TOKENWAY_URL` (default `http://localhost:8080`) says where the gateway is, `TOKENWAY_TOKEN` is a channel token where it
//! wants one.

#![allow(clippy::disallowed_methods, reason = "an example reads its own settings")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to the terminal")]

use std::{
    env,
    error::Error,
    io::{Write, stdout},
};

use serde_json::{Value, json};
use tokenway::{
    event::Kind,
    native::{Client, Item, Target},
    sequence::From,
};

/// After this many events the example pulls its own plug.
const DROP_AFTER: u64 = 40;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // This workspace builds reqwest without a default for TLS; an app of its own has no such line.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = env::var("TOKENWAY_URL").unwrap_or_else(|_| "http://localhost:8080".to_owned());
    let channel = start_generation(&base).await?;

    let mut client =
        Client::connect(Target::discover(&base, env::var("TOKENWAY_TOKEN").ok()).await?).await?;
    client.subscribe(&channel, From::Beginning, false);
    let (mut seen, mut dropped) = (0, false);
    loop {
        let (_, item) = client.next().await?;
        match item {
            Item::Events { first_seq, events, .. } => {
                // The client vouches for this; an example may still look.
                assert_eq!(first_seq, seen + 1, "nothing is lost and nothing comes twice");
                seen += events.len() as u64;
                for event in events {
                    if let Kind::Text(text) = event.kind {
                        print!("{text}");
                    }
                }
                stdout().flush()?;
            }
            Item::End { last_seq, .. } => {
                assert_eq!(seen, last_seq, "all of it");
                println!();
                eprintln!("{seen} events, {} reconnect, nothing lost", client.reconnects());
                return Ok(());
            }
            Item::Snapshot(_) | Item::Rewind { .. } => unreachable!("the channel is new and small"),
        }
        if seen >= DROP_AFTER && !dropped {
            client.drop_connection();
            dropped = true;
        }
    }
}

/// Starts a generation and returns its channel. With `respond-async` it belongs to no connection.
async fn start_generation(base: &str) -> Result<String, Box<dyn Error>> {
    let request = json!({
        "model": "chat",
        "stream": true,
        "messages": [{ "role": "user", "content": "Tell me about rivers." }],
    });
    let answer = reqwest::Client::new()
        .post(format!("{base}/v1/chat/completions"))
        .header("content-type", "application/json")
        .header("prefer", "respond-async")
        .body(request.to_string())
        .send()
        .await?
        .error_for_status()?;
    let accepted: Value = serde_json::from_slice(&answer.bytes().await?)?;
    Ok(accepted["channel"].as_str().ok_or("no channel in the answer")?.to_owned())
}
