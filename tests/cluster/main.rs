//! Several nodes on one NATS: any of them takes any request and serves any viewer, and whatever dies, nobody ever holds two
//! texts under one epoch and seq.
//!
//! Each test has a `nats-server` of its own, on a port of its own. Where there is none these tests are left out, and say so.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod away;
mod damaged;
mod example;
mod gateway;
mod gateways;
mod handover;
mod kills;
mod lost;
mod nats;
mod node;
mod presence;
mod refused;
mod seen;
mod teller;
mod together;
mod world;
