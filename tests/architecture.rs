//! Who may import whom: the hourglass of ARCHITECTURE.md, held by reading the paths in `src/`.
//!
//! Left of the log nothing knows that a client exists; right of it nothing knows that a provider exists. The scan is of
//! plain text: it sees `crate::`, `super::` that climbs to the root, and crate names. Test modules may import anything.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A module, what it may import of ours, and why no more.
struct Rule(&'static str, &'static [&'static str], &'static str);

/// Anyone may name these: they know nothing of ours.
const AMBIENT: [&str; 3] = ["clock", "files", "telemetry"];
const WORDS: [&str; 4] = ["event", "ident", "sequence", "snapshot"];
const EVERYTHING: &[&str] = &["*"];

const RULES: &[Rule] = &[
    Rule("event", &WORDS, "a word knows only words"),
    Rule("ident", &WORDS, "a word knows only words"),
    Rule("sequence", &WORDS, "a word knows only words"),
    Rule("snapshot", &WORDS, "a word knows only words"),
    Rule("wire", &WORDS, "the words as bytes, for whoever sends or stores them"),
    Rule("clock", &[], "time is the same for everyone"),
    Rule("files", &[], "how a file is replaced, whatever is in it"),
    Rule("telemetry", &WORDS, "anyone reports to it, so it knows only the words"),
    Rule("provider", &[], "moves bytes to and from a model; what they mean is the dialect's"),
    Rule(
        "dialect",
        &["WORDS", "provider::sse", "provider::framing"],
        "pure: payloads to events and back",
    ),
    Rule("route", &["WORDS", "config"], "a decision about names, not a call"),
    Rule(
        "generation",
        &["WORDS", "wire", "provider", "dialect", "route", "channel", "store"],
        "ends at the log: who reads it is not its business",
    ),
    Rule(
        "store",
        &["WORDS", "wire"],
        "keeps bytes for the channel; tells it only how far it has got",
    ),
    Rule("channel", &["WORDS", "wire", "store"], "the waist: knows neither side"),
    Rule("frame", &["WORDS", "wire", "channel"], "slices of the log; nobody's socket"),
    Rule(
        "session",
        &["WORDS", "wire", "channel", "frame", "transport", "access", "store::Refusal"],
        "begins at the log: who wrote it is not its business",
    ),
    Rule(
        "transport",
        &["wire", "frame::Form", "frame::Outgoing"],
        "moves bytes to a browser; takes what the session hands it, looks at none of it",
    ),
    Rule("native", &["WORDS", "wire", "transport"], "a client: knows the contract and a carrier"),
    Rule("access", &["WORDS", "config"], "who may do what; does none of it"),
    Rule(
        "config",
        &[
            "WORDS",
            "dialect::Dialect",
            "generation::OnDisconnect",
            "generation::Timeouts",
            "generation::Failover",
            "generation::OnBreak",
        ],
        "values that were read once, in the stages' own types; what they do is others' business",
    ),
    Rule("console", &[], "files"),
    Rule("api", EVERYTHING, "the HTTP door sees both sides"),
    Rule("gateway", EVERYTHING, "puts the parts together"),
    Rule("cli", EVERYTHING, "starts a gateway or calls one"),
    Rule("main", &["cli", "gateway", "config"], "no logic"),
];

/// A library that only these places may name: whoever replaces it changes them and nothing else.
const FENCED: &[(&str, &[&str])] = &[
    ("wtransport", &["src/transport/webtransport"]),
    ("quinn", &["src/transport/webtransport"]),
    ("quinn_proto", &["src/transport/webtransport"]),
    ("async_nats", &["src/store/jetstream"]),
];

#[test]
fn every_import_goes_with_the_stream() {
    let mut violations = Vec::new();
    for (file, text) in sources() {
        violations.extend(violations_in(&file, &text));
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn every_module_has_a_rule() {
    for (file, _) in sources() {
        let module = module_of(&file);
        let top = module.first().map_or("lib", String::as_str);
        assert!(
            top == "lib" || rule(top).is_some(),
            "{file}: no rule for `{top}` in tests/architecture.rs"
        );
    }
}

#[test]
fn a_planted_violation_is_found() {
    #[track_caller]
    fn check(file: &str, text: &str, expected: usize) {
        let found = violations_in(file, text);
        assert_eq!(found.len(), expected, "{file}: {text}: {found:?}");
    }
    check("src/provider/http.rs", "use crate::session::Session;", 1);
    check(
        "src/generation/mod.rs",
        "use crate::{\n    channel::Channel, frame::{Frame, Pace},\n};",
        2,
    );
    check("src/frame/mod.rs", "fn f() { crate::generation::start() }", 1);
    check("src/frame/mod.rs", "use super::generation;", 1);
    check("src/frame/pace.rs", "use super::super::{provider as p, channel};", 1);
    check("src/dialect/openai/mod.rs", "use crate::provider::{sse::Decoder, Request};", 1);
    check("src/dialect/openai/mod.rs", "use crate::provider::*;", 1);
    check("src/channel/log.rs", "use wtransport::Connection;", 1);
    check("src/native/client.rs", "use crate::{channel::Log, transport::Dial};", 1);
    check("src/session/mod.rs", "use crate::novelty::Thing;", 1);
    // And what is right stays unsaid.
    check("src/dialect/openai/mod.rs", "use crate::{event::Event, provider::sse};", 0);
    check("src/frame/pace.rs", "use super::{clock, Frame}; use crate::frame::Frame;", 0);
    check("src/transport/webtransport.rs", "use wtransport::Connection;", 0);
    check("src/api/chat.rs", "use crate::{generation, session};", 0);
    check(
        "src/provider/mod.rs",
        "// crate::session\n/* crate::frame */ const A: &str = \"crate::api\";",
        0,
    );
    check("src/provider/mod.rs", "#[cfg(test)]\nmod tests { use crate::session::Session; }", 0);
    check("src/provider/mod.rs", "#[cfg(test)]\nmod tests {}\nuse crate::session::Session;", 1);
    check("src/provider/mod.rs", "fn f<'a>(x: &'a u8) -> char { '\"' }\nuse crate::api::A;", 1);
}

fn violations_in(file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    let tokens = without_tests(tokens(text));
    let mut violations = Vec::new();
    if let Some(Rule(top, allowed, why)) = module.first().and_then(|top| rule(top)) {
        for path in imports(&tokens, &module) {
            if !path.is_empty() && path[0] != *top && !is_allowed(&path, allowed) {
                violations
                    .push(format!("{file}: `{top}` may not name `{}`: {why}", path.join("::")));
            }
        }
    }
    for (name, places) in FENCED {
        let named = tokens.iter().any(|token| matches!(token, Token::Word(word) if word == name));
        if named && !places.iter().any(|place| file.starts_with(place)) {
            violations.push(format!("{file}: `{name}` is named only in {}", places.join(", ")));
        }
    }
    violations
}

fn is_allowed(path: &[String], allowed: &[&str]) -> bool {
    let first = path[0].as_str();
    AMBIENT.contains(&first)
        || allowed.iter().any(|entry| match *entry {
            "*" => rule(first).is_some(),
            "WORDS" => WORDS.contains(&first),
            entry => entry
                .split("::")
                .enumerate()
                .all(|(at, part)| path.get(at).is_some_and(|it| it == part)),
        })
}

fn rule(module: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.0 == module)
}

/// `src/frame/pace.rs` is `frame::pace`; `src/frame/mod.rs` is `frame`; the crate's root is nothing.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// All files of `src/` that are not test modules, with their text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if name == "tests" {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 20, "src/ was not found");
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file is UTF-8");
        let relative = path.strip_prefix(root).expect("it was found below the root");
        (relative.to_string_lossy().replace('\\', "/"), text)
    };
    files.into_iter().map(named).collect()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

/// Words and signs, comments and the insides of strings left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let hashes = after.len() - after.trim_start_matches('#').len();
            if matches!(word, "r" | "br" | "cr") && after[hashes..].starts_with('"') {
                rest = after_mark(&after[hashes + 1..], &format!("\"{}", "#".repeat(hashes)));
            } else {
                out.push(Token::Word(word.into()));
                rest = after;
            }
        } else if rest.starts_with("//") {
            rest = after_mark(rest, "\n");
        } else if rest.starts_with("/*") {
            rest = after_mark(rest, "*/");
        } else if c == '"' {
            rest = after_string(&rest[1..]);
        } else if let Some(after) = after_char(rest) {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("::") {
            out.push(Token::Colons);
            rest = after;
        } else {
            if !c.is_whitespace() {
                out.push(Token::Sign(c));
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn after_mark<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or("", |(_, after)| after)
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// What follows a character literal; `None` for a lifetime or anything else.
fn after_char(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escaped) = inside.strip_prefix('\\') {
        let first = escaped.chars().next()?.len_utf8();
        return Some(after_mark(&escaped[first..], "'"));
    }
    let mut chars = inside.chars();
    chars.next()?;
    chars.as_str().strip_prefix('\'')
}

/// Drops every item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mark: Vec<Token> = self::tokens("#[cfg(test)]");
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].starts_with(&mark) {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        at += mark.len();
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(token, Token::Sign('}' | ';')) {
                break;
            }
        }
    }
    out
}

/// Every path that begins at the crate's root, also inside braces.
fn imports(tokens: &[Token], module: &[String]) -> Vec<Vec<String>> {
    let word =
        |at: usize, text: &str| matches!(tokens.get(at), Some(Token::Word(it)) if it == text);
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = at == 0 || tokens[at - 1] != Token::Colons;
        let climbs = (at..).step_by(2).take_while(|&it| word(it, "super")).count();
        let root = word(at, "crate") || word(at, "tokenway");
        if begins && root && tokens.get(at + 1) == Some(&Token::Colons) {
            at = tree(tokens, at + 2, &[], &mut paths);
        } else if begins && climbs > 0 && climbs == module.len() {
            at = tree(tokens, at + 2 * climbs, &[], &mut paths);
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads one use tree from `at` on, adds its paths, and returns where it ends.
fn tree(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(Token::Word(word)) => path.push(word.clone()),
            Some(Token::Sign('{')) => {
                at += 1;
                while !matches!(tokens.get(at), None | Some(Token::Sign('}'))) {
                    let next = tree(tokens, at, &path, paths);
                    // A name given by `as` and the comma after it say nothing.
                    at = (next..)
                        .find(|&it| matches!(tokens.get(it), None | Some(Token::Sign(',' | '}'))))
                        .unwrap_or(next);
                    at += usize::from(tokens.get(at) == Some(&Token::Sign(',')));
                }
                return at + 1;
            }
            _ => {}
        }
        if matches!(tokens.get(at), Some(Token::Word(_)))
            && tokens.get(at + 1) == Some(&Token::Colons)
        {
            at += 2;
            continue;
        }
        paths.push(path);
        return at + 1;
    }
}
