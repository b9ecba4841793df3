//! The command line: what the words after `tokenway` mean, and how it ends.
//!
//! No logic of the gateway is here; each command is a file that puts parts together and says what happens in plain
//! words. Errors go to standard error and make the exit code 1; wrong usage makes it 2.

mod channels;
mod check;
mod completions;
mod printable;
mod run;
mod systemd;
mod tail;
mod token;
mod top;

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::telemetry::{self, LogFormat};

/// An AI token-stream gateway: every token gets a number, every screen shows the same text, nothing is lost.
#[derive(Debug, Parser)]
#[command(name = "tokenway", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// What to log, in tracing's filter syntax: `info`, `tokenway=debug`, …
    #[arg(
        long,
        global = true,
        env = "TOKENWAY_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    log: String,

    /// How to log.
    #[arg(long, global = true, env = "TOKENWAY_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: Format,
}

const EXAMPLES: &str = "\
Examples:
  tokenway demo                                   the whole thing, with a simulated provider: http://localhost:8080
  OPENAI_API_KEY=… tokenway serve                 a gateway for OpenAI; point your app at http://localhost:8080/v1
  tokenway serve --config tokenway.yaml           a gateway from a file
  tokenway check tokenway.yaml                    is the file right?
  tokenway tail chat-42                           follow a channel in the terminal
  tokenway tail chat-42 --after 17 --speed 1      replay it from seq 18 at the pace at which it was said
  tokenway top                                    what the gateway does now
  tokenway channels list                          which channels there are
  tokenway token --channel 'chat-*' --ttl 10m     a channel token, to read these channels for ten minutes";

#[derive(Debug, Subcommand)]
enum Command {
    /// A gateway with a simulated provider, and the console. Needs no key, no file, no network.
    Demo(Doors),
    /// A gateway from a YAML file, or from OPENAI_API_KEY and the like.
    Serve(Serve),
    /// Validate a configuration: says what is wrong, where, and what would be right.
    Check(Check),
    /// Follow or replay a channel in the terminal, over WebTransport.
    Tail(tail::Tail),
    /// Watch a gateway in the terminal: tokens, latencies, providers, channels.
    Top(top::Top),
    /// Mint a channel token for a screen: offline from a configuration or the environment, else by asking the gateway.
    Token(token::Token),
    /// List, inspect and delete the channels of a gateway that runs.
    Channels(channels::Channels),
    /// Print a shell's completion script.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where to listen, over what the file says.
#[derive(Args, Clone, Debug, Default)]
struct Doors {
    /// Where to listen for HTTP, e.g. 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    http: Option<SocketAddr>,

    /// Where to listen for WebTransport (UDP), e.g. 127.0.0.1:4433.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    webtransport: Option<SocketAddr>,

    /// Where the development certificate and the deployment's secret are kept between runs.
    #[arg(long, env = "TOKENWAY_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Serve {
    /// The configuration; without it, providers come from the usual environment variables.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    doors: Doors,
}

#[derive(Args, Debug)]
struct Check {
    /// The configuration.
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Why a command did not do what it was asked, in words for people.
type Failure = String;

/// An address to listen on.
fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse().map_err(|_| "an IP address and a port, such as 127.0.0.1:8080".to_owned())
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let Cli { command, log, log_format } = Cli::parse();
    let format = match log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    let done = telemetry::start(&log, format).and_then(|()| match command {
        Command::Demo(doors) => run::demo(doors),
        Command::Serve(Serve { config, doors }) => run::serve(config.as_deref(), doors),
        Command::Check(Check { file }) => check::check(&file),
        Command::Tail(tail) => tail.run(),
        Command::Top(top) => top.run(),
        Command::Token(token) => token.run(),
        Command::Channels(channels) => channels.run(),
        Command::Completions { shell } => completions::print(shell),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say_error(&message);
            ExitCode::FAILURE
        }
    }
}

/// A line for people, on standard error: standard output is for what was asked for.
fn say(line: &str) {
    // Nobody reads a closed standard error.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn say_error(message: &str) {
    say(&format!("tokenway: {message}"));
}
