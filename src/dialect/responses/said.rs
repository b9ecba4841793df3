//! What has been said of a text that the provider will give again whole.

/// Providers give each text three times: in deltas, in a `done`, in the finished item; and sometimes the deltas stop short.
/// This remembers what was said without keeping it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    bytes: usize,
    /// FNV-1a: an accident would have to lengthen the text and keep all before it.
    hash: u64,
}

impl Default for Said {
    fn default() -> Self {
        Self { bytes: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Said {
    /// Whether nothing was said.
    pub(super) fn nothing(self) -> bool {
        self.bytes == 0
    }

    /// Notes that `text` was said.
    pub(super) fn note(&mut self, text: &str) {
        self.bytes += text.len();
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// What `whole` says beyond what was said, and notes it; nothing where it says something else, because what was said
    /// cannot be taken back.
    pub(super) fn rest<'a>(&mut self, whole: &'a str) -> &'a str {
        let Some((before, rest)) = whole.split_at_checked(self.bytes) else { return "" };
        let mut again = Self::default();
        again.note(before);
        if again.hash != self.hash {
            return "";
        }
        self.note(rest);
        rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_goes_on_is_the_rest() {
        let mut said = Said::default();
        said.note("Got it");
        assert_eq!(said.rest("Got it, then"), ", then");
        assert_eq!(said.rest("Got it, then"), "");
        assert_eq!(said.rest("Got"), "");
        assert_eq!(said.rest("Something else entirely"), "");
    }

    proptest! {
        #[test]
        fn deltas_and_the_rest_are_the_whole(pieces: Vec<String>, upto: prop::sample::Index) {
            let whole = pieces.concat();
            let mut said = Said::default();
            let mut heard = String::new();
            for piece in &pieces[..upto.index(pieces.len() + 1)] {
                said.note(piece);
                heard += piece;
            }
            heard += said.rest(&whole);
            prop_assert_eq!(heard, whole);
        }
    }
}
