//! The environment as a value, so that reading a config is a pure function of the file and of this; and `${NAME}`.

use std::{collections::BTreeMap, fmt};

/// Environment variables.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own variables; those that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os();
        variables
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable, if it is set.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a variable that is set to something.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.value(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Replaces each `${NAME}` by its value and `$$` by a dollar. Says what is wrong, if something is.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or_else(|| {
                    "`${` is not closed by `}`; write `$${` for the text".to_owned()
                })?;
                expanded.push_str(self.named(name)?);
                rest = after;
            } else {
                expanded.push('$');
            }
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn named(&self, name: &str) -> Result<&str, String> {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(letters) {
            return Err(format!("`${{{name}}}` does not name an environment variable"));
        }
        self.value(name).ok_or_else(|| {
            format!("the environment variable `{name}` is not set; set it, or write `$$` for a `$`")
        })
    }
}

/// Only names: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_braces_are_replaced_and_nothing_else() {
        let environment: Environment = [("KEY", "k$1${KEY}"), ("EMPTY", "")].into_iter().collect();
        for (text, expected) in [
            ("plain", Ok("plain")),
            ("${KEY}", Ok("k$1${KEY}")),
            ("a${KEY}b${EMPTY}c", Ok("ak$1${KEY}bc")),
            ("$$ $${KEY} $KEY 5$", Ok("$ ${KEY} $KEY 5$")),
        ] {
            assert_eq!(environment.expand(text), expected.map(str::to_owned), "{text}");
        }
        for (text, named) in
            [("${NONE}", "`NONE` is not set"), ("${", "not closed"), ("${a b}", "a b")]
        {
            let error = environment.expand(text).expect_err(text);
            assert!(error.contains(named), "{error}");
        }
    }
}
