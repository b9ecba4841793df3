//! What a generation has said so far, as far as it matters when a provider breaks: the text to go on from, and what stands
//! in the way of going on. Pure.

use crate::{
    event::{Event, Kind, RunBy},
    snapshot::Generation,
};

/// A longer text is not given to another provider: it would hardly fit beside the conversation.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The text of choice 0.
    text: String,
    obstacle: Option<&'static str>,
    /// Whether the text is kept: only a generation that may go on needs it.
    keeps: bool,
}

impl Said {
    pub(super) fn new(keeps: bool) -> Self {
        Self { keeps, ..Self::default() }
    }

    /// What was said of a generation that may go on, as its channel tells.
    pub(super) fn of(generation: &Generation) -> Self {
        let mut said = Self::new(true);
        let [choice] = &generation.choices[..] else {
            said.obstacle = Some("it has several choices");
            return said;
        };
        said.text.clone_from(&choice.text);
        said.obstacle = if choice.finished.is_some() {
            Some("it had said its last")
        } else if !choice.refusal.is_empty() {
            Some("a refusal was said")
        } else if !generation.media.is_empty() {
            Some("media was sent")
        } else if !choice.tool_calls.is_empty() {
            Some("a tool call was said")
        } else {
            None
        };
        said.bound();
        said
    }

    /// These are on the channel.
    pub(super) fn note(&mut self, events: &[Event]) {
        for event in events {
            if event.choice != 0 {
                self.obstacle = Some("it has several choices");
            }
            match &event.kind {
                Kind::Text(text) if self.keeps => self.text += text,
                Kind::Refusal(_) => self.obstacle = Some("a refusal was said"),
                Kind::Media(_) => self.obstacle = Some("media was sent"),
                Kind::ToolCall(tool) => {
                    self.obstacle = Some(match tool.run_by {
                        RunBy::Client => "a tool call was said",
                        RunBy::Server => "the provider ran a tool",
                    });
                }
                _ => {}
            }
        }
        self.bound();
    }

    fn bound(&mut self) {
        if self.text.len() > TEXT_BYTES_MAX {
            (self.keeps, self.text) = (false, String::new());
            self.obstacle = Some("its text is too long");
        }
    }

    /// The text so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Why nothing could honestly go on from here.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        self.obstacle
    }
}

/// Whether an event says something that an app or a viewer sees: an attempt that has said nothing can be made again.
pub(super) fn says_something(event: &Event) -> bool {
    match &event.kind {
        Kind::Text(text) | Kind::Refusal(text) => !text.is_empty(),
        Kind::Reasoning(_)
        | Kind::ToolCall(_)
        | Kind::ToolArguments(_)
        | Kind::Citation(_)
        | Kind::Media(_) => true,
        _ => false,
    }
}

/// How many bytes a model made to say this.
pub(super) fn bytes(kind: &Kind) -> u64 {
    let bytes = match kind {
        Kind::Text(text) | Kind::Refusal(text) => text.len(),
        Kind::Reasoning(reasoning) => reasoning.text.len(),
        Kind::ToolCall(tool) => tool.name.len(),
        Kind::ToolArguments(part) => part.arguments.len(),
        _ => 0,
    };
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{FinishReason, Finished, Media, RunBy, ToolCall},
        snapshot::{Choice, State, Tool},
    };

    /// A generation that has said something, as its channel's fold tells.
    fn generation(events: Vec<Event>) -> Generation {
        let mut state = State::default();
        (1..).zip(events).for_each(|(seq, event)| state.apply(seq, event));
        state.generations.remove(0)
    }

    #[test]
    fn another_gateway_learns_from_the_fold_what_this_one_noted() {
        let call = Kind::ToolCall(ToolCall { run_by: RunBy::Client, ..ToolCall::default() });
        let cases = [
            vec![Event::text("a"), Event::text("b")],
            vec![Event::text("a"), Event::new(Kind::Refusal("no".into()))],
            vec![Event::text("a"), Event::new(call)],
            vec![Event::text("a"), Event::new(Kind::Media(Media::default()))],
            vec![Event::text("a"), Event::text("b").of_choice(1)],
            vec![Event::text("x".repeat(TEXT_BYTES_MAX + 1))],
        ];
        for (number, events) in cases.into_iter().enumerate() {
            let mut noted = Said::new(true);
            noted.note(&events);
            let told = Said::of(&generation(events));
            assert_eq!(told.obstacle().is_some(), noted.obstacle().is_some(), "{number}");
            assert_eq!(told.obstacle().is_some(), number > 0, "{number}");
            if number == 0 {
                assert_eq!((told.text(), noted.text()), ("ab", "ab"));
            }
        }
        let last = Finished { reason: FinishReason::Stop, native_reason: None };
        let ended = Choice { finished: Some(last), ..Choice::default() };
        let ended = Generation { choices: vec![ended], ..Generation::default() };
        assert!(Said::of(&ended).obstacle().is_some(), "it had said its last");
        let tools = Choice { tool_calls: vec![Tool::default()], ..Choice::default() };
        let tools = Generation { choices: vec![tools], ..Generation::default() };
        assert!(Said::of(&tools).obstacle().is_some());
    }
}
