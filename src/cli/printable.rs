//! What others have said, on a terminal: a model's text may hold control sequences, and they are not ours to carry out.

use std::borrow::Cow;

/// The text with its control characters shown and not carried out; line breaks and tabs stay what they are.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let acts = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let shown = |char: char| match char {
        _ if !acts(char) => char,
        '\u{7f}' => '\u{2421}',
        // The pictures of the first 32 stand in their order.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(char)).expect("there is one for each"),
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_text_stays() {
        assert_eq!(printable("Grüße\n\tan alle"), "Grüße\n\tan alle");
        assert_eq!(printable("a\u{1b}]0;mine\u{7}b\r\u{9b}\u{7f}"), "a␛]0;mine␇b␍\u{fffd}␡");
    }
}
