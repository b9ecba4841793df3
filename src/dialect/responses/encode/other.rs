//! Media, and what only the provider and its dialect know.

use base64::Engine;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use super::{Encoder, Introduced};
use crate::{
    dialect::{
        Wire,
        responses::{
            items::BASE64,
            lifecycle::Added,
            output::{COMPLETED, IN_PROGRESS, Output},
        },
    },
    event::{Media, Native},
};

impl Encoder {
    /// An image goes only whole, audio part by part.
    pub(super) fn media(&mut self, media: &Media, out: &mut Vec<Wire>) {
        #[derive(Serialize)]
        struct Sound {
            delta: String,
        }
        #[derive(Serialize)]
        struct Done {}
        if media.mime.starts_with("audio/") {
            if !media.data.is_empty() {
                let delta = BASE64.encode(&media.data);
                self.push("response.audio.delta", Sound { delta }, out);
            }
            if media.last {
                self.push("response.audio.done", Done {}, out);
            }
        }
        if !media.mime.starts_with("image/") {
            return;
        }
        self.images.entry(media.index).or_default().extend_from_slice(&media.data);
        if media.last {
            let data = self.images.remove(&media.index).unwrap_or_default();
            let members = self.image.take().unwrap_or_else(|| {
                let format = media.mime.trim_start_matches("image/");
                Map::from_iter([("output_format".to_owned(), format.into())])
            });
            self.picture(members, Some(BASE64.encode(data)), out);
        }
    }

    pub(super) fn native(&mut self, native: &Native, out: &mut Vec<Wire>) {
        let member = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
        match native.name.as_str() {
            sort @ ("message" | "reasoning" | "function_call" | "custom_tool_call") => {
                let value: Value = serde_json::from_slice(&native.data).unwrap_or_default();
                let (id, phase) = (member(&value, "id"), member(&value, "phase"));
                self.introduced = Some(Introduced { sort: sort.to_owned(), id, phase });
                match sort {
                    "message" => self.open_message(out),
                    "reasoning" => self.open_thought(out),
                    _ => {}
                }
            }
            "image_generation_call" => {
                self.image = serde_json::from_slice(&native.data).ok();
            }
            name if name.ends_with("image_generation_call.partial_image") => {
                self.preview(&native.data, out);
            }
            name if name.starts_with("response.") => self.replay(&native.data, out),
            "stray" => {}
            _ => {
                let Ok(item) = serde_json::from_slice::<Box<RawValue>>(&native.data) else {
                    return;
                };
                self.close_open(COMPLETED, out);
                self.close_calls(IN_PROGRESS, out);
                let output_index = self.response.output.len();
                for name in ["response.output_item.added", "response.output_item.done"] {
                    self.push(name, Added { output_index, item: &item }, out);
                }
                self.response.output.push(Output::Raw(item));
            }
        }
    }

    /// A payload of a kind that nobody here knows, in its place and with its place's number. One that belongs to an item
    /// is left out: the finished item says it, and may stand elsewhere here.
    fn replay(&mut self, data: &[u8], out: &mut Vec<Wire>) {
        let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
        if members.contains_key("output_index") || members.contains_key("item_id") {
            return;
        }
        members.insert("sequence_number".to_owned(), self.next.into());
        out.push(Wire::unnamed(Value::Object(members).to_string()));
        self.next += 1;
    }
}
