//! Responses that another gateway has begun: what that one is asked for beside what all are told, and how it answers.
//!
//! That is what the app had asked for, which the response repeats; the input that a later turn begins with; and where in the
//! provider's numbers an app goes on. Where that gateway is gone, the first is left out and the others are not known any more.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    super::{
        App,
        problem::Problem,
        relay::Place,
        told::{self, There, Told},
    },
    Entry, Found, back, kept,
};
use crate::{
    dialect::{Asked, responses::response_id},
    ident::{ChannelKey, GenerationId, Owner},
};

/// How much of a response's input is told at once, in bytes: it fits into a message wherever a gateway can work.
const PIECE_BYTES: usize = 512 << 10;

/// The gateway that has begun a response, which is not this one.
#[derive(Clone, Debug)]
pub(super) struct Away {
    node: String,
    /// Its app counts in numbers of the provider's.
    counted: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Question {
    /// The response's.
    id: String,
    about: About,
}

#[derive(Debug, Serialize, Deserialize)]
enum About {
    /// What its app asked for.
    Asked,
    /// Its input, from this byte on.
    Input(usize),
    /// Where to go on for an app that had everything up to this number.
    GoOn(Option<u64>),
    /// Nothing: its owner wants it forgotten.
    Forget,
}

/// What an app asked for.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    usage: bool,
    request: Box<RawValue>,
}

/// Where to go on, or why that cannot be.
type GoneOn = Result<Option<(u64, u64)>, String>;

/// Tells all gateways of a response. Its app counts in numbers of the provider's, if it is `counted`.
pub(super) fn tell(app: &App, entry: &Entry, counted: bool) {
    let Entry { channel, started, id, stored, theirs, .. } = entry;
    let told = Told::of(channel, started, entry.place(), entry.asked.usage);
    let response = told::Response { id: id.clone(), stored: *stored, theirs: *theirs, counted };
    let ours = response_id(started.as_str());
    Told { response: Some(response), ..told }.tell(app, &channel.owner, &ids(&ours, id));
}

/// Tells all gateways that a response's owner wants it forgotten. Err: it may be told to them all the same.
pub(super) async fn tell_deleted(
    app: &App,
    channel: &ChannelKey,
    generation: &GenerationId,
    place: Place,
    id: &str,
) -> Result<(), Problem> {
    let told = Told { deleted: true, ..Told::of(channel, generation, place, false) };
    let ours = response_id(generation.as_str());
    told.tell_now(app, &channel.owner, &ids(&ours, id)).await
}

/// Our id of a response, and the one that its app knows.
fn ids<'a>(ours: &'a str, id: &'a str) -> Vec<&'a str> {
    if ours == id { vec![id] } else { vec![ours, id] }
}

/// The response that another gateway has begun. `None`: what it has begun there is none.
pub(super) async fn find(app: &App, there: There) -> Option<Found> {
    let There { node, channel, told } = there;
    let place = told.place();
    let told::Response { id, stored, theirs, counted } = told.response?;
    // Without it there is still all that was said.
    let wanted = ask(app, &node, channel.key(), &id, About::Asked).await.ok().flatten();
    let wanted = wanted.and_then(|it| serde_json::from_slice::<Wanted>(&it).ok());
    let asked = match wanted {
        Some(Wanted { usage, request }) => {
            Asked { usage, request: Bytes::from(String::from(Box::<str>::from(request))) }
        }
        None => Asked { usage: told.usage, request: Bytes::from_static(b"{}") },
    };
    Some(Found {
        id,
        generation: GenerationId::claimed(&told.generation),
        place,
        channel,
        asked,
        stored,
        theirs,
        away: Some(Away { node, counted }),
    })
}

impl Away {
    /// Whether its app counts in numbers that only its gateway knows.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// What a later turn begins with. `None`: its gateway is gone. Err: it does not answer.
    pub(super) async fn input(
        &self,
        app: &App,
        found: &Found,
    ) -> Result<Option<Vec<Box<RawValue>>>, Problem> {
        let mut whole = Vec::new();
        while let Some(piece) = self.ask(app, found, About::Input(whole.len())).await? {
            whole.extend_from_slice(&piece);
            if piece.len() < PIECE_BYTES {
                return Ok(serde_json::from_slice(&whole).ok());
            }
        }
        Ok(None)
    }

    /// Where the provider's numbers end for an app that goes on after this one. `None`: its gateway is gone. Err: it does not
    /// answer.
    pub(super) async fn go_on_after(
        &self,
        app: &App,
        found: &Found,
        after: Option<u64>,
    ) -> Result<Option<GoneOn>, Problem> {
        let gone_on = self.ask(app, found, About::GoOn(after)).await?;
        Ok(gone_on.and_then(|it| serde_json::from_slice(&it).ok()))
    }

    /// Its owner wants it forgotten. Its gateway tells all others; if it is gone, this one does. Err: it may not be forgotten.
    pub(super) async fn forget(&self, app: &App, found: &Found) -> Result<(), Problem> {
        if self.ask(app, found, About::Forget).await?.is_none() {
            let Found { channel, place, generation, id, .. } = found;
            tell_deleted(app, channel.key(), generation, *place, id).await?;
        }
        Ok(())
    }

    async fn ask(&self, app: &App, found: &Found, about: About) -> Result<Option<Bytes>, Problem> {
        ask(app, &self.node, found.channel.key(), &found.id, about).await
    }
}

async fn ask(
    app: &App,
    node: &str,
    channel: &ChannelKey,
    id: &str,
    about: About,
) -> Result<Option<Bytes>, Problem> {
    let question = Question { id: id.to_owned(), about };
    let question = serde_json::to_vec(&question).expect("texts and numbers become JSON");
    Ok(app.channels.recall(node, channel, question.into()).await?)
}

/// What another gateway asks for that has been asked for one of this one's responses.
pub(crate) async fn recall(app: &App, channel: &ChannelKey, question: &Bytes) -> Option<Bytes> {
    let Question { id, about } = serde_json::from_slice(question).ok()?;
    let owner = &channel.owner;
    let answer = match about {
        About::Asked => {
            let asked = known(app, owner, channel, &id, |entry| entry.asked.clone())?;
            let request = String::from_utf8(asked.request.into()).ok()?;
            let request = RawValue::from_string(request).ok()?;
            serde_json::to_vec(&Wanted { usage: asked.usage, request })
        }
        About::Input(from) => {
            let input = known(app, owner, channel, &id, |entry| entry.input.clone())?;
            let whole = Bytes::from(serde_json::to_vec(&input).ok()?);
            let piece = from..whole.len().min(from.saturating_add(PIECE_BYTES));
            return (from <= whole.len()).then(|| whole.slice(piece));
        }
        About::GoOn(after) => {
            let found = kept::here(app, owner, &id).await.ok()?;
            let found = found.filter(|found| found.channel.key() == channel)?;
            let gone_on = back::go_on_here(app, &found, after);
            serde_json::to_vec(&gone_on.map_err(|problem| problem.message))
        }
        About::Forget => {
            known(app, owner, channel, &id, |_| ())?;
            kept::forget_here(app, owner, &id).await.ok()?;
            return Some(Bytes::new());
        }
    };
    answer.ok().map(Bytes::from)
}

fn known<T>(
    app: &App,
    owner: &Owner,
    channel: &ChannelKey,
    id: &str,
    what: impl FnOnce(&Entry) -> T,
) -> Option<T> {
    let known = app.responses();
    known.get(owner, id).filter(|entry| entry.channel == *channel).map(what)
}
