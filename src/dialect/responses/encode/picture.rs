//! Images: items that begin with their first preview, or else when they are whole.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Encoder;
use crate::dialect::{
    Wire,
    responses::output::{COMPLETED, IN_PROGRESS, Item},
};

/// An image's status that never came: its kind of item knows no "incomplete".
const FAILED: &str = "failed";

/// An image of which there are previews, and not yet the whole.
#[derive(Debug)]
pub(super) struct Drawing {
    /// Its item's.
    id: String,
    /// In the output.
    at: usize,
}

#[derive(Serialize)]
struct Body<'a> {
    item_id: &'a str,
    output_index: usize,
}

impl Encoder {
    /// A preview, as the provider sent it, in its item's place here.
    pub(super) fn preview(&mut self, data: &[u8], out: &mut Vec<Wire>) {
        let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
        let Some(id) = members.get("item_id").and_then(Value::as_str).map(str::to_owned) else {
            return;
        };
        let known = self.drawings.iter().find(|drawing| drawing.id == id).map(|it| it.at);
        let at = known.unwrap_or_else(|| {
            let at = self.draw(&id, out);
            self.drawings.push(Drawing { id, at });
            at
        });
        members.insert("output_index".to_owned(), at.into());
        members.insert("sequence_number".to_owned(), self.next.into());
        out.push(Wire {
            name: "response.image_generation_call.partial_image",
            data: Value::Object(members).to_string().into(),
        });
        self.next += 1;
    }

    /// A whole image, or the end of one that never came.
    pub(super) fn picture(
        &mut self,
        mut more: Map<String, Value>,
        result: Option<String>,
        out: &mut Vec<Wire>,
    ) {
        let (ours, _) = self.next_id("image_generation_call", "ig");
        let id = more.remove("id").and_then(|id| id.as_str().map(str::to_owned)).unwrap_or(ours);
        more.retain(|name, _| !matches!(name.as_str(), "type" | "status" | "result"));
        let drawn = self.drawings.iter().position(|drawing| drawing.id == id);
        let at = match drawn {
            Some(drawn) => self.drawings.swap_remove(drawn).at,
            None => self.draw(&id, out),
        };
        let body = Body { item_id: &id, output_index: at };
        self.push("response.image_generation_call.completed", body, out);
        *self.item(at) = Item::ImageGenerationCall { id, status: COMPLETED, result, more };
        self.close(at, COMPLETED, out);
    }

    /// Begins an image's item; its place.
    fn draw(&mut self, id: &str, out: &mut Vec<Wire>) -> usize {
        self.close_open(COMPLETED, out);
        self.close_calls(IN_PROGRESS, out);
        let (status, more) = (IN_PROGRESS, Map::new());
        let item = Item::ImageGenerationCall { id: id.to_owned(), status, result: None, more };
        let at = self.add(item, out);
        for name in [
            "response.image_generation_call.in_progress",
            "response.image_generation_call.generating",
        ] {
            self.push(name, Body { item_id: id, output_index: at }, out);
        }
        at
    }

    /// Nobody goes on with the images that are begun.
    pub(super) fn close_drawings(&mut self, out: &mut Vec<Wire>) {
        for Drawing { at, .. } in std::mem::take(&mut self.drawings) {
            self.close(at, FAILED, out);
        }
    }
}
