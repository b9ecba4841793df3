//! Payloads that are JSON to other parsers and not to ours: duplicate keys, halves of surrogate pairs, broken UTF-8.

use bytes::Bytes;
use serde_json::Value;

/// The payload as everybody reads it: of duplicate keys the last holds, what is not text is U+FFFD. Off the ordinary
/// path, so it may cost; numbers beyond 64 bits lose digits here and nowhere else.
pub(super) fn mend(data: &[u8]) -> Result<Bytes, serde_json::Error> {
    let text = mend_surrogates(&String::from_utf8_lossy(data));
    let value: Value = serde_json::from_str(&text)?;
    Ok(value.to_string().into())
}

/// JSON text in which every half of a surrogate pair that stands alone has become U+FFFD.
fn mend_surrogates(text: &str) -> String {
    let unit = |at: usize| -> Option<u16> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut mended = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let Some(found) = memchr::memchr(b'\\', &text.as_bytes()[at..]) else { break };
        mended.push_str(&text[at..at + found]);
        at += found;
        let length = match (unit(at), unit(at + 6)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
            (Some(0xD800..0xE000), _) => 0,
            (Some(_), _) => 6,
            (None, _) => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        match length {
            0 => mended.push_str("\\ufffd"),
            _ => mended.push_str(&text[at..at + length]),
        }
        at += if length == 0 { 6 } else { length };
    }
    mended.push_str(&text[at..]);
    mended
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_other_parsers_let_pass_is_mended() {
        for (given, mended) in [
            (&br#"{"a":1,"a":2}"#[..], r#"{"a":2}"#),
            (br#"{"a":"x\ud83dy"}"#, "{\"a\":\"x\u{fffd}y\"}"),
            (br#"{"a":"\ude00\ud83d"}"#, "{\"a\":\"\u{fffd}\u{fffd}\"}"),
            (br#"{"a":"\ud83d\ude00\\ud83d"}"#, "{\"a\":\"\u{1f600}\\\\ud83d\"}"),
            (b"{\"a\":\"x\xffy\"}", "{\"a\":\"x\u{fffd}y\"}"),
        ] {
            assert_eq!(mend(given).expect("mended"), mended);
        }
        assert!(mend(br#"{"a":"#).is_err());
    }

    proptest! {
        #[test]
        fn nothing_harms_it(text in "[\\\\ud83Ee0é\"]{0,20}", bytes: Vec<u8>) {
            mend_surrogates(&text);
            let _ = mend(&bytes);
        }

        #[test]
        fn good_json_stays_what_it_is(text: String) {
            let json = serde_json::json!({ "a": text }).to_string();
            prop_assert_eq!(mend(json.as_bytes()).expect("good"), json);
        }
    }
}
