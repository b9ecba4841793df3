//! Items that an app refers to by an id of ours, put in their places.
//!
//! The AI SDK sends `item_reference` for what an earlier response put out, unless it is told not to store. Only what is kept
//! here is filled in; a provider's own ids stay as they are, for the provider to know.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{App, answer, problem::Problem},
    kept,
};
use crate::{
    dialect::responses::{Request, named_items_of, response_of_item},
    ident::Owner,
};

/// Of so many responses one turn may take items, since each has to be looked up.
const RESPONSES_MAX: usize = 1_000;

#[derive(Deserialize)]
struct Reference {
    r#type: Option<String>,
    id: Option<String>,
}

/// The request with its references to items of ours filled in; `None` if there are none. Err: that cannot be learned now.
pub(super) async fn fill_in(
    app: &App,
    owner: &Owner,
    request: &Request,
) -> Result<Option<Request>, Problem> {
    let mut known = HashMap::new();
    let mut filled = false;
    let mut items = Vec::new();
    for item in request.items() {
        match referred(&item).and_then(|id| Some((response_of_item(&id)?, id))) {
            Some((response, id)) => {
                if !known.contains_key(&response) {
                    if known.len() == RESPONSES_MAX {
                        let message =
                            format!("input refers to items of more than {RESPONSES_MAX} responses");
                        return Err(Problem::bad_request(message).about("input"));
                    }
                    let put_out = put_out(app, owner, &response).await?;
                    known.insert(response.clone(), put_out);
                }
                match known.get(&response).and_then(Option::as_ref) {
                    Some(put_out) => {
                        filled = true;
                        // A thought that nobody can read again, or a call that was cut, is left out of a turn.
                        items.extend(put_out.get(&id).cloned());
                    }
                    None => items.push(item),
                }
            }
            None => items.push(item),
        }
    }
    Ok(filled.then(|| request.with_items(&items)))
}

/// The id, where an item is nothing but a reference.
fn referred(item: &RawValue) -> Option<String> {
    // Most items are not, and need not be read.
    if item.get().len() > 512 {
        return None;
    }
    let Reference { r#type, id } = serde_json::from_str(item.get()).ok()?;
    id.filter(|_| r#type.as_deref() == Some("item_reference"))
}

/// What a response put out, by its items' ids; `None` if it is not kept here.
async fn put_out(
    app: &App,
    owner: &Owner,
    response: &str,
) -> Result<Option<HashMap<String, Box<RawValue>>>, Problem> {
    let place = kept::place_of(app, owner, response).await?;
    let said = place.and_then(|(channel, place)| answer::said(&channel, place).ok());
    Ok(said.map(|said| named_items_of(&said).into_iter().collect()))
}
