//! How a message's words become events, none longer than an event may be.

use bytes::Bytes;

use super::{BLOCK, BLOCK_LAST, BLOCK_PART, NAME};
use crate::{
    dialect::{TooLarge, split},
    event::{Event, Kind, Native},
};

/// How much of a long block goes into one event: as a JSON string it is at most twice as long.
const PART_BYTES_MAX: usize = 96 * 1024;

/// Longer blocks go in parts.
const WHOLE_BYTES_MAX: usize = 240 * 1024;

/// Where a message's words go.
#[derive(Debug)]
pub(super) struct Voice<'o> {
    out: &'o mut Vec<Event>,
    /// The first event that was too large to say.
    pub too_large: Option<TooLarge>,
}

impl<'o> Voice<'o> {
    /// Adds to `out`.
    pub(super) fn new(out: &'o mut Vec<Event>) -> Self {
        Self { out, too_large: None }
    }

    /// Says one thing, in as many events as it takes.
    pub(super) fn say(&mut self, kind: Kind) {
        let refused = split(Event::new(kind), self.out).err();
        self.too_large = self.too_large.or(refused);
    }

    /// What the other words cannot say, under its name.
    pub(super) fn native(&mut self, name: impl Into<String>, data: &str) {
        let (dialect, name) = (NAME.to_owned(), name.into());
        self.say(Kind::Native(Native {
            dialect,
            name,
            data: Bytes::copy_from_slice(data.as_bytes()),
        }));
    }

    /// A whole block; in parts where it is too long for one event.
    pub(super) fn block(&mut self, kind: &str, json: &str) {
        if json.len() <= WHOLE_BYTES_MAX {
            return self.native(format!("{BLOCK}{kind}"), json);
        }
        let mut rest = json;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES_MAX));
            rest = after;
            let name = if rest.is_empty() { BLOCK_LAST } else { BLOCK_PART };
            self.native(name, &serde_json::Value::from(part).to_string());
        }
    }
}
