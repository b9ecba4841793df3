//! An impaired network for the tests: proxies between a client and a gateway, over UDP and TCP.
//!
//! [`path`] decides, by a seed, what becomes of each packet; [`udp`] and [`tcp`] carry it out on loopback. The program
//! of the same name does so for tests in other languages and is steered over its standard input ([`control`]).
//!
//! UDP packets are lost, doubled and overtaken one by one, as on the real path. The bytes of TCP cannot be: there the
//! kernel on either side sees an unimpaired loopback, so loss and a blackhole show as the delays they would cause.

pub mod control;
pub mod path;
mod proxy;
mod tcp;
mod udp;

pub use path::Conditions;
pub use proxy::{Counts, Kind, Proxy};
