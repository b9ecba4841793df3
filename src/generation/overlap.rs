//! Takes out of a continuation what it repeats of the text so far. Pure and streaming.
//!
//! Text is held back only while it may still turn out to be a repetition: what is held back equals a piece of the text so
//! far and is never longer, and the first character that differs sets it free.
//!
//! What counts as a repetition:
//! - The whole text so far, from its first character: the model began anew. After a prefill, only if that text is
//!   [`OVERLAP_CHARS_MIN`] characters long: what the provider itself goes on from it seldom repeats.
//! - After an instruction also the text's last [`OVERLAP_CHARS_MIN`] characters or more, up to [`WINDOW_BYTES`]; the
//!   longest that fits. Not where they are themselves one thing said over and over (`ha ha ha`, `-----`): one more of it
//!   may well be meant.
//! - White space at the text's end that a prefill had to leave out.

use crate::dialect::Joint;

/// A shorter piece is repeated by chance.
pub(super) const OVERLAP_CHARS_MIN: usize = 12;

/// How far back a repetition of the text's end may begin.
pub(super) const WINDOW_BYTES: usize = 2 * 1024;

/// What follows an instruction, agrees with so much of the text's beginning and then differs, is another answer and not a
/// continuation: shown after the text so far, it would say most of it twice.
const RESTART_CHARS_MIN: usize = 48;

/// The model began anew and says something else: it cannot be joined to the text so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restarted;

/// The beginning of one continuation.
#[derive(Debug)]
pub(super) struct Overlap {
    said: String,
    joint: Joint,
    /// What came and is not decided.
    held: String,
    /// Where in `said` a repetition may have begun that is not complete; all agree with what is held.
    open: Vec<usize>,
    /// How many bytes of `held` are a complete repetition, the longest so far.
    repeated: usize,
    /// White space that was said, was left out of the prefill, and may come again.
    blank: String,
    decided: bool,
}

impl Overlap {
    /// A continuation of what was said.
    pub(super) fn new(said: &str, joint: Joint) -> Self {
        let (said, blank) = match joint {
            Joint::Prefill => said.split_at(said.trim_end().len()),
            Joint::Instruction => (said, ""),
        };
        let open = candidates(said, joint);
        Self {
            decided: open.is_empty(),
            open,
            said: said.to_owned(),
            joint,
            held: String::new(),
            repeated: 0,
            blank: blank.to_owned(),
        }
    }

    /// The continuation's next text; gives what of it is new and certain.
    pub(super) fn push(&mut self, text: &str) -> Result<String, Restarted> {
        let mut taken = 0;
        for char in text.chars() {
            if self.decided {
                break;
            }
            self.take(char)?;
            taken += char.len_utf8();
        }
        if !self.decided {
            return Ok(String::new());
        }
        let fresh = self.held.split_off(self.repeated) + &text[taken..];
        (self.held, self.repeated) = (String::new(), 0);
        Ok(self.without_blank(fresh))
    }

    /// The continuation ended well, or something other than text comes; gives what of the held text is new.
    pub(super) fn finish(&mut self) -> String {
        let anew = self.joint == Joint::Instruction
            && self.open.first() == Some(&0)
            && self.held.chars().count() >= OVERLAP_CHARS_MIN
            && !is_repetitive(self.held.as_bytes());
        let fresh = match anew {
            // It began anew and ended sooner.
            true => String::new(),
            false => self.held.split_off(self.repeated),
        };
        (self.held, self.repeated, self.decided) = (String::new(), 0, true);
        self.open.clear();
        self.without_blank(fresh)
    }

    fn take(&mut self, char: char) -> Result<(), Restarted> {
        let (said, at) = (&self.said, self.held.len());
        let began_anew = self.open.first() == Some(&0);
        self.open.retain(|from| said[from + at..].starts_with(char));
        if began_anew
            && self.open.first() != Some(&0)
            && self.repeated == 0
            && self.joint == Joint::Instruction
            && self.held.chars().count() >= RESTART_CHARS_MIN
        {
            return Err(Restarted);
        }
        self.held.push(char);
        let whole = self.said.len() - self.held.len().min(self.said.len());
        if let Some(place) = self.open.iter().position(|from| *from == whole) {
            self.open.remove(place);
            if whole == 0 || !is_repetitive(self.held.as_bytes()) {
                self.repeated = self.held.len();
            }
        }
        self.decided = self.open.is_empty();
        Ok(())
    }

    fn without_blank(&mut self, fresh: String) -> String {
        let mut rest = fresh.as_str();
        while let Some(char) = self.blank.chars().next().filter(|_| !rest.is_empty()) {
            match rest.strip_prefix(char) {
                Some(after) => {
                    rest = after;
                    self.blank.drain(..char.len_utf8());
                }
                None => self.blank.clear(),
            }
        }
        rest.to_owned()
    }
}

/// Where a repetition may begin.
fn candidates(said: &str, joint: Joint) -> Vec<usize> {
    // The last place from which the shortest repetition reaches the end.
    let last = said.char_indices().rev().nth(OVERLAP_CHARS_MIN - 1).map(|(at, _)| at);
    match joint {
        _ if said.trim().is_empty() => Vec::new(),
        Joint::Prefill => last.map(|_| 0).into_iter().collect(),
        Joint::Instruction => {
            let window = said.len().saturating_sub(WINDOW_BYTES).max(1);
            let ends = last.map_or(0..0, |last| window..last + 1);
            [0].into_iter().chain(ends.filter(|at| said.is_char_boundary(*at))).collect()
        }
    }
}

/// Whether it is one piece said at least twice over, the last time perhaps in part.
fn is_repetitive(text: &[u8]) -> bool {
    (1..=text.len() / 2).any(|period| text[period..] == text[..text.len() - period])
}

#[cfg(test)]
mod tests;
