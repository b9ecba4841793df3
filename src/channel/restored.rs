//! What a kept log tells of its generations: which there were, and which of them have ended. Pure.

use crate::{
    event::{Event, Kind, Started},
    snapshot::State,
};

/// Which generations a log tells of, and which of them have ended.
#[derive(Default)]
pub(super) struct Restored {
    pub(super) generations: Vec<Started>,
    pub(super) ended: Vec<bool>,
}

impl Restored {
    pub(super) fn base(&mut self, state: &State) {
        for generation in &state.generations {
            self.generations.push(generation.started.clone());
            self.ended.push(generation.end.is_some());
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        let index = event.generation as usize;
        match event.kind {
            Kind::Started(started) if index == self.generations.len() => {
                self.generations.push(started);
                self.ended.push(false);
            }
            Kind::Finished(_) | Kind::Failed(_) => {
                if let Some(ended) = self.ended.get_mut(index) {
                    *ended = true;
                }
            }
            _ => {}
        }
    }
}
