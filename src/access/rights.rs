//! What the holder of a key or of a token may do.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Key;
use crate::ident::{CHANNEL_ID_BYTES_MAX, ChannelId, ChannelKey, GenerationId, Owner};

/// The most channels or prefixes that one token names.
pub const PATTERNS_MAX: usize = 64;

/// What can be done with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Follow it, see its state.
    Read,
    /// Stop what runs on it.
    Cancel,
    /// Put events of one's own on it.
    Publish,
}

impl Action {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Read, Self::Cancel, Self::Publish];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Cancel => "cancel",
            Self::Publish => "publish",
        }
    }

    /// The action of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// A set of actions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actions(Vec<Action>);

impl Actions {
    /// Whether it holds this one.
    pub fn contains(&self, action: Action) -> bool {
        self.0.contains(&action)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        let mut set = Vec::new();
        for action in actions {
            if !set.contains(&action) {
                set.push(action);
            }
        }
        Self(set)
    }
}

/// One channel by its id, or all whose ids begin in some way: `chat-42`, `chat-*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Not a pattern of channels.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "channels are named by an id, 1 to {CHANNEL_ID_BYTES_MAX} of the characters A-Z a-z 0-9 . _ : -, or by the \
     beginning of one and a `*`"
)]
pub struct BadPattern;

impl Pattern {
    /// Checks a pattern.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let id = text.strip_suffix('*').unwrap_or(text);
        let good = (text == "*") || ChannelId::parse(id).is_ok();
        good.then(|| Self(text.to_owned())).ok_or(BadPattern)
    }

    /// Whether it means this channel.
    pub fn matches(&self, id: &ChannelId) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => id.as_str().starts_with(prefix),
            None => self.0 == id.as_str(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&ChannelId> for Pattern {
    fn from(id: &ChannelId) -> Self {
        Self(id.as_str().to_owned())
    }
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a channel token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whose channels.
    pub owner: Owner,
    /// Which of them.
    pub channels: Vec<Pattern>,
    /// What may be done with them.
    pub allow: Actions,
    /// Until when, in milliseconds since 1970 UTC.
    pub expires_ms: u64,
    /// Who it is for, by the app's own name; one is counted as one client, whatever its addresses.
    pub client: Option<String>,
    /// The only generation that it may stop.
    pub generation: Option<GenerationId>,
    /// Who vouched for it.
    pub voucher: Voucher,
}

/// Who signed a token, told from all other signers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voucher(pub(super) [u8; 32]);

impl Grant {
    /// Whether it says so, if it has not expired.
    pub fn allows(&self, action: Action, id: &ChannelId) -> bool {
        self.allow.contains(action) && self.channels.iter().any(|pattern| pattern.matches(id))
    }
}

/// The right to do something is missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Forbidden {
    /// The token does not say so.
    #[error("the channel token does not allow `{action}` on the channel `{channel}`", action = .0.as_str(), channel = .1)]
    NotGranted(Action, ChannelId),
    /// The token is for the stopping of another generation.
    #[error("the channel token may stop only the generation it was made for")]
    OtherGeneration,
    /// Only the holder of a key may.
    #[error("a channel token does not open this; it wants an access key")]
    WantsKey,
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Anybody on this machine, where the gateway is open.
    Anybody,
    /// The holder of an access key.
    Key(Arc<Key>),
    /// The holder of a channel token.
    Token(Arc<Grant>),
}

/// A right that was asked for and is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The channel meant.
    pub key: ChannelKey,
    /// When it ends, in milliseconds since 1970 UTC; `None`: never.
    pub until_ms: Option<u64>,
}

impl Caller {
    /// Whose channels are meant.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Anybody => Owner::default(),
            Self::Key(key) => key.owner.clone(),
            Self::Token(grant) => grant.owner.clone(),
        }
    }

    /// Asks to do something with a channel.
    pub fn may(&self, action: Action, id: ChannelId) -> Result<Permission, Forbidden> {
        let until_ms = match self {
            Self::Anybody | Self::Key(_) => None,
            Self::Token(grant) if grant.allows(action, &id) => Some(grant.expires_ms),
            Self::Token(_) => return Err(Forbidden::NotGranted(action, id)),
        };
        Ok(Permission { key: ChannelKey { owner: self.owner(), id }, until_ms })
    }

    /// Asks to do what no token allows.
    pub fn may_as_owner(&self) -> Result<(), Forbidden> {
        match self {
            Self::Anybody | Self::Key(_) => Ok(()),
            Self::Token(_) => Err(Forbidden::WantsKey),
        }
    }

    /// Which generation a cancel means: the one asked for, or, for a token that is narrowed to one, that one.
    pub fn narrowed(
        &self,
        generation: Option<GenerationId>,
    ) -> Result<Option<GenerationId>, Forbidden> {
        match self {
            Self::Token(grant) => narrowed(grant.generation.as_ref(), generation),
            Self::Anybody | Self::Key(_) => Ok(generation),
        }
    }

    /// The app that it is itself, if it shows an access key.
    pub fn app(&self) -> Option<&Owner> {
        self.access_key().map(|key| &key.owner)
    }

    /// Its access key, if it shows one.
    pub fn access_key(&self) -> Option<&Arc<Key>> {
        match self {
            Self::Key(key) => Some(key),
            Self::Anybody | Self::Token(_) => None,
        }
    }
}

/// Which generation a cancel means under a token that may be narrowed to one.
fn narrowed(
    to: Option<&GenerationId>,
    asked: Option<GenerationId>,
) -> Result<Option<GenerationId>, Forbidden> {
    match (to, asked) {
        (None, asked) => Ok(asked),
        (Some(to), None) => Ok(Some(to.clone())),
        (Some(to), Some(asked)) if *to == asked => Ok(Some(asked)),
        (Some(_), Some(_)) => Err(Forbidden::OtherGeneration),
    }
}

impl Grant {
    /// Which generation a cancel means: the one asked for, or the one that it is narrowed to.
    pub fn narrowed(&self, asked: Option<GenerationId>) -> Result<Option<GenerationId>, Forbidden> {
        narrowed(self.generation.as_ref(), asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ChannelId {
        ChannelId::parse(text).expect("an id")
    }

    #[test]
    fn a_pattern_is_an_id_or_the_beginning_of_one() {
        for (pattern, yes, no) in [
            ("chat-42", "chat-42", "chat-421"),
            ("chat-*", "chat-", "chat"),
            ("chat-*", "chat-42", "xchat-42"),
            ("*", "anything", ""),
        ] {
            let pattern = Pattern::parse(pattern).expect("a pattern");
            assert!(pattern.matches(&id(yes)), "{pattern} {yes}");
            assert!(no.is_empty() || !pattern.matches(&id(no)), "{pattern} {no}");
        }
        for bad in ["", "a*b", "**", "a/b*", "../*", "a b", "é*", &"a".repeat(129)] {
            assert_eq!(Pattern::parse(bad), Err(BadPattern), "{bad}");
        }
    }

    #[test]
    fn a_token_allows_what_it_says_and_nothing_else() {
        let grant = Grant {
            owner: Owner::new("web"),
            channels: vec![Pattern::parse("chat-*").expect("a pattern")],
            allow: [Action::Read, Action::Cancel, Action::Read].into_iter().collect(),
            expires_ms: 7,
            client: None,
            generation: Some(GenerationId::claimed("gen_1")),
            voucher: Voucher::default(),
        };
        let caller = Caller::Token(Arc::new(grant));
        let permitted = caller.may(Action::Read, id("chat-1")).expect("granted");
        assert_eq!(permitted.key.owner, Owner::new("web"));
        assert_eq!(permitted.until_ms, Some(7));
        assert!(caller.may(Action::Publish, id("chat-1")).is_err());
        assert!(caller.may(Action::Read, id("other")).is_err());
        assert_eq!(caller.may_as_owner(), Err(Forbidden::WantsKey));
        let one = GenerationId::claimed("gen_1");
        assert_eq!(caller.narrowed(None), Ok(Some(one.clone())));
        assert_eq!(caller.narrowed(Some(one.clone())), Ok(Some(one)));
        let other = Some(GenerationId::claimed("gen_2"));
        assert_eq!(caller.narrowed(other.clone()), Err(Forbidden::OtherGeneration));
        assert_eq!(Caller::Anybody.narrowed(other.clone()), Ok(other));
    }
}
