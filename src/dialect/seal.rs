//! What only its maker can read, carried through an app that speaks another dialect.
//!
//! A signature or encrypted thought must come back byte for byte, and only to the dialect that made it. Where an app's
//! dialect has one opaque slot for both, the slot holds a seal: who made it, what it is, and the bytes. It is standard
//! base64, because SDKs decode such slots. A seal proves nothing and needs not: providers check what they get.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::Dialect;

/// What a sealed string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// A signature.
    Signature,
    /// Encrypted or redacted reasoning.
    Encrypted,
}

const MARK: &str = "tokenway:1:";

/// Seals what `origin` made.
pub fn seal(origin: Dialect, what: Sealed, content: &str) -> String {
    let what = match what {
        Sealed::Signature => 's',
        Sealed::Encrypted => 'e',
    };
    BASE64_STANDARD.encode(format!("{MARK}{}:{what}:{content}", origin.as_str()))
}

/// Opens a seal; `None` where it is none.
pub fn unseal(sealed: &str) -> Option<(Dialect, Sealed, String)> {
    let bytes = BASE64_STANDARD.decode(sealed).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (origin, rest) = text.strip_prefix(MARK)?.split_once(':')?;
    let (what, content) = rest.split_once(':')?;
    let what = match what {
        "s" => Sealed::Signature,
        "e" => Sealed::Encrypted,
        _ => return None,
    };
    Some((Dialect::parse(origin)?, what, content.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_seal_opens_to_what_was_sealed(content in ".*") {
            for origin in Dialect::ALL {
                for what in [Sealed::Signature, Sealed::Encrypted] {
                    let opened = unseal(&seal(origin, what, &content));
                    prop_assert_eq!(opened, Some((origin, what, content.clone())));
                }
            }
        }

        #[test]
        fn what_is_no_seal_is_not_opened(text in ".*") {
            prop_assert_eq!(unseal(&text), None);
        }
    }
}
