//! What the program is told, one JSON object a line, and what it answers, one a line for each.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    path::Conditions,
    proxy::{Kind, Proxy},
};

/// One line. Every order names a proxy.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum Order {
    Open { name: String, kind: Kind, listen: SocketAddr, to: SocketAddr, seed: u64 },
    Set { name: String, up: Conditions, down: Conditions },
    Rebind { name: String, from: IpAddr },
    Cut { name: String },
    Close { name: String },
    Reopen { name: String },
    Counts { name: String },
    Drop { name: String },
}

/// The proxies of one program.
#[derive(Debug, Default)]
pub struct Control {
    proxies: HashMap<String, Proxy>,
}

impl Control {
    /// Carries out one line; the answer is `{"ok": …}` or `{"error": "…"}`.
    pub async fn obey(&mut self, line: &str) -> Value {
        let done = match serde_json::from_str(line) {
            Ok(order) => self.carry_out(order).await.map_err(|error| error.to_string()),
            Err(error) => Err(format!("not an order: {error}: {line}")),
        };
        match done {
            Ok(said) => json!({ "ok": said }),
            Err(error) => json!({ "error": error }),
        }
    }

    async fn carry_out(&mut self, order: Order) -> io::Result<Value> {
        match order {
            Order::Open { name, kind, listen, to, seed } => {
                let proxy = Proxy::open(kind, listen, to, seed).await?;
                let local = proxy.local_addr();
                self.proxies.insert(name, proxy);
                return Ok(json!(local));
            }
            Order::Set { name, up, down } => self.find(&name)?.set(up, down).await,
            Order::Rebind { name, from } => self.find(&name)?.rebind(from).await,
            Order::Cut { name } => self.find(&name)?.cut().await,
            Order::Close { name } => self.find(&name)?.close().await,
            Order::Reopen { name } => self.find(&name)?.reopen().await?,
            Order::Counts { name } => return Ok(json!(self.find(&name)?.counts().await?)),
            Order::Drop { name } => {
                self.find(&name)?;
                self.proxies.remove(&name);
            }
        }
        Ok(Value::Null)
    }

    fn find(&self, name: &str) -> io::Result<&Proxy> {
        self.proxies.get(name).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no proxy is named {name:?}"))
        })
    }
}
