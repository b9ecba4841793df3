//! Reads server-sent events as strictly as the gateway is meant to write them: what is not exactly its form is a
//! failure of the test. (That ordinary readers understand it, too, is shown with the library in `pass`.)

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::Value;

use crate::soon;

/// One event, or a comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: Option<String>,
    pub(crate) event: String,
    pub(crate) data: String,
    pub(crate) comment: Option<String>,
}

impl Item {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }

    /// The seq of its cursor.
    pub(crate) fn seq(&self) -> u64 {
        let id = self.id.as_deref().expect("an event with a cursor");
        id.split_once('.').expect("EPOCH.SEQ").1.parse().expect("a seq")
    }

    pub(crate) fn is_comment(&self) -> bool {
        self.comment.is_some()
    }
}

/// A response whose body is a stream of events.
pub(crate) struct Sse {
    pub(crate) headers: reqwest::header::HeaderMap,
    body: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    buffer: Vec<u8>,
}

impl Sse {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        let headers = response.headers().clone();
        assert_eq!(response.status(), 200, "{headers:?}");
        let content_type = headers["content-type"].to_str().expect("text");
        assert!(content_type.starts_with("text/event-stream"), "{content_type}");
        Self { headers, body: response.bytes_stream().boxed(), buffer: Vec::new() }
    }

    /// The next event or comment; none at the end of the response.
    pub(crate) async fn item(&mut self) -> Option<Item> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(parse(std::str::from_utf8(&block[..end]).expect("UTF-8")));
            }
            match soon("the gateway streams", self.body.next()).await {
                Some(bytes) => self.buffer.extend_from_slice(&bytes.expect("an unbroken response")),
                None => {
                    assert!(self.buffer.is_empty(), "cut in an event: {:?}", self.buffer);
                    return None;
                }
            }
        }
    }

    /// The next event, comments passed over.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        loop {
            match self.item().await {
                Some(item) if item.is_comment() => {}
                other => return other,
            }
        }
    }

    /// The next event, which must be there.
    pub(crate) async fn event(&mut self) -> Item {
        self.next().await.expect("another event")
    }

    /// All events until the response ends.
    pub(crate) async fn rest(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            items.push(item);
        }
        items
    }

    /// All events up to and with the first that `last` likes.
    pub(crate) async fn until(&mut self, last: impl Fn(&Item) -> bool) -> Vec<Item> {
        let mut items = vec![self.event().await];
        while !last(&items[items.len() - 1]) {
            items.push(self.event().await);
        }
        items
    }
}

fn parse(block: &str) -> Item {
    let mut item = Item::default();
    let mut data: Option<String> = None;
    for line in block.split('\n') {
        if let Some(comment) = line.strip_prefix(':') {
            assert!(block == line, "a comment stands alone: {block:?}");
            item.comment = Some(comment.trim().to_owned());
        } else if let Some(id) = line.strip_prefix("id: ") {
            assert!(item.id.replace(id.to_owned()).is_none(), "one id: {block:?}");
        } else if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut item.event);
        } else if let Some(line) = line.strip_prefix("data: ") {
            data = Some(data.map_or(line.to_owned(), |before| before + "\n" + line));
        } else {
            panic!("not a line that the gateway writes: {line:?}");
        }
    }
    item.data = data.unwrap_or_default();
    item
}
