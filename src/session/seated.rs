//! Where a session is counted: by its address, and by each client that its tokens name. No I/O.

use super::refusals::Refusal;
use crate::{
    access::{NoSeat, Place, Seat, Who},
    clock,
    ident::Owner,
};

/// A session's seats. Without any, nothing is counted.
#[derive(Debug, Default)]
pub(super) struct Seated {
    /// By its address first.
    seats: Vec<Seat>,
}

impl Seated {
    pub(super) fn new(seat: Option<Seat>) -> Self {
        Self { seats: seat.into_iter().collect() }
    }

    /// Takes a seat for each client that has none here yet.
    pub(super) fn sit<'a>(
        &mut self,
        clients: impl Iterator<Item = (&'a Owner, &'a str)>,
    ) -> Result<(), NoSeat> {
        let Some(seats) = self.seats.first().map(|seat| seat.seats().clone()) else {
            return Ok(());
        };
        for (owner, client) in clients {
            let who = Who::Client(owner.clone(), client.to_owned());
            if !self.seats.iter().any(|seat| *seat.who() == who) {
                self.seats.push(seats.client(owner, client)?);
            }
        }
        Ok(())
    }

    /// A place for one more subscription, on each seat.
    pub(super) fn subscribe(&self) -> Result<Vec<Place>, Refusal> {
        let places = self.seats.iter().map(Seat::subscribe);
        Ok(places.collect::<Result<_, _>>()?)
    }

    /// Whether something may be published now: by the client if there is one, else by the address.
    pub(super) fn publish(&self) -> Result<(), Refusal> {
        let Some(seat) = self.seats.last() else { return Ok(()) };
        seat.publish().map_err(|wait| {
            let message = format!(
                "events are published too often (limits.publishes_per_minute); try again in {} s",
                clock::whole_seconds(wait).max(1)
            );
            Refusal::new("limit", message)
        })
    }
}
