//! Who lives: this node as long as its lease holds, others as long as they are heard of. Pure, but for the clock.
//!
//! A node says that it lives six times in a lease, and its lease holds for its span from the *sending* of the last word that NATS has
//! acknowledged. Others give it up a span and a sixth after *hearing* it, which is later: so while a node's lease holds nobody takes
//! its channels over, whatever the machines' clocks say.
//!
//! When NATS is away nobody is heard, and the last word before may be a sixth of a span old by then: that is what the sixth is for.
//! Whoever was cut off, or had no lease of its own, gives all others a whole span from when it is back. So where NATS is away for less
//! than a span, nobody is given up for it.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

pub(super) struct Lease {
    node: String,
    span: Duration,
    state: Mutex<State>,
}

struct State {
    until: Option<Instant>,
    /// Since when others can be heard without a break.
    since: Instant,
    /// How many times it was had anew after it had lapsed.
    term: u64,
    heard: HashMap<String, Instant>,
    /// Those that said that they go, and when: their names do not come again.
    left: HashMap<String, Instant>,
}

impl Lease {
    pub(super) fn new(node: String, span: Duration) -> Self {
        let since = Instant::now();
        let state =
            State { until: None, since, term: 0, heard: HashMap::new(), left: HashMap::new() };
        Self { node, span, state: Mutex::new(state) }
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn span(&self) -> Duration {
        self.span
    }

    /// How often a node says that it lives.
    pub(super) fn beat(&self) -> Duration {
        self.span / 6
    }

    /// NATS is there again: what others said meanwhile was not heard.
    pub(super) fn is_back(&self, now: Instant) {
        let mut state = self.state.lock();
        state.since = state.since.max(now);
    }

    /// A word sent at this time was acknowledged.
    pub(super) fn renewed(&self, sent: Instant, now: Instant) {
        let mut state = self.state.lock();
        if state.until.is_none_or(|until| until <= now) {
            state.since = now;
            state.term += 1;
        }
        let until = sent + self.span;
        state.until = Some(state.until.map_or(until, |before| before.max(until)));
    }

    /// Which time of holding this is; `None`: it does not hold.
    pub(super) fn term(&self, now: Instant) -> Option<u64> {
        let state = self.state.lock();
        state.until.is_some_and(|until| now < until).then_some(state.term)
    }

    pub(super) fn heard(&self, node: &str, now: Instant) {
        if node != self.node {
            self.state.lock().heard.insert(node.to_owned(), now);
        }
    }

    /// A node goes, and writes nothing more.
    pub(super) fn left(&self, node: &str, now: Instant) {
        let mut state = self.state.lock();
        state.heard.remove(node);
        let span = self.span;
        state.left.retain(|_, left| now < *left + 10 * span);
        state.left.insert(node.to_owned(), now);
    }

    /// Whether a node may still live. Whoever has not heard for long itself cannot tell, and takes it that all do.
    pub(super) fn is_alive(&self, node: &str, now: Instant) -> bool {
        let state = self.state.lock();
        if node == self.node || state.until.is_none_or(|until| until <= now) {
            return true;
        }
        if state.left.contains_key(node) {
            return false;
        }
        let heard = state.heard.get(node).copied().unwrap_or(state.since).max(state.since);
        now < heard + self.span + self.beat()
    }

    /// The nodes that live, this one too.
    pub(super) fn alive(&self, now: Instant) -> Vec<String> {
        let mut alive: Vec<String> = {
            let mut state = self.state.lock();
            let span = self.span;
            state.heard.retain(|_, heard| now < *heard + 10 * span);
            state.heard.keys().cloned().collect()
        };
        alive.retain(|node| self.is_alive(node, now));
        alive.push(self.node.clone());
        alive.sort();
        alive
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPAN: Duration = Duration::from_secs(3);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_ends_before_anybody_takes_over() {
        let t0 = Instant::now();
        let (a, b) = (Lease::new("a".into(), SPAN), Lease::new("b".into(), SPAN));
        b.renewed(t0, t0);
        // Sent at 0, acknowledged and heard of half a second later; b goes on.
        a.renewed(t0, t0 + SECOND / 2);
        b.heard("a", t0 + SECOND / 2);
        b.renewed(t0 + 3 * SECOND, t0 + 3 * SECOND - SECOND / 10);
        for tenth in 0..60 {
            let now = t0 + tenth * SECOND / 10;
            let (holds, lives) = (a.term(now).is_some(), b.is_alive("a", now));
            assert!(!holds || lives, "at {tenth}");
        }
        assert!(a.term(t0 + 3 * SECOND).is_none());
        assert!(b.is_alive("a", t0 + 4 * SECOND - SECOND / 100));
        assert!(!b.is_alive("a", t0 + 4 * SECOND), "half a second, a span and a sixth");
    }

    #[test]
    fn nobody_waits_for_a_node_that_has_said_that_it_goes() {
        let t0 = Instant::now();
        let b = Lease::new("b".into(), SPAN);
        b.renewed(t0, t0);
        b.heard("a", t0);
        assert!(b.is_alive("a", t0 + SECOND));
        b.left("a", t0 + SECOND);
        assert!(!b.is_alive("a", t0 + SECOND));
        assert_eq!(b.alive(t0 + SECOND), ["b"]);
    }

    #[test]
    fn whoever_was_cut_off_does_not_judge_others() {
        let t0 = Instant::now();
        let b = Lease::new("b".into(), SPAN);
        assert!(b.is_alive("a", t0 + 60 * SECOND), "it has never been heard of itself");
        b.renewed(t0, t0);
        b.heard("a", t0);
        // Ten seconds without NATS for either: the first to be back gives the other its span.
        b.renewed(t0 + 10 * SECOND, t0 + 10 * SECOND);
        assert!(b.is_alive("a", t0 + 12 * SECOND));
        assert_eq!(b.term(t0 + 12 * SECOND), Some(2));
        b.renewed(t0 + 12 * SECOND, t0 + 12 * SECOND);
        assert!(b.is_alive("a", t0 + 13 * SECOND));
        assert!(!b.is_alive("a", t0 + 14 * SECOND));
        assert_eq!(b.alive(t0 + 14 * SECOND), ["b"]);
    }

    /// Two nodes, each with its own phase, as `tasks` drives them; NATS takes and hands on nothing in an outage, and each finds it back
    /// after a while of its own.
    struct Pair {
        leases: [Lease; 2],
        next: [Instant; 2],
        back: [Instant; 2],
    }

    impl Pair {
        fn beat(&self, node: usize, now: Instant) {
            self.leases[node].renewed(now, now);
            self.leases[1 - node].heard(["a", "b"][node], now);
        }
    }

    proptest! {
        #[test]
        fn an_outage_shorter_than_the_lease_ends_nobody(
            phases in [0..500_u64, 0..500_u64],
            begins in 4_000..7_000_u64,
            lasts in 1..2_800_u64,
            late in [0..150_u64, 0..150_u64],
        ) {
            let t0 = Instant::now();
            let ms = Duration::from_millis;
            let (down, up) = (t0 + ms(begins), t0 + ms(begins + lasts));
            let mut pair = Pair {
                leases: ["a", "b"].map(|name| Lease::new(name.into(), SPAN)),
                next: phases.map(|phase| t0 + ms(phase)),
                back: late.map(|late| up + ms(late)),
            };
            pair.beat(0, t0);
            pair.beat(1, t0);
            for now in (0..15_000).step_by(10).map(|at| t0 + ms(at)) {
                for node in [0, 1] {
                    let (beat, back) = (pair.leases[node].beat(), pair.back[node]);
                    let away = now >= down && now < back;
                    if now >= back && now < back + ms(10) {
                        // Nobody heard before the other had it back is heard now.
                        pair.leases[node].is_back(now);
                        pair.next[node] = now;
                    }
                    if now >= pair.next[node] {
                        pair.next[node] = now + beat;
                        let other_hears = now < down || now >= pair.back[1 - node];
                        match (away, other_hears) {
                            (true, _) => {}
                            (false, true) => pair.beat(node, now),
                            (false, false) => pair.leases[node].renewed(now, now),
                        }
                    }
                    let other = ["b", "a"][node];
                    prop_assert!(pair.leases[node].is_alive(other, now), "{other} was given up");
                }
            }
        }
    }
}
