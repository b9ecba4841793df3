//! Why a request was not carried out, and why a session closes: domain errors to the protocol's codes.

use crate::{
    access::{Forbidden, NoSeat},
    channel::{AppendError, CannotResume, NoChannel, Refused, UnknownGeneration},
    ident::BadChannelId,
    sequence::{BadCursor, Epoch},
    store::Refusal as There,
    wire::proto,
};

use super::aliases::NotTaken;

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
    epoch: Option<Epoch>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), epoch: None }
    }

    /// Whether a right is missing.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code == "forbidden"
    }

    /// The message; `alias` is that of a refused subscription, else 0.
    pub(super) fn to_wire(&self, alias: u32) -> proto::Refused {
        proto::Refused {
            code: self.code.into(),
            message: self.message.clone(),
            alias,
            epoch: self.epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
        }
    }
}

impl From<BadChannelId> for Refusal {
    fn from(error: BadChannelId) -> Self {
        Self::new("bad_channel_id", error.to_string())
    }
}

impl From<BadCursor> for Refusal {
    fn from(error: BadCursor) -> Self {
        Self::new("bad_cursor", error.to_string())
    }
}

impl From<NoChannel> for Refusal {
    fn from(error: NoChannel) -> Self {
        let code = match error {
            NoChannel::Unknown => "channel_not_found",
            NoChannel::Evicted => "channel_evicted",
            NoChannel::Store(_) => "unavailable",
        };
        Self::new(code, error.to_string())
    }
}

impl From<CannotResume> for Refusal {
    fn from(error: CannotResume) -> Self {
        let (code, now) = match error {
            CannotResume::EpochChanged { now } => ("epoch_changed", now),
            CannotResume::CursorAhead { now, .. } => ("cursor_ahead", now),
        };
        Self { epoch: Some(now), ..Self::new(code, error.to_string()) }
    }
}

impl From<Forbidden> for Refusal {
    fn from(error: Forbidden) -> Self {
        Self::new("forbidden", error.to_string())
    }
}

impl From<NotTaken> for Refusal {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Used => Self::new("bad_request", "an alias is from 1 and used once"),
            NotTaken::Scattered => Self::new("limit", "aliases are too scattered: count up"),
        }
    }
}

impl From<UnknownGeneration> for Refusal {
    fn from(error: UnknownGeneration) -> Self {
        Self::new("bad_request", error.to_string())
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let code = match error {
            AppendError::Closed => "channel_closed",
            AppendError::Full { .. }
            | AppendError::TooManyGenerations
            | AppendError::TooLarge(_) => "limit",
            AppendError::Store(_) => "unavailable",
        };
        Self::new(code, error.to_string())
    }
}

impl From<Refused> for Refusal {
    fn from(error: Refused) -> Self {
        let message = error.to_string();
        let code = match error {
            Refused::Generation(error) => return error.into(),
            Refused::Append(error) => return error.into(),
            Refused::There(There::UnknownGeneration) => "bad_request",
            Refused::There(There::Closed) => "channel_closed",
            Refused::There(There::Full | There::TooLarge | There::Limited) => "limit",
            Refused::There(There::Store | There::NotBegun) | Refused::Store(_) => "unavailable",
        };
        Self::new(code, message)
    }
}

/// Why a session closes. The client is told so in the session's last message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// A message that cannot be understood.
    BadMessage(String),
    /// The first message was something else than hello, or did not come in time.
    HelloExpected,
    /// The client speaks another version of the protocol.
    ProtocolUnsupported(u32),
    /// The client may not be here.
    Forbidden(String),
    /// The client exceeds a bound.
    Limit(&'static str),
    /// The gateway stops.
    Shutdown,
}

impl From<NoSeat> for Closing {
    fn from(error: NoSeat) -> Self {
        Self::Limit(error.as_str())
    }
}

impl From<NoSeat> for Refusal {
    fn from(error: NoSeat) -> Self {
        Self::new("limit", error.as_str())
    }
}

impl Closing {
    /// Its code, as the client is told it.
    pub(super) fn code(&self) -> String {
        self.to_wire().code
    }

    pub(super) fn to_wire(&self) -> proto::Closing {
        let (code, message, retry) = match self {
            Self::BadMessage(what) => ("bad_message", what.clone(), false),
            Self::HelloExpected => ("hello_expected", "the first message is hello".into(), false),
            Self::ProtocolUnsupported(theirs) => {
                let ours = super::PROTOCOL;
                let message = format!("this gateway speaks protocol {ours}, not {theirs}");
                ("protocol_unsupported", message, false)
            }
            Self::Forbidden(why) => ("forbidden", why.clone(), false),
            Self::Limit(what) => ("limit", (*what).into(), true),
            Self::Shutdown => ("shutdown", "the gateway stops".into(), true),
        };
        proto::Closing { code: code.into(), message, retry }
    }
}
