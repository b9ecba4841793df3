//! Who may do what.
//!
//! In open mode, which is what there is without keys, everybody on this machine may do everything, and nobody else
//! anything. With keys, each request is made by the holder of an access key (`keys`) or of a channel token (`token`), and
//! `rights` says what each of them may do. `guard` keeps web pages of other origins out in either case. Pure; the doors
//! ask, and carry out.

mod crypto;
mod guard;
mod in_force;
mod keys;
mod limits;
mod proxies;
mod refusals;
mod rights;
mod token;

pub use guard::{Denied, Guard, Origin};
pub use in_force::InForce;
pub use keys::Key;
pub use limits::{
    Asked, BodyRoom, Exceeded, Limited, Meter, Money, NoSeat, Place, Running, Seat, Seats, Spent,
    Standing, Turn, Who, Window,
};
pub use proxies::counted;
pub use refusals::Refusal;
pub use rights::{
    Action, Actions, BadPattern, Caller, Forbidden, Grant, PATTERNS_MAX, Pattern, Permission,
    Voucher,
};
pub use token::{BadToken, CannotMint, Minted, TOKEN_BYTES_MAX, TTL_MAX, TTL_MIN, Wish};

use std::{net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{config, ident::Owner};
use in_force::Known;
use keys::Keys;
use token::Tokens;

/// The configured keys, and what vouches for channel tokens.
#[derive(Debug)]
pub struct Access {
    known: Arc<Known>,
    in_force: InForce,
    admin: Option<config::KeyHash>,
    trusted_proxies: Vec<IpNet>,
}

/// Why somebody may not see what operators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoOperator {
    /// The config names no key for it.
    #[error("operators' pages are shut: set access.admin_key")]
    Shut,
    /// No key is shown.
    #[error("operators' pages want the admin key, as `authorization: Bearer`")]
    Nothing,
    /// Another key is shown.
    #[error("this is not the admin key (access.admin_key)")]
    Key,
}

/// A request comes from nobody who is known here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unauthorized {
    /// It shows neither a key nor a token.
    #[error(
        "this gateway wants an access key, as `authorization: Bearer`, `x-api-key` or `x-goog-api-key`, or a channel \
         token"
    )]
    Nothing,
    /// What it shows is none of this gateway's keys, and no token either.
    #[error("the access key is not one of this gateway's")]
    Key,
    /// It shows a token that does not hold.
    #[error(transparent)]
    Token(#[from] BadToken),
}

impl Access {
    /// What a config says. Without keys the gateway is open.
    pub fn new(config: &config::Access) -> Self {
        let known = Known { keys: Keys::new(&config.keys), tokens: Tokens::new(config) };
        let known = Arc::new(known);
        let in_force = InForce::new(Arc::clone(&known));
        Self::of(known, in_force, config)
    }

    /// The same gateway's after its config has changed: a key that keeps its name keeps what runs and was spent on its
    /// account. Sessions are still let in by the old one, until [`Access::come_into_force`].
    pub fn renewed(&self, config: &config::Access) -> Self {
        let keys = self.known.keys.renewed(&config.keys);
        let known = Arc::new(Known { keys, tokens: Tokens::new(config) });
        Self::of(known, self.in_force.clone(), config)
    }

    fn of(known: Arc<Known>, in_force: InForce, config: &config::Access) -> Self {
        let trusted_proxies = config.trusted_proxies.clone();
        Self { known, in_force, admin: config.admin_key, trusted_proxies }
    }

    /// From now on sessions that the gateway's earlier configs let in are judged by this one.
    pub fn come_into_force(&self) {
        self.in_force.replace(Arc::clone(&self.known));
    }

    /// What holds now, whichever config that will be.
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// Whose address counts: that of whoever is connected, or the one that a trusted proxy gives in `x-forwarded-for`; of
    /// IPv6, the network.
    pub fn client_address<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        counted(proxies::client(peer, forwarded_for, &self.trusted_proxies))
    }

    /// All keys.
    pub fn keys(&self) -> &[Arc<Key>] {
        self.known.keys.all()
    }

    /// Whether everybody who can reach the gateway is let in.
    pub fn is_open(&self) -> bool {
        self.known.keys.is_empty()
    }

    /// Whether who shows these keys may see what operators see. Where the gateway is open, everybody may.
    pub fn may_operate<'a>(
        &self,
        shown: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), NoOperator> {
        if self.is_open() {
            return Ok(());
        }
        let admin = self.admin.as_ref().ok_or(NoOperator::Shut)?;
        // All are looked at, each to its end.
        let looked = shown.into_iter().map(|text| is_hash_of(admin, text));
        match looked.reduce(|found, is_it| found | is_it) {
            Some(true) => Ok(()),
            Some(false) => Err(NoOperator::Key),
            None => Err(NoOperator::Nothing),
        }
    }

    /// Who shows these keys or tokens. The first that holds counts: SDKs send several at a time, some of them dummies.
    pub fn authenticate<'a>(
        &self,
        shown: impl IntoIterator<Item = &'a str>,
        now_ms: u64,
    ) -> Result<Caller, Unauthorized> {
        let mut refused = Unauthorized::Nothing;
        for text in shown {
            if let Some(key) = self.known.keys.find(text) {
                return Ok(Caller::Key(key));
            }
            match self.known.tokens.verify(text, now_ms) {
                Ok(grant) => return Ok(Caller::Token(Arc::new(grant))),
                // A token says best what is wrong with it; what is none was meant for a key.
                Err(BadToken::NotAToken) if refused == Unauthorized::Nothing => {
                    refused = Unauthorized::Key;
                }
                Err(BadToken::NotAToken) => {}
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }

    /// Whether this is for the gateway itself: one of its keys, the operators' too, or a channel token, whether or not it
    /// holds. A key that was taken out of the config is not known any more.
    pub fn knows(&self, text: &str) -> bool {
        let is_admin = self.admin.is_some_and(|admin| is_hash_of(&admin, text));
        is_admin || self.known.keys.find(text).is_some() || Tokens::is_meant(text)
    }

    /// What a channel token grants.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Grant, BadToken> {
        self.known.tokens.verify(token, now_ms)
    }

    /// A channel token of `owner`'s, valid for `ttl` from now.
    pub fn mint(
        &self,
        owner: &Owner,
        wish: &Wish,
        ttl: Duration,
        now_ms: u64,
    ) -> Result<Minted, CannotMint> {
        self.known.tokens.mint(owner, wish, ttl, now_ms)
    }

    /// Whether tokens can be minted here at all, rather than by the apps themselves.
    pub fn mints(&self) -> bool {
        self.known.tokens.mints()
    }
}

/// In a time that tells nothing about the key.
fn is_hash_of(hash: &config::KeyHash, text: &str) -> bool {
    config::KeyHash::of(text).bytes().ct_eq(hash.bytes().as_slice()).into()
}
