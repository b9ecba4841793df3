//! The one table of error codes, `proto/codes.json`: every code that the gateway's sources write is in it, with the status
//! that it comes with, and nothing else is. The client's list is made from it.
//!
//! The scan is of plain text: a code is written beside its status, or, for sessions, where a refusal is made. Codes by which
//! a generation fails are `FailureCode` in the proto, and no part of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// Written apart from its status, which is chosen: the code, its statuses, and why.
const APART: [(&str, &[u16], &str); 3] = [
    ("limit", &[429, 503], "a viewer finds no seat: of its own, or of all"),
    ("no_token_secret", &[501], "beside what is wrong with a wish for a token"),
    ("budget_exceeded", &[429], "a key's limit, beside those that are brief"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    code: String,
    from: Vec<String>,
    #[serde(default)]
    class: Option<String>,
    #[serde(default)]
    status: Statuses,
    #[serde(default)]
    retry: Option<String>,
    means: String,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Statuses {
    #[default]
    None,
    One(u16),
    Several(Vec<u16>),
}

impl Row {
    fn statuses(&self) -> BTreeSet<u16> {
        match &self.status {
            Statuses::None => BTreeSet::new(),
            Statuses::One(one) => BTreeSet::from([*one]),
            Statuses::Several(all) => all.iter().copied().collect(),
        }
    }

    fn is_from(&self, whom: &str) -> bool {
        self.from.iter().any(|from| from == whom)
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn table() -> Vec<Row> {
    let text = fs::read_to_string(repository("proto/codes.json")).expect("it is there");
    serde_json::from_str(&text).expect("a list of codes")
}

/// The sources of a folder, without their tests, and each run of white space as one space.
fn sources(folder: &str) -> String {
    let mut all = String::new();
    let mut folders = vec![repository(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).expect("text");
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                all += &text.split_whitespace().collect::<Vec<_>>().join(" ");
                all.push('\n');
            }
        }
    }
    all
}

/// The word of small letters in the quotes with which a text begins.
fn word(text: &str) -> Option<&str> {
    let (word, _) = text.strip_prefix('"')?.split_once('"')?;
    let is_word = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_word && !word.is_empty()).then_some(word)
}

/// What stands right after each `mark`.
fn after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(mark).map(move |(at, _)| text[at + mark.len()..].trim_start())
}

fn number(status: &str) -> u16 {
    let known = [
        ("BAD_REQUEST", 400),
        ("UNAUTHORIZED", 401),
        ("FORBIDDEN", 403),
        ("NOT_FOUND", 404),
        ("METHOD_NOT_ALLOWED", 405),
        ("REQUEST_TIMEOUT", 408),
        ("CONFLICT", 409),
        ("GONE", 410),
        ("PAYLOAD_TOO_LARGE", 413),
        ("RANGE_NOT_SATISFIABLE", 416),
        ("TOO_MANY_REQUESTS", 429),
        ("BAD_GATEWAY", 502),
        ("SERVICE_UNAVAILABLE", 503),
        ("INSUFFICIENT_STORAGE", 507),
    ];
    let of = known.iter().find(|(name, _)| *name == status).map(|(_, number)| *number);
    of.unwrap_or_else(|| panic!("{status} has no number here yet"))
}

/// Every code that HTTP answers with, and its statuses.
fn of_http() -> BTreeMap<String, BTreeSet<u16>> {
    let text = sources("src/api");
    let mut found: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for rest in after(&text, "StatusCode::") {
        let name = |byte: char| byte.is_ascii_uppercase() || byte == '_';
        let status = &rest[..rest.find(|byte| !name(byte)).unwrap_or(rest.len())];
        if let Some(code) = rest[status.len()..].strip_prefix(", ").and_then(word) {
            found.entry(code.to_owned()).or_default().insert(number(status));
        }
    }
    for (code, statuses, _) in APART {
        found.entry(code.to_owned()).or_default().extend(statuses);
    }
    // A status that is chosen, with a code that is not: it must be one of those above.
    for rest in after(&text, "::new(status, ") {
        if let Some(code) = word(rest) {
            assert!(APART.iter().any(|(known, ..)| *known == code), "{code}: say its statuses");
        }
    }
    found
}

/// Every code that a session is told.
fn of_sessions() -> BTreeSet<String> {
    let text = sources("src/session");
    let refusals =
        text.lines().find(|text| text.contains("pub enum Closing")).expect("it is there");
    let made = after(&text, "Refusal::new(");
    let chosen = after(refusals, "=> ").chain(after(refusals, "("));
    made.chain(chosen).filter_map(word).map(str::to_owned).collect()
}

#[test]
fn every_code_that_the_gateway_sends_is_in_the_table_with_its_status_and_no_other_is() {
    let table = table();
    let rows: BTreeMap<_, _> = table.iter().map(|row| (row.code.clone(), row)).collect();
    assert_eq!(rows.len(), table.len(), "a code stands twice");
    let written = table.iter().filter(|row| row.is_from("http"));
    let written = written.map(|row| (row.code.clone(), row.statuses())).collect();
    let sent = of_http();
    assert!(sent.len() > 20, "the scan finds them: {sent:?}");
    assert_eq!(sent, written);
    let written: BTreeSet<_> =
        table.iter().filter(|row| row.is_from("session")).map(|row| row.code.clone()).collect();
    assert_eq!(of_sessions(), written);
}

#[test]
fn the_table_says_of_each_code_what_its_columns_allow() {
    for row in table() {
        let code = &row.code;
        assert!(!row.from.is_empty(), "{code} comes from somewhere");
        assert!(row.from.iter().all(|it| ["http", "session", "client"].contains(&it.as_str())));
        assert_eq!(row.is_from("http"), !row.statuses().is_empty(), "{code}: HTTP has statuses");
        let (class, retry) = (row.class.as_deref(), row.retry.as_deref());
        assert!(class.is_none_or(|it| ["access", "connection"].contains(&it)), "{code}");
        // `after`: HTTP itself says when, by `retry-after`.
        let retries = ["later", "snapshot", "token", "after"];
        assert!(retry.is_none_or(|it| retries.contains(&it)), "{code}");
        assert!(row.means.len() > 10 && !row.means.ends_with('.'), "{code}: {}", row.means);
    }
}

#[test]
fn a_session_that_closes_says_to_come_again_where_the_table_does() {
    let text = sources("src/session");
    let (_, closing) = text.split_once("fn to_wire(&self) -> proto::Closing").expect("it is there");
    let (closing, _) = closing.split_once("proto::Closing {").expect("its end");
    let mut closings = 0;
    for rest in after(closing, "(\"") {
        // `("limit", (*what).into(), true)`, as a closing's three parts are written.
        let Some((code, rest)) = rest.split_once('"') else { continue };
        let parts = rest.split_once(", ").map(|(_, rest)| {
            let [yes, no] = [", true)", ", false)"].map(|it| rest.find(it).unwrap_or(usize::MAX));
            yes < no
        });
        let (Some(again), true) = (parts, rest.starts_with(", ")) else { continue };
        let table = table();
        let row = table.iter().find(|row| row.code == code);
        let row = row.unwrap_or_else(|| panic!("{code} is not in the table"));
        assert_eq!(again, row.retry.as_deref() == Some("later"), "{code}");
        closings += 1;
    }
    assert_eq!(closings, 6, "all of `Closing`");
}

#[test]
fn the_clients_list_is_made_from_the_table_as_it_is() {
    let table = table();
    let list = |retries: &[&str]| {
        let those = table
            .iter()
            .filter(|row| row.retry.as_deref().is_some_and(|retry| retries.contains(&retry)));
        those.map(|row| row.code.as_str()).collect::<Vec<_>>().join(" ")
    };
    let written = fs::read_to_string(repository("client/src/wire/codes.ts")).expect("it is there");
    let codes: Vec<_> = written
        .lines()
        .filter_map(|line| line.trim().strip_prefix("| \"")?.split('"').next())
        .collect();
    let expected: Vec<_> = table.iter().map(|row| row.code.as_str()).collect();
    assert_eq!(codes, expected, "`npm run codes` in client/ makes it anew");
    for (name, retries) in [
        ("RETRYABLE", &["later", "snapshot", "after"][..]),
        ("RESTART", &["snapshot"]),
        ("RENEW", &["token"]),
    ] {
        let (_, rest) = written.split_once(&format!("export const {name} =")).expect("it is there");
        let said = rest.split('"').nth(1);
        assert_eq!(said, Some(list(retries).as_str()), "{name}: `npm run codes` makes it anew");
    }
}
