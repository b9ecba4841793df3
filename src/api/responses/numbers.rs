//! In which numbers an app counts that was served the provider's own payloads.
//!
//! Such an app goes on from a `sequence_number` of the provider's, which is no seq of the channel. Payloads mostly say one
//! event each, so the pairs fall into few runs.

/// The most runs that are kept: an item has a handful. Beyond them an app can only go on from what is known.
const RUNS_MAX: usize = 4096;

/// Which seq the channel had reached with each `sequence_number`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    runs: Vec<Run>,
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
    pub fn note(&mut self, number: u64, seq: u64) {
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

    /// Whether nothing was noted: the app counts in the encoder's numbers.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The seq after which to go on for an app that has seen everything up to `number`; `None` where that is not known.
    /// Numbers that were skipped said nothing.
    pub fn seq(&self, number: u64) -> Option<u64> {
        let after = self.runs.partition_point(|run| run.number <= number);
        let run = self.runs[..after].last()?;
        let known = after < self.runs.len() || number <= run.last() || self.runs.len() < RUNS_MAX;
        known.then(|| run.seq_at(number))
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
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
