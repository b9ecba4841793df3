//! Images, whole and as previews.

use super::*;

#[test]
fn an_image_is_an_item_with_its_bytes() {
    let part = |part, last, data: &'static [u8]| {
        let (mime, data) = ("image/png".to_owned(), Bytes::from_static(data));
        Event::new(Kind::Media(Media { mime, data, index: 0, part, last }))
    };
    let response = check(&values(&wires(&[
        started("gemini"),
        part(0, false, b"\x89P"),
        part(1, true, b"NG"),
        finished(FinishReason::Stop),
    ])));
    let item = &response["output"][0];
    assert_eq!(
        (&item["type"], &item["result"]),
        (&json!("image_generation_call"), &json!("iVBORw=="))
    );
}

fn preview(id: &str, number: u32) -> Event {
    let name = "response.image_generation_call.partial_image";
    let data = json!({ "type": name, "output_index": 7, "item_id": id, "sequence_number": 99,
        "partial_image_index": number, "partial_image_b64": "eA==" });
    native(name, &data)
}

fn whole(id: &str, index: u32) -> [Event; 2] {
    let item = json!({ "type": "image_generation_call", "id": id, "revised_prompt": "p" });
    let (mime, data) = ("image/png".to_owned(), Bytes::from_static(b"x"));
    let media = Media { mime, data, index, part: 0, last: true };
    [native("image_generation_call", &item), Event::new(Kind::Media(media))]
}

#[test]
fn previews_come_within_the_item_of_their_image() {
    let mut events = vec![started("responses"), text("See: "), preview("ig_1", 0)];
    events.extend([preview("ig_2", 0), preview("ig_1", 1)]);
    events.extend(whole("ig_1", 0));
    events.push(text("and"));
    events.extend(whole("ig_2", 1));
    events.extend(whole("ig_3", 2));
    events.push(finished(FinishReason::Stop));
    let payloads = values(&wires(&events));
    let response = check(&payloads);
    let ids: Vec<_> =
        response["output"].as_array().expect("items").iter().map(|it| &it["id"]).collect();
    assert_eq!(ids[1..3], [&json!("ig_1"), &json!("ig_2")]);
    let previews = payloads.iter().filter(|it| it["partial_image_b64"] == "eA==");
    let places: Vec<_> = previews.map(|it| it["output_index"].as_u64()).collect();
    assert_eq!(places, [Some(1), Some(2), Some(1)]);
    let results = response["output"].as_array().expect("items").iter();
    assert_eq!(results.filter(|it| it["result"] == "eA==").count(), 3);
}

#[test]
fn an_image_of_which_only_previews_came_has_failed() {
    let resumed = Event::new(Kind::Resumed(Resumed::default()));
    let failed = Event::new(Kind::Failed(Failed::new(FailureCode::UpstreamCut, "cut")));
    for last in [vec![resumed, finished(FinishReason::Stop)], vec![failed]] {
        let events = [vec![started("responses"), preview("ig_1", 0)], last].concat();
        assert_eq!(check(&values(&wires(&events)))["output"][0]["status"], "failed");
    }
}
