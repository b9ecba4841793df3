//! An object of an app's body, read member by member, with errors that name the path.

use serde_json::value::RawValue;

use super::shapes::{members, string};
use crate::dialect::BadRequest;

/// An object whose members are taken one after the other; what is left nobody asked for.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    members: Vec<(String, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// The object `raw` at `path`, which is empty for the body itself.
    pub(super) fn read(raw: &'a RawValue, path: impl Into<String>) -> Result<Self, BadRequest> {
        let path = path.into();
        if !raw.get().starts_with('{') {
            return Err(wrong(&path, "an object"));
        }
        Ok(Self { members: members(raw), path })
    }

    /// Where a member is.
    pub(super) fn at(&self, name: &str) -> String {
        within(&self.path, name)
    }

    /// A member that is there and not null.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.members.iter().position(|(known, _)| known == name)?;
        let (_, raw) = self.members.remove(at);
        (raw.get() != "null").then_some(raw)
    }

    /// A string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, BadRequest> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        text_of(raw, &self.at(name)).map(Some)
    }

    /// A string that must be there.
    pub(super) fn needed(&mut self, name: &str) -> Result<String, BadRequest> {
        let path = self.at(name);
        let given = self.text(name)?;
        given.ok_or_else(|| {
            let problem = format!("{path} is missing: give a string");
            BadRequest::of(path, problem)
        })
    }

    /// A truth value.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, BadRequest> {
        match self.take(name).map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(wrong(&self.at(name), "true or false")),
        }
    }

    /// A whole number, not negative.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, BadRequest> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        let number = raw.get().parse().map_err(|_| wrong(&self.at(name), "a whole number"))?;
        Ok(Some(number))
    }

    /// A list.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<&'a RawValue>>, BadRequest> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        list_of(raw, &self.at(name)).map(Some)
    }

    /// An object.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>, BadRequest> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        Fields::read(raw, self.at(name)).map(Some)
    }

    /// What nobody took and is not null: paths and values, in order.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, String, &'a RawValue)> {
        let Self { path, members } = self;
        let there = members.into_iter().filter(|(_, raw)| raw.get() != "null");
        there.map(move |(name, raw)| (within(&path, &name), name, raw))
    }
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A string at `path`.
pub(super) fn text_of(raw: &RawValue, path: &str) -> Result<String, BadRequest> {
    if !raw.get().starts_with('"') {
        return Err(wrong(path, "a string"));
    }
    Ok(string(raw).into_owned())
}

/// The elements of the list at `path`.
pub(super) fn list_of<'a>(raw: &'a RawValue, path: &str) -> Result<Vec<&'a RawValue>, BadRequest> {
    serde_json::from_str(raw.get()).map_err(|_| wrong(path, "a list"))
}

/// What an error says of a member that is not what it must be. Never what it is: that may be the prompt.
pub(super) fn wrong(path: &str, right: &str) -> BadRequest {
    let shown = if path.is_empty() { "the body" } else { path };
    BadRequest::of(path, format!("{shown} must be {right}"))
}
