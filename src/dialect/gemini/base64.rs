//! Bytes as proto JSON writes them: base64 of either alphabet, padded or not.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);

/// The bytes; `None` if it is not base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let engine = if text.contains(['-', '_']) { &URL } else { &PLAIN };
    engine.decode(text).ok()
}

/// Bytes as padded base64 of the standard alphabet.
pub(super) fn encode(data: &[u8]) -> String {
    PLAIN.encode(data)
}

/// The same bytes in padded base64 of the standard alphabet; `None` if it is not base64.
pub(super) fn standard(text: &str) -> Option<String> {
    decode(text).map(|data| encode(&data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_alphabet_with_or_without_padding_is_read() {
        for text in ["-_8=", "+/8=", "-_8", "+/8", " +/8=\n"] {
            assert_eq!(standard(text).as_deref(), Some("+/8="), "{text}");
        }
        assert_eq!(decode("?"), None);
        assert_eq!(decode("+_8="), None);
    }
}
