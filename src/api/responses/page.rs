//! `GET /v1/responses/{id}/input_items`: the items that a response began with, in pages.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

/// How many items a page has where nobody says, and at most: OpenAI's own numbers.
const LIMIT: usize = 20;
const LIMIT_MAX: usize = 100;

/// Which items come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::api) enum Order {
    /// The last.
    #[default]
    Descending,
    /// The first.
    Ascending,
}

/// Which page.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Page {
    /// How many items; from 1 to 100, by default 20.
    pub(in crate::api) limit: Option<usize>,
    /// The id of the item before the page's first.
    pub(in crate::api) after: Option<String>,
    /// Which come first.
    pub(in crate::api) order: Order,
}

/// A page of a response's input items. One that came without an id has one by its place. `None` where `after` is no
/// item of it.
pub(in crate::api) fn input_items(
    response: &str,
    items: &[Box<RawValue>],
    page: &Page,
) -> Option<Bytes> {
    #[derive(Serialize)]
    struct List<'a> {
        object: &'static str,
        data: &'a [Value],
        first_id: Option<&'a str>,
        last_id: Option<&'a str>,
        has_more: bool,
    }
    let stem = response.strip_prefix("resp_").unwrap_or(response);
    let mut all: Vec<_> =
        items.iter().enumerate().map(|(at, item)| named(stem, at, item)).collect();
    if page.order == Order::Descending {
        all.reverse();
    }
    let from = match &page.after {
        Some(after) => all.iter().position(|item| item["id"] == **after)? + 1,
        None => 0,
    };
    let limit = page.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let upto = all.len().min(from + limit);
    let data = &all[from..upto];
    let id = |item: Option<&'_ Value>| -> Option<String> { Some(item?["id"].as_str()?.to_owned()) };
    let (first, last) = (id(data.first()), id(data.last()));
    let list = List {
        object: "list",
        data,
        first_id: first.as_deref(),
        last_id: last.as_deref(),
        has_more: upto < all.len(),
    };
    Some(serde_json::to_vec(&list).expect("JSON").into())
}

/// An item as the SDKs want it: with its type, its id, and a message's content in parts.
fn named(stem: &str, at: usize, item: &RawValue) -> Value {
    let mut item: Value = serde_json::from_str(item.get()).unwrap_or_default();
    if let Some(members) = item.as_object_mut() {
        members.entry("type").or_insert_with(|| "message".into());
        members.entry("id").or_insert_with(|| format!("item_{stem}_{at}").into());
        let assistant = members.get("role").is_some_and(|role| role == "assistant");
        if let Some(content) = members.get_mut("content").filter(|content| content.is_string()) {
            let kind = if assistant { "output_text" } else { "input_text" };
            *content = serde_json::json!([{"type": kind, "text": content.take()}]);
        }
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: usize, after: Option<&str>, order: Order) -> Option<Value> {
        let items: Vec<_> = (0..5)
            .map(|n| RawValue::from_string(format!(r#"{{"role":"user","content":"{n}"}}"#)))
            .collect::<Result<_, _>>()
            .expect("JSON");
        let page = Page { limit: Some(limit), after: after.map(str::to_owned), order };
        let body = input_items("resp_a", &items, &page)?;
        Some(serde_json::from_slice(&body).expect("JSON"))
    }

    #[test]
    fn pages_follow_each_other_in_either_order() {
        for (order, expected) in [(Order::Ascending, "01234"), (Order::Descending, "43210")] {
            let mut after = None;
            let mut seen = String::new();
            loop {
                let body = page(2, after.as_deref(), order).expect("a page");
                for item in body["data"].as_array().expect("items") {
                    assert_eq!(item["type"], "message");
                    seen += item["content"][0]["text"].as_str().expect("text");
                }
                after = body["last_id"].as_str().map(str::to_owned);
                if body["has_more"] == false {
                    break;
                }
            }
            assert_eq!(seen, expected);
        }
        assert!(page(2, Some("item_b_9"), Order::Ascending).is_none());
        assert_eq!(
            page(0, None, Order::Ascending).expect("one")["data"].as_array().map(Vec::len),
            Some(1)
        );
    }
}
