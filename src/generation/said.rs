//! What a generation has said so far, as far as it matters when a provider breaks: the text to go on from, and what stands
//! in the way of going on. Pure.

use crate::event::{Event, Kind, RunBy};

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
