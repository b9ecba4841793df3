//! A call that passes without being understood, but for the model it names.

use bytes::Bytes;

use super::body::{self, Body};

/// A JSON body with a `model`.
#[derive(Clone)]
pub struct Named {
    body: Body,
    model: String,
}

impl Named {
    /// Looks at a body; `None` if it is no JSON object or names no model: then that is the provider's to judge.
    pub fn read(body: Bytes) -> Option<Self> {
        let body = Body::read(body).ok()?;
        let model = body.string(body.top(), "model", "name the model").ok()?;
        Some(Self { body, model })
    }

    /// The name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The body with another name in its place, and every other byte as it came.
    pub fn renamed(&self, model: &str) -> Bytes {
        let mut edits = self.body.edit();
        if model != self.model {
            edits.set(self.body.top(), "model", &body::json(model));
        }
        edits.apply()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_is_changed() {
        let body = "{ \"input\": [1.10],\n\"model\" : \"a\\u002fb\", \"x\":{\"model\":1} }";
        let named = Named::read(Bytes::from_static(body.as_bytes())).expect("it names one");
        assert_eq!(named.model(), "a/b");
        assert_eq!(named.renamed("a/b"), body);
        assert_eq!(named.renamed("c"), body.replace("\"a\\u002fb\"", "\"c\""));
        for other in ["", "[]", "{}", "{\"model\":1}", "{\"model\":\"\"}"] {
            assert!(Named::read(Bytes::from_static(other.as_bytes())).is_none(), "{other}");
        }
    }
}
