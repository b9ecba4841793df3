//! Every recording as other servers would have sent it: the same answer in other framing, other spelling and other company
//! must come to the same.
//!
//! No recording shows all that a provider may do; a variation of each shows much more of it.

mod forms;
mod trouble;

use bytes::Bytes;
use tokenway::dialect::Dialect;

use crate::common::{self, Call, Choice, Folded, Recording, arguments, decode, fold};

/// What an answer comes to, but for what only its spelling tells.
fn sense(folded: Folded) -> Folded {
    let call = |call: Call| Call { arguments: arguments(&call.arguments).to_string(), ..call };
    let calls = |calls: Vec<Call>| calls.into_iter().map(call).collect();
    let choice = |choice: Choice| Choice {
        calls: calls(choice.calls),
        server_calls: calls(choice.server_calls),
        ..choice
    };
    let choices = folded.choices.into_iter().map(|(index, of)| (index, choice(of)));
    let usage = folded.usage.map(|usage| tokenway::event::Usage { native: Bytes::new(), ..usage });
    Folded { choices: choices.collect(), usage, natives: Vec::new(), ..folded }
}

fn read(dialect: Dialect, content_type: &str, body: impl Into<Bytes>) -> Folded {
    sense(fold(&decode(dialect, content_type, [body.into()])))
}

/// Streams that a provider's SDK can read.
fn streams(recordings: &[Recording]) -> impl Iterator<Item = &Recording> {
    recordings.iter().filter(|it| it.is_stream && !it.expected.is_null())
}

#[test]
fn an_answer_is_the_same_in_whatever_form_it_comes() {
    let Some(recordings) = common::recordings() else { return };
    let (mut misses, mut tried) = (Vec::new(), 0);
    for recording in streams(&recordings) {
        let plain = read(recording.dialect, recording.content_type(), recording.body.clone());
        for form in forms::of(recording) {
            let told = read(form.dialect, form.content_type, form.body);
            tried += 1;
            if told != plain {
                misses.push(format!("{recording}, {}:\n  {plain:?}\n  {told:?}", form.name));
            }
        }
    }
    println!("{tried} forms");
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}
