//! Who may come in: keys, what vouches for their tokens, and pages of other origins. No secret is quoted in a fault.

use std::{collections::HashMap, fs, net::IpAddr};

use ipnet::IpNet;
use jsonwebtoken::{
    DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, JwkSet},
};

use super::{
    super::{
        Access, KEY_BYTES_ADVISED, Key, KeyHash, Model, PublicKey, Secret,
        TOKEN_SECRET_BYTES_ADVISED, TokenKey, file,
        located::{At, Given},
        problem::{Place, choice},
    },
    Resolver, http_url, place,
};

/// Long enough for any name, short enough for a token and a metric's label.
const NAME_BYTES_MAX: usize = 64;

/// What RS256 wants at least (RFC 7518, section 3.3), in bytes.
const RSA_BYTES_MIN: usize = 256;

impl Resolver<'_> {
    pub(super) fn access(&mut self, access: &file::Access, models: &[Model]) -> Access {
        let mut keys: Vec<Key> = Vec::new();
        let mut hashes: HashMap<[u8; 32], String> = HashMap::new();
        for given in &access.keys {
            let Some(key) = self.access_key(given, models) else { continue };
            if keys.iter().any(|known| known.name == key.name) {
                self.wrong(Some(given.place), format!("the key `{}` is there twice", key.name));
            }
            if let Some(other) = hashes.insert(*key.hash.bytes(), key.name.clone()) {
                let message =
                    format!("`{}` and `{other}` are the same key; give each its own", key.name);
                self.wrong(Some(given.place), message);
            }
            keys.push(key);
        }
        let token_secret = self.token_secret(access);
        if token_secret.is_none() && access.token_secret.0.is_none() {
            let unvouched = keys.iter().position(|key| key.token_keys.is_empty());
            if let Some(at) = unvouched {
                let message = format!(
                    "with keys, `access.token_secret` is needed, for channel tokens: give it, such as \
                     `token_secret: \"${{TOKENWAY_TOKEN_SECRET}}\"`, or give `{}` a `token_key`",
                    keys[at].name
                );
                self.wrong(access.keys.get(at).map(|key| key.place), message);
            }
        }
        if let (Some(secret), true) = (&access.token_secret.0, access.keys.is_empty()) {
            let message =
                "`token_secret` has no effect without `access.keys`; take it out, or give keys";
            self.wrong(Some(secret.place), message);
        }
        let admin_key = self.admin_key(access, &hashes);
        let allowed_origins = self.allowed_origins(access);
        let trusted_proxies = self.proxies(access);
        Access { keys, token_secret, admin_key, allowed_origins, trusted_proxies }
    }

    fn access_key(
        &mut self,
        At { value: key, place: at }: &At<file::Key>,
        models: &[Model],
    ) -> Option<Key> {
        let name = self.read(&key.name, |text| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            let good = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
            let expected = "a key's name, which is 1 to 64 of the characters A-Z a-z 0-9 . _ -";
            good.then(|| text.to_owned()).ok_or_else(|| expected.to_owned())
        });
        if key.name.0.is_none() {
            self.wrong(Some(*at), "the key has no `name`; the channels made with it are its own");
        }
        let shown = name.clone().unwrap_or_else(|| "the key".to_owned());
        let hash = self.hash(key, *at, &shown);
        let name_channels = self.read(&key.name_channels, |text| {
            text.parse().map_err(|_| "`true` or `false`".to_owned())
        });
        let models = self.models_of_key(key, models);
        let on_disconnect = self.on_disconnect(&key.on_disconnect);
        let limits = self.key_limits(&key.limits);
        let token_keys = self.token_keys(&key.token_key);
        Some(Key {
            name: name?,
            hash: hash?,
            models,
            names_channels: name_channels.unwrap_or(true),
            on_disconnect,
            limits,
            token_keys,
        })
    }

    /// From the key itself, its file, or as it is given.
    fn hash(&mut self, key: &file::Key, at: Place, name: &str) -> Option<KeyHash> {
        let ways =
            [("key", &key.key), ("key_file", &key.key_file), ("key_sha256", &key.key_sha256)];
        let mut given = ways.iter().filter_map(|(way, given)| Some((*way, given.0.as_ref()?)));
        let (Some((way, text)), None) = (given.next(), given.next()) else {
            let message = format!("`{name}` needs one of `key`, `key_file` and `key_sha256`");
            self.wrong(Some(at), message);
            return None;
        };
        let place = Some(text.place);
        let value = self.expand(text)?;
        let key = match way {
            "key_sha256" => {
                let hash = KeyHash::parse(value.trim());
                if hash.is_none() {
                    self.wrong(place, "`key_sha256` is not 64 hexadecimal digits");
                }
                return hash;
            }
            "key_file" => match fs::read_to_string(self.directory.join(&value)) {
                Ok(text) => text.trim().to_owned(),
                Err(error) => {
                    self.wrong(place, format!("`{}` cannot be read: {error}", text.value));
                    return None;
                }
            },
            _ => value,
        };
        // Spaces at its ends would be cut off on the way here.
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("`{way}` is empty or holds characters that a header cannot");
            self.wrong(place, message);
            return None;
        }
        if key.len() < KEY_BYTES_ADVISED {
            self.notes.push(format!(
                "the access key `{name}` is shorter than {KEY_BYTES_ADVISED} characters and can be guessed"
            ));
        }
        Some(KeyHash::of(&key))
    }

    fn models_of_key(&mut self, key: &file::Key, models: &[Model]) -> Option<Vec<String>> {
        let given = key.models.as_ref()?;
        let mut all = Vec::new();
        for given in given {
            let Some(text) = self.expand(given) else { continue };
            // A pattern may take more or less than one of the models'.
            let known = models.iter().any(|model| match model.name.strip_suffix('*') {
                Some(prefix) => {
                    let own = text.strip_suffix('*').unwrap_or(&text);
                    own.starts_with(prefix) || (text.ends_with('*') && prefix.starts_with(own))
                }
                None => match text.strip_suffix('*') {
                    Some(prefix) => model.name.starts_with(prefix),
                    None => model.name == text,
                },
            });
            if !known {
                let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
                let message = format!(
                    "`{text}` is no model that can be asked for; {}",
                    choice(&text, &names)
                );
                self.wrong(Some(given.place), message);
            }
            all.push(text);
        }
        Some(all)
    }

    /// Not also an app's: what an app is given opens no screen that shows all of them.
    fn admin_key(
        &mut self,
        access: &file::Access,
        apps: &HashMap<[u8; 32], String>,
    ) -> Option<KeyHash> {
        let At { value, place } = self.text(&access.admin_key)?;
        if access.keys.is_empty() {
            let message =
                "`admin_key` has no effect without `access.keys`; take it out, or give keys";
            self.wrong(Some(place), message);
        }
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "`admin_key` is empty or holds characters that a header cannot";
            self.wrong(Some(place), message);
            return None;
        }
        let hash = KeyHash::of(&value);
        if let Some(app) = apps.get(hash.bytes()) {
            let message = format!("`admin_key` is also the key `{app}`; give operators their own");
            self.wrong(Some(place), message);
        }
        if value.len() < KEY_BYTES_ADVISED {
            self.notes.push(format!(
                "access.admin_key is shorter than {KEY_BYTES_ADVISED} characters and can be guessed"
            ));
        }
        Some(hash)
    }

    fn token_secret(&mut self, access: &file::Access) -> Option<Secret> {
        let text = self.text(&access.token_secret)?;
        if text.value.is_empty() {
            self.wrong(Some(text.place), "`token_secret` is empty");
            return None;
        }
        if text.value.len() < TOKEN_SECRET_BYTES_ADVISED {
            self.notes.push(format!(
                "access.token_secret is shorter than {TOKEN_SECRET_BYTES_ADVISED} bytes, and every token helps to \
                 guess it"
            ));
        }
        Some(Secret::new(text.value))
    }

    fn token_keys(&mut self, given: &Given<String>) -> Vec<TokenKey> {
        let Some(file) = self.text(given) else { return Vec::new() };
        let keys = fs::read(self.directory.join(&file.value))
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| public_keys(&text));
        keys.unwrap_or_else(|fault| {
            self.wrong(place(given), format!("`{}` {fault}", file.value));
            Vec::new()
        })
    }

    fn proxies(&mut self, access: &file::Access) -> Vec<IpNet> {
        let proxies = access.trusted_proxies.iter().filter_map(|given| {
            let network = |text: &str| {
                let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
                network.map_err(|_| "an address or a network, such as `10.0.0.0/8`".to_owned())
            };
            self.read(&Given(Some(given.clone())), network)
        });
        proxies.collect()
    }

    fn allowed_origins(&mut self, access: &file::Access) -> Vec<String> {
        let mut origins = Vec::new();
        for given in &access.allowed_origins {
            let given = Given(Some(given.clone()));
            origins.extend(self.read(&given, |text| {
                let url = http_url(text).filter(|url| {
                    url.path() == "/" && url.query().is_none() && url.fragment().is_none()
                });
                let expected =
                    || "an origin such as `https://app.example`, without a path".to_owned();
                url.map(|url| url.origin().ascii_serialization()).ok_or_else(expected)
            }));
        }
        origins
    }
}

/// Those of a PEM file or of a JWKS. The error completes the sentence "FILE …".
fn public_keys(text: &[u8]) -> Result<Vec<TokenKey>, String> {
    let keys = match text.trim_ascii_start().first() {
        Some(b'{') => of_jwks(text)?,
        _ => vec![TokenKey { id: None, key: of_pem(text)? }],
    };
    let weak = |key: &TokenKey| match &key.key {
        PublicKey::Ed25519(point) => point.len() != 32,
        // The modulus, and some bytes of DER around it.
        PublicKey::Rsa(der) => der.len() < RSA_BYTES_MIN,
        PublicKey::RsaComponents { n, .. } => n.len() < RSA_BYTES_MIN,
    };
    match keys.iter().any(weak) {
        true => Err("holds an RSA key of less than 2,048 bits, or a broken one".to_owned()),
        false => Ok(keys),
    }
}

fn of_pem(pem: &[u8]) -> Result<PublicKey, String> {
    if pem.windows(11).any(|window| window == b"PRIVATE KEY") {
        return Err("holds a private key; the gateway wants the public one".to_owned());
    }
    if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        return Ok(PublicKey::Ed25519(raw(&key)));
    }
    let key = DecodingKey::from_rsa_pem(pem);
    key.map(|key| PublicKey::Rsa(raw(&key)))
        .map_err(|_| "is neither a public key in PEM (Ed25519 or RSA) nor a JWKS".to_owned())
}

fn of_jwks(text: &[u8]) -> Result<Vec<TokenKey>, String> {
    let set: JwkSet =
        serde_json::from_slice(text).map_err(|error| format!("is not a JWKS: {error}"))?;
    let key = |jwk: &jsonwebtoken::jwk::Jwk| {
        let suits = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => true,
            AlgorithmParameters::OctetKeyPair(pair) => pair.curve == EllipticCurve::Ed25519,
            _ => false,
        };
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| suits)?;
        let key = match key.kind() {
            DecodingKeyKind::SecretOrDer(point) => PublicKey::Ed25519(point.clone()),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                PublicKey::RsaComponents { n: n.clone(), e: e.clone() }
            }
        };
        Some(TokenKey { id: jwk.common.key_id.clone(), key })
    };
    // Sets of other parties hold keys for other purposes, too.
    let keys: Vec<_> = set.keys.iter().filter_map(key).collect();
    match keys.is_empty() {
        true => Err("holds no Ed25519 or RSA key".to_owned()),
        false => Ok(keys),
    }
}

fn raw(key: &DecodingKey) -> Vec<u8> {
    key.try_get_as_bytes().map(<[u8]>::to_vec).unwrap_or_default()
}
