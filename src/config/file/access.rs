//! The file's `access`, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        located::{At, Given},
        schema,
    },
    KeyLimits, OnDisconnect, section,
};

/// Who may do what.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Access {
    /// Apps' keys. Without any the gateway is open to all who reach it, and listens on loopback only.
    pub(in crate::config) keys: Vec<At<Key>>,
    /// What channel tokens are signed with (HS256); fewer than 32 bytes can be guessed, which is noted; best from the environment:
    /// `"${TOKENWAY_TOKEN_SECRET}"`. With keys, either this is needed or a `token_key` of each.
    #[schemars(with = "schema::Text")]
    pub(in crate::config) token_secret: Given<String>,
    /// What opens the operator's screen (`/console/ops`) and `/metrics`, where there are keys; best from the environment.
    #[schemars(with = "schema::Text")]
    pub(in crate::config) admin_key: Given<String>,
    /// Web pages of other origins that may use the gateway: `https://app.example`.
    #[schemars(with = "Vec<schema::HttpUrl>")]
    pub(in crate::config) allowed_origins: Vec<At<String>>,
    /// Proxies in front of the gateway, by address or network (`10.0.0.0/8`): limits count by the address that they give in
    /// `x-forwarded-for`, instead of by theirs.
    #[schemars(with = "Vec<schema::Text>")]
    pub(in crate::config) trusted_proxies: Vec<At<String>>,
}

/// An app's key, in one of three ways: `key`, `key_file` or `key_sha256`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(in crate::config) struct Key {
    /// Its name: the owner of the channels that are made with it.
    #[schemars(with = "schema::Text")]
    pub(in crate::config) name: Given<String>,
    /// The key itself; best from the environment: `"${WEB_KEY}"`.
    #[schemars(with = "schema::Text")]
    pub(in crate::config) key: Given<String>,
    /// A file that holds the key and nothing else but white space around it; its path is relative to this file.
    #[schemars(with = "schema::Text")]
    pub(in crate::config) key_file: Given<String>,
    /// The key's SHA-256 in hexadecimal digits, so that the key itself is nowhere: `printf %s "$KEY" | sha256sum`.
    #[schemars(with = "schema::Text")]
    pub(in crate::config) key_sha256: Given<String>,
    /// The public models that it may use: names, or beginnings of names with a `*`. Without it, all.
    #[schemars(length(min = 1))]
    pub(in crate::config) models: Option<Vec<At<String>>>,
    /// Whether it may choose channels' ids (`tokenway-channel`); else each generation has a channel of its own.
    #[schemars(with = "schema::Flag")]
    pub(in crate::config) name_channels: Given<String>,
    /// In place of the models' rules and of that under `channels`.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<OnDisconnect>")]
    pub(in crate::config) on_disconnect: OnDisconnect,
    /// How much it may use.
    #[serde(deserialize_with = "section")]
    #[schemars(with = "Option<KeyLimits>")]
    pub(in crate::config) limits: KeyLimits,
    /// A file with the public key of channel tokens that the app signs itself, for its own channels: PEM (Ed25519, or RSA
    /// of 2,048 bits and more) or a JWKS. Its path is relative to this file.
    #[schemars(with = "schema::Text")]
    pub(in crate::config) token_key: Given<String>,
}
