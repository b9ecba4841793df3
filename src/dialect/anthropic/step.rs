//! The steps in which a message is said.

use bytes::Bytes;

use crate::event::{Failed, RunBy};

/// What a message says next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// The message begins.
    Begin,
    /// A block begins; they are counted from 0.
    Open(u32, Block),
    /// The block goes on.
    Delta(u32, Delta),
    /// The block ends.
    Close(u32),
    /// The message ends.
    End(End),
    /// An event that nobody knows.
    Foreign(Bytes),
    /// The generation failed.
    Failed(Failed),
}

/// How a block begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Block {
    Text,
    Thinking,
    Redacted(String),
    Tool {
        id: String,
        name: String,
        run_by: RunBy,
    },
    /// As the provider wrote it. Arguments may follow it.
    Raw(Bytes),
}

/// How a block goes on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Delta {
    Text(String),
    Thinking(String),
    Signature(String),
    Arguments(String),
    Citation(Bytes),
    Raw(Bytes),
}

/// How a message ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct End {
    pub reason: String,
    /// The provider's other members, by name: `stop_sequence`, `container`.
    pub members: Vec<(String, Bytes)>,
    pub usage: Bytes,
}
