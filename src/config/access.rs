//! What the config says of access: keys, tokens, origins. Plain values; what they come to is `access`'s.

use std::fmt;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::{KeyLimits, OnDisconnect, Secret};

/// Shorter keys can be guessed.
pub const KEY_BYTES_ADVISED: usize = 16;
/// What HS256 wants of a secret (RFC 7518, section 3.2); with a shorter one, a token that got out helps to guess it.
pub const TOKEN_SECRET_BYTES_ADVISED: usize = 32;

/// Who may do what. Without keys the gateway is open, and listens on loopback only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// Apps' keys.
    pub keys: Vec<Key>,
    /// What channel tokens are signed with.
    pub token_secret: Option<Secret>,
    /// What opens the operator's screen and the metrics, where there are keys.
    pub admin_key: Option<KeyHash>,
    /// Web pages of other origins that may use it, as browsers write origins: `https://app.example`.
    pub allowed_origins: Vec<String>,
    /// Proxies that are believed whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
}

/// An app's access key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Unique among the keys. The channels that are made with the key are its own.
    pub name: String,
    /// What the key hashes to.
    pub hash: KeyHash,
    /// Public models, or prefixes of them with a `*`; `None`: all.
    pub models: Option<Vec<String>>,
    /// Whether it may choose channels' ids.
    pub names_channels: bool,
    /// In place of the models' rules.
    pub on_disconnect: Option<OnDisconnect>,
    /// How much it may use.
    pub limits: KeyLimits,
    /// What vouches for tokens that the app signs itself.
    pub token_keys: Vec<TokenKey>,
}

impl Key {
    /// A key that may do everything.
    pub fn new(name: impl Into<String>, key: &str) -> Self {
        Self {
            name: name.into(),
            hash: KeyHash::of(key),
            models: None,
            names_channels: true,
            on_disconnect: None,
            limits: KeyLimits::default(),
            token_keys: Vec::new(),
        }
    }
}

/// SHA-256 of a key. Prints as nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// What a key hashes to.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// From 64 hexadecimal digits, as `sha256sum` writes them.
    pub fn parse(digits: &str) -> Option<Self> {
        let digits = digits.as_bytes();
        let pair = |pair: &[u8]| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
        };
        let bytes: Option<Vec<u8>> = digits.chunks_exact(2).map(pair).collect();
        (digits.len() == 64).then(|| bytes?.try_into().ok().map(Self)).flatten()
    }

    /// The hash itself.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A public key, by which tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// The `kid` that tokens name it by, if a JWKS gives it one.
    pub id: Option<String>,
    /// The key.
    pub key: PublicKey,
}

/// A public key's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// For EdDSA: the point.
    Ed25519(Vec<u8>),
    /// For RS256: an `RSAPublicKey` in DER (RFC 8017, appendix A.1.1).
    Rsa(Vec<u8>),
    /// For RS256: modulus and exponent, big-endian.
    RsaComponents {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_sha256sum_says() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::parse(digits), Some(KeyHash::of("abc")));
        assert_eq!(KeyHash::parse(&digits.to_uppercase()), Some(KeyHash::of("abc")));
        for bad in ["", "ab", &digits[1..], &format!("{digits}00"), &digits.replace('b', "é")] {
            assert_eq!(KeyHash::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{:?}", KeyHash::of("abc")), "KeyHash(…)");
    }
}
