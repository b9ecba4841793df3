//! An app that was written for OpenAI, on the `async-openai` crate, pointed at Tokenway by its base URL alone.
//!
//! Start a gateway (`cargo run --release -- demo`), then:
//!
//! ```sh
//! cargo run --example openai_app -- "Why is the sky blue?"
//! ```
//!
//! `OPENAI_BASE_URL` (default `http://localhost:8080/v1`) and `OPENAI_MODEL` (default `chat`) say where and what.

#![allow(clippy::disallowed_methods, reason = "an example reads its own settings")]
#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use std::{
    env,
    error::Error,
    io::{Write, stdout},
};

use async_openai::{
    Client,
    config::OpenAIConfig,
    types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs},
};
use futures_util::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // This workspace builds reqwest without a default for TLS; an app of its own has no such line.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let base_url = setting("OPENAI_BASE_URL", "http://localhost:8080/v1");
    let model = setting("OPENAI_MODEL", "chat");
    let question = env::args().nth(1).unwrap_or_else(|| "Why is the sky blue?".to_owned());

    // The only line that an existing app changes.
    let config = OpenAIConfig::new().with_api_base(base_url).with_api_key("unused");
    let client = Client::with_config(config);

    let message = ChatCompletionRequestUserMessageArgs::default().content(question).build()?;
    let request = CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([message.into()])
        .build()?;

    let mut stream = client.chat().create_stream(request).await?;
    while let Some(chunk) = stream.next().await {
        for choice in chunk?.choices {
            print!("{}", choice.delta.content.unwrap_or_default());
            stdout().flush()?;
        }
    }
    println!();
    Ok(())
}
