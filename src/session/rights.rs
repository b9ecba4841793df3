//! What a session's client may do, and until when: an owner's whole reach, or what its channel tokens grant. No I/O.
//!
//! What is asked anew is judged by the keys and signers that the gateway has by then; what is open goes on to its time.

use std::time::Duration;

use tokio::time::Instant;

use super::refusals::Refusal;
use crate::{
    access::{Access, Action, BadToken, Caller, Grant, InForce, Unauthorized},
    clock,
    ident::{ChannelId, ChannelKey, Owner},
};

/// The most tokens that a session holds at once; those that have expired do not count.
pub const TOKENS_MAX: usize = 256;

/// How long a session may stay without a token that holds: time to fetch another.
pub const LAPSE_WAIT: Duration = Duration::from_secs(10);

/// What a client may do.
pub struct Rights {
    /// Everything that this owner may.
    whole: Option<Owner>,
    /// By what it may: a key, or because the gateway is open.
    by: Option<Caller>,
    /// Where further tokens are looked at, and whether what was shown still counts.
    access: Option<InForce>,
    held: Vec<Held>,
    /// When the last token expires, or expired.
    last_end: Instant,
    /// What was wrong with the last token that was not taken.
    refused: Option<String>,
}

/// A token that was taken.
struct Held {
    grant: Grant,
    until: Instant,
}

/// For how long something is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permitted {
    /// As long as the session lives.
    Always,
    /// Until then.
    Until(Instant),
    /// Not now.
    Never,
}

impl From<Owner> for Rights {
    /// Everything that an owner may.
    fn from(owner: Owner) -> Self {
        Self { whole: Some(owner), ..Self::none() }
    }
}

impl Rights {
    fn none() -> Self {
        let (held, last_end) = (Vec::new(), Instant::now());
        Self { whole: None, by: None, access: None, held, last_end, refused: None }
    }

    /// Those of whoever connects; with keys and without a token yet, those that its tokens will give it.
    pub fn of(caller: Result<Caller, Unauthorized>, access: &Access) -> Self {
        let mut rights = Self { access: Some(access.in_force().clone()), ..Self::none() };
        match caller {
            Ok(Caller::Token(grant)) => rights.hold(Grant::clone(&grant)),
            Ok(caller) => {
                rights.whole = Some(caller.owner());
                rights.by = Some(caller);
            }
            Err(Unauthorized::Nothing) => {}
            Err(error) => rights.refused = Some(error.to_string()),
        }
        rights
    }

    /// Takes tokens, each that holds. Says why one was not taken.
    pub(super) fn add(&mut self, tokens: &[String], now: Instant) -> Result<(), Refusal> {
        let Some(access) = self.access.clone() else { return Ok(()) };
        match &self.by {
            Some(by) if access.admits(by) => return Ok(()),
            // Its key was taken away: from now on it is what its tokens say.
            Some(_) => (self.whole, self.by) = (None, None),
            None => {}
        }
        self.held.retain(|held| held.until > now);
        let mut refused = Ok(());
        for token in tokens {
            if self.held.len() >= TOKENS_MAX {
                return Err(Refusal::new(
                    "limit",
                    format!("a session holds at most {TOKENS_MAX} tokens"),
                ));
            }
            match access.verify(token, clock::now_ms()) {
                Ok(grant) => self.hold(grant),
                Err(error) => refused = Err(self.refuse(&error)),
            }
        }
        refused
    }

    fn refuse(&mut self, error: &BadToken) -> Refusal {
        self.refused = Some(error.to_string());
        Refusal::new("forbidden", error.to_string())
    }

    fn hold(&mut self, grant: Grant) {
        let until = clock::instant_of(grant.expires_ms);
        self.last_end = self.last_end.max(until);
        // A token that comes again, or is renewed, takes the place of its like.
        let same = |held: &Held| Grant { expires_ms: 0, ..held.grant.clone() };
        let new = Grant { expires_ms: 0, ..grant.clone() };
        self.held.retain(|held| held.until > until || same(held) != new);
        self.held.push(Held { grant, until });
    }

    /// The clients that its tokens are for, by their owners' names for them.
    pub(super) fn clients(&self) -> impl Iterator<Item = (&Owner, &str)> {
        let grants = self.held.iter().map(|held| &held.grant);
        grants.filter_map(|grant| Some((&grant.owner, grant.client.as_deref()?)))
    }

    /// Whether there is no right left, and until when one may still be added.
    pub(super) fn lapsed(&self, now: Instant) -> Option<Instant> {
        let holds = self.whole.is_some() || self.held.iter().any(|held| held.until > now);
        (!holds).then_some(self.last_end + LAPSE_WAIT)
    }

    /// Why a client without any right gets no session.
    pub(super) fn why_not(&self) -> String {
        let nothing = "this gateway wants a channel token: the client's `tokens`, `--token` of `tokenway tail`, or in \
                       the protocol, hello's `tokens` or `?token=`";
        self.refused.clone().unwrap_or_else(|| nothing.to_owned())
    }

    /// The owners among whose channels `id` may be meant, and the grant by which, if it is by one.
    pub(super) fn owners(
        &self,
        action: Action,
        id: &ChannelId,
        now: Instant,
    ) -> Vec<(&Owner, Option<&Grant>)> {
        let counts = |by: &Caller| self.access.as_ref().is_none_or(|access| access.admits(by));
        let vouched = |grant: &Grant| self.access.as_ref().is_none_or(|it| it.vouches(grant));
        let whole = self.whole.iter().filter(|_| self.by.as_ref().is_none_or(counts));
        let whole = whole.map(|owner| (owner, None));
        let held = self.held.iter().filter(|held| held.until > now);
        let held = held.filter(|held| held.grant.allows(action, id) && vouched(&held.grant));
        whole.chain(held.map(|held| (&held.grant.owner, Some(&held.grant)))).collect()
    }

    /// For how long something may be done with a channel.
    pub(super) fn permitted(&self, action: Action, key: &ChannelKey, now: Instant) -> Permitted {
        if self.whole.as_ref() == Some(&key.owner) {
            return Permitted::Always;
        }
        let held = self.held.iter().filter(|held| {
            held.until > now && held.grant.owner == key.owner && held.grant.allows(action, &key.id)
        });
        held.map(|held| held.until).max().map_or(Permitted::Never, Permitted::Until)
    }

    /// What is told to whom a right is missing.
    pub(super) fn forbidden(&self, action: Action, id: &ChannelId) -> Refusal {
        let action = action.as_str();
        let message = match &self.refused {
            Some(why) => format!("no token of this session allows `{action}` on {id}; {why}"),
            None => format!("no token of this session allows `{action}` on {id}"),
        };
        Refusal::new("forbidden", message)
    }

    /// When something that is permitted now may end to be, or the session is to end for want of rights.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        let ends = self.held.iter().map(|held| held.until).filter(|until| *until > now);
        ends.min().or_else(|| self.lapsed(now))
    }
}
