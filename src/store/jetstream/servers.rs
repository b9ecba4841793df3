//! Where the servers of NATS are, and who asks: the name and the password go by the connection, for addresses are written to logs.
//! Pure.

use async_nats::{ConnectOptions, ServerAddr};

/// The servers, without a word of who asks.
pub(super) struct Servers {
    pub(super) addresses: Vec<ServerAddr>,
    login: Option<Login>,
}

/// Who asks.
#[derive(PartialEq, Eq)]
enum Login {
    User(String, String),
    Token(String),
}

impl Servers {
    /// Those that a list of URLs names. The same user may ask all of them: those without one are asked by that of the others.
    pub(super) fn read(urls: &str) -> Result<Self, &'static str> {
        let (mut addresses, mut login) = (Vec::new(), None);
        for url in urls.split(',').map(str::trim) {
            let (address, other) = one(url).ok_or("one of the URLs is none of a server")?;
            addresses.push(address);
            match (&login, other) {
                (_, None) => {}
                (None, other) => login = other,
                (Some(known), Some(other)) if *known == other => {}
                (Some(_), Some(_)) => {
                    return Err(
                        "the URLs name different users; all servers are asked by one, who need be named once",
                    );
                }
            }
        }
        Ok(Self { addresses, login })
    }

    /// With who asks.
    pub(super) fn logged_in(&self, options: ConnectOptions) -> ConnectOptions {
        match &self.login {
            None => options,
            Some(Login::User(user, password)) => {
                options.user_and_password(user.clone(), password.clone())
            }
            Some(Login::Token(token)) => options.token(token.clone()),
        }
    }
}

/// The oldest server that keeps the fence where several hold what is kept: one before it may take two messages behind the same one
/// (nats-server #4320).
const FENCES_REPLICAS: [u64; 3] = [2, 9, 21];

/// Why a server of this version may not keep so many replicas.
pub(super) fn may_replicate(version: &str, replicas: usize) -> Result<(), String> {
    match replicas > 1 && numbers(version).is_some_and(|numbers| numbers < FENCES_REPLICAS) {
        false => Ok(()),
        true => Err(format!(
            "the server is {version}, which may take two writers' messages where there are {replicas} replicas; \
             it must be 2.9.21 at least, or `replicas: 1`"
        )),
    }
}

/// The first three numbers of a version, as far as there are any; `None`: there is none.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let version = version.trim_start_matches(['v', 'V']);
    let mut parts = version.split(|byte: char| !byte.is_ascii_digit()).map(str::parse);
    let first = parts.next()?.ok()?;
    let mut next = || parts.next().and_then(Result::ok).unwrap_or(0);
    Some([first, next(), next()])
}

fn one(url: &str) -> Option<(ServerAddr, Option<Login>)> {
    let mut url = url.parse::<ServerAddr>().ok()?.into_inner();
    let login = match (decoded(url.username())?, url.password()) {
        (user, Some(password)) => Some(Login::User(user, decoded(password)?)),
        (token, None) => (!token.is_empty()).then_some(Login::Token(token)),
    };
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some((ServerAddr::from_url(url).ok()?, login))
}

/// What stands for other characters in a URL, as these.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut out) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(urls: &str) -> (Vec<String>, Option<Login>) {
        let Servers { addresses, login } = Servers::read(urls).expect("servers");
        (addresses.iter().map(|it| format!("{it:?} {}", it.as_url_str())).collect(), login)
    }

    #[test]
    fn who_asks_is_in_no_address() {
        let user = |user: &str, word: &str| Some(Login::User(user.into(), word.into()));
        for (urls, count, login) in [
            ("nats://127.0.0.1:4222", 1, None),
            ("nats://teller:s%40crit@one:4222", 1, user("teller", "s@crit")),
            ("tls://teller:scrit@one, tls://teller:scrit@two", 2, user("teller", "scrit")),
            ("nats://one,nats://teller:scrit@two", 2, user("teller", "scrit")),
            ("nats://scrit@one", 1, Some(Login::Token("scrit".into()))),
        ] {
            let (addresses, found) = read(urls);
            assert!(found == login, "{urls}");
            assert_eq!(addresses.len(), count);
            for address in addresses {
                assert!(!address.contains("crit") && !address.contains("teller"), "{address}");
            }
        }
    }

    #[test]
    fn an_old_server_keeps_one_copy_only() {
        for (version, old) in [
            ("2.9.10", true),
            ("v2.9.20-beta.1", true),
            ("2.8", true),
            ("2.9.21", false),
            ("2.10.0-RC.2", false),
            ("2.14", false),
            ("3", false),
            // Whoever says so is new, or none of ours.
            ("dev", false),
            ("", false),
        ] {
            assert!(may_replicate(version, 1).is_ok());
            for replicas in [3, 5] {
                let refused = may_replicate(version, replicas).err();
                assert_eq!(refused.is_some(), old, "{version}");
                assert!(refused.is_none_or(|why| why.contains(version) && why.contains("2.9.21")));
            }
        }
    }

    #[test]
    fn different_users_are_refused_without_naming_them() {
        for urls in [
            "nats://teller:scrit@one,nats://you:scrit@two",
            "nats://teller@one,nats://teller:x@two",
        ] {
            let refused = Servers::read(urls).err().expect("they differ");
            assert!(refused.contains("different users") && !refused.contains("scrit"));
        }
        assert!(Servers::read("http://one").is_err() && Servers::read("nats://a:%zz@one").is_err());
    }
}
