//! Takes thoughts of other dialects' models out of a conversation that goes on at a provider of this one.
//!
//! An app that was answered by another dialect's provider gives back what that one thought, under a seal in
//! `thoughtSignature`. Google would refuse the whole request for a signature that is not its own.

use serde_json::value::RawValue;

use super::{
    fields::{Fields, camel, elements},
    read::origin_of,
    write::{NOT_SIGNED, is_third},
};
use crate::dialect::{Dialect, body::json, call::Dropped};

/// What every seal begins with, in either alphabet: base64 of `tokenway:`. Bodies without it are not looked into.
const SEAL_BEGINS: &[u8] = b"dG9rZW53YXk6";

/// The member of a part.
const SIGNATURE: &str = "thoughtSignature";

/// The value of `contents` without them, for a provider's model; `None` where there are none. All else stays byte for byte.
/// Gemini 3 refuses a call that nobody signed: where the thought before it goes, the call says that nobody did.
pub(super) fn without_foreign_thoughts(
    body: &[u8],
    model: &str,
    dropped: &mut Dropped,
) -> Option<String> {
    memchr::memmem::find(body, SEAL_BEGINS)?;
    let body = serde_json::from_slice::<&RawValue>(body).ok()?;
    let contents = Fields::verbatim(body)?.get("contents")?;
    let mut found = false;
    let mut kept = Vec::new();
    for (at, content) in elements(contents).into_iter().enumerate() {
        let Some(fields) = Fields::verbatim(content) else {
            kept.push(content.get().to_owned());
            continue;
        };
        let (mut members, mut emptied, mut touched) = (Vec::new(), false, false);
        for (name, value) in fields.iter() {
            let parts = match name {
                "parts" => left(elements(value), &format!("contents[{at}].parts"), dropped),
                _ => None,
            };
            let Some(mut parts) = parts else {
                members.push(member(name, value.get()));
                continue;
            };
            if is_third(model) {
                stand_in(&mut parts);
            }
            (touched, emptied) = (true, parts.is_empty());
            members.push(member(name, &format!("[{}]", parts.join(","))));
        }
        found |= touched;
        match touched {
            false => kept.push(content.get().to_owned()),
            // A content without parts is refused.
            true if emptied => {}
            true => kept.push(format!("{{{}}}", members.join(","))),
        }
    }
    found.then(|| format!("[{}]", kept.join(",")))
}

/// The parts without foreign thoughts; `None` where there are none.
fn left(parts: Vec<&RawValue>, path: &str, dropped: &mut Dropped) -> Option<Vec<String>> {
    let mut found = false;
    let mut kept: Vec<String> = Vec::with_capacity(parts.len());
    // The thought whose signature has not come yet: a stream gives it in pieces, and so apps give it back.
    let mut unsigned = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        let fields = Fields::of(part).unwrap_or_default();
        let signature = fields.text(SIGNATURE).unwrap_or_default();
        let thought = fields.is_true("thought");
        if !is_foreign(&signature) {
            match thought && signature.is_empty() {
                true => unsigned.push((at, kept.len())),
                false => unsigned.clear(),
            }
            kept.push(part.get().to_owned());
            continue;
        }
        found = true;
        let hollow = fields.text("text").is_some_and(|text| text.is_empty());
        if thought || hollow {
            for (at, _) in &unsigned {
                dropped.note(format!("{path}[{at}]"));
            }
            if let Some((_, first)) = unsigned.first() {
                kept.truncate(*first);
            }
            dropped.note(format!("{path}[{at}]"));
        } else {
            dropped.note(format!("{path}[{at}].{SIGNATURE}"));
            kept.push(without_signature(part));
        }
        unsigned.clear();
    }
    found.then_some(kept)
}

/// Whether a signature is another dialect's, under a seal.
fn is_foreign(signature: &str) -> bool {
    !signature.is_empty() && origin_of(signature) != Some(Dialect::Gemini)
}

fn without_signature(part: &RawValue) -> String {
    let fields = Fields::verbatim(part).unwrap_or_default();
    let others = fields.iter().filter(|(name, _)| camel((*name).into()) != SIGNATURE);
    let others: Vec<_> = others.map(|(name, value)| member(name, value.get())).collect();
    format!("{{{}}}", others.join(","))
}

/// Says of the first call that nobody signed it, where nobody did: one signature is for all calls of a turn.
fn stand_in(parts: &mut [String]) {
    for part in parts {
        let Ok(raw) = serde_json::from_str::<&RawValue>(part) else { continue };
        let fields = Fields::of(raw).unwrap_or_default();
        if fields.get("functionCall").is_none() {
            continue;
        }
        if fields.text(SIGNATURE).is_none() {
            let end = part.rfind('}').expect("a part with a call is an object");
            part.insert_str(end, &format!(",{}", member(SIGNATURE, &json(NOT_SIGNED))));
        }
        return;
    }
}

fn member(name: &str, value: &str) -> String {
    format!("{}:{value}", json(name))
}

#[cfg(test)]
mod tests {
    use crate::dialect::{Dialect, Sealed, Streaming, gemini::Request, seal};

    fn sent(contents: &str, model: &str) -> (String, Vec<String>) {
        let body = format!(r#"{{"x":1.10,"contents": {contents}}}"#);
        let request = Request::read("fast", true, body.into()).expect("a request");
        let upstream = request.upstream(model, Streaming::AsAsked);
        let body = String::from_utf8(upstream.body.to_vec()).expect("text");
        (body, upstream.dropped.paths().to_vec())
    }

    #[test]
    fn thoughts_of_other_dialects_models_are_left_out_in_every_spelling() {
        let foreign = seal(Dialect::Anthropic, Sealed::Signature, "?>?>?");
        let url_safe = foreign.replace('+', "-").replace('/', "_");
        let bare = url_safe.trim_end_matches('=');
        assert_ne!(foreign, url_safe, "the alphabets differ in it");
        for (name, seal) in [
            ("thoughtSignature", &*foreign),
            ("thought_signature", &url_safe),
            ("thoughtSignature", bare),
        ] {
            let contents = format!(
                r#"[{{"role":"user","parts":[{{"text":"Hi"}}]}}, {{"role":"model","parts":[{{"text":"H","thought":true}},{{"text":"m","thought":true}},{{"{name}":"{seal}","thought":true}},{{ "text":"é" }}]}},{{"role":"model","parts":{{"{name}":"{seal}","thought":true}}}}]"#
            );
            let (body, dropped) = sent(&contents, "gemini-2.5-flash");
            let left = r#"{"x":1.10,"contents": [{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{ "text":"é" }]}]}"#;
            assert_eq!(body, left, "{name} {seal}");
            let paths = [
                "contents[1].parts[0]",
                "contents[1].parts[1]",
                "contents[1].parts[2]",
                "contents[2].parts[0]",
            ];
            assert_eq!(dropped, paths);
        }
    }

    #[test]
    fn a_call_loses_the_seal_alone_and_says_where_it_must_that_nobody_signed_it() {
        let seal = seal(Dialect::Responses, Sealed::Encrypted, "r");
        for (model, signed) in [
            ("gemini-2.5-flash", ""),
            ("gemini-3-pro-preview", r#","thoughtSignature":"skip_thought_signature_validator""#),
        ] {
            let part = |signature: &str| {
                format!(
                    r#"[{{"parts":[{{"functionCall":{{"name":"f","args":{{}}}}{signature}}},{{"functionCall":{{"name":"g"}}}}]}}]"#
                )
            };
            let (body, dropped) = sent(&part(&format!(r#","thoughtSignature":"{seal}""#)), model);
            assert_eq!(body, format!(r#"{{"x":1.10,"contents": {}}}"#, part(signed)), "{model}");
            assert_eq!(dropped, ["contents[0].parts[0].thoughtSignature"]);
        }
    }

    #[test]
    fn what_is_its_own_goes_back_byte_for_byte() {
        let own = seal(Dialect::Gemini, Sealed::Signature, "g");
        for signature in ["R2VtaW5p-_8=", &own, "dG9rZW53YXk6"] {
            let contents = format!(
                r#"[ {{"parts" : [ {{"text":"a","thought":true,"thoughtSignature":"{signature}"}} ]}} ]"#
            );
            let (body, dropped) = sent(&contents, "gemini-3-pro");
            assert_eq!(body, format!(r#"{{"x":1.10,"contents": {contents}}}"#));
            assert!(dropped.is_empty());
        }
    }
}
