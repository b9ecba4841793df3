//! Token counts, in and out.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::frame::{Raw, number, read};
use crate::event::Usage;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts<'a> {
    #[serde(borrow)]
    input_tokens: Raw<'a>,
    #[serde(borrow)]
    output_tokens: Raw<'a>,
    #[serde(borrow)]
    total_tokens: Raw<'a>,
    #[serde(borrow)]
    input_tokens_details: Raw<'a>,
    #[serde(borrow)]
    output_tokens_details: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Raw<'a>,
    #[serde(borrow)]
    cache_write_tokens: Raw<'a>,
    #[serde(borrow)]
    reasoning_tokens: Raw<'a>,
}

/// The counts of a usage object, harmonised.
pub(super) fn read_counts(native: &[u8]) -> Usage {
    let counts: Counts<'_> = serde_json::from_slice(native).unwrap_or_default();
    let of_input: Details<'_> = read(counts.input_tokens_details);
    let of_output: Details<'_> = read(counts.output_tokens_details);
    let count = |raw| number(raw).unwrap_or(0);
    let (input, output) = (count(counts.input_tokens), count(counts.output_tokens));
    let reasoning = count(of_output.reasoning_tokens);
    // Who counts reasoning apart is given away by the total, as in xAI's chat dialect.
    let apart = reasoning > 0
        && count(counts.total_tokens) == input.saturating_add(output).saturating_add(reasoning);
    Usage {
        input,
        output: if apart { output.saturating_add(reasoning) } else { output },
        cached_input: count(of_input.cached_tokens),
        cache_write: count(of_input.cache_write_tokens),
        reasoning,
        ..Usage::default()
    }
}

/// The same, with the object itself.
pub(super) fn read_native(native: Bytes) -> Usage {
    Usage { native: native.clone(), ..read_counts(&native) }
}

/// The provider's own usage object where it spoke this dialect (`own`), with what it left out and strict SDKs want; else
/// one of ours.
pub(super) fn object(usage: &Usage, own: bool) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Object {
        input_tokens: u64,
        input_tokens_details: Input,
        output_tokens: u64,
        output_tokens_details: Output,
        total_tokens: u64,
    }
    #[derive(Serialize)]
    struct Input {
        cached_tokens: u64,
        cache_write_tokens: u64,
    }
    #[derive(Serialize)]
    struct Output {
        reasoning_tokens: u64,
    }
    let ours = to_raw_value(&Object {
        input_tokens: usage.input,
        input_tokens_details: Input {
            cached_tokens: usage.cached_input,
            cache_write_tokens: usage.cache_write,
        },
        output_tokens: usage.output,
        output_tokens_details: Output { reasoning_tokens: usage.reasoning },
        total_tokens: usage.input.saturating_add(usage.output),
    })
    .expect("numbers become JSON");
    let native = own.then(|| serde_json::from_slice::<&RawValue>(&usage.native).ok()).flatten();
    native.and_then(|native| completed(native, &ours)).unwrap_or(ours)
}

/// An object, byte for byte in every member that it has, with the members of `ours` that it lacks; two levels deep.
fn completed(native: &RawValue, ours: &RawValue) -> Option<Box<RawValue>> {
    type Members = BTreeMap<String, Box<RawValue>>;
    let read = |raw: &RawValue| serde_json::from_str::<Members>(raw.get()).ok();
    let mut members = read(native)?;
    let mut changed = false;
    for (name, value) in read(ours)? {
        let theirs = members.get(&name).filter(|theirs| theirs.get() != "null");
        let both = theirs.map(|theirs| completed(theirs, &value));
        let better = match (theirs, both) {
            (Some(theirs), Some(Some(both))) if both.get() != theirs.get() => both,
            (Some(_), _) => continue,
            (None, _) => value,
        };
        members.insert(name, better);
        changed = true;
    }
    match changed {
        true => to_raw_value(&members).ok(),
        false => Some(native.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_the_object_kept() {
        let native = r#"{"input_tokens":100,"input_tokens_details":{"cached_tokens":20,"cache_write_tokens":5},
            "output_tokens":50,"output_tokens_details":{"reasoning_tokens":30},"total_tokens":150,"cost":0.1}"#;
        let usage = read_native(Bytes::from_static(native.as_bytes()));
        assert_eq!((usage.input, usage.output), (100, 50));
        assert_eq!((usage.cached_input, usage.cache_write, usage.reasoning), (20, 5, 30));
        assert_eq!(usage.native, native);
        assert_eq!(object(&usage, true).get(), native);
        let ours: serde_json::Value =
            serde_json::from_str(object(&usage, false).get()).expect("JSON");
        assert_eq!(ours["total_tokens"], 150);
        assert_eq!(ours["output_tokens_details"]["reasoning_tokens"], 30);
    }

    #[test]
    fn what_a_provider_leaves_out_of_its_object_is_added_and_the_rest_kept() {
        let native = r#"{"input_tokens":3,"output_tokens":4,"total_tokens":7,"cost":1.10e-5,"output_tokens_details":null,"input_tokens_details":{"cached_tokens":1}}"#;
        let usage = read_native(Bytes::from_static(native.as_bytes()));
        assert_eq!(
            object(&usage, true).get(),
            r#"{"cost":1.10e-5,"input_tokens":3,"input_tokens_details":{"cache_write_tokens":0,"cached_tokens":1},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":7}"#
        );
    }

    #[test]
    fn reasoning_that_is_counted_apart_is_added() {
        let native = br#"{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":6}"#;
        assert_eq!(read_counts(native).output, 5);
        assert_eq!(read_counts(b"[]"), Usage::default());
    }
}
