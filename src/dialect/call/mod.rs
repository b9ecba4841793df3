//! What an app asks for, in words that every dialect shares.
//!
//! Only a call whose target speaks another dialect is read into this: one between like and like is edited in place, and
//! every byte that need not change goes upstream as it came. Each app dialect reads its bodies into a [`Call`], each
//! provider dialect writes its own from one; no pair of dialects knows of each other.
//!
//! Every part remembers its place in the app's body, so that a writer which cannot say it can name it in the app's own
//! words.

mod knob;
mod upstream;

pub use knob::Knob;
pub use upstream::{Dropped, Unsayable, Upstream};

use std::{borrow::Cow, collections::BTreeMap};

use sha2::{Digest, Sha256};

use super::{AppDialect, Dialect};

/// JSON text, exactly as the app gave it.
pub type Json = Box<serde_json::value::RawValue>;

/// One call to a model.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whose words the paths are in.
    pub app: AppDialect,
    /// What the model is told before the conversation: system prompt, instructions, developer messages at the beginning.
    pub system: Vec<Part>,
    /// The conversation, in order.
    pub turns: Vec<Turn>,
    /// What the model may call, in order.
    pub tools: Vec<Tool>,
    /// Whether and which tool it must call; `None` where the app did not say.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several tools at once; `None` where the app did not say.
    pub parallel_tools: Option<bool>,
    /// What form the answer must have.
    pub output: Output,
    /// How hard it is to think; `None` where the app did not say.
    pub reasoning: Option<ReasoningWish>,
    /// The most tokens of output, reasoning included.
    pub max_output: Option<u64>,
    /// How many answers; `None` and 1 mean one.
    pub choices: Option<u32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Numbers of sampling, as the app wrote them: never through a float.
    pub sampling: BTreeMap<Knob, Json>,
    /// Who the app's user is, as the provider's abuse protection may know it.
    pub user: Option<String>,
    /// The app's own labels.
    pub metadata: Option<Json>,
    /// What no other member has room for, by its path in the app's body, in order.
    pub extras: Vec<Extra>,
}

/// A member of the app's body for which there is no shared word.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Where it is: `logit_bias`, `generationConfig.speechConfig`.
    pub path: String,
    /// Its value.
    pub value: Json,
    /// Whether the answer means the same without it. If not, a target of another dialect refuses it.
    pub harmless: bool,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The app, in the middle of a conversation (system and developer messages that are not at its beginning).
    System,
    /// The app's user; tool results come in its turns.
    User,
    /// The model.
    Assistant,
}

/// What one side said before the other spoke again. Readers join neighbours of one role into one turn.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Who.
    pub role: Role,
    /// What, in order.
    pub parts: Vec<Part>,
}

/// A part of a turn.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// The app wants the provider to cache everything up to here; the value as it wrote it, where it said how.
    pub cache: Option<Json>,
    /// Where it is in the app's body: `messages[3].content[1]`.
    pub path: String,
}

impl Part {
    /// A part without a cache mark.
    pub fn new(kind: PartKind, path: impl Into<String>) -> Self {
        Self { kind, cache: None, path: path.into() }
    }
}

/// What a part is.
#[derive(Clone, Debug)]
pub enum PartKind {
    /// Text.
    Text(String),
    /// A refusal that the model said in an earlier turn.
    Refusal(String),
    /// An image.
    Image(Blob),
    /// A document: PDF, plain text.
    Document(Blob),
    /// Sound.
    Audio(Blob),
    /// Moving pictures.
    Video(Blob),
    /// What the model thought in an earlier turn. Signed and encrypted parts mean something only to whoever made them.
    Reasoning(Thought),
    /// A tool call of an earlier turn.
    ToolCall(PastCall),
    /// What a tool gave.
    ToolResult(ToolResult),
    /// A part that only its own dialect knows, as it came: blocks of server-run tools and the like.
    Native(Json),
}

/// A binary part, and where its bytes are.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its MIME type, where it is known.
    pub mime: Option<String>,
    /// Its bytes, or where they are.
    pub source: Source,
    /// Its file name or title, where it has one.
    pub name: Option<String>,
    /// How closely an image is to be looked at, in the app's word.
    pub detail: Option<String>,
}

/// Where a binary part's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Here, as standard base64.
    Base64(String),
    /// Behind a URL that the provider is to fetch.
    Url(String),
    /// Uploaded to the provider before; means something only there.
    File(String),
    /// Here, as plain text.
    Text(String),
}

/// A thought of an earlier turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thought {
    /// What can be read of it.
    pub text: String,
    /// The provider's signature, byte for byte. One without text signs what follows it (Gemini signs tool calls).
    pub signature: String,
    /// What the provider encrypted or redacted, byte for byte.
    pub encrypted: String,
    /// The provider's id for it.
    pub id: Option<String>,
    /// Who made it, and so who can read it. `None`: nobody signed it.
    pub origin: Option<Dialect>,
}

/// A tool call of an earlier turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastCall {
    /// What its result refers to.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text, as it was.
    pub arguments: String,
}

/// What a tool gave.
#[derive(Clone, Debug)]
pub struct ToolResult {
    /// Which call it answers.
    pub id: String,
    /// The tool's name; readers of dialects that do not repeat it look it up in the call.
    pub name: String,
    /// Text, images and documents.
    pub content: Vec<Part>,
    /// The tool failed.
    pub is_error: bool,
}

/// A tool that the app runs, or one that only the app's own dialect knows.
#[derive(Clone, Debug)]
pub enum Tool {
    /// A function with a JSON Schema.
    Function(Function),
    /// A tool that a provider runs, or of a kind of its own: it can be said in no other dialect.
    Native {
        /// Where it is in the app's body: `tools[2]`.
        path: String,
        /// As it came.
        value: Json,
    },
}

/// A function that the model may call.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON Schema of its arguments; `None`: it takes none.
    pub parameters: Option<Json>,
    /// The arguments must follow the schema exactly; `None` where the app did not say.
    pub strict: Option<bool>,
    /// The app wants the provider to cache the tools up to here.
    pub cache: Option<Json>,
    /// Where it is in the app's body: `tools[2]`.
    pub path: String,
}

/// Whether a tool must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// At least one of them.
    Any,
    /// This one.
    Named(String),
    /// At least one of these, or any of these as the model likes.
    Among {
        /// The names.
        names: Vec<String>,
        /// At least one.
        required: bool,
    },
}

/// The form of the answer.
#[derive(Clone, Debug, Default)]
pub enum Output {
    /// Text.
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON that follows a schema.
    Schema {
        /// Its name, where it has one.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The JSON Schema.
        schema: Json,
        /// It must be followed exactly; `None` where the app did not say.
        strict: Option<bool>,
    },
}

/// How hard a model is to think.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReasoningWish {
    /// How much.
    pub amount: Option<Amount>,
    /// Whether the app wants to see it; `None` where it did not say.
    pub shown: Option<bool>,
    /// Whether the app wants it encrypted, to give it back in a later turn without the provider's storing it.
    pub encrypted: bool,
}

/// How much thinking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// None at all.
    Off,
    /// As the model sees fit.
    Adaptive,
    /// In a word: `minimal`, `low`, `medium`, `high`, and what providers add.
    Effort(String),
    /// Up to so many tokens.
    Budget(u64),
}

impl Amount {
    /// The budget that a word comes to, where a dialect has no words. The numbers are those of Google's own
    /// OpenAI-compatible endpoint.
    pub fn budget(&self) -> Option<u64> {
        match self {
            Self::Off => Some(0),
            Self::Adaptive => None,
            Self::Budget(tokens) => Some(*tokens),
            Self::Effort(word) => Some(match word.as_str() {
                "none" => 0,
                "minimal" | "low" => 1_024,
                "medium" => 8_192,
                _ => 24_576,
            }),
        }
    }

    /// The word that a budget comes to, where a dialect has no numbers.
    pub fn effort(&self) -> Option<&str> {
        match self {
            Self::Off => Some("none"),
            Self::Adaptive => None,
            Self::Effort(word) => Some(word),
            Self::Budget(0) => Some("none"),
            Self::Budget(..=1_024) => Some("low"),
            Self::Budget(..=8_192) => Some("medium"),
            Self::Budget(_) => Some("high"),
        }
    }
}

impl Call {
    /// An empty call of an app's dialect.
    pub fn new(app: AppDialect) -> Self {
        Self {
            app,
            system: Vec::new(),
            turns: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            parallel_tools: None,
            output: Output::Text,
            reasoning: None,
            max_output: None,
            choices: None,
            stop: Vec::new(),
            sampling: BTreeMap::new(),
            user: None,
            metadata: None,
            extras: Vec::new(),
        }
    }

    /// Adds a part to the conversation: to the last turn where that is of the same role, else to a new one.
    pub fn say(&mut self, role: Role, part: Part) {
        match self.turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.parts.push(part),
            None => self.turns.push(Turn { role, parts: vec![part] }),
        }
    }

    /// Who the app's user is, in at most `most` characters, of which there must be 64: a longer name becomes its hash,
    /// the same each time. Coding agents put an account and a session into it.
    pub fn user_within(&self, most: usize) -> Option<Cow<'_, str>> {
        let user = self.user.as_deref()?;
        if user.chars().count() <= most {
            return Some(user.into());
        }
        let hash = Sha256::digest(user);
        Some(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Where the app wrote a member, in its own words.
    pub fn path(&self, knob: Knob) -> &'static str {
        knob.path(self.app)
    }
}
