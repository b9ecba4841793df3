//! Which aliases a session has used up. Pure.

use std::collections::BTreeMap;

/// The most separate runs of numbers that are remembered. A client that counts up makes one.
const RUNS_MAX: usize = 4_096;

/// The aliases used so far, as runs of consecutive numbers: a client that counts up costs the same for ever.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// First to last.
    runs: BTreeMap<u32, u32>,
}

/// Why an alias was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It is 0, or was used before.
    Used,
    /// The aliases are too scattered to remember.
    Scattered,
}

impl Aliases {
    /// Takes an alias, once.
    pub(super) fn take(&mut self, alias: u32) -> Result<(), NotTaken> {
        if alias == 0 || self.was_used(alias) {
            return Err(NotTaken::Used);
        }
        let before = self.runs.range(..alias).next_back().map(|(first, last)| (*first, *last));
        let joined = before.filter(|(_, last)| *last == alias - 1);
        let after = alias.checked_add(1).and_then(|next| self.runs.remove(&next));
        if joined.is_none() && after.is_none() && self.runs.len() == RUNS_MAX {
            return Err(NotTaken::Scattered);
        }
        let first = joined.map_or(alias, |(first, _)| first);
        self.runs.insert(first, after.unwrap_or(alias));
        Ok(())
    }

    /// Whether it was ever taken.
    pub(super) fn was_used(&self, alias: u32) -> bool {
        self.runs.range(..=alias).next_back().is_some_and(|(_, last)| alias <= *last)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_client_that_counts_up_costs_one_run() {
        let mut aliases = Aliases::default();
        for alias in 1..10_000 {
            assert_eq!(aliases.take(alias), Ok(()));
        }
        assert_eq!(aliases.runs.len(), 1);
        assert_eq!(aliases.take(0), Err(NotTaken::Used));
    }

    #[test]
    fn scattered_aliases_are_bounded() {
        let mut aliases = Aliases::default();
        let taken = (1..20_000).step_by(2).filter(|alias| aliases.take(*alias).is_ok()).count();
        assert_eq!(taken, RUNS_MAX);
        assert_eq!(aliases.take(u32::MAX), Err(NotTaken::Scattered));
    }

    proptest! {
        #[test]
        fn each_alias_is_taken_once(wanted in prop::collection::vec(1u32..60, 0..100)) {
            let mut aliases = Aliases::default();
            let mut model = HashSet::new();
            for alias in wanted {
                prop_assert_eq!(aliases.take(alias).is_ok(), model.insert(alias));
                prop_assert!((0..70).all(|alias| aliases.was_used(alias) == model.contains(&alias)));
            }
        }
    }
}
