//! Tool calls: whole, several in a chunk, or in patches; those the app is to run, and those Google runs itself.

use serde_json::value::RawValue;

use super::{
    content::Voice,
    fields::{Fields, is_empty},
    patch::Document,
};
use crate::event::{Kind, RunBy, ToolArguments, ToolCall};

/// The name under which code that Google runs is said.
const CODE: &str = "code_execution";

/// One choice's calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    count: u32,
    /// Whether there is one that the app is to run.
    pub for_app: bool,
    /// The call whose arguments are still coming.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    index: u32,
    document: Document,
}

impl Calls {
    /// Takes a `functionCall` in. `None`: its patches cannot be read.
    pub(super) fn add(
        &mut self,
        call: &Fields<'_>,
        signature: String,
        id_stem: &str,
        to: &mut Voice<'_>,
    ) -> Option<()> {
        let name = call.text("name").filter(|name| !name.is_empty());
        if let Some(name) = name {
            self.close(to);
            // Directly before a call, a signature is that call's.
            to.signature(signature);
            let id = call.text("id").filter(|id| !id.is_empty());
            let index = self.begin(id, name, RunBy::Client, id_stem, to);
            self.for_app = true;
            let args = call.get("args");
            if let Some(args) = args.filter(|args| !is_empty(args)) {
                to.say(arguments(index, args.get().to_owned()));
                return Some(());
            }
            self.open = Some(Open { index, document: Document::default() });
        } else {
            to.signature(signature);
        }
        let Some(open) = &mut self.open else { return Some(()) };
        for patch in call.list("partialArgs") {
            open.document.patch(patch)?;
        }
        // A call that says nothing of going on is complete.
        if !call.is_true("willContinue") {
            self.close(to);
        }
        Some(())
    }

    /// Takes code in that Google runs.
    pub(super) fn add_code(&mut self, code: &RawValue, id_stem: &str, to: &mut Voice<'_>) {
        let id = Fields::of(code).and_then(|code| code.text("id")).filter(|id| !id.is_empty());
        let index = self.begin(id, CODE.to_owned(), RunBy::Server, id_stem, to);
        to.say(arguments(index, code.get().to_owned()));
    }

    /// The call whose arguments were still coming is complete: another begins, or its choice ends.
    pub(super) fn close(&mut self, to: &mut Voice<'_>) {
        if let Some(Open { index, document }) = self.open.take() {
            to.say(arguments(index, document.text()));
        }
    }

    fn begin(
        &mut self,
        id: Option<String>,
        name: String,
        run_by: RunBy,
        id_stem: &str,
        to: &mut Voice<'_>,
    ) -> u32 {
        let index = self.count;
        self.count += 1;
        let id = id.unwrap_or_else(|| format!("{id_stem}_{index}"));
        to.say(Kind::ToolCall(ToolCall { index, id, name, run_by }));
        index
    }
}

fn arguments(index: u32, arguments: String) -> Kind {
    Kind::ToolArguments(ToolArguments { index, arguments })
}
