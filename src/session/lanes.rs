//! Which lane a subscription writes on. Pure.

use crate::transport::Lane;

/// The protocol's major version.
pub const PROTOCOL: u32 = 1;

/// The most subscriptions of a session that have a stream of their own. Browsers grant about 100 streams (measured:
/// Chromium 102, Firefox 99) and past that an open waits and costs CPU all the while.
pub const OWN_LANES_MAX: u32 = 64;

/// A session's lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    max: u32,
    /// One bit for each own lane in use.
    taken: u64,
}

impl Lanes {
    /// At most `max` subscriptions get a lane of their own; with 0 all share one.
    pub(super) fn new(max: u32) -> Self {
        Self { max: max.min(OWN_LANES_MAX), taken: 0 }
    }

    /// A lane for a new subscription, which keeps it to its end.
    pub(super) fn assign(&mut self) -> Lane {
        let free = self.taken.trailing_ones();
        if free >= self.max {
            return Lane::Overflow;
        }
        self.taken |= 1 << free;
        Lane::Own(free as u8)
    }

    /// The lane's subscription has ended.
    pub(super) fn release(&mut self, lane: Lane) {
        if let Lane::Own(slot) = lane {
            self.taken &= !(1 << slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_have_their_own_and_the_others_share() {
        let mut lanes = Lanes::new(2);
        let given: Vec<_> = (0..3).map(|_| lanes.assign()).collect();
        assert_eq!(given, [Lane::Own(0), Lane::Own(1), Lane::Overflow]);
        lanes.release(Lane::Overflow);
        assert_eq!(lanes.assign(), Lane::Overflow);
        lanes.release(Lane::Own(0));
        assert_eq!(lanes.assign(), Lane::Own(0), "a freed lane serves a later subscription");
    }

    #[test]
    fn there_are_never_more_than_browsers_grant() {
        let mut lanes = Lanes::new(1_000);
        let own = (0..200).filter(|_| lanes.assign() != Lane::Overflow).count();
        assert_eq!(own, 64);
        assert_eq!(Lanes::new(0).assign(), Lane::Overflow);
    }
}
