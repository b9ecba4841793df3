//! The names: owners, channels, generations.
//!
//! Parsed at the edge, trusted inside. Ids that the gateway makes hold 128 random bits, so that a name cannot be
//! guessed.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use thiserror::Error;

/// The longest a channel id may be, in bytes.
pub const CHANNEL_ID_BYTES_MAX: usize = 128;

/// Whose channel it is: the name of the key that made it; empty in open mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The owner that a key's name stands for.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The key's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A channel's id within its owner's: 1–128 of `A-Za-z0-9._:-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(Arc<str>);

/// Not a channel id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a channel id is 1 to 128 of the characters A-Z a-z 0-9 . _ : -")]
pub struct BadChannelId;

impl ChannelId {
    /// Checks a name that an app chose.
    pub fn parse(text: &str) -> Result<Self, BadChannelId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        match text.len() {
            1..=CHANNEL_ID_BYTES_MAX if text.bytes().all(allowed) => Ok(Self(text.into())),
            _ => Err(BadChannelId),
        }
    }

    /// A new id for an unnamed channel.
    pub fn random() -> Self {
        Self(random_id("ch").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A channel's identity in the deployment: two owners that use the same id never meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelKey {
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub id: ChannelId,
}

/// A generation's id, unique in the deployment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GenerationId(Arc<str>);

impl GenerationId {
    /// A new id.
    pub fn random() -> Self {
        Self(random_id("gen").into())
    }

    /// An id that somebody names; it need not exist.
    pub fn claimed(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `prefix_` and 128 random bits in 22 characters that need no escaping anywhere.
pub fn random_id(prefix: &str) -> String {
    format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_id_is_short_and_plain() {
        assert!(ChannelId::parse("chat-42").is_ok());
        assert!(ChannelId::parse(&"a".repeat(128)).is_ok());
        for bad in ["", "a/b", "a b", "ä", "a\n", "..%2f", &"a".repeat(129)] {
            assert_eq!(ChannelId::parse(bad), Err(BadChannelId), "{bad:?}");
        }
        assert!(ChannelId::parse(ChannelId::random().as_str()).is_ok());
    }
}
