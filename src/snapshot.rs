//! A channel folded: the text so far, the tool calls so far, how each generation stands.
//!
//! Folding is a left fold over events, so that folding a prefix and then the rest gives what folding everything gives.
//! It keeps no seqs but those of custom events, and drops `native` payloads: those are only in the log.

use crate::event::{
    Custom, Event, Failed, Finished, Json, Kind, Media, Reasoning, Resumed, Started, ToolArguments,
    ToolCall, Usage,
};

/// Everything up to some seq, folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The generations, by their channel-local index.
    pub generations: Vec<Generation>,
    /// Custom events have no fold: they are kept whole, with their seqs.
    pub customs: Vec<(u64, Custom)>,
    bytes: usize,
}

/// One generation, folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// How it came to be.
    pub started: Started,
    /// What it said; number 0 is always there.
    pub choices: Vec<Choice>,
    /// Sources, as given.
    pub citations: Vec<Json>,
    /// Media, their parts joined.
    pub media: Vec<Media>,
    /// The last token counts.
    pub usage: Option<Usage>,
    /// The splices.
    pub resumed: Vec<Resumed>,
    /// How it ended, once it has.
    pub end: Option<End>,
    /// Its content was given up to keep the channel within its bytes.
    pub evicted: bool,
}

/// How a generation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Well.
    Finished(Finished),
    /// Badly.
    Failed(Failed),
}

/// One of a generation's choices, folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Its number.
    pub number: u32,
    /// The answer so far.
    pub text: String,
    /// The reasoning so far.
    pub reasoning: String,
    /// The refusal so far.
    pub refusal: String,
    /// The tool calls so far.
    pub tool_calls: Vec<Tool>,
    /// Its own end, where there are several choices.
    pub finished: Option<Finished>,
    /// Signatures and encrypted parts of the reasoning, in order, without their text.
    pub sealed: Vec<Reasoning>,
}

/// A tool call, folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tool {
    /// How it began.
    pub call: ToolCall,
    /// Its arguments so far.
    pub arguments: String,
}

impl State {
    /// Folds one more event in. `seq` is the event's number.
    pub fn apply(&mut self, seq: u64, event: Event) {
        let Event { generation, choice, kind } = event;
        match kind {
            Kind::Custom(custom) => {
                self.bytes += custom_bytes(&custom);
                self.customs.push((seq, custom));
            }
            Kind::Native(_) => {}
            kind => {
                let index = generation as usize;
                while self.generations.len() <= index {
                    self.generations.push(Generation::new());
                }
                let generation = &mut self.generations[index];
                if !generation.evicted {
                    self.bytes += generation.apply(choice, kind);
                }
            }
        }
    }

    /// The same state, which came from elsewhere, with its bytes counted.
    pub fn counted(self) -> Self {
        let generations: usize = self.generations.iter().map(Generation::bytes).sum();
        let customs: usize = self.customs.iter().map(|(_, custom)| custom_bytes(custom)).sum();
        Self { bytes: generations + customs, ..self }
    }

    /// About how much memory its content takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives up content until it is within `bytes_max`: generations that have ended, the oldest first, then custom
    /// events, the oldest first. Running generations are never given up.
    pub fn evict(&mut self, bytes_max: usize) {
        for generation in &mut self.generations {
            if self.bytes <= bytes_max {
                return;
            }
            if generation.end.is_some() && !generation.evicted {
                self.bytes = self.bytes.saturating_sub(generation.bytes());
                generation.evict();
            }
        }
        let mut surplus = self.bytes.saturating_sub(bytes_max);
        let given_up = self
            .customs
            .iter()
            .take_while(|(_, custom)| {
                let more = surplus > 0;
                surplus = surplus.saturating_sub(custom_bytes(custom));
                more
            })
            .count();
        for (_, custom) in self.customs.drain(..given_up) {
            self.bytes = self.bytes.saturating_sub(custom_bytes(&custom));
        }
    }

    /// The generation with this id.
    pub fn generation(&self, id: &str) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.started.id == id)
    }
}

impl Generation {
    fn new() -> Self {
        Self { choices: vec![Choice::default()], ..Self::default() }
    }

    /// The choice that stands for the generation where there is one.
    pub fn first_choice(&self) -> &Choice {
        &self.choices[0]
    }

    /// Folds one more event in and tells how many bytes it added.
    fn apply(&mut self, choice: u32, kind: Kind) -> usize {
        match kind {
            Kind::Started(started) => {
                self.started = started;
                0
            }
            Kind::Citation(data) => {
                let bytes = data.len();
                self.citations.push(data);
                bytes
            }
            Kind::Media(media) => self.add_media(media),
            Kind::Usage(usage) => {
                self.usage = Some(usage);
                0
            }
            Kind::Resumed(resumed) => {
                // Whoever looks now wants to know who speaks now; who spoke before is among the splices.
                self.started.provider.clone_from(&resumed.to);
                if !resumed.dialect.is_empty() {
                    self.started.dialect.clone_from(&resumed.dialect);
                }
                self.resumed.push(resumed);
                0
            }
            Kind::Finished(finished) => {
                self.end = Some(End::Finished(finished));
                0
            }
            Kind::Failed(failed) => {
                self.end = Some(End::Failed(failed));
                0
            }
            said => self.choice_mut(choice).apply(said),
        }
    }

    fn choice_mut(&mut self, number: u32) -> &mut Choice {
        let place = match self.choices.binary_search_by_key(&number, |choice| choice.number) {
            Ok(place) => place,
            Err(place) => {
                self.choices.insert(place, Choice { number, ..Choice::default() });
                place
            }
        };
        &mut self.choices[place]
    }

    fn add_media(&mut self, media: Media) -> usize {
        let bytes = media.data.len();
        match self.media.iter_mut().find(|known| known.index == media.index) {
            Some(known) => {
                known.data = [&known.data[..], &media.data].concat().into();
                known.last = media.last;
            }
            None => self.media.push(Media { part: 0, ..media }),
        }
        bytes
    }

    fn bytes(&self) -> usize {
        let choices: usize = self.choices.iter().map(Choice::bytes).sum();
        let citations: usize = self.citations.iter().map(Json::len).sum();
        let media: usize = self.media.iter().map(|media| media.data.len()).sum();
        choices + citations + media
    }

    fn evict(&mut self) {
        let Self { started, end, usage, .. } = std::mem::replace(self, Self::new());
        *self = Self { started, end, usage, evicted: true, ..Self::new() };
    }
}

impl Choice {
    fn apply(&mut self, said: Kind) -> usize {
        match said {
            Kind::Text(text) => extend(&mut self.text, &text),
            Kind::Refusal(text) => extend(&mut self.refusal, &text),
            Kind::Reasoning(Reasoning { text, signature, encrypted }) => {
                let sealed = signature.len() + encrypted.len();
                if sealed > 0 {
                    self.sealed.push(Reasoning { text: String::new(), signature, encrypted });
                }
                sealed + extend(&mut self.reasoning, &text)
            }
            Kind::ToolCall(call) => {
                let bytes = call.id.len() + call.name.len();
                self.tool_calls.push(Tool { call, arguments: String::new() });
                bytes
            }
            Kind::ToolArguments(ToolArguments { index, arguments }) => {
                let tool = self.tool_calls.iter_mut().find(|tool| tool.call.index == index);
                tool.map_or(0, |tool| extend(&mut tool.arguments, &arguments))
            }
            Kind::ChoiceFinished(finished) => {
                self.finished = Some(finished);
                0
            }
            _ => 0,
        }
    }

    fn bytes(&self) -> usize {
        let tools = self.tool_calls.iter();
        let sealed = self.sealed.iter();
        self.text.len()
            + self.reasoning.len()
            + self.refusal.len()
            + tools
                .map(|tool| tool.call.id.len() + tool.call.name.len() + tool.arguments.len())
                .sum::<usize>()
            + sealed.map(|part| part.signature.len() + part.encrypted.len()).sum::<usize>()
    }
}

/// A small one costs more to keep than it says.
fn custom_bytes(custom: &Custom) -> usize {
    size_of::<(u64, Custom)>() + custom.kind.len() + custom.data.len()
}

fn extend(all: &mut String, more: &str) -> usize {
    all.push_str(more);
    more.len()
}
