//! The keys and tokens that hold now, for those who outlive a config: a session asks here, and not what let it in.

use std::sync::Arc;

use parking_lot::RwLock;

use super::{BadToken, Caller, Grant, Key, keys::Keys, token::Tokens};

/// What one config says of them.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) keys: Keys,
    pub(super) tokens: Tokens,
}

/// What the config in force says of them. Clones are the same.
#[derive(Clone, Debug)]
pub struct InForce(Arc<RwLock<Arc<Known>>>);

impl InForce {
    pub(super) fn new(known: Arc<Known>) -> Self {
        Self(Arc::new(RwLock::new(known)))
    }

    /// From now on this holds.
    pub(super) fn replace(&self, known: Arc<Known>) {
        *self.0.write() = known;
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.read())
    }

    /// What a channel token grants.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Grant, BadToken> {
        self.known().tokens.verify(token, now_ms)
    }

    /// Whether a grant is still vouched for, by whoever signed it then and for an owner who is still there.
    pub fn vouches(&self, grant: &Grant) -> bool {
        self.known().tokens.vouches(grant)
    }

    /// Whether this is still one of the keys, under its name.
    pub fn has(&self, key: &Key) -> bool {
        self.known().keys.all().iter().any(|known| known.is_same(key))
    }

    /// Whether everybody who can reach the gateway is let in.
    pub fn is_open(&self) -> bool {
        self.known().keys.is_empty()
    }

    /// Whether a caller would still be let in, if its time has not come.
    pub fn admits(&self, caller: &Caller) -> bool {
        match caller {
            Caller::Anybody => self.is_open(),
            Caller::Key(key) => self.has(key),
            Caller::Token(grant) => self.vouches(grant),
        }
    }
}
