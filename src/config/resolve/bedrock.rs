//! Bedrock's providers: where their region is, and the access key that signs their requests in place of a key.

use super::{
    super::{
        AccessKey, Secret, file,
        located::{At, Given},
    },
    Resolver, place,
};

/// A region as it stands in host names.
pub(in crate::config) fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

/// Where Bedrock is in a region.
pub(in crate::config) fn base_url_in(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://bedrock-runtime.{region}.amazonaws.com{china}")
}

impl Resolver<'_> {
    /// The base URL unless told, and the access key.
    pub(super) fn bedrock(
        &mut self,
        name: &At<String>,
        provider: &file::Provider,
    ) -> (Option<String>, Option<AccessKey>) {
        let region = self.read(&provider.region, |text| {
            let region = is_region(text).then(|| text.to_owned());
            region.ok_or_else(|| "a region such as `us-east-1`".to_owned())
        });
        let has_region = provider.region.0.is_some();
        let id = self.sendable("access_key_id", &provider.access_key_id);
        let secret = self.sendable("secret_access_key", &provider.secret_access_key);
        let token = self.sendable("session_token", &provider.session_token);
        let key = place(&provider.access_key_id).or(place(&provider.secret_access_key));
        let key = key.or(place(&provider.session_token));
        let whole = provider.access_key_id.0.is_some() && provider.secret_access_key.0.is_some();
        if key.is_some() && !whole {
            let message = "an access key is both `access_key_id` and `secret_access_key`, and a \
                           `session_token` where it is temporary";
            self.wrong(key, message);
        }
        if key.is_some() && (provider.api_key.0.is_some() || !provider.api_keys.is_empty()) {
            let message = "`api_key` and an access key are two ways to the same; take one out";
            self.wrong(key, message);
        }
        if !has_region && key.is_some() {
            let message = format!("`{}` has no `region`, which its signature names", name.value);
            self.wrong(Some(name.place), message);
        } else if !has_region && provider.base_url.0.is_none() {
            let message = format!("`{}` has neither `region` nor `base_url`", name.value);
            self.wrong(Some(name.place), message);
        }
        let access_key = match (&region, id, secret) {
            (Some(region), Some(id), Some(secret)) => {
                let (region, secret) = (region.clone(), Secret::new(secret));
                Some(AccessKey { region, id, secret, session_token: token.map(Secret::new) })
            }
            _ => None,
        };
        (region.as_deref().map(base_url_in), access_key)
    }

    /// The keys that only Bedrock has, on a provider of another dialect.
    pub(super) fn foreign_to_bedrock(&mut self, provider: &file::Provider, dialect: &str) {
        self.foreign("region", place(&provider.region), dialect);
        self.foreign("access_key_id", place(&provider.access_key_id), dialect);
        self.foreign("secret_access_key", place(&provider.secret_access_key), dialect);
        self.foreign("session_token", place(&provider.session_token), dialect);
    }

    /// A part of an access key: it goes out in a header, or makes one.
    fn sendable(&mut self, key: &str, given: &Given<String>) -> Option<String> {
        let text = self.text(given)?;
        let visible =
            !text.value.is_empty() && text.value.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible {
            let message = format!("`{key}` is empty or holds characters that no access key has");
            self.wrong(Some(text.place), message);
        }
        visible.then_some(text.value)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Endpoint, Environment, Http};

    fn http(provider: &str) -> Result<Http, String> {
        let text = format!(
            "version: 1\nproviders: {{ b: {{ {provider} }} }}\nmodels: {{ m: {{ targets: [{{ provider: b }}] }} }}\n"
        );
        let config = Config::parse("gateway.yaml", &text, &Environment::default());
        let config = config.map_err(|error| error.to_string())?;
        let Endpoint::Http(http) = &config.providers[0].endpoint else { panic!("not HTTP") };
        Ok((**http).clone())
    }

    #[test]
    fn a_region_says_where_bedrock_is() {
        let http = http("dialect: bedrock, region: eu-west-1, api_key: k").expect("right");
        assert_eq!(http.base_url.as_str(), "https://bedrock-runtime.eu-west-1.amazonaws.com/");
        assert_eq!(http.access_key, None);
        let china = super::base_url_in("cn-north-1");
        assert_eq!(china, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn an_access_key_is_read_and_its_secret_not_shown() {
        let keys = "dialect: bedrock, region: us-east-1, base_url: http://localhost:1, \
                    access_key_id: AKID, secret_access_key: hidden, session_token: token";
        let http = http(keys).expect("right");
        assert_eq!(http.base_url.as_str(), "http://localhost:1/");
        let key = http.access_key.expect("a key");
        assert_eq!((&*key.region, &*key.id, key.secret.expose()), ("us-east-1", "AKID", "hidden"));
        assert_eq!(key.session_token.as_ref().map(|token| token.expose()), Some("token"));
        let shown = format!("{key:?}");
        assert!(!shown.contains("hidden") && !shown.contains("token\""), "{shown}");
    }

    #[test]
    fn what_does_not_fit_together_is_an_error() {
        for (provider, problem) in [
            ("dialect: bedrock", "`b` has neither `region` nor `base_url`"),
            ("dialect: bedrock, region: US_EAST", "`US_EAST` is not a region such as `us-east-1`"),
            (
                "dialect: bedrock, base_url: http://localhost:1, access_key_id: a, secret_access_key: b",
                "`b` has no `region`, which its signature names",
            ),
            ("dialect: bedrock, region: r, access_key_id: a", "an access key is both"),
            ("dialect: bedrock, region: r, session_token: a", "an access key is both"),
            (
                "dialect: bedrock, region: r, api_key: k, access_key_id: a, secret_access_key: b",
                "two ways to the same",
            ),
            (
                "dialect: bedrock, region: r, access_key_id: a, secret_access_key: \"b c\"",
                "`secret_access_key` is empty or holds characters",
            ),
            ("dialect: openai, region: r", "`region` has no effect with `dialect: openai`"),
            ("dialect: simulator, session_token: r", "`session_token` has no effect"),
        ] {
            let error = http(provider).expect_err("wrong");
            assert!(error.contains(problem), "{provider}: {error}");
            assert!(!error.contains("b c"), "no secret in an error");
        }
    }
}
