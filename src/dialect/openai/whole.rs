//! A body that came whole, with `stream: false`, becomes the events that a stream would have said.

use bytes::Bytes;

use super::Decoder;
use crate::{dialect::Ending, event::Event, provider::sse::Payload};

/// Says what a `chat.completion` body says, its last events included. A body that holds an error, or that cannot be read,
/// ends in `Failed`.
pub fn decode_whole(generation: &str, body: Bytes, out: &mut Vec<Event>) {
    let mut decoder = Decoder::new(generation);
    decoder.decode(&Payload::of(body), out);
    // A body without a choice is not an answer.
    let ending = if decoder.has_choices() { Ending::Terminator } else { Ending::Eof };
    decoder.finish(ending, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FailureCode, FinishReason, Kind};

    fn decode(body: &'static str) -> Vec<Kind> {
        let mut out = Vec::new();
        decode_whole("gen_x", Bytes::from_static(body.as_bytes()), &mut out);
        out.into_iter().map(|event| event.kind).collect()
    }

    #[test]
    fn a_body_says_what_its_stream_would() {
        let kinds = decode(
            r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",
            "reasoning_content":"hm","content":"Hi","refusal":null,"annotations":[],"tool_calls":[{"id":"a",
            "type":"function","function":{"name":"add","arguments":"{\"x\":1}"}}]},"logprobs":null,
            "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#,
        );
        let [
            Kind::Reasoning(reasoning),
            Kind::Text(text),
            Kind::ToolCall(call),
            Kind::ToolArguments(arguments),
            Kind::Usage(usage),
            Kind::Finished(finished),
        ] = &kinds[..]
        else {
            panic!("{kinds:#?}")
        };
        assert_eq!((&*reasoning.text, &**text), ("hm", "Hi"));
        assert_eq!((&*call.id, &*call.name, &*arguments.arguments), ("a", "add", "{\"x\":1}"));
        assert_eq!((usage.input, usage.output), (3, 4));
        assert_eq!(finished.reason, FinishReason::ToolCalls);
    }

    #[test]
    fn a_body_without_an_answer_is_no_success() {
        for (body, code, message) in [
            (r#"{"error":{"message":"no"}}"#, FailureCode::UpstreamError, "no"),
            (r#"{"choices":[]}"#, FailureCode::UpstreamCut, "finish_reason"),
            ("", FailureCode::UpstreamCut, "finish_reason"),
            (r#"{"choices":[{"mess"#, FailureCode::UpstreamError, "cannot be read"),
        ] {
            let kinds = decode(body);
            let Some(Kind::Failed(failed)) = kinds.last() else { panic!("{body}: {kinds:?}") };
            assert_eq!(failed.code, code, "{body}");
            assert!(failed.message.contains(message), "{body}: {}", failed.message);
        }
    }
}
