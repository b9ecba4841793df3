use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use ring::{
    hmac, rand,
    signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    access::Action,
    config::{Key, Secret, TokenKey},
};

const SECRET: &str = "a secret of thirty-two bytes, and more";
const NOW_MS: u64 = 1_790_000_000_000;
const RSA: &[u8] = include_bytes!("../../../tests/http/access/rsa.pk8");

fn ed25519() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes")
}

fn rsa() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(RSA).expect("a key")
}

/// Two keys by the secret, and one whose app signs with Ed25519 and with RSA.
fn tokens() -> Tokens {
    let ed = PublicKey::Ed25519(ed25519().public_key().as_ref().to_vec());
    let rsa = PublicKey::Rsa(rsa().public_key().as_ref().to_vec());
    let token_keys = vec![
        TokenKey { id: Some("ed".into()), key: ed },
        TokenKey { id: Some("rsa".into()), key: rsa },
    ];
    Tokens::new(&config::Access {
        keys: vec![
            Key::new("web", "web-key"),
            Key::new("other", "other-key"),
            Key { token_keys, ..Key::new("signs", "signs-key") },
        ],
        token_secret: Some(Secret::new(SECRET)),
        ..config::Access::default()
    })
}

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// Any header and claims, signed by whatever signs.
fn signed(header: Value, claims: Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encoded(&header), encoded(&claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn by_secret(message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, message).as_ref().to_vec()
}

fn by_rsa(message: &[u8]) -> Vec<u8> {
    let (key, random) = (rsa(), rand::SystemRandom::new());
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("it signs");
    signature
}

fn hs256() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

fn claims() -> Value {
    json!({ "owner": "web", "channels": ["chat-*"], "allow": ["read"], "exp": NOW_MS / 1_000 + 60 })
}

/// The claims with one of them changed; null takes it away.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => _ = claims.as_object_mut().expect("an object").remove(name),
        value => claims[name] = value,
    }
    claims
}

fn verify(token: &str) -> Result<Grant, BadToken> {
    tokens().verify(token, NOW_MS)
}

fn wish() -> Wish {
    Wish {
        channels: vec![Pattern::parse("chat-*").expect("a pattern")],
        allow: [Action::Read, Action::Cancel].into_iter().collect(),
        client: Some("screen-1".into()),
        generation: Some(GenerationId::claimed("gen_1")),
    }
}

#[test]
fn what_is_minted_holds_until_it_expires() {
    let (tokens, web) = (tokens(), Owner::new("web"));
    let minted = tokens.mint(&web, &wish(), Duration::from_secs(60), NOW_MS).expect("a token");
    assert_eq!(minted.expires_at, NOW_MS / 1_000 + 60);
    let grant = tokens.verify(&minted.token, NOW_MS).expect("it holds");
    let Wish { channels, allow, client, generation } = wish();
    let expires_ms = NOW_MS + 60_000;
    let voucher = grant.voucher;
    let expected = Grant { owner: web, channels, allow, expires_ms, client, generation, voucher };
    assert_eq!(grant, expected);
    assert!(tokens.verify(&minted.token, NOW_MS + 59_999).is_ok());
    assert_eq!(tokens.verify(&minted.token, NOW_MS + 60_000), Err(BadToken::Expired));
    assert!(!format!("{minted:?} {tokens:?}").contains(&minted.token));
}

#[test]
fn what_cannot_be_minted_is_refused() {
    let (tokens, web) = (tokens(), Owner::new("web"));
    let day = Duration::from_secs(86_400);
    let mint = |wish: &Wish, ttl| tokens.mint(&web, wish, ttl, NOW_MS).map(|_| ());
    assert_eq!(mint(&wish(), day), Ok(()));
    for ttl in [Duration::ZERO, Duration::from_millis(999), day + Duration::from_millis(1)] {
        assert_eq!(mint(&wish(), ttl), Err(CannotMint::Ttl));
    }
    for (wrong, error) in [
        (Wish { channels: Vec::new(), ..wish() }, CannotMint::Channels),
        (Wish { channels: vec![wish().channels[0].clone(); 65], ..wish() }, CannotMint::Channels),
        (Wish { allow: Actions::default(), ..wish() }, CannotMint::Nothing),
        (Wish { client: Some(String::new()), ..wish() }, CannotMint::Client),
        (Wish { client: Some("x".repeat(129)), ..wish() }, CannotMint::Client),
        (
            Wish { channels: vec![Pattern::parse(&"x".repeat(128)).expect("an id"); 64], ..wish() },
            CannotMint::TooLong,
        ),
    ] {
        assert_eq!(mint(&wrong, day), Err(error));
    }
    let without = Tokens::new(&config::Access::default());
    assert_eq!(without.mint(&web, &wish(), day, NOW_MS), Err(CannotMint::NoSecret));
}

#[test]
fn what_an_app_signs_itself_holds_for_its_own_channels() {
    let ed = |message: &[u8]| ed25519().sign(message).as_ref().to_vec();
    for header in [json!({ "alg": "EdDSA" }), json!({ "alg": "EdDSA", "kid": "ed" })] {
        let grant = verify(&signed(header, with("owner", Value::Null), ed)).expect("it holds");
        assert_eq!(grant.owner, Owner::new("signs"));
    }
    let rs256 = json!({ "alg": "RS256", "kid": "rsa" });
    let grant = verify(&signed(rs256, with("owner", json!("signs")), by_rsa)).expect("it holds");
    assert_eq!(grant.owner, Owner::new("signs"));
    let theirs = signed(json!({ "alg": "EdDSA" }), with("owner", json!("web")), ed);
    assert_eq!(verify(&theirs), Err(BadToken::Owner), "it speaks for its own key only");
    let unknown = signed(json!({ "alg": "EdDSA", "kid": "rsa" }), claims(), ed);
    assert_eq!(verify(&unknown), Err(BadToken::Algorithm), "no such key of this algorithm");
    assert!(verify(&signed(hs256(), claims(), by_secret)).is_ok(), "with the secret, for any");
}

#[test]
fn what_is_signed_otherwise_does_not_hold() {
    let nothing = |_: &[u8]| Vec::new();
    let public = ed25519().public_key().as_ref().to_vec();
    let by_public_key = |message: &[u8]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), message).as_ref().to_vec()
    };
    let sha512 = |message: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes());
        hmac::sign(&key, message).as_ref().to_vec()
    };
    for (what, token, error) in [
        ("none", signed(json!({ "alg": "none" }), claims(), nothing), BadToken::Algorithm),
        ("None", signed(json!({ "alg": "None" }), claims(), nothing), BadToken::Algorithm),
        ("no alg", signed(json!({}), claims(), nothing), BadToken::Algorithm),
        ("HS512", signed(json!({ "alg": "HS512" }), claims(), sha512), BadToken::Algorithm),
        ("ES256", signed(json!({ "alg": "ES256" }), claims(), by_secret), BadToken::Algorithm),
        ("no signature", signed(hs256(), claims(), nothing), BadToken::Signature),
        ("a public key", signed(hs256(), claims(), by_public_key), BadToken::Signature),
        (
            "a secret as RSA",
            signed(json!({ "alg": "RS256" }), claims(), by_secret),
            BadToken::Signature,
        ),
        (
            "crit",
            signed(json!({ "alg": "HS256", "crit": ["exp"] }), claims(), by_secret),
            BadToken::Algorithm,
        ),
        ("a key", "sk-no-token".to_owned(), BadToken::NotAToken),
        ("dots", "..".to_owned(), BadToken::NotAToken),
        ("nothing", String::new(), BadToken::NotAToken),
        ("an encrypted one", "a.b.c.d.e".to_owned(), BadToken::NotAToken),
        ("long", format!("{}.a.b", "x".repeat(4096)), BadToken::TooLong),
    ] {
        assert_eq!(verify(&token), Err(error), "{what}");
    }
}

#[test]
fn what_is_signed_must_also_make_sense() {
    let now = NOW_MS / 1_000;
    for (name, value, holds) in [
        ("exp", json!(now + 1), true),
        ("exp", json!(now as f64 + 0.5), true),
        ("exp", json!(now), false),
        ("exp", json!(0), false),
        ("exp", json!(-1), false),
        ("exp", json!(format!("{}", now + 60)), false),
        ("exp", json!(u64::MAX), false),
        ("exp", Value::Null, false),
        ("nbf", json!(now), true),
        ("nbf", json!(now + 1), false),
        ("nbf", json!("0"), false),
        ("aud", json!("tokenway"), true),
        ("aud", json!(["a", "tokenway"]), true),
        ("aud", json!("a"), false),
        ("aud", json!([]), false),
        ("aud", json!(7), false),
        ("owner", json!("nobody"), false),
        ("owner", json!(""), false),
        ("owner", Value::Null, false),
        ("channels", json!("chat-42"), true),
        ("channels", json!([]), false),
        ("channels", json!(["a/b"]), false),
        ("channels", json!(vec!["a"; 65]), false),
        ("channels", Value::Null, false),
        ("allow", json!(["read", "cancel", "publish"]), true),
        ("allow", json!(["write"]), false),
        ("allow", json!([]), false),
        ("allow", json!("read"), false),
        ("allow", Value::Null, false),
        ("client", json!(""), false),
        ("client", json!("x".repeat(129)), false),
        ("iss", json!({ "anything": true }), true),
    ] {
        let verified = verify(&signed(hs256(), with(name, value.clone()), by_secret));
        assert_eq!(verified.is_ok(), holds, "{name}: {value}: {verified:?}");
    }
}

#[test]
fn a_key_that_is_gone_takes_its_tokens_with_it() {
    let tokens = tokens();
    let gone = Owner::new("gone");
    let minted = tokens.mint(&gone, &wish(), Duration::from_secs(60), NOW_MS).expect("signed");
    assert_eq!(tokens.verify(&minted.token, NOW_MS), Err(BadToken::Owner));
}

proptest! {
    #[test]
    fn a_changed_token_does_not_hold(at in 0usize..1_000, to in 0u8..128) {
        let token = signed(hs256(), claims(), by_secret);
        let mut bytes = token.clone().into_bytes();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        let changed = String::from_utf8(bytes).expect("ASCII stays ASCII");
        prop_assert!(verify(&changed).is_err(), "{changed}");
    }

    #[test]
    fn junk_is_refused_and_no_more(junk in "[ -~]{0,300}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,80}", 0..6)) {
        prop_assert!(verify(&junk).is_err());
        prop_assert!(verify(&parts.join(".")).is_err());
    }

    #[test]
    fn signed_junk_is_refused_and_no_more(header in "\\PC{0,40}", claims in "\\PC{0,80}") {
        let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = parts.join(".");
        let signature = URL_SAFE_NO_PAD.encode(by_secret(message.as_bytes()));
        let token = format!("{message}.{signature}");
        prop_assert!(verify(&token).is_err());
    }
}
