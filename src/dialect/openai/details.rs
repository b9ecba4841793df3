//! `reasoning_details`: the place in a chat for what a provider signed or encrypted, as OpenRouter writes it.
//!
//! Each entry is one thought, with an `index` by which OpenAI's SDKs put its pieces together, and with who made it in
//! `format`: only the maker can read it again. `format` is said once for each, because SDKs join repeated strings.

use serde::Serialize;

use crate::{dialect::Dialect, event::Reasoning};

/// An entry, or a piece of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Detail {
    r#type: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    signature: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    index: u32,
}

/// Numbers one choice's entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Details {
    next: u32,
    /// Text was said of the entry at `next`.
    open: bool,
}

impl Details {
    /// The entries that say a piece of reasoning of this origin.
    ///
    /// Its text is among them only where it will be signed, so that the app can give back what was signed as it was; all
    /// text is in `reasoning_content`.
    pub(super) fn of(&mut self, part: &Reasoning, origin: Option<Dialect>) -> Vec<Detail> {
        let format = origin.filter(|it| *it != Dialect::OpenAi).map(Dialect::as_str);
        let mut details = Vec::new();
        let signs_text = matches!(origin, Some(Dialect::Anthropic | Dialect::Bedrock));
        let text = if signs_text { part.text.as_str() } else { "" };
        if !text.is_empty() || !part.signature.is_empty() {
            self.open = part.signature.is_empty();
            details.push(Detail {
                r#type: "reasoning.text",
                text: text.to_owned(),
                signature: part.signature.clone(),
                format: format.filter(|_| !self.open),
                index: self.next,
                ..Detail::default()
            });
            self.next += u32::from(!self.open);
        }
        if !part.encrypted.is_empty() {
            self.next += u32::from(std::mem::take(&mut self.open));
            details.push(Detail {
                r#type: "reasoning.encrypted",
                data: part.encrypted.clone(),
                format,
                index: self.next,
                ..Detail::default()
            });
            self.next += 1;
        }
        details
    }
}

impl Detail {
    /// Puts pieces of entries together, as an SDK does.
    pub(super) fn add_to(self, entries: &mut Vec<Self>) {
        match entries.iter_mut().find(|entry| entry.index == self.index) {
            Some(entry) => {
                entry.text += &self.text;
                entry.signature += &self.signature;
                entry.data += &self.data;
                entry.format = self.format.or(entry.format);
            }
            None => entries.push(self),
        }
    }
}

/// Who made what stands in an entry. What names nobody is the dialect's own.
pub(super) fn origin(format: Option<&str>) -> Dialect {
    // OpenRouter's words for the same: `anthropic-claude-v1`, `google-gemini-v1`, `openai-responses-v1`.
    let words = [
        ("anthropic", Dialect::Anthropic),
        ("bedrock", Dialect::Bedrock),
        ("gemini", Dialect::Gemini),
        ("google-gemini", Dialect::Gemini),
        ("openai-responses", Dialect::Responses),
        ("responses", Dialect::Responses),
    ];
    let format = format.unwrap_or_default();
    let known = words.into_iter().find(|(word, _)| format.starts_with(word));
    known.map_or(Dialect::OpenAi, |(_, dialect)| dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_numbered_and_says_its_origin_once() {
        let mut details = Details::default();
        let (mut entries, mut formats) = (Vec::new(), Vec::new());
        for (text, signature, encrypted) in [
            ("a", "", ""),
            ("b", "", ""),
            ("", "S", ""),
            ("c", "", ""),
            ("", "", "E"),
            ("d", "T", ""),
        ] {
            let part = Reasoning {
                text: text.into(),
                signature: signature.into(),
                encrypted: encrypted.into(),
            };
            for detail in details.of(&part, Some(Dialect::Anthropic)) {
                formats.extend(detail.format.map(|_| detail.index));
                detail.add_to(&mut entries);
            }
        }
        let said: Vec<_> =
            entries.iter().map(|it| (&*it.text, &*it.signature, &*it.data, it.index)).collect();
        assert_eq!(
            said,
            [("ab", "S", "", 0), ("c", "", "", 1), ("", "", "E", 2), ("d", "T", "", 3)]
        );
        assert_eq!(formats, [0, 2, 3], "joined, a word said twice would be no word");
    }

    #[test]
    fn who_made_it_is_known_by_our_words_and_by_openrouters() {
        for dialect in Dialect::ALL.into_iter().filter(|it| *it != Dialect::Ollama) {
            assert_eq!(origin(Some(dialect.as_str())), dialect);
        }
        assert_eq!(origin(Some("anthropic-claude-v1")), Dialect::Anthropic);
        assert_eq!(origin(Some("google-gemini-v1")), Dialect::Gemini);
        assert_eq!(origin(Some("openai-responses-v1")), Dialect::Responses);
        assert_eq!(origin(Some("unknown")), Dialect::OpenAi);
        assert_eq!(origin(None), Dialect::OpenAi);
    }
}
