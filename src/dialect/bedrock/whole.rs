//! A body that came whole becomes the events that a stream would have said.

use bytes::Bytes;

use super::{
    converse::Converse,
    fail,
    payload::{Output, Whole},
};
use crate::{
    dialect::{Ending, anthropic},
    event::Event,
};

/// Says what a `Converse` body says (or one of Anthropic's, from `invoke`), its last events included. A body that holds
/// an error, or that cannot be read, ends in `Failed`.
pub fn decode_whole(generation: &str, body: Bytes, out: &mut Vec<Event>) {
    let mut converse = Converse::new(generation);
    match serde_json::from_slice::<Whole<'_>>(&body) {
        Ok(whole) if whole.kind.is_some() => {
            drop(whole);
            return anthropic::decode_whole(generation, body, out);
        }
        Ok(Whole { output: Some(Output { message: Some(message) }), stop_reason, .. })
            if stop_reason.is_none() && message.content.is_empty() =>
        {
            // Nothing was said, and no end: not an answer.
        }
        Ok(whole) if whole.output.is_some() => {
            let message = whole.output.and_then(|output| output.message);
            for block in message.iter().flat_map(|message| &message.content) {
                converse.block(block, out);
            }
            converse.stop(whole.stop_reason, whole.additional_model_response_fields, out);
            converse.describe(whole.usage, whole.trace, out);
        }
        Ok(_) if fail::tells_failure(&body) => converse.fail(fail::failure(0, &body)),
        Ok(_) => {}
        Err(error) => converse.fail(fail::unreadable(&error)),
    }
    converse.finish(Ending::Eof, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FailureCode, FinishReason, Kind, RunBy};

    fn decode(body: &'static str) -> Vec<Kind> {
        let mut out = Vec::new();
        decode_whole("gen_x", Bytes::from_static(body.as_bytes()), &mut out);
        out.into_iter().map(|event| event.kind).collect()
    }

    #[test]
    fn a_body_says_what_its_stream_would() {
        let kinds = decode(
            r#"{"output":{"message":{"role":"assistant","content":[
            {"reasoningContent":{"reasoningText":{"text":"hm","signature":"c2ln"}}},
            {"reasoningContent":{"redactedContent":"cmVk"}},
            {"text":"Hi"},
            {"citationsContent":{"content":[{"text":"cited"}],"citations":[{"title":"t"}]}},
            {"toolUse":{"toolUseId":"a","name":"add","input":{"x":1.0}}},
            {"toolUse":{"toolUseId":"b","name":"nova_grounding","type":"server_tool_use","input":{}}},
            {"toolResult":{"toolUseId":"b","content":[]}},
            {"image":{"format":"webp","source":{"bytes":"aW1n"}}}
            ]}},"stopReason":"tool_use","usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7},
            "metrics":{"latencyMs":1},"trace":{"guardrail":{"actionReason":"none"}}}"#,
        );
        let [
            Kind::Reasoning(thought),
            Kind::Reasoning(redacted),
            Kind::Text(text),
            Kind::Text(cited),
            Kind::Citation(citation),
            Kind::ToolCall(first),
            Kind::ToolArguments(arguments),
            Kind::ToolCall(second),
            Kind::ToolArguments(nothing),
            Kind::Native(result),
            Kind::Media(image),
            Kind::Media(last),
            Kind::Native(trace),
            Kind::Usage(usage),
            Kind::Finished(finished),
        ] = &kinds[..]
        else {
            panic!("{kinds:#?}")
        };
        assert_eq!((&*thought.text, &*thought.signature), ("hm", "c2ln"));
        assert_eq!((&*redacted.encrypted, &**text, &**cited), ("cmVk", "Hi", "cited"));
        assert_eq!(citation, "{\"title\":\"t\"}");
        assert_eq!((&*first.id, first.run_by, first.index), ("a", RunBy::Client, 0));
        assert_eq!((&*second.id, second.run_by, second.index), ("b", RunBy::Server, 1));
        assert_eq!((&*arguments.arguments, &*nothing.arguments), ("{\"x\":1.0}", "{}"));
        assert!(result.data.starts_with(b"{\"toolResult\""));
        assert_eq!((&*image.mime, &image.data[..], image.last), ("image/webp", &b"img"[..], false));
        assert!(last.last);
        assert_eq!((&*trace.name, usage.input, usage.output), ("metadata.trace", 3, 4));
        assert_eq!(finished.reason, FinishReason::ToolCalls);
    }

    #[test]
    fn a_body_without_an_answer_is_no_success() {
        for (body, code, message) in [
            (r#"{"message":"no"}"#, FailureCode::UpstreamError, "no"),
            (r#"{"output":{"message":{"content":[]}}}"#, FailureCode::UpstreamCut, "messageStop"),
            ("{}", FailureCode::UpstreamCut, "messageStop"),
            ("", FailureCode::UpstreamError, "cannot be read"),
            (r#"{"output":{"mess"#, FailureCode::UpstreamError, "cannot be read"),
        ] {
            let kinds = decode(body);
            let Some(Kind::Failed(failed)) = kinds.last() else { panic!("{body}: {kinds:?}") };
            assert_eq!(failed.code, code, "{body}");
            assert!(failed.message.contains(message), "{body}: {}", failed.message);
        }
    }
}
