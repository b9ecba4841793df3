//! When a call's arguments are whole, though they come in fragments.

/// Tells whether fragments of JSON text have come to the end of an object, without keeping them.
#[derive(Debug, Default)]
pub(super) struct Braces {
    depth: usize,
    opened: bool,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    /// Takes the next fragment.
    pub(super) fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            match (byte, self.in_string) {
                _ if self.escaped => self.escaped = false,
                (b'\\', true) => self.escaped = true,
                (b'"', _) => self.in_string = !self.in_string,
                (b'{' | b'[', false) => {
                    self.depth += 1;
                    self.opened = true;
                }
                (b'}' | b']', false) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether an object or list has opened, and everything that opened has closed.
    pub(super) fn closed(&self) -> bool {
        self.opened && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_whole_when_its_last_brace_has_come() {
        for (fragments, closed) in [
            (&["{}"][..], true),
            (&["{\"a\":", "[1]}"], true),
            (&["{\"a\":\"}", "\"}"], true),
            (&["{\"a\":\"\\", "\"}"], false),
            (&["{\"a\":\"}\""], false),
            (&["1"], false),
            (&[""], false),
        ] {
            let mut braces = Braces::default();
            fragments.iter().for_each(|fragment| braces.read(fragment));
            assert_eq!(braces.closed(), closed, "{fragments:?}");
        }
    }
}
