//! The recorded streams of Ollama.

use crate::dialect::{Dialect, recorded::check};

#[test]
fn recorded_streams_say_what_ollamas_own_sdk_made_of_them() {
    check(Dialect::Ollama, "ollama", "ndjson", "application/x-ndjson");
}
