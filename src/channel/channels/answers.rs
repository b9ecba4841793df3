//! Where answers are that apps come back for by an id, at whatever node they were begun: see [`Registry`].
//!
//! What is told of them is for the door to know that tells it.

use std::sync::Arc;

use bytes::Bytes;

use super::Channels;
use crate::{
    ident::{ChannelKey, Owner},
    store::{Registered, Registry, StoreError},
};

impl Channels {
    fn registry(&self) -> Option<&dyn Registry> {
        self.store.registry()
    }

    /// Tells all nodes of an owner's answer, under each of these ids. Waits for nothing; where it comes to nothing, only this node
    /// knows of it.
    pub fn register(&self, owner: Owner, ids: Vec<String>, what: Bytes) {
        if self.registry().is_none() {
            return;
        }
        let (store, telling) = (Arc::clone(&self.store), Arc::clone(&self.telling));
        let turn = Arc::clone(&telling).try_read_owned();
        self.tasks.spawn(async move {
            let _turn = match turn {
                Ok(turn) => turn,
                Err(_) => telling.read_owned().await,
            };
            let Some(registry) = store.registry() else { return };
            for id in ids {
                if let Err(error) = registry.tell(&owner, &id, what.clone()).await {
                    tracing::debug!(id, %error, "other gateways are not told of an answer");
                }
            }
        });
    }

    /// The same, after all that they are being told, and when it is done they know. Err: some of them may not.
    pub async fn registering(
        &self,
        owner: &Owner,
        ids: &[&str],
        what: Bytes,
    ) -> Result<(), StoreError> {
        let Some(registry) = self.registry() else { return Ok(()) };
        let _alone = self.telling.write().await;
        for id in ids {
            registry.tell(owner, id, what.clone()).await?;
        }
        Ok(())
    }

    /// What another node told of an answer. Err: that cannot be learned now.
    pub async fn registered(&self, owner: &Owner, id: &str) -> Result<Registered, StoreError> {
        match self.registry() {
            Some(registry) => registry.look_up(owner, id).await,
            None => Ok(Registered::Unknown),
        }
    }

    /// Asks a node what it remembers of an answer on a channel. `None`: it is gone, or remembers nothing. Err: it lives, as far as
    /// is known, and does not say.
    pub async fn recall(
        &self,
        node: &str,
        channel: &ChannelKey,
        question: Bytes,
    ) -> Result<Option<Bytes>, StoreError> {
        match self.registry() {
            Some(registry) => registry.recall(node, channel, question).await,
            None => Ok(None),
        }
    }
}
