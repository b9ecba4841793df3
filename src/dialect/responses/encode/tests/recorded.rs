//! Recorded streams, encoded anew.

use super::*;
use crate::dialect::responses::trial::{hear, recordings};

/// What every recording says is said again by its re-encoded stream.
#[test]
fn every_recording_survives_being_encoded_anew() {
    for recording in recordings(&["openai-responses", "azure-openai/responses-", "xai/responses-"])
    {
        let mut decoder = Decoder::new("gen_abc");
        let mut events = vec![started("responses")];
        let mut ending = Ending::Eof;
        for payload in &recording.payloads {
            if decoder.decode(payload, &mut events).flow == Flow::Ended {
                ending = Ending::Terminator;
                break;
            }
        }
        decoder.finish(ending, &mut events);
        let wires = wires(&events);
        check(&values(&wires));
        let again = hear(&decoded(&wires));
        let differences = again.differences(&recording.expected);
        assert!(differences.is_empty(), "{}: {differences:#?}", recording.name);
        let before = hear(&events);
        assert_eq!(
            (before.encrypted, before.server_items),
            (again.encrypted, again.server_items),
            "{}",
            recording.name
        );
    }
}
