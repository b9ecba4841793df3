//! How much: the limits of each access key, and those that hold for everybody.
//!
//! What was taken is given back when its guard is dropped, whatever becomes of the request it was for.

mod bodies;
mod budget;
mod meter;
mod rate;
mod seats;

pub use bodies::BodyRoom;
pub use budget::{Money, Spent};
pub use meter::{Asked, Exceeded, Limited, Meter, Running, Standing, Window};
pub use seats::{NoSeat, Place, Seat, Seats, Turn, Who};
