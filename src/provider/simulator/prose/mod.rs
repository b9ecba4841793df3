//! What the simulator writes about: words that travel, readers that leave and come back, and the log that waits.
//!
//! Sentences are templates with choices in braces, `{the log|the river} waits`, which may nest; a grammar of blocks
//! (paragraph, list, quotation, table, code) puts them together. A sentence does not repeat within a text before all
//! others of its kind have been said.

mod english;
mod languages;

use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};

use english as en;
use languages::{LANGUAGES, Language};

/// What kind of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Genre {
    /// A page in answer to a question.
    Answer,
    /// A word from each of many languages.
    Languages,
    /// Chapters.
    Book,
    /// Thinking aloud.
    Thought,
}

/// Enough for some four thousand tokens.
const CHAPTERS: usize = 12;
/// A prompt of at most so many characters is shown above its answer.
const PROMPT_CHARS_SHOWN: usize = 80;

/// A whole text, from its opening to its end.
pub(super) fn compose(genre: Genre, prompt: &str, rng: &mut StdRng) -> String {
    match genre {
        Genre::Answer => match asked_language(prompt) {
            Some(language) => page(language, rng),
            None => answer(prompt, rng),
        },
        Genre::Languages => tour(rng),
        Genre::Book => book(rng),
        Genre::Thought => Deck::new(&en::THOUGHTS, rng).sentences(7, rng),
    }
}

/// Another block of a text without an end.
pub(super) fn block(genre: Genre, rng: &mut StdRng) -> String {
    match genre {
        Genre::Answer | Genre::Book => {
            let mut deck = Deck::new(&en::SENTENCES, rng);
            match rng.random_range(0..6) {
                0 => format!("## {}\n\n", pick(&en::TITLES, rng)),
                1 => inset(rng),
                _ => deck.sentences(4, rng) + "\n\n",
            }
        }
        Genre::Languages => page(LANGUAGES.choose(rng).expect("there are languages"), rng),
        Genre::Thought => Deck::new(&en::THOUGHTS, rng).sentences(3, rng) + "\n\n",
    }
}

fn answer(prompt: &str, rng: &mut StdRng) -> String {
    let mut deck = Deck::new(&en::SENTENCES, rng);
    let mut text = String::new();
    let prompt = prompt.trim();
    if !prompt.is_empty() && !prompt.contains('\n') && prompt.chars().count() <= PROMPT_CHARS_SHOWN
    {
        text += &format!("> {prompt}\n\n");
    }
    text += &format!("{} {}\n\n", pick(&en::OPENINGS, rng), deck.sentences(2, rng));
    text += &format!("### {}\n\n", pick(&en::TITLES, rng));
    text += &format!("{}\n\n{}", deck.sentences(3, rng), inset(rng));
    text += &format!("{}\n\n", deck.sentences(3, rng));
    text += &pick(&en::CLOSINGS, rng);
    text
}

fn tour(rng: &mut StdRng) -> String {
    let mut order: Vec<_> = LANGUAGES.iter().collect();
    order.shuffle(rng);
    let mut text = String::from("# One thought, many scripts 🌍\n\n");
    for language in order {
        text += &page(language, rng);
    }
    text + &pick(&languages::SIGNS, rng)
}

fn book(rng: &mut StdRng) -> String {
    let mut deck = Deck::new(&en::SENTENCES, rng);
    let mut titles = Deck::new(&en::TITLES, rng);
    let mut text = String::from("# The Log of the Night Ferry ⛴️\n\n");
    for chapter in 1..=CHAPTERS {
        text += &format!("## {chapter}. {}\n\n", titles.sentences(1, rng));
        for _ in 0..2 {
            text += &format!("{}\n\n", deck.sentences(4, rng));
        }
        text += &inset(rng);
        text += &format!("{}\n\n", deck.sentences(4, rng));
    }
    text + &pick(&en::CLOSINGS, rng)
}

/// A heading and a paragraph in another language.
fn page(language: &Language, rng: &mut StdRng) -> String {
    let mut deck = Deck::new(language.sentences, rng);
    let text = deck.sentences(3, rng);
    let text = if language.spaced { text } else { text.replace(' ', "") };
    format!("## {} {}\n\n{text}\n\n", language.flag, language.name)
}

/// Something between two paragraphs.
fn inset(rng: &mut StdRng) -> String {
    match rng.random_range(0..5) {
        0 => format!("> {}\n\n", pick(&en::QUOTES, rng)),
        1 => {
            let mut points = Deck::new(&en::POINTS, rng);
            let points = (1..=4).map(|number| format!("{number}. {}\n", points.sentences(1, rng)));
            points.collect::<String>() + "\n"
        }
        2 => {
            let mut points = Deck::new(&en::POINTS, rng);
            (0..3).map(|_| format!("- {}\n", points.sentences(1, rng))).collect::<String>() + "\n"
        }
        3 => table(rng),
        _ => format!("{}\n\n", en::CODE.choose(rng).expect("there is code")),
    }
}

/// What a reader saw on the way.
fn table(rng: &mut StdRng) -> String {
    let mut text = String::from("| place | last seen | waited |\n| --- | ---: | ---: |\n");
    let mut seq = rng.random_range(10..90);
    for place in en::PLACES.choose_multiple(rng, 4) {
        text += &format!("| {place} | {seq} | {} ms |\n", rng.random_range(40..480));
        seq += rng.random_range(7..60);
    }
    text + "\n"
}

/// The language whose script or name the prompt uses.
fn asked_language(prompt: &str) -> Option<&'static Language> {
    let spoken = |language: &&Language| {
        prompt.contains(language.name) || prompt.chars().any(|char| (language.script)(char))
    };
    LANGUAGES.iter().filter(|language| language.name != "English").find(spoken)
}

fn pick(templates: &[&str], rng: &mut StdRng) -> String {
    expand(templates.choose(rng).expect("there are templates"), rng)
}

/// Templates in a shuffled order, dealt out one after another, then shuffled anew.
struct Deck {
    templates: Vec<&'static str>,
    next: usize,
}

impl Deck {
    fn new(templates: &[&'static str], rng: &mut StdRng) -> Self {
        let mut templates = templates.to_vec();
        templates.shuffle(rng);
        Self { templates, next: 0 }
    }

    fn sentences(&mut self, count: usize, rng: &mut StdRng) -> String {
        let mut sentences = Vec::with_capacity(count);
        for _ in 0..count {
            if self.next == self.templates.len() {
                self.templates.shuffle(rng);
                self.next = 0;
            }
            sentences.push(expand(self.templates[self.next], rng));
            self.next += 1;
        }
        sentences.join(" ")
    }
}

/// Takes one of the choices in each pair of braces.
fn expand(template: &str, rng: &mut StdRng) -> String {
    let Some(open) = template.find('{') else { return template.to_owned() };
    let mut depth = 0;
    let mut start = open + 1;
    let mut choices = Vec::new();
    for (at, sign) in template.match_indices(['{', '|', '}']).skip_while(|(at, _)| *at < open) {
        match sign {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && sign == "|") {
            choices.push(&template[start..at]);
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    let chosen = choices.choose(rng).expect("braces in templates are closed");
    let chosen = expand(chosen, rng);
    format!("{}{chosen}{}", &template[..open], expand(&template[start..], rng))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rng(seed: u64) -> StdRng {
        StdRng::seed_from_u64(seed)
    }

    #[test]
    fn choices_in_braces_may_nest() {
        let all: std::collections::BTreeSet<_> =
            (0..64).map(|seed| expand("a {b|c {d|e}} f", &mut rng(seed))).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["a b f", "a c d f", "a c e f"]);
    }

    #[test]
    fn every_template_expands_without_leaving_braces() {
        let english = [
            &en::SENTENCES[..],
            &en::THOUGHTS,
            &en::TITLES,
            &en::QUOTES,
            &en::POINTS,
            &en::OPENINGS,
        ];
        let others = LANGUAGES.iter().map(|language| language.sentences);
        for template in english.into_iter().chain(others).flatten() {
            for seed in 0..8 {
                let text = expand(template, &mut rng(seed));
                assert!(!text.contains(['{', '|', '}']), "{template} gave {text}");
            }
        }
    }

    #[test]
    fn a_prompt_in_another_script_is_answered_in_its_language() {
        for (prompt, flag) in [("こんにちは", "🇯🇵"), ("नमस्ते", "🇮🇳"), ("bitte auf Deutsch", "🇩🇪")]
        {
            let text = compose(Genre::Answer, prompt, &mut rng(1));
            assert!(text.contains(flag), "{prompt} got {text}");
        }
    }

    #[test]
    fn the_tour_visits_every_language() {
        let text = compose(Genre::Languages, "", &mut rng(7));
        assert!(LANGUAGES.iter().all(|language| text.contains(language.name)));
        assert!(text.contains('\u{200d}'), "a joined emoji");
        assert!(text.contains('\u{301}'), "a combining mark");
    }
}
