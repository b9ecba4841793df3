//! The recorded streams of Bedrock.

use crate::dialect::{Dialect, recorded::check};

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

#[test]
fn recorded_converse_streams_say_what_botocore_made_of_them() {
    check(Dialect::Bedrock, "bedrock-converse", "bin", EVENT_STREAM);
}

#[test]
fn recorded_invoke_streams_say_what_botocore_made_of_them() {
    check(Dialect::Bedrock, "bedrock-invoke", "bin", EVENT_STREAM);
}
