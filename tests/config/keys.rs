//! Access keys: the ways in which one is given, what vouches for its tokens, and what is said of weak ones.

use std::fs;

use tokenway::config::{Config, Environment, KeyHash, PublicKey};

use crate::in_repository;

const KEY: &str = "web-key-0123456789";

/// A config of these keys, in a folder with these files.
fn with(keys: &str, files: &[(&str, &[u8])]) -> Result<Config, String> {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).expect("a file");
    }
    let file = dir.path().join("gateway.yaml");
    let text = format!(
        "version: 1\nproviders: {{ sim: {{ dialect: simulator }} }}\nmodels: {{ m: {{ targets: [{{ provider: sim }}] }} }}\n\
         listen: {{ http: \"0.0.0.0:8080\" }}\naccess: {{ {keys} }}\n"
    );
    fs::write(&file, text).expect("a file");
    let environment: Environment = [("KEY", KEY)].into_iter().collect();
    Config::load(file, &environment).map_err(|error| error.to_string())
}

#[test]
fn a_key_comes_from_the_environment_a_file_or_its_hash() {
    let secret = "token_secret: 0123456789abcdef0123456789abcdef";
    let digits = "4b7f0bd6a6ea6a0d2eb0fd3b5f6b9f34";
    for (given, file) in
        [("key: \"${KEY}\"", &b""[..]), ("key_file: web.key", b" web-key-0123456789\n")]
    {
        let config =
            with(&format!("keys: [{{ name: web, {given} }}], {secret}"), &[("web.key", file)]);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.access.keys[0].hash, KeyHash::of(KEY), "{given}");
        assert!(config.notes.is_empty(), "{:?}", config.notes);
        let shown = format!("{config:?}");
        assert!(!shown.contains(KEY) && !shown.contains("0123456789abcdef"), "{shown}");
    }
    let config =
        with(&format!("keys: [{{ name: web, key_sha256: {digits}{digits} }}], {secret}"), &[]);
    assert_eq!(
        config.expect("a config").access.keys[0].hash,
        KeyHash::parse(&digits.repeat(2)).expect("a hash")
    );
}

#[test]
fn models_that_a_budget_shuts_out_for_want_of_a_price_are_named() {
    let notes = |models: &str, prices: &str, key: &str| {
        let text = format!(
            "version: 1\nproviders: {{ up: {{ dialect: simulator }} }}\nmodels: {{ {models} }}\n\
             prices: {{ {prices} }}\n\
             access: {{ token_secret: 0123456789abcdef0123456789abcdef, keys: [{{ name: web, key: {KEY}, {key} }}] }}\n"
        );
        let config = Config::parse("gateway.yaml", &text, &Environment::default());
        config.unwrap_or_else(|error| panic!("{error}")).notes
    };
    let [one, two, all] = [
        "one: { targets: [{ provider: up }] }",
        "two: { targets: [{ provider: up, model: x }] }",
        "\"*\": { targets: [{ provider: up }] }",
    ];
    let both = format!("{one}, {two}");
    let price = "{ input: 1, output: 1 }";
    let budget = "limits: { budget: { day: 1 } }";
    let told = notes(&both, &format!("one: {price}"), budget);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("`web` has a budget, and so no use of `two`"), "{told:?}");
    let priced = format!("one: {price}, up/x: {price}");
    for (models, prices, key) in [
        (&*both, &*priced, budget),
        (&*both, "", "limits: { concurrent: 1 }"),
        (&*both, &*format!("one: {price}"), "models: [one], limits: { budget: { day: 1 } }"),
        (all, &*format!("up/x: {price}"), budget),
    ] {
        assert!(notes(models, prices, key).is_empty(), "{models} {prices} {key}");
    }
    assert!(notes(all, "", budget)[0].contains("`*`"));
}

#[test]
fn weak_secrets_are_said_and_taken() {
    let keys = "keys: [{ name: web, key: short }], token_secret: brief, admin_key: curt";
    let notes = with(keys, &[]).expect("a config").notes;
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("`web` is shorter than 16") && notes[1].contains("32 bytes"));
    assert!(notes[2].contains("admin_key is shorter than 16"), "{notes:?}");
    assert!(!notes.concat().contains("brief"), "{notes:?}");
}

#[test]
fn what_vouches_for_an_apps_own_tokens_is_pem_or_a_jwks() {
    let rsa = fs::read(in_repository("tests/http/access/rsa.pub.pem")).expect("a key");
    let ed25519 = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let jwks = br#"{"keys":[
        {"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"EC","crv":"P-256","x":"a","y":"b"},
        {"kty":"oct","k":"c2VjcmV0"}]}"#;
    let own = |file: &[u8]| {
        let config = with("keys: [{ name: web, key: \"${KEY}\", token_key: it }]", &[("it", file)]);
        config.map(|config| config.access.keys[0].token_keys.clone())
    };
    let of = |file: &[u8]| own(file).unwrap_or_else(|error| panic!("{error}"));
    assert!(
        matches!(&of(&rsa)[..], [one] if matches!(one.key, PublicKey::Rsa(_)) && one.id.is_none())
    );
    assert!(matches!(&of(ed25519)[..], [one] if matches!(one.key, PublicKey::Ed25519(_))));
    assert!(
        matches!(&of(jwks)[..], [one] if one.id.as_deref() == Some("one")),
        "the others are for others"
    );
    let small = br#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#;
    for (file, told) in [
        (&b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"[..], "private key"),
        (&b"{\"keys\":[]}"[..], "holds no Ed25519 or RSA key"),
        (&b"{\"keys\":7}"[..], "is not a JWKS"),
        (&b"\xff\xfe"[..], "neither"),
        (&small[..], "2,048 bits"),
    ] {
        let error = own(file).expect_err(told);
        assert!(error.contains(told), "{error}");
    }
}
