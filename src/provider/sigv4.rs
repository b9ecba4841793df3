//! Signs requests to Amazon Bedrock with an access key (Signature Version 4), by Amazon's own library.
//!
//! Signed are the method, the URL, the body and the headers that Amazon reads; what a proxy may change is not. The
//! library is given the body's hash and never the body, so that no log of its own can hold a prompt.

use std::{
    borrow::Cow,
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The service's name in a signature.
const SERVICE: &str = "bedrock";

/// A request that cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the request cannot be signed: {0}")]
pub struct Unsigned(String);

/// An access key, and the region where it is used. The key's secret is shown by no way of printing it.
#[derive(Clone, Debug)]
pub struct Signer {
    credentials: Credentials,
    region: String,
}

impl Signer {
    /// A signer for `region`, such as `us-east-1`.
    pub fn new(
        region: impl Into<String>,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Self {
        let (id, secret) = (access_key_id.into(), secret_access_key.into());
        let credentials = Credentials::new(id, secret, session_token, None, "config");
        Self { credentials, region: region.into() }
    }

    /// Adds a signature of now to the headers.
    pub(super) fn sign(
        &self,
        method: &Method,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
    ) -> Result<(), Unsigned> {
        let now = UNIX_EPOCH + Duration::from_millis(crate::clock::now_ms());
        self.sign_at(now, SERVICE, method, url, headers, body)
    }

    fn sign_at(
        &self,
        now: SystemTime,
        service: &str,
        method: &Method,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
    ) -> Result<(), Unsigned> {
        // Only ours count, should the app have sent some.
        for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
            headers.remove(name);
        }
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(unsigned)?
            .into();
        let signed = headers.iter().filter(|(name, _)| is_signed(name));
        let signed: Vec<_> = signed
            .map(|(name, value)| value.to_str().map(|value| (name.as_str(), value)))
            .collect::<Result<_, _>>()
            .map_err(unsigned)?;
        let mut hash = String::with_capacity(64);
        for byte in Sha256::digest(body) {
            write!(hash, "{byte:02x}").expect("text takes text");
        }
        let request = SignableRequest::new(
            method.as_str(),
            Cow::Borrowed(url.as_str()),
            signed.into_iter(),
            SignableBody::Precomputed(hash),
        );
        let instructions = sign(request.map_err(unsigned)?, &params).map_err(unsigned)?;
        for (name, value) in instructions.output().headers() {
            let name = HeaderName::try_from(name).map_err(unsigned)?;
            let mut value = HeaderValue::try_from(value).map_err(unsigned)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(())
    }
}

/// Whether a header is part of the signature: what it is and what Amazon's own begin with. The host always is.
fn is_signed(name: &HeaderName) -> bool {
    name == "content-type" || name.as_str().starts_with("x-amz")
}

fn unsigned(error: impl std::fmt::Display) -> Unsigned {
    Unsigned(error.to_string())
}

#[cfg(test)]
mod tests;
