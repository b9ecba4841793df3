//! OpenAI's Responses, for every provider: `POST /v1/responses`, and all the ways to come back to one by its id.
//!
//! What is pure is `index`, `numbers` and `page`: what is remembered, the numbers in which apps count, and pages of
//! input items. `kept` fills the index and finds in it, `away` finds what other gateways have
//! begun, `begin` begins, `back` tells again, `verbs` stops and forgets,
//! `counting` numbers a stream.
//!
//! Nothing here is a second store: the index says where on a channel a response is said, and is forgotten with it.

mod away;
mod back;
mod begin;
mod counting;
mod index;
mod kept;
mod numbers;
mod page;
mod reference;
mod verbs;

use axum::routing::{MethodRouter, get};

use super::App;
pub(crate) use away::recall;
use index::Entry;
pub(super) use {
    back::so_far,
    begin::{Turn, begin},
    counting::Counting,
    index::Responses,
    kept::{forget, name, remember},
    verbs::{cancel, input_items},
};
use {kept::Found, numbers::Numbers};

/// `/v1/responses/{id}`.
pub(super) fn one() -> MethodRouter<App> {
    get(back::retrieve).delete(verbs::delete)
}
