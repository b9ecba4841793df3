//! Channels on disk: what survives a process that is killed, a disk that is full, and bytes that change.

#[path = "../support/mod.rs"]
mod support;

mod damage;
mod full;
mod kills;
mod lives;
mod process;
mod scene;
mod seen;
