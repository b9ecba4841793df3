//! What is sent when: a script in order of time, as an iterator of beats. Pure; nothing waits here.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use serde_json::Value;

use super::{
    chunk::{self, Encoder},
    pace::Pace,
    script::{Break, Fault, Script},
};

/// Something that happens at a time, counted from the start of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) due: Duration,
    pub(super) act: Act,
}

/// What happens. After the last beat the body ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// These bytes are sent.
    Send(Bytes),
    /// The connection breaks.
    Reset,
    /// Nothing is sent any more, and nothing ends.
    Stall,
}

/// An answer as it unfolds. Chunks are encoded when their beat comes, so a long answer costs its text only.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    script: Script,
    pace: Pace,
    encoder: Encoder,
    usage: Option<Value>,
    ready: VecDeque<Beat>,
    /// The token index that all choices have reached.
    index: usize,
    /// Tokens sent, of all choices.
    sent: usize,
    ended: bool,
}

impl Timeline {
    pub(super) fn new(
        script: Script,
        pace: Pace,
        include_usage: bool,
        keep_alive: Option<Duration>,
    ) -> Self {
        let encoder = Encoder::new(&script, include_usage);
        let mut ready = VecDeque::new();
        let comments = keep_alive.into_iter().flat_map(|every| (0u32..).map(move |i| every * i));
        for due in comments.take_while(|due| *due < pace.first_token()) {
            ready.push_back(Beat { due, act: Act::Send(chunk::COMMENT) });
        }
        for (choice, said) in script.choices.iter().enumerate() {
            let act = Act::Send(encoder.role(choice, said.pieces.first()));
            ready.push_back(Beat { due: pace.first_token(), act });
        }
        let usage = include_usage.then(|| script.usage.clone());
        Self { script, pace, encoder, usage, ready, index: 0, sent: 0, ended: false }
    }

    /// Sends the next token of every choice that has one, and the ends that come with it.
    fn advance(&mut self) {
        let due = self.pace.due(self.index);
        let mut all_said = true;
        for choice in 0..self.script.choices.len() {
            let said = &self.script.choices[choice];
            let length = said.pieces.len();
            if self.index >= length.max(1) {
                continue;
            }
            let finish = |encoder: &Encoder| encoder.finish(choice, said.finish);
            let piece = said.pieces.get(self.index).map(|piece| self.encoder.piece(choice, piece));
            let last = self.index + 1 >= length;
            if self.fails_here() {
                let next = piece.unwrap_or_else(|| finish(&self.encoder));
                return self.fail(due, &next);
            }
            let finish = last.then(|| finish(&self.encoder));
            self.sent += usize::from(piece.is_some());
            let sent = piece.into_iter().chain(finish);
            self.ready.extend(sent.map(|bytes| Beat { due, act: Act::Send(bytes) }));
            all_said &= last;
        }
        self.index += 1;
        if all_said {
            self.ended = true;
            let usage = self.usage.take().map(|usage| self.encoder.usage(&usage));
            let last = usage.into_iter().chain([chunk::DONE]);
            self.ready.extend(last.map(|bytes| Beat { due, act: Act::Send(bytes) }));
        }
    }

    fn fails_here(&self) -> bool {
        matches!(self.script.fault, Some(Fault::Midway { at, .. }) if at == self.sent)
    }

    /// `next` is what would have been sent, had it gone well.
    fn fail(&mut self, due: Duration, next: &Bytes) {
        self.ended = true;
        let Some(Fault::Midway { how, .. }) = &self.script.fault else { return };
        let act = match how {
            Break::Error(refusal) => Act::Send(chunk::event(&refusal.body())),
            Break::Cut => Act::Send(next.slice(..next.len() / 2)),
            Break::Reset => Act::Reset,
            Break::Stall => Act::Stall,
        };
        self.ready.push_back(Beat { due, act });
    }
}

impl Iterator for Timeline {
    type Item = Beat;

    fn next(&mut self) -> Option<Beat> {
        while self.ready.is_empty() && !self.ended {
            self.advance();
        }
        self.ready.pop_front()
    }
}
