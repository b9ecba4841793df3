//! In which numbers an app counts that was served the provider's own payloads.
//!
//! Such an app goes on from a `sequence_number` of the provider's, which is no seq of the channel. Payloads mostly say one
//! event each, so the pairs fall into few runs.

/// The most runs that are kept: an item has a handful. Beyond them an app can only go on from what is known.
const RUNS_MAX: usize = 4096;

/// Which seq the channel had reached with each `sequence_number`.
///
/// Once the app has come back, the provider's own payloads are not told any more, and what follows is numbered on from
/// where it was. So there is one point at which the provider's numbers end and the encoder's begin: [`last`](Self::last).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Numbers {
    runs: Vec<Run>,
    /// An app has come back: the provider's numbers are over.
    over: bool,
}

/// Numbers in a row, and seqs that rise with them or stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    number: u64,
    seq: u64,
    /// How many follow the first.
    more: u64,
    rises: bool,
}

impl Run {
    fn last(self) -> u64 {
        self.number + self.more
    }

    fn seq_at(self, number: u64) -> u64 {
        let steps = if self.rises { (number - self.number).min(self.more) } else { 0 };
        self.seq + steps
    }
}

impl Numbers {
    /// Notes that with the payload of this number the channel had reached `seq`. Numbers rise; one that does not is a
    /// provider's mistake and passed over.
    pub(in crate::api) fn note(&mut self, number: u64, seq: u64) {
        if self.over {
            return;
        }
        if let Some(last) = self.runs.last_mut() {
            let (end, reached) = (last.last(), last.seq_at(last.last()));
            if number <= end || seq < reached {
                return;
            }
            let next = number == end + 1;
            let rises = seq == reached + 1;
            let fits = last.more == 0 || last.rises == rises;
            if next && (rises || seq == reached) && fits {
                last.more += 1;
                last.rises = rises;
                return;
            }
        }
        if self.runs.len() < RUNS_MAX {
            self.runs.push(Run { number, seq, more: 0, rises: false });
        }
    }

    /// The last number that was noted, and its seq: behind it the encoder counts on. `None`: it counts from the beginning.
    pub(in crate::api) fn last(&self) -> Option<(u64, u64)> {
        let run = self.runs.last()?;
        Some((run.last(), run.seq_at(run.last())))
    }

    /// The app goes on after this number, or from the beginning: it is forgotten what was noted behind it, and nothing is
    /// noted any more. `before` is the seq before the response's first event. A number before all that was noted is the
    /// beginning's.
    pub(in crate::api) fn go_on_after(&mut self, number: Option<u64>, before: u64) {
        self.over = true;
        let Some(number) = number else { return self.runs.clear() };
        let Some(last) = self.last() else { return };
        if number >= last.0 {
            return;
        }
        let seq = self.seq(number).unwrap_or(before);
        self.runs.truncate(self.runs.partition_point(|run| run.number <= number));
        match self.runs.last_mut() {
            Some(run) if number <= run.last() => run.more = number - run.number,
            _ => self.runs.push(Run { number, seq, more: 0, rises: false }),
        }
    }

    /// Whether there were more than are noted, so that what comes behind the last is not known.
    pub(in crate::api) fn is_full(&self) -> bool {
        self.runs.len() >= RUNS_MAX
    }

    /// The seq after which to go on for an app that has seen everything up to `number`; `None` where that is not known.
    /// Numbers that were skipped said nothing.
    pub(in crate::api) fn seq(&self, number: u64) -> Option<u64> {
        let after = self.runs.partition_point(|run| run.number <= number);
        let run = self.runs[..after].last()?;
        let known = after < self.runs.len() || number <= run.last() || self.runs.len() < RUNS_MAX;
        known.then(|| run.seq_at(number))
    }

    /// About how much memory it takes.
    pub(in crate::api) fn bytes(&self) -> usize {
        self.runs.len() * size_of::<Run>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_of_many_deltas_takes_few_runs() {
        let mut numbers = Numbers::default();
        // created, in_progress, added and part say one event between them; the rest one each.
        let mut seq = 10;
        for number in 0..1000u64 {
            seq += u64::from(number == 2 || number > 3);
            numbers.note(number, seq);
        }
        assert!(numbers.runs.len() <= 4, "{:?}", numbers.runs);
        assert_eq!(
            (numbers.seq(0), numbers.seq(3), numbers.seq(4)),
            (Some(10), Some(11), Some(12))
        );
        assert_eq!(numbers.seq(999), Some(seq));
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.seq(0), None);
        numbers.note(5, 1);
        assert_eq!((numbers.seq(4), numbers.seq(9)), (None, Some(1)));
        for number in 0..10_000u64 {
            numbers.note(6 + number * 3, 2 + number * 5);
        }
        assert_eq!(numbers.runs.len(), RUNS_MAX);
        assert_eq!(numbers.seq(30_000), None);
        assert!(numbers.bytes() < 256 * 1024);
    }

    #[test]
    fn what_follows_is_numbered_on_from_where_the_app_was() {
        let mut noted = Numbers::default();
        for (number, seq) in [(2, 5), (3, 6), (4, 7), (5, 7), (9, 8), (10, 9)] {
            noted.note(number, seq);
        }
        assert_eq!(noted.last(), Some((10, 9)));
        for (number, last) in [
            (Some(1), Some((1, 4))),
            (Some(3), Some((3, 6))),
            (Some(5), Some((5, 7))),
            // Between two that were noted.
            (Some(7), Some((7, 7))),
            (Some(10), Some((10, 9))),
            (Some(40), Some((10, 9))),
            (None, None),
        ] {
            let mut numbers = noted.clone();
            numbers.go_on_after(number, 4);
            numbers.note(100, 100);
            assert_eq!(numbers.last(), last, "{number:?}");
        }
    }

    proptest! {
        #[test]
        fn every_number_that_was_noted_is_found(steps in prop::collection::vec((1..3u64, 0..3u64), 1..60)) {
            let mut numbers = Numbers::default();
            let mut noted = Vec::new();
            let (mut number, mut seq) = (0, 0);
            for (by, to) in steps {
                number += by;
                seq += to;
                numbers.note(number, seq);
                noted.push((number, seq));
            }
            for (number, seq) in noted {
                prop_assert_eq!(numbers.seq(number), Some(seq));
            }
        }
    }
}
