//! WebTransport: the carrier that browsers are meant to use.
//!
//! The only place that names the QUIC library. `endpoint` listens, `handshakes` lets clients in, `connection`
//! carries one session, `dial` is the client's side, `identity` keeps certificates and secrets, `keys` makes a restarted
//! gateway recognisable, `socket` lets a test pull the plug.

mod connection;
mod dial;
mod endpoint;
mod handshakes;
mod identity;
mod keys;
mod socket;

pub use connection::WebTransport;
pub use dial::{CannotDial, Dialled, Message, Trust, dial};
pub use endpoint::{CannotListen, Endpoint, Request, Settings};
pub use identity::{CannotKeep, Certificate, Hash, Keeper, load_certificate};
pub use keys::DeploymentSecret;
pub use socket::RECEIVE_BUFFER_ASKED;
