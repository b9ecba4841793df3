//! Who may do what.
//!
//! In open mode, which is what there is without keys, everybody on this machine may do everything, and nobody else
//! anything: `guard` keeps web pages of other origins out. Pure; the doors ask, and carry out.

mod guard;

pub use guard::{Denied, Guard, Origin};
