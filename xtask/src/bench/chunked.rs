//! Takes the `transfer-encoding: chunked` framing off a body, however its bytes are cut. Pure.

/// Where in the framing the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Chunked {
    /// In the line that says how long the next chunk is: the number so far.
    #[default]
    Start,
    Size(usize),
    /// In what follows the number on its line.
    Extension(usize),
    /// In a chunk, with so many bytes to go.
    Data(usize),
    /// In the line end after a chunk.
    After,
    /// Past the chunk of length 0; trailers do not matter here.
    End,
}

impl Chunked {
    /// Appends to `out` what `bytes` hold of the body. An error is a byte that cannot stand there.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), u8> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if let Self::Data(left) = *self {
                let taken = left.min(bytes.len());
                out.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                *self = if taken == left { Self::After } else { Self::Data(left - taken) };
                continue;
            }
            bytes = rest;
            *self = match (*self, byte) {
                (Self::Size(0) | Self::Extension(0), b'\n') => Self::End,
                (Self::Size(size) | Self::Extension(size), b'\n') => Self::Data(size),
                (Self::Size(size) | Self::Extension(size), b'\r' | b';') => Self::Extension(size),
                (Self::Extension(size), _) => Self::Extension(size),
                (Self::Start, _) => Self::Size(hex(byte)?),
                (Self::Size(size), _) => Self::Size(size * 16 + hex(byte)?),
                (Self::After, b'\r') => Self::After,
                (Self::After, b'\n') => Self::Start,
                (Self::After, _) => return Err(byte),
                (Self::Data(_) | Self::End, _) => Self::End,
            };
        }
        Ok(())
    }
}

fn hex(byte: u8) -> Result<usize, u8> {
    char::from(byte).to_digit(16).map(|digit| digit as usize).ok_or(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_cut_at_every_byte_comes_out_whole() {
        let wire = b"5\r\nhello\r\n10;x=y\r\n, world of tests\r\n1\r\n!\r\n0\r\n\r\n";
        let (mut state, mut out) = (Chunked::default(), Vec::new());
        for byte in wire {
            state.push(&[*byte], &mut out).expect("the wire is well formed");
        }
        let (mut at_once, mut whole) = (Chunked::default(), Vec::new());
        at_once.push(wire, &mut whole).expect("the wire is well formed");
        assert_eq!(out, b"hello, world of tests!");
        assert_eq!(whole, out);
        assert_eq!((state, at_once), (Chunked::End, Chunked::End));
    }

    #[test]
    fn what_is_no_length_is_refused() {
        assert_eq!(Chunked::default().push(b"x\r\n", &mut Vec::new()), Err(b'x'));
    }
}
