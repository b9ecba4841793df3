//! How many bytes of requests' bodies are held at once: of all together, and of one access key at most half of that, so that
//! none keeps the others out.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::ident::Owner;

/// All bodies that are held.
#[derive(Debug)]
pub(super) struct Bodies(Mutex<State>);

#[derive(Debug)]
struct State {
    max: usize,
    held: usize,
    by: HashMap<Owner, usize>,
}

/// One body's bytes among all, until it is dropped.
#[derive(Debug)]
pub struct BodyRoom {
    all: Arc<Bodies>,
    owner: Option<Owner>,
    bytes: usize,
}

impl Bodies {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { max, held: 0, by: HashMap::new() })))
    }

    /// From now on so many bytes may be held. What is held stays.
    pub(super) fn limit(&self, max: usize) {
        self.0.lock().max = max;
    }

    /// A body of which nothing has come yet, on an access key's account.
    pub(super) fn begin(self: &Arc<Self>, owner: Option<Owner>) -> BodyRoom {
        BodyRoom { all: Arc::clone(self), owner, bytes: 0 }
    }
}

impl State {
    /// So many bytes more. Says whether there was room for them.
    fn take(&mut self, owner: Option<&Owner>, bytes: usize) -> bool {
        let fits = |held: usize, max: usize| held.checked_add(bytes).filter(|all| *all <= max);
        let Some(held) = fits(self.held, self.max) else { return false };
        if let Some(owner) = owner {
            let of_one = self.by.get(owner).copied().unwrap_or_default();
            let Some(of_one) = fits(of_one, self.max / 2) else { return false };
            self.by.insert(owner.clone(), of_one);
        }
        self.held = held;
        true
    }

    fn give_back(&mut self, owner: Option<&Owner>, bytes: usize) {
        self.held -= bytes;
        let Some(owner) = owner else { return };
        match self.by.get_mut(owner) {
            Some(of_one) if *of_one > bytes => *of_one -= bytes,
            _ => _ = self.by.remove(owner),
        }
    }
}

impl BodyRoom {
    /// So many bytes more have come. Says whether there was room for them.
    pub fn take(&mut self, bytes: usize) -> bool {
        let taken = self.all.0.lock().take(self.owner.as_ref(), bytes);
        self.bytes += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.all.0.lock().give_back(self.owner.as_ref(), self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bodies: &Bodies) -> (usize, usize) {
        let state = bodies.0.lock();
        (state.held, state.by.len())
    }

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let bodies = Bodies::new(10);
        let (mut one, mut other) = (bodies.begin(None), bodies.begin(None));
        assert!(one.take(6) && !other.take(5) && other.take(4) && !one.take(1));
        assert!(!other.take(usize::MAX), "no sum overflows");
        drop(one);
        assert_eq!(held(&bodies), (4, 0));
        assert!(other.take(6));
        bodies.limit(5);
        assert!(!bodies.begin(None).take(1), "what is held stays, and counts");
        drop(other);
        assert_eq!(held(&bodies), (0, 0));
    }

    #[test]
    fn one_key_leaves_half_to_the_others() {
        let bodies = Bodies::new(10);
        let of = |name: &str| bodies.begin(Some(Owner::new(name)));
        let (mut one, mut again, mut other) = (of("a"), of("a"), of("b"));
        assert!(one.take(3) && again.take(2) && !again.take(1) && !one.take(1));
        assert!(other.take(5) && !other.take(1));
        drop(one);
        assert!(again.take(3) && !again.take(1));
        drop((again, other));
        assert_eq!(held(&bodies), (0, 0));
    }
}
