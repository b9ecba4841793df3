//! What users of other gateways complain of most, each as a test that names what holds here instead: apps of the four
//! dialects before providers of the six.
//!
//! What the other modules show already (retries, views, presence, back pressure …) is not repeated here.

mod disconnect;
mod framing;
mod kit;
mod lifecycle;
mod silence;
mod tools;
mod truth;
mod turns;
mod usage;
mod voice;
