//! What Claude takes of thinking and sampling: the same on Bedrock as at Anthropic, so Anthropic's writer is asked.

use crate::dialect::{
    Call, Dialect,
    anthropic::{self, Against, Plan, Thinking},
    call::{PartKind, Role, ToolChoice},
    ledger::Ledger,
    object::Object,
};

/// Adds effort to `output`, thinking and `top_k` to `fields`, and gives the numbers that Converse has words for.
pub(super) fn settings(
    model: &str,
    has_tools: bool,
    ledger: &mut Ledger<'_>,
    output: &mut Object,
    fields: &mut Object,
) -> Object {
    let call = ledger.call;
    let plan = Plan::of(call, model, against(call, has_tools), ledger.dropped());
    let thinks = plan.thinks();
    if let Some(thinking) = plan.thinking {
        let thinking = match thinking {
            Thinking::Enabled { budget_tokens } => {
                Object::of("type", "enabled").with("budget_tokens", budget_tokens)
            }
            Thinking::Adaptive { display } => {
                let mut adaptive = Object::of("type", "adaptive");
                adaptive.set_some("display", display);
                adaptive
            }
            Thinking::Disabled => Object::of("type", "disabled"),
        };
        fields.set("thinking", thinking);
    }
    output.set_some("effort", plan.effort);
    let [temperature, top_p, top_k] = anthropic::sampling(call, model, thinks, ledger.dropped());
    let mut config = Object::default();
    config.set_some("temperature", temperature);
    config.set_some("topP", top_p);
    fields.set_some("top_k", top_k);
    config
}

fn against(call: &Call, has_tools: bool) -> Against {
    let any = matches!(
        call.tool_choice,
        Some(ToolChoice::Any | ToolChoice::Named(_) | ToolChoice::Among { required: true, .. })
    );
    let prefill = call.turns.last().is_some_and(|last| last.role == Role::Assistant);
    let last = call.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    let unthought = last.is_some_and(|turn| {
        let calls = turn.parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_)));
        let thought = turn.parts.first().is_some_and(|part| match &part.kind {
            PartKind::Reasoning(thought) => {
                matches!(thought.origin, Some(Dialect::Bedrock | Dialect::Anthropic))
            }
            _ => false,
        });
        calls && !thought
    });
    Against { forced: prefill || (any && has_tools), unthought_calls: unthought && !prefill }
}
