//! Recorded provider streams and what they come to, for all tests that replay them.

#![allow(dead_code, reason = "each test that replays recordings uses its part of this")]
#![allow(unused_imports, reason = "each test that replays recordings uses its part of this")]

mod differences;
mod folded;
mod losses;
mod recordings;
mod replay;
mod seam;

pub(crate) use differences::differences;
pub(crate) use folded::{Call, Choice, Folded, arguments, fold, state};
pub(crate) use losses::{LOSSES, Loss, Member, allowed};
pub(crate) use recordings::{Recording, recordings, seed};
pub(crate) use replay::{GENERATION, cut, decode, decode_as, framed, places, started};
pub(crate) use seam::seam;
