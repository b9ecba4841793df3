//! Seats: how many generations, bodies, sessions and subscriptions there may be, in all, from one address and for one client; and how
//! often each of them may publish.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use governor::{Quota, RateLimiter, middleware::NoOpMiddleware, state::keyed::HashMapStateStore};
use parking_lot::{Mutex, RwLock};
use thiserror::Error;

use super::{
    super::Refusal,
    bodies::{Bodies, BodyRoom},
    rate::Clock,
};
use crate::{config::Limits, ident::Owner, telemetry::Metrics};

/// Whom something is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Everybody who comes from there.
    Address(IpAddr),
    /// An app's client, by the name that its tokens give it.
    Client(Owner, String),
    /// The holder of an access key.
    Key(Owner),
}

/// All that is taken. Whoever is refused is counted.
#[derive(Debug)]
pub struct Seats {
    rules: RwLock<Rules>,
    metrics: Metrics,
    taken: Mutex<Taken>,
    bodies: Arc<Bodies>,
    clock: Clock,
}

/// What holds now.
#[derive(Debug)]
struct Rules {
    limits: Limits,
    publishes: Option<Publishes>,
}

type Publishes = RateLimiter<Who, HashMapStateStore<Who>, Clock, NoOpMiddleware<Duration>>;

#[derive(Debug, Default)]
struct Taken {
    generations: usize,
    sessions: usize,
    by: HashMap<Who, Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sessions: usize,
    subscriptions: usize,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", self.as_str())]
pub enum NoSeat {
    /// In all.
    Sessions,
    /// From there.
    Address,
    /// For one client.
    Client,
    /// Subscriptions of one address or client.
    Subscriptions,
}

impl NoSeat {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "the gateway has as many sessions as it takes",
            Self::Address => "as many sessions as may come from one address are there",
            Self::Client => "as many sessions as one client may have are there",
            Self::Subscriptions => {
                "as many subscriptions as one client or address may have are there"
            }
        }
    }
}

impl Seats {
    /// Nobody is there yet.
    pub fn new(limits: Limits, metrics: Metrics) -> Arc<Self> {
        let clock = Clock::default();
        let bodies = Bodies::new(limits.bodies);
        let rules = RwLock::new(Rules::new(limits, &clock));
        Arc::new(Self { rules, metrics, taken: Mutex::default(), bodies, clock })
    }

    /// From now on these limits hold. Whoever has a seat keeps it.
    pub fn limit(&self, limits: Limits) {
        self.bodies.limit(limits.bodies);
        let mut rules = self.rules.write();
        match rules.limits.publishes_per_minute == limits.publishes_per_minute {
            true => rules.limits = limits,
            false => *rules = Rules::new(limits, &self.clock),
        }
    }

    /// A body is to come, on an access key's account.
    pub fn body(&self, owner: Option<Owner>) -> BodyRoom {
        self.bodies.begin(owner)
    }

    /// A generation is to begin. `None`: there is no room.
    pub fn generation(self: &Arc<Self>) -> Option<Turn> {
        let max = self.rules.read().limits.generations;
        let mut taken = self.taken.lock();
        if is_reached(max, taken.generations) {
            Refusal::Overloaded.count(&self.metrics);
            return None;
        }
        taken.generations += 1;
        Some(Turn { seats: Arc::clone(self) })
    }

    /// A session comes from this address. An app's own, with its access key, is counted among all and for the app: it may
    /// well speak for thousands of screens.
    pub fn session(self: &Arc<Self>, address: IpAddr, app: Option<&Owner>) -> Result<Seat, NoSeat> {
        let (all, max) = {
            let Limits { sessions, sessions_per_address, .. } = self.rules.read().limits;
            (sessions, sessions_per_address)
        };
        let mut taken = self.taken.lock();
        if is_reached(all, taken.sessions) {
            return Err(self.no(NoSeat::Sessions));
        }
        let (who, max) = match app {
            Some(owner) => (Who::Key(owner.clone()), None),
            None => (Who::Address(address), max),
        };
        self.sit(&mut taken, who, max, true).ok_or_else(|| self.no(NoSeat::Address))
    }

    /// The session turns out to be this client's.
    pub fn client(self: &Arc<Self>, owner: &Owner, client: &str) -> Result<Seat, NoSeat> {
        let who = Who::Client(owner.clone(), client.to_owned());
        let max = self.rules.read().limits.sessions_per_client;
        self.sit(&mut self.taken.lock(), who, max, false).ok_or_else(|| self.no(NoSeat::Client))
    }

    fn sit(
        self: &Arc<Self>,
        taken: &mut Taken,
        who: Who,
        max: Option<std::num::NonZeroU32>,
        counts: bool,
    ) -> Option<Seat> {
        let known = taken.by.get(&who).map_or(0, |counts| counts.sessions);
        if is_reached(max, known) {
            return None;
        }
        taken.by.entry(who.clone()).or_default().sessions += 1;
        taken.sessions += usize::from(counts);
        Some(Seat { seats: Arc::clone(self), who, counts })
    }

    /// Somebody publishes. Err: when it may.
    pub fn publish(&self, who: &Who) -> Result<(), Duration> {
        use governor::clock::Clock as _;
        let rules = self.rules.read();
        let Some(publishes) = &rules.publishes else { return Ok(()) };
        publishes.check_key(who).map_err(|not_until| {
            Refusal::Publish.count(&self.metrics);
            not_until.wait_time_from(self.clock.now())
        })
    }

    fn no(&self, why: NoSeat) -> NoSeat {
        Refusal::Seat.count(&self.metrics);
        why
    }

    /// Forgets who has not published for a while. To be called now and then.
    pub fn sweep(&self) {
        if let Some(publishes) = &self.rules.read().publishes {
            publishes.retain_recent();
            publishes.shrink_to_fit();
        }
    }

    /// How many generations have a turn.
    pub fn generations(&self) -> usize {
        self.taken.lock().generations
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.taken.lock().sessions
    }

    /// For how many something is counted now.
    pub fn known(&self) -> usize {
        self.taken.lock().by.len()
    }
}

impl Rules {
    fn new(limits: Limits, clock: &Clock) -> Self {
        let publishes = limits.publishes_per_minute.map(|per_minute| {
            let quota = Quota::per_minute(per_minute);
            RateLimiter::new(quota, HashMapStateStore::default(), clock.clone())
        });
        Self { limits, publishes }
    }
}

/// One generation's turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    seats: Arc<Seats>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.seats.taken.lock().generations -= 1;
    }
}

fn is_reached(max: Option<std::num::NonZeroU32>, count: usize) -> bool {
    max.is_some_and(|max| count >= max.get() as usize)
}

/// One session's seat, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    who: Who,
    /// It counts among all sessions.
    counts: bool,
}

impl Seat {
    /// One more subscription.
    pub fn subscribe(&self) -> Result<Place, NoSeat> {
        let max = match self.who {
            Who::Key(_) => None,
            Who::Address(_) | Who::Client(..) => self.seats.rules.read().limits.subscriptions,
        };
        let mut taken = self.seats.taken.lock();
        let counts = taken.by.entry(self.who.clone()).or_default();
        if is_reached(max, counts.subscriptions) {
            return Err(self.seats.no(NoSeat::Subscriptions));
        }
        counts.subscriptions += 1;
        Ok(Place { seats: Arc::clone(&self.seats), who: self.who.clone() })
    }

    /// Something is published. Err: when it may be.
    pub fn publish(&self) -> Result<(), Duration> {
        self.seats.publish(&self.who)
    }

    /// Whom it is counted for.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Where further seats are had.
    pub fn seats(&self) -> &Arc<Seats> {
        &self.seats
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.sessions -= usize::from(self.counts);
        taken.give_back(&self.who, |counts| counts.sessions -= 1);
    }
}

/// One subscription's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    seats: Arc<Seats>,
    who: Who,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seats.taken.lock().give_back(&self.who, |counts| counts.subscriptions -= 1);
    }
}

impl Taken {
    fn give_back(&mut self, who: &Who, what: impl FnOnce(&mut Counts)) {
        if let Some(counts) = self.by.get_mut(who) {
            what(counts);
            if counts.sessions == 0 && counts.subscriptions == 0 {
                self.by.remove(who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, num::NonZeroU32};

    use super::*;

    fn seats(limits: Limits) -> Arc<Seats> {
        Seats::new(limits, Metrics::default())
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[tokio::test]
    async fn seats_are_counted_by_address_and_client_and_given_back() {
        let seats = seats(Limits {
            sessions: NonZeroU32::new(3),
            sessions_per_address: NonZeroU32::new(2),
            sessions_per_client: NonZeroU32::new(1),
            subscriptions: NonZeroU32::new(2),
            ..Limits::default()
        });
        let (one, two) = (seats.session(address(1), None), seats.session(address(1), None));
        assert_eq!(seats.session(address(1), None).expect_err("a third"), NoSeat::Address);
        let other = seats.session(address(2), None);
        assert_eq!(seats.session(address(3), None).expect_err("a fourth"), NoSeat::Sessions);
        let web = Owner::new("web");
        let client = seats.client(&web, "screen").expect("a seat");
        assert_eq!(seats.client(&web, "screen").expect_err("a second"), NoSeat::Client);
        assert!(seats.client(&Owner::new("other"), "screen").is_ok(), "another app's");
        let one = one.expect("a seat");
        let places: Vec<_> = (0..2).map(|_| one.subscribe().expect("a place")).collect();
        assert_eq!(
            two.as_ref().expect("a seat").subscribe().expect_err("a third"),
            NoSeat::Subscriptions
        );
        drop(one);
        assert!(two.as_ref().expect("a seat").subscribe().is_err(), "its places are still taken");
        drop((places, two, other, client));
        assert_eq!((seats.sessions(), seats.known()), (0, 0));
    }

    #[tokio::test]
    async fn an_app_with_its_key_is_counted_among_all_only() {
        let seats = seats(Limits {
            sessions: NonZeroU32::new(3),
            sessions_per_address: NonZeroU32::new(1),
            subscriptions: NonZeroU32::new(1),
            ..Limits::default()
        });
        let web = Owner::new("web");
        let mine: Vec<_> = (0..3).map(|_| seats.session(address(1), Some(&web))).collect();
        let mine: Vec<_> = mine.into_iter().map(|seat| seat.expect("a seat")).collect();
        assert!((0..5).all(|_| mine[0].subscribe().is_ok()));
        assert_eq!(seats.session(address(1), Some(&web)).expect_err("a fourth"), NoSeat::Sessions);
        drop(mine);
        assert!(seats.session(address(1), None).is_ok());
        assert_eq!((seats.sessions(), seats.known()), (0, 0));
    }

    #[tokio::test]
    async fn limits_change_under_way_and_who_is_there_stays() {
        let seats = seats(Limits { generations: NonZeroU32::new(2), ..Limits::default() });
        let turns = [seats.generation(), seats.generation()];
        assert!(turns.iter().all(Option::is_some) && seats.generation().is_none());
        seats.limit(Limits { generations: NonZeroU32::new(1), ..Limits::default() });
        assert_eq!(seats.generations(), 2);
        let [one, _two] = turns;
        drop(one);
        assert!(seats.generation().is_none(), "there is one");
        seats.limit(Limits { generations: None, ..Limits::default() });
        assert!(seats.generation().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn each_publishes_at_its_own_rate() {
        let publishes_per_minute = NonZeroU32::new(6);
        let seats = seats(Limits { publishes_per_minute, ..Limits::default() });
        let (one, other) = (Who::Address(address(1)), Who::Key(Owner::new("web")));
        assert_eq!((0..10).filter(|_| seats.publish(&one).is_ok()).count(), 6);
        assert!(seats.publish(&other).is_ok());
        let wait = seats.publish(&one).expect_err("too often");
        assert!(wait <= Duration::from_secs(10), "{wait:?}");
        tokio::time::advance(Duration::from_secs(60)).await;
        seats.sweep();
        assert_eq!((0..10).filter(|_| seats.publish(&one).is_ok()).count(), 6);
    }
}
