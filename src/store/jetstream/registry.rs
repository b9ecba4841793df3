//! Where answers are, in NATS: one message for each id, and the node that told it is asked for the rest.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    super::{
        Answer, Ask, Pending, Registered, Registry, StoreError,
        coding::{self, Fields, Found},
    },
    JetStream,
    nats::Shelf,
};
use crate::ident::{ChannelKey, Owner};

/// How long a node may take to say what it remembers: without it, what all know has to do.
const RECALLED_WITHIN: Duration = Duration::from_secs(1);

impl Registry for JetStream {
    fn tell<'a>(
        &'a self,
        owner: &'a Owner,
        id: &'a str,
        what: Bytes,
    ) -> Pending<'a, Result<(), StoreError>> {
        let nats = &self.inner.nats;
        Box::pin(nats.put(nats.answer_of(Some(owner), id), write(self.node(), &what)))
    }

    fn look_up<'a>(
        &'a self,
        owner: &'a Owner,
        id: &'a str,
    ) -> Pending<'a, Result<Registered, StoreError>> {
        Box::pin(async move {
            let nats = &self.inner.nats;
            let told = nats.kept(Shelf::Answers, &nats.answer_of(Some(owner), id)).await?;
            if let Some((node, what)) = told.as_ref().and_then(read) {
                return Ok(Registered::Told { node, what });
            }
            let anybodys = nats.kept(Shelf::Answers, &nats.answer_of(None, id)).await?;
            Ok(anybodys.map_or(Registered::Unknown, |_| Registered::Anothers))
        })
    }

    fn recall<'a>(
        &'a self,
        node: &'a str,
        channel: &'a ChannelKey,
        question: Bytes,
    ) -> Pending<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(async move {
            if node == self.node() || !self.inner.lease.is_alive(node, Instant::now()) {
                return Ok(None);
            }
            let ask = Ask::Recall(question);
            match self.inner.ask(node, channel, &ask, RECALLED_WITHIN).await? {
                Some(Answer::Recalled(what)) => Ok(Some(what)),
                _ => Ok(None),
            }
        })
    }
}

fn write(node: &str, what: &[u8]) -> Bytes {
    let mut out = Vec::new();
    let body = coding::begin(&mut out);
    coding::write_bytes(node.as_bytes(), &mut out);
    coding::write_bytes(what, &mut out);
    coding::end(&mut out, body);
    out.into()
}

fn read(message: &Bytes) -> Option<(String, Bytes)> {
    let Found::Body(body, _) = coding::next(message) else { return None };
    let mut fields = Fields(body);
    Some((fields.text()?, fields.bytes()?))
}
