//! Access keys: kept as hashes, found in a time that tells nothing about them.

use std::{fmt, sync::Arc};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Meter;
use crate::{
    config::{self, OnDisconnect},
    ident::Owner,
};

/// An app's access key, without the key itself.
#[derive(Clone)]
pub struct Key {
    /// Its name, which owns the channels that are made with it.
    pub owner: Owner,
    /// Whether it may choose channels' ids.
    pub names_channels: bool,
    /// In place of the models' own rules.
    pub on_disconnect: Option<OnDisconnect>,
    /// What it has left of its limits.
    pub meter: Arc<Meter>,
    /// The public models, or prefixes of them with a `*`; `None`: all.
    models: Option<Vec<String>>,
    hash: [u8; 32],
}

/// Without the hash: a weak key could be guessed from it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Key");
        out.field("owner", &self.owner.as_str()).field("models", &self.models);
        out.finish_non_exhaustive()
    }
}

impl Key {
    fn new(config: &config::Key) -> Self {
        Self {
            owner: Owner::new(&config.name),
            names_channels: config.names_channels,
            on_disconnect: config.on_disconnect,
            meter: Arc::new(Meter::new(config.limits.clone())),
            models: config.models.clone(),
            hash: *config.hash.bytes(),
        }
    }

    /// Whether it is the same key under the same name, whatever it may do.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.owner == other.owner && bool::from(self.hash.ct_eq(&other.hash))
    }

    /// Whether it is limited to some models.
    pub fn is_for_some_models(&self) -> bool {
        self.models.is_some()
    }

    /// Whether it may use a model, by its public name.
    pub fn may_use(&self, model: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => model == pattern,
        };
        self.models.as_ref().is_none_or(|models| models.iter().any(matches))
    }
}

/// All keys.
#[derive(Debug)]
pub(super) struct Keys(Vec<Arc<Key>>);

impl Keys {
    pub(super) fn new(config: &[config::Key]) -> Self {
        Self(config.iter().map(|key| Arc::new(Key::new(key))).collect())
    }

    /// Those of a changed config. A key that keeps its name keeps what runs and was spent on its account.
    pub(super) fn renewed(&self, config: &[config::Key]) -> Self {
        let renewed = config.iter().map(|config| {
            let new = Key::new(config);
            let known = self.0.iter().find(|known| known.owner == new.owner);
            Arc::new(match known {
                Some(known) => {
                    known.meter.limit(config.limits.clone());
                    Key { meter: Arc::clone(&known.meter), ..new }
                }
                None => new,
            })
        });
        Self(renewed.collect())
    }

    pub(super) fn all(&self) -> &[Arc<Key>] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that this is. Looks at all of them, each to its end.
    pub(super) fn find(&self, shown: &str) -> Option<Arc<Key>> {
        let hash: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        let mut found = None;
        for key in &self.0 {
            if bool::from(key.hash.ct_eq(&hash)) {
                found = Some(key);
            }
        }
        found.cloned()
    }
}
