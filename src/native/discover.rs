//! Asks a gateway over HTTP where its WebTransport is and how its certificate is known: `GET /v1/connect/info`.

use serde::Deserialize;
use thiserror::Error;

use super::Target;
use crate::transport::webtransport::{Hash, Trust};

/// Why a gateway could not be asked, or had no answer that helps.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CannotDiscover {
    /// Nobody answers there.
    #[error("no gateway answers at {url}: {error}")]
    NoAnswer {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        error: String,
    },
    /// What answers does not let us in, or is something else.
    #[error("{url} answered {status}: {body}")]
    Refused {
        /// Where it was looked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The answer is none of a gateway's.
    #[error("{url} is not a Tokenway gateway: {error}")]
    NotAGateway {
        /// Where it was looked for.
        url: String,
        /// What is wrong with the answer.
        error: String,
    },
}

#[derive(Deserialize)]
struct Info {
    webtransport: Option<Door>,
}

#[derive(Deserialize)]
struct Door {
    url: String,
    certificate_hashes: Vec<String>,
}

impl Target {
    /// The WebTransport of the gateway whose HTTP side is at `base_url`, e.g. `http://localhost:8080`.
    pub async fn discover(base_url: &str, token: Option<String>) -> Result<Self, CannotDiscover> {
        // Installed already, by a gateway in this process or by the program: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = base_url.trim_end_matches('/').to_owned();
        let no_answer = |error: reqwest::Error| CannotDiscover::NoAnswer {
            url: url.clone(),
            error: root_cause(&error.without_url()),
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let error = format!("it is no URL; http://{url} would be one");
            return Err(CannotDiscover::NoAnswer { url, error });
        }
        let mut request = reqwest::Client::new().get(format!("{url}/v1/connect/info"));
        if let Some(token) = &token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(no_answer)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(no_answer)?;
        if !status.is_success() {
            let body = String::from_utf8_lossy(&body).chars().take(500).collect();
            return Err(CannotDiscover::Refused { url, status: status.as_u16(), body });
        }
        let not_a_gateway = |error: String| CannotDiscover::NotAGateway { url: url.clone(), error };
        let info: Info =
            serde_json::from_slice(&body).map_err(|error| not_a_gateway(error.to_string()))?;
        let door =
            info.webtransport.ok_or_else(|| not_a_gateway("it has no WebTransport".into()))?;
        let hashes: Option<Vec<Hash>> =
            door.certificate_hashes.iter().map(|text| hash(text)).collect();
        let hashes = hashes.ok_or_else(|| not_a_gateway("a certificate hash is none".into()))?;
        let trust = if hashes.is_empty() { Trust::Authorities } else { Trust::Hashes(hashes) };
        Ok(Self { url: door.url, trust, token })
    }
}

/// The innermost reason: the outer ones only say that something failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

/// 64 hexadecimal digits.
fn hash(text: &str) -> Option<Hash> {
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_digits() {
        assert_eq!(hash(&"0f".repeat(32)), Some([15; 32]));
        for bad in ["", "0f", &"0g".repeat(32), &"0f".repeat(33), &"0".repeat(63)] {
            assert_eq!(hash(bad), None, "{bad:?}");
        }
    }
}
