//! What a writer leaves out, and why it refuses.
//!
//! Sampling numbers, caching, labels and the class of service shape cost, speed and chance, and not what an answer means:
//! where a dialect lacks them they are left out and named. What the app's code relies on is refused: how many answers,
//! what tools may be called, the form of the answer, the parts of the conversation.

use super::{
    AppDialect, Call, Unsayable,
    call::{Blob, Dropped, Json, Knob},
};

/// One call's account.
#[derive(Debug)]
pub(super) struct Ledger<'c> {
    pub(super) call: &'c Call,
    dialect: &'static str,
    dropped: Dropped,
}

impl<'c> Ledger<'c> {
    /// An empty account of `call` on its way to a provider of `dialect`.
    pub(super) fn new(call: &'c Call, dialect: &'static str) -> Self {
        Self { call, dialect, dropped: Dropped::default() }
    }

    /// What was left out so far, for those who keep no account of their own.
    pub(super) fn dropped(&mut self) -> &mut Dropped {
        &mut self.dropped
    }

    /// What was left out.
    pub(super) fn close(self) -> Dropped {
        self.dropped
    }

    /// Leaves out what is at this path of the app's body.
    pub(super) fn leave_out(&mut self, path: impl Into<String>) {
        self.dropped.note(path);
    }

    /// Leaves out a member.
    pub(super) fn leave_out_knob(&mut self, knob: Knob) {
        self.dropped.note(self.call.path(knob));
    }

    /// Refuses what is at this path.
    pub(super) fn refuse(&self, path: impl Into<String>, why: impl Into<String>) -> Unsayable {
        Unsayable { path: path.into(), dialect: self.dialect, why: why.into() }
    }

    /// Refuses a member.
    pub(super) fn refuse_knob(&self, knob: Knob, why: impl Into<String>) -> Unsayable {
        self.refuse(self.call.path(knob), why)
    }

    /// A sampling number, as the app wrote it; `None` where it wrote none, or null.
    pub(super) fn sampling(&self, knob: Knob) -> Option<&'c Json> {
        self.call.sampling.get(&knob).filter(|value| value.get() != "null")
    }

    /// Judges what neither dialect that this serves has any words for: several answers, log probabilities, users,
    /// and members without a shared word.
    pub(super) fn judge(&mut self) -> Result<(), Unsayable> {
        let call = self.call;
        if call.choices.is_some_and(|choices| choices > 1) {
            return Err(self.refuse_knob(Knob::Choices, "it gives one answer; ask for one"));
        }
        for knob in [Knob::Logprobs, Knob::TopLogprobs] {
            let wanted = self.sampling(knob).filter(|value| !matches!(value.get(), "false" | "0"));
            if wanted.is_some() {
                let why = "its log probabilities cannot be given back; take it out";
                return Err(self.refuse_knob(knob, why));
            }
        }
        if call.user.is_some() {
            self.leave_out_knob(Knob::User);
        }
        for extra in &call.extras {
            if !extra.harmless {
                return Err(self.refuse(&extra.path, "it has no such member; take it out"));
            }
            self.leave_out(&extra.path);
        }
        Ok(())
    }

    /// Leaves out how closely an image is to be looked at.
    pub(super) fn leave_out_detail(&mut self, blob: &Blob, path: &str) {
        if blob.detail.as_deref().is_some_and(|detail| detail != "auto") {
            let member = match self.call.app {
                AppDialect::OpenAi => "image_url.detail",
                AppDialect::Responses | AppDialect::Anthropic => "detail",
                AppDialect::Gemini => "mediaResolution",
            };
            self.leave_out(format!("{path}.{member}"));
        }
    }

    /// Leaves out a wish to cache.
    pub(super) fn leave_out_cache(&mut self, cache: Option<&Json>, path: &str) {
        if cache.is_some() {
            self.leave_out(format!("{path}.cache_control"));
        }
    }

    /// Leaves out that arguments must follow their schema exactly.
    pub(super) fn leave_out_strict(&mut self, path: &str) {
        let member = if self.call.app == AppDialect::OpenAi { "function.strict" } else { "strict" };
        self.leave_out(format!("{path}.{member}"));
    }

    /// Refuses a tool that only the app's own dialect knows.
    pub(super) fn refuse_tool(&self, path: &str) -> Unsayable {
        self.refuse(path, "it is run by another provider; only functions can be sent")
    }

    /// Refuses a part that only the app's own dialect knows.
    pub(super) fn refuse_native(&self, path: &str) -> Unsayable {
        self.refuse(path, "it means something only in its own dialect; take it out")
    }
}
