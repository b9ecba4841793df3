//! The keys by which a restarted gateway answers for connections of its former life.
//!
//! With the same stateless-reset and connection-id keys, the first packet of an old connection is answered by a reset,
//! so that a client notices within one heartbeat. Both keys must be kept: with other connection-id keys the packet is
//! dropped before any reset (measured).

use std::sync::Arc;

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use quinn_proto::{
    HashedConnectionIdGenerator,
    crypto::{CryptoError, HmacKey},
};
use sha2::Sha256;
use wtransport::quinn::EndpointConfig;

/// What all gateways of a deployment share, and nobody else knows.
#[derive(Clone)]
pub struct DeploymentSecret([u8; 32]);

impl DeploymentSecret {
    /// The secret with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new secret.
    pub fn random() -> Self {
        Self(rand::random())
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Key material for one purpose on one node.
    fn derive<const N: usize>(&self, purpose: &str, node: &str) -> [u8; N] {
        let mut key = [0; N];
        let info = [purpose.as_bytes(), b"\0", node.as_bytes()];
        let hkdf = Hkdf::<Sha256>::new(None, &self.0);
        hkdf.expand_multi_info(&info, &mut key).expect("a key is shorter than HKDF allows");
        key
    }
}

impl std::fmt::Debug for DeploymentSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeploymentSecret")
    }
}

/// An endpoint's settings that survive a restart of `node`.
pub(super) fn endpoint_config(secret: &DeploymentSecret, node: &str) -> EndpointConfig {
    let reset = ResetKey(secret.derive("tokenway stateless reset", node));
    let cid = u64::from_be_bytes(secret.derive("tokenway connection id", node));
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid)));
    // The library's 20 ms would make 10,000 clients wait 200 s to be told.
    config.min_reset_interval(std::time::Duration::ZERO);
    config
}

struct ResetKey([u8; 32]);

impl ResetKey {
    fn mac(&self, data: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        mac.update(data);
        mac
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&self.mac(data).finalize().into_bytes());
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.mac(data).verify_slice(signature).map_err(|_| CryptoError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_after_a_restart_and_differ_between_nodes_and_purposes() {
        let secret = DeploymentSecret::new([7; 32]);
        let key = |purpose, node| secret.derive::<32>(purpose, node);
        assert_eq!(key("a", "node-1"), DeploymentSecret::new([7; 32]).derive("a", "node-1"));
        assert_ne!(key("a", "node-1"), key("a", "node-2"));
        assert_ne!(key("a", "node-1"), key("b", "node-1"));
        assert_eq!(format!("{secret:?}"), "DeploymentSecret", "never shown");
    }
}
