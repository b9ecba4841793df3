//! Channel tokens: signed claims (JWT, RFC 7519) that grant rights on channels for a while.
//!
//! The gateway mints them with `access.token_secret` (HS256); an app may mint its own, with the same secret or with a
//! private key of which the gateway has the public one (EdDSA, RS256). A public key stands for one access key, so that
//! whoever holds its private half reaches that key's channels and no other's.
//!
//! The claims: `owner` (an access key's name; may be left out under a public key), `channels` (ids, or beginnings with a
//! `*`), `allow` (`read`, `cancel`, `publish`), `exp`; where wanted `nbf`, `client`, `generation`, and `aud`, which then
//! holds `tokenway`. Others mean nothing here.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
    errors::ErrorKind,
};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{Actions, Grant, PATTERNS_MAX, Pattern, Voucher, crypto};
use crate::{
    config::{self, PublicKey},
    ident::{GenerationId, Owner},
};

/// The longest token that is looked at, in bytes. Headers and URLs of this length pass everywhere.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// The shortest life of a token.
pub const TTL_MIN: Duration = Duration::from_secs(1);

/// The longest life of a token that the gateway mints: one that got out cannot be taken back but with its key.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest name of a client, in bytes.
const CLIENT_BYTES_MAX: usize = 128;

/// Who a token is for, where it says so.
const AUDIENCE: &str = "tokenway";

/// What a token is to grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Which channels, 1 to [`PATTERNS_MAX`].
    pub channels: Vec<Pattern>,
    /// What may be done with them.
    pub allow: Actions,
    /// Who it is for.
    pub client: Option<String>,
    /// The only generation that it may stop.
    pub generation: Option<GenerationId>,
}

/// A new token.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// When it expires, in seconds since 1970 UTC.
    pub expires_at: u64,
}

/// Without the token.
impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Why a token does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadToken {
    /// It is something else.
    #[error("this is not a channel token")]
    NotAToken,
    /// It is longer than any.
    #[error("a channel token has at most {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is signed in a way that is not taken here.
    #[error("a channel token is signed with HS256, EdDSA or RS256")]
    Algorithm,
    /// Its signature is not by anybody who may sign, or what it says was changed.
    #[error("the channel token's signature does not hold")]
    Signature,
    /// A claim is missing or has no meaning.
    #[error("the channel token's claims are not what they should be: {0}")]
    Claims(&'static str),
    /// Its time is over.
    #[error("the channel token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the channel token is not valid yet")]
    NotYet,
    /// It names an owner who is not, or no longer, among the access keys, or is not the signer's.
    #[error("the channel token's owner is not one of this gateway's access keys")]
    Owner,
}

/// Why no token was minted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CannotMint {
    /// There is nothing to sign with.
    #[error(
        "this gateway has no access.token_secret, so it mints no tokens; apps sign their own, with the private half of \
         their key's token_key"
    )]
    NoSecret,
    /// Too short, or too long.
    #[error("a token lives for 1s to 24h")]
    Ttl,
    /// No channel, or too many.
    #[error("a token names 1 to {PATTERNS_MAX} channels")]
    Channels,
    /// No action.
    #[error("a token allows at least one of `read`, `cancel`, `publish`")]
    Nothing,
    /// A client's name that is empty, or too long.
    #[error("a client's name has 1 to {CLIENT_BYTES_MAX} bytes")]
    Client,
    /// All of it together is too long.
    #[error(
        "a channel token has at most {TOKEN_BYTES_MAX} bytes: name fewer channels, or prefixes of them"
    )]
    TooLong,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    channels: Channels,
    allow: Actions,
    exp: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<OneOrMany>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Channels {
    One(Pattern),
    Many(Vec<Pattern>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// What vouches for tokens. Secrets print as nothing.
pub(super) struct Tokens {
    encoding: Option<EncodingKey>,
    /// The secret first.
    signers: Vec<Signer>,
    owners: Vec<Owner>,
}

struct Signer {
    algorithm: Algorithm,
    key: DecodingKey,
    /// As a JWKS names it.
    id: Option<String>,
    /// The only owner that it may speak for; `None`: all.
    owner: Option<Owner>,
    voucher: Voucher,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("signers", &self.signers.len()).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(config: &config::Access) -> Self {
        crypto::install();
        let secret = config.token_secret.as_ref().map(|secret| secret.expose().as_bytes());
        let by_secret = secret.map(|secret| Signer {
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret),
            id: None,
            owner: None,
            voucher: voucher(&[b"secret", secret]),
        });
        let by_keys = config.keys.iter().flat_map(|key| {
            let owner = Owner::new(&key.name);
            key.token_keys.iter().map(move |it| Signer::of_key(it, owner.clone()))
        });
        Self {
            encoding: secret.map(EncodingKey::from_secret),
            signers: by_secret.into_iter().chain(by_keys).collect(),
            owners: config.keys.iter().map(|key| Owner::new(&key.name)).collect(),
        }
    }

    pub(super) fn mints(&self) -> bool {
        self.encoding.is_some()
    }

    pub(super) fn mint(
        &self,
        owner: &Owner,
        wish: &Wish,
        ttl: Duration,
        now_ms: u64,
    ) -> Result<Minted, CannotMint> {
        let key = self.encoding.as_ref().ok_or(CannotMint::NoSecret)?;
        if !(TTL_MIN..=TTL_MAX).contains(&ttl) {
            return Err(CannotMint::Ttl);
        }
        if wish.channels.is_empty() || wish.channels.len() > PATTERNS_MAX {
            return Err(CannotMint::Channels);
        }
        if wish.allow.is_empty() {
            return Err(CannotMint::Nothing);
        }
        if wish.client.as_ref().is_some_and(|client| !is_client(client)) {
            return Err(CannotMint::Client);
        }
        // Whole seconds are what every reader of such tokens takes.
        let expires_at = (now_ms + ttl.as_millis() as u64).div_ceil(1_000);
        let claims = Claims {
            owner: Some(owner.as_str().to_owned()),
            channels: Channels::Many(wish.channels.clone()),
            allow: wish.allow.clone(),
            exp: expires_at.into(),
            nbf: None,
            aud: None,
            client: wish.client.clone(),
            generation: wish.generation.as_ref().map(|id| id.as_str().to_owned()),
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, key);
        let token = token.expect("plain claims are JSON, and a secret signs whatever it is given");
        match token.len() <= TOKEN_BYTES_MAX {
            true => Ok(Minted { token, expires_at }),
            false => Err(CannotMint::TooLong),
        }
    }

    pub(super) fn verify(&self, token: &str, now_ms: u64) -> Result<Grant, BadToken> {
        let dots = token.bytes().filter(|byte| *byte == b'.').count();
        if dots != 2 || token.split('.').take(2).any(str::is_empty) {
            return Err(BadToken::NotAToken);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(BadToken::TooLong);
        }
        let (claims, signer) = self.signed(token)?;
        let owner = self.owner(signer, claims.owner.as_deref())?;
        claims.grant(owner, signer.voucher, now_ms)
    }

    /// Whether a grant's signer is still there, and still speaks for its owner.
    pub(super) fn vouches(&self, grant: &Grant) -> bool {
        let speaks = |signer: &Signer| {
            signer.voucher == grant.voucher
                && signer.owner.as_ref().is_none_or(|owner| *owner == grant.owner)
        };
        self.owners.contains(&grant.owner) && self.signers.iter().any(speaks)
    }

    /// Whether this says what channel tokens say, whoever signed it and however long it is.
    pub(super) fn is_meant(text: &str) -> bool {
        #[derive(Deserialize)]
        struct Said {
            #[serde(rename = "channels")]
            _channels: serde::de::IgnoredAny,
            #[serde(rename = "allow")]
            _allow: serde::de::IgnoredAny,
        }
        let claims = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        claims.is_some_and(|claims| serde_json::from_slice::<Said>(&claims).is_ok())
    }

    /// What is said, and by whom: nothing in it is looked at before its signature holds.
    fn signed(&self, token: &str) -> Result<(Claims, &Signer), BadToken> {
        let header = decode_header(token).map_err(|error| match error.kind() {
            // An algorithm without a name here: `none`, or one of another family.
            ErrorKind::Json(_) => BadToken::Algorithm,
            _ => BadToken::NotAToken,
        })?;
        // What must be understood (RFC 7515, section 4.1.11) and is not.
        if header.crit.is_some() {
            return Err(BadToken::Algorithm);
        }
        let mut fault = BadToken::Algorithm;
        let mut validation = Validation::new(header.alg);
        // Times and audience are judged below, by the gateway's own clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let named = |signer: &&Signer| match (&header.kid, &signer.id) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        let suitable = self.signers.iter().filter(|signer| signer.algorithm == header.alg);
        for signer in suitable.filter(named) {
            match decode(token, &signer.key, &validation) {
                Ok(data) => return Ok((data.claims, signer)),
                Err(error) => {
                    fault = match error.kind() {
                        // Only what is signed is read.
                        ErrorKind::Json(_) => BadToken::Claims(
                            "`channels`, `allow` and `exp` are needed, each of its own kind",
                        ),
                        // A signature that is cut is none.
                        _ => BadToken::Signature,
                    };
                    if let BadToken::Claims(_) = fault {
                        break;
                    }
                }
            }
        }
        Err(fault)
    }

    fn owner(&self, signer: &Signer, claimed: Option<&str>) -> Result<Owner, BadToken> {
        let owner = match (&signer.owner, claimed) {
            (Some(own), None) => own.clone(),
            (Some(own), Some(claimed)) if own.as_str() == claimed => own.clone(),
            (None, Some(claimed)) => Owner::new(claimed),
            (Some(_), Some(_)) | (None, None) => return Err(BadToken::Owner),
        };
        // A key that is taken out of the config takes its tokens with it.
        self.owners.contains(&owner).then_some(owner).ok_or(BadToken::Owner)
    }
}

impl Signer {
    fn of_key(config: &config::TokenKey, owner: Owner) -> Self {
        let (algorithm, key, voucher) = match &config.key {
            PublicKey::Ed25519(key) => {
                (Algorithm::EdDSA, DecodingKey::from_ed_der(key), voucher(&[b"ed25519", key]))
            }
            PublicKey::Rsa(der) => {
                (Algorithm::RS256, DecodingKey::from_rsa_der(der), voucher(&[b"rsa", der]))
            }
            PublicKey::RsaComponents { n, e } => {
                let key = DecodingKey::from_rsa_raw_components(n, e);
                (Algorithm::RS256, key, voucher(&[b"rsa", n, e]))
            }
        };
        Self { algorithm, key, id: config.id.clone(), owner: Some(owner), voucher }
    }
}

/// A signer's, by its kind and key.
fn voucher(parts: &[&[u8]]) -> Voucher {
    let hashes = parts.iter().map(Sha256::digest);
    Voucher(hashes.fold(Sha256::new(), |all, one| all.chain_update(one)).finalize().into())
}

impl Claims {
    fn grant(self, owner: Owner, voucher: Voucher, now_ms: u64) -> Result<Grant, BadToken> {
        let expires_ms = millis(&self.exp).ok_or(BadToken::Claims("`exp` is no time"))?;
        if expires_ms <= now_ms {
            return Err(BadToken::Expired);
        }
        if let Some(nbf) = &self.nbf {
            let from_ms = millis(nbf).ok_or(BadToken::Claims("`nbf` is no time"))?;
            if from_ms > now_ms {
                return Err(BadToken::NotYet);
            }
        }
        let for_us = self.aud.is_none_or(|aud| match aud {
            OneOrMany::One(one) => one == AUDIENCE,
            OneOrMany::Many(many) => many.iter().any(|one| one == AUDIENCE),
        });
        if !for_us {
            return Err(BadToken::Claims("`aud` is somebody else"));
        }
        let channels = match self.channels {
            Channels::One(one) => vec![one],
            Channels::Many(many) => many,
        };
        if channels.is_empty() || channels.len() > PATTERNS_MAX {
            return Err(BadToken::Claims("`channels` names none, or too many"));
        }
        if self.allow.is_empty() {
            return Err(BadToken::Claims("`allow` allows nothing"));
        }
        if self.client.as_ref().is_some_and(|client| !is_client(client)) {
            return Err(BadToken::Claims("`client` is empty or too long"));
        }
        Ok(Grant {
            owner,
            channels,
            allow: self.allow,
            expires_ms,
            client: self.client,
            generation: self.generation.as_deref().map(GenerationId::claimed),
            voucher,
        })
    }
}

/// A time in seconds, which may have a fraction (RFC 7519, section 2), in milliseconds.
fn millis(seconds: &Number) -> Option<u64> {
    if let Some(whole) = seconds.as_u64() {
        return whole.checked_mul(1_000);
    }
    let seconds = seconds.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
    Some((seconds * 1_000.0) as u64)
}

fn is_client(name: &str) -> bool {
    (1..=CLIENT_BYTES_MAX).contains(&name.len())
}

#[cfg(test)]
mod tests;
