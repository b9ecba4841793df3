//! Cuts text into pieces the size of a model's tokens.
//!
//! Not a real vocabulary, but it behaves like one: about four bytes each, a space leads its word, long words break
//! inside, punctuation stands alone, and the same word always breaks the same way. A code point is never divided;
//! what people see as one sign (a family emoji, a letter and its accent) may be, as real tokens do.

/// The pieces, which together are the text.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(first(rest));
        rest = after;
        Some(piece)
    })
}

/// How many pieces there are.
pub(super) fn count(text: &str) -> usize {
    split(text).count()
}

/// Short words stay whole, as in a vocabulary.
const WORD_CHARS_WHOLE: usize = 6;

/// How far ahead a word's end is looked for.
const WORD_CHARS_MAX: usize = 64;
/// A run of one sign, such as indentation, is one piece up to here.
const RUN_CHARS_MAX: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// Scripts without spaces between words.
    Ideograph,
    Space,
    Other,
}

/// The length of the first piece in bytes.
fn first(text: &str) -> usize {
    let mut chars = text.chars();
    let lead = chars.next().expect("the text is not empty");
    let after_space = chars.next().map(class);
    match class(lead) {
        Class::Space if lead == ' ' && matches!(after_space, Some(Class::Letter)) => {
            1 + word(&text[1..])
        }
        Class::Space => run(text, |char| char == lead),
        Class::Letter => word(text),
        Class::Digit => {
            text.chars().take(3).take_while(|char| class(*char) == Class::Digit).count()
        }
        Class::Ideograph => match text.chars().nth(1) {
            // Common pairs are one token in real vocabularies; which ones, their code points decide.
            Some(next) if class(next) == Class::Ideograph && u32::from(next) % 3 == 0 => {
                lead.len_utf8() + next.len_utf8()
            }
            _ => lead.len_utf8(),
        },
        Class::Other if lead.is_ascii() => run(text, |char| char == lead),
        Class::Other => lead.len_utf8(),
    }
}

fn run(text: &str, same: impl Fn(char) -> bool) -> usize {
    text.chars().take(RUN_CHARS_MAX).take_while(|char| same(*char)).map(char::len_utf8).sum()
}

/// The first piece of the word that the text begins with: all of a short one, three to five letters of a long one.
fn word(text: &str) -> usize {
    // No word is longer; what goes on for ever is looked at a piece at a time.
    let letters = || {
        let letters = text.char_indices().take_while(|(_, char)| class(*char) == Class::Letter);
        letters.take(WORD_CHARS_MAX)
    };
    let end = letters().last().map_or(0, |(at, char)| at + char.len_utf8());
    let length = letters().count();
    // Scripts of two and three bytes a letter get shorter pieces.
    let wide = 1 + end / length.max(1) / 2;
    if length <= WORD_CHARS_WHOLE / wide {
        return end;
    }
    let sum: u32 = letters().take(WORD_CHARS_WHOLE).map(|(_, char)| u32::from(char)).sum();
    let letters_taken = (3 + sum as usize % 3).div_ceil(wide);
    letters().nth(letters_taken).map_or(end, |(at, _)| at)
}

fn class(char: char) -> Class {
    match char {
        '0'..='9' => Class::Digit,
        '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{ff00}'..='\u{ffef}' => {
            Class::Ideograph
        }
        // Vowel signs and viramas continue a word of their script.
        '\u{0900}'..='\u{0963}' | '\u{0300}'..='\u{036f}' => Class::Letter,
        _ if char.is_alphabetic() => Class::Letter,
        _ if char.is_whitespace() => Class::Space,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_space_leads_its_word_and_long_words_break_inside() {
        let pieces: Vec<_> = split("The unbreakable log, 12345 tokens.\n\n    done").collect();
        assert_eq!(pieces[0], "The");
        assert!(pieces[1].starts_with(" unb") && pieces[1].len() < " unbreakable".len());
        assert!(pieces.contains(&" log") && pieces.contains(&",") && pieces.contains(&"123"));
        assert!(pieces.contains(&"\n\n"));
    }

    #[test]
    fn a_word_without_an_end_takes_no_longer_than_its_letters() {
        // Looking for its end from every piece would take minutes.
        let endless = "x".repeat(4_000_000);
        assert!(count(&endless) > 500_000);
    }

    #[test]
    fn a_word_breaks_the_same_way_everywhere() {
        let alone: Vec<_> = split("resumption").collect();
        let among: Vec<_> = split("\nresumption\n").collect();
        assert_eq!(alone, among[1..among.len() - 1]);
    }

    #[test]
    fn a_family_is_cut_between_its_members_only() {
        let family = "👨‍👩‍👧‍👦";
        assert_eq!(split(family).collect::<String>(), family);
        assert_eq!(count(family), family.chars().count());
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "\\PC{0,80}|[ \na-zé0-9.👨‍👩‍👧🇩🇪語कि]{0,80}") {
            let pieces: Vec<_> = split(&text).collect();
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= 32));
            prop_assert_eq!(pieces.concat(), text);
        }
    }
}
