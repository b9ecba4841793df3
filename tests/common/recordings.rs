//! The recordings: not part of the repository, `TOKENWAY_TRANSCRIPTS` names their directory.

use std::{
    env, fmt, fs,
    io::{Write, stderr},
    path::Path,
};

use bytes::Bytes;
use serde_json::Value;
use tokenway::dialect::Dialect;

/// The directories, and what is spoken there; see [`dialect`].
const DIRECTORIES: [(&str, Dialect); 15] = [
    ("anthropic-messages", Dialect::Anthropic),
    ("azure-openai", Dialect::OpenAi),
    ("bedrock-converse", Dialect::Bedrock),
    ("bedrock-invoke", Dialect::Bedrock),
    ("deepseek", Dialect::OpenAi),
    ("gemini", Dialect::Gemini),
    ("groq", Dialect::OpenAi),
    ("mistral", Dialect::OpenAi),
    ("ollama", Dialect::Ollama),
    ("openai-chat", Dialect::OpenAi),
    ("openai-compatible", Dialect::OpenAi),
    ("openai-responses", Dialect::Responses),
    ("openrouter", Dialect::OpenAi),
    ("together", Dialect::OpenAi),
    ("xai", Dialect::OpenAi),
];

/// How the bodies of streams end in the directories; `.err` is the body of an HTTP error.
const STREAMS: [&str; 4] = ["sse", "ndjson", "bin", "jsonarr"];

/// A recording, and what the provider's official SDK makes of it.
#[derive(Clone)]
pub(crate) struct Recording {
    /// Its directory.
    pub(crate) directory: &'static str,
    pub(crate) name: String,
    /// What it is in.
    pub(crate) dialect: Dialect,
    /// A stream; else the body of an HTTP error.
    pub(crate) is_stream: bool,
    pub(crate) body: Bytes,
    /// Where it came from, and under which status.
    facts: Value,
    /// Null where no SDK reads it: such a stream must do no harm, and no more.
    pub(crate) expected: Value,
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.directory, self.name)
    }
}

impl Recording {
    /// A stream written by hand, in the form of a recording; `expected` as in a recording's file.
    pub(crate) fn by_hand(
        name: &str,
        dialect: Dialect,
        content_type: &str,
        body: Bytes,
        expected: Value,
    ) -> Self {
        let (directory, name) = (dialect.as_str(), name.to_owned());
        let facts = serde_json::json!({ "http": { "content_type": content_type } });
        Self { directory, name, dialect, is_stream: true, body, facts, expected }
    }

    /// The HTTP status of an error.
    pub(crate) fn status(&self) -> u16 {
        let status = self.facts["http"]["status"].as_u64().unwrap_or(0);
        u16::try_from(status).expect("an HTTP status")
    }

    /// As the provider named it.
    pub(crate) fn content_type(&self) -> &str {
        self.facts["http"]["content_type"].as_str().expect("a content type")
    }
}

/// All recordings; none, and that is said aloud, where nobody tells where they are.
pub(crate) fn recordings() -> Option<Vec<Recording>> {
    let Ok(root) = env::var("TOKENWAY_TRANSCRIPTS") else {
        let said = "LEFT OUT: recorded streams (TOKENWAY_TRANSCRIPTS names no directory)";
        assert_ne!(env::var("TOKENWAY_NOTHING_SKIPPED").as_deref(), Ok("1"), "{said}");
        // Not by a macro: those are captured, and this is to be seen.
        writeln!(stderr(), "{said}").expect("stderr is open");
        return None;
    };
    let mut recordings = Vec::new();
    for (directory, dialect) in DIRECTORIES {
        let Ok(entries) = fs::read_dir(Path::new(&root).join(directory)) else { continue };
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        for path in files {
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            let is_stream = STREAMS.contains(&kind);
            if !is_stream && kind != "err" {
                continue;
            }
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let expected = path.with_extension("expected.json");
            recordings.push(Recording {
                directory,
                name: name.to_owned(),
                // Providers of Chat Completions have Responses beside it.
                dialect: if name.starts_with("responses-") { Dialect::Responses } else { dialect },
                is_stream,
                body: Bytes::from(fs::read(&path).expect("a recording")),
                facts: read_json(&path.with_extension("json")),
                expected: if expected.exists() { read_json(&expected) } else { Value::Null },
            });
        }
    }
    assert!(!recordings.is_empty(), "no recordings in {root}");
    Some(recordings)
}

/// What random cuts derive from; printed, and repeated by `TOKENWAY_SEED`.
pub(crate) fn seed() -> u64 {
    let given = env::var("TOKENWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random::<u64>);
    println!("seed {seed} (TOKENWAY_SEED repeats it)");
    seed
}

fn read_json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}
