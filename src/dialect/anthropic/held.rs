//! A block of a kind that the words cannot say, held until it is whole.

use serde_json::value::RawValue;

use super::shapes::{MEMBERS_MAX, first_members, string};

/// A block that is said when it is whole.
#[derive(Debug)]
pub(super) struct Held {
    start: Box<RawValue>,
    /// Its members, once a piece has come.
    members: Vec<(String, Value)>,
    length: usize,
}

#[derive(Debug)]
enum Value {
    Raw(Box<RawValue>),
    Text(String),
}

impl Held {
    /// A block as it begins.
    pub(super) fn new(raw: &RawValue) -> Self {
        Self { start: raw.to_owned(), members: Vec::new(), length: raw.get().len() }
    }

    /// Adds a piece: its strings go on where the block's strings of the same name end, its other members replace.
    pub(super) fn add(&mut self, delta: &RawValue) {
        if self.members.is_empty() {
            let begun = first_members(&self.start, MEMBERS_MAX).into_iter();
            self.members = begun.map(|(name, raw)| (name, Value::Raw(raw.to_owned()))).collect();
        }
        self.length += delta.get().len();
        for (name, raw) in first_members(delta, MEMBERS_MAX) {
            let known = self.members.iter().position(|(known, _)| *known == name);
            if name == "type" || (known.is_none() && self.members.len() == MEMBERS_MAX) {
                continue;
            }
            let is_text = raw.get().starts_with('"');
            let at = known.unwrap_or_else(|| {
                self.members.push((name, Value::Text(String::new())));
                self.members.len() - 1
            });
            let value = &mut self.members[at].1;
            match value {
                Value::Text(text) if is_text => text.push_str(&string(raw)),
                Value::Raw(begun) if is_text => {
                    *value = Value::Text(string(begun).into_owned() + &string(raw));
                }
                _ => *value = Value::Raw(raw.to_owned()),
            }
        }
    }

    /// The block: exactly as it began where no piece came.
    pub(super) fn written(&self) -> String {
        if self.members.is_empty() {
            return self.start.get().to_owned();
        }
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let member = |(name, value): &(String, Value)| match value {
            Value::Raw(raw) => format!("{}:{}", text(name), raw.get()),
            Value::Text(said) => format!("{}:{}", text(name), text(said)),
        };
        let members: Vec<_> = self.members.iter().map(member).collect();
        format!("{{{}}}", members.join(","))
    }

    /// How many bytes of it have come.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn without_pieces_a_block_stays_as_it_came() {
        let block = r#"{ "type":"x", "n":90071992547409931.10, "type":"y" }"#;
        assert_eq!(Held::new(raw(block)).written(), block);
    }

    #[test]
    fn strings_go_on_and_all_else_is_replaced() {
        let mut held = Held::new(raw(r#"{"type":"x","a":"1","b":null,"c":[1]}"#));
        held.add(raw(r#"{"type":"x_delta","a":"2","b":"3","c":[2],"d":4}"#));
        held.add(raw(r#"{"a":"\n","b":"5"}"#));
        let expected = r#"{"type":"x","a":"12\n","b":"35","c":[2],"d":4}"#;
        assert_eq!(held.written(), expected);
    }

    #[test]
    fn members_without_end_are_not_kept() {
        let many: Vec<_> = (0..2_000).map(|at| format!("\"m{at}\":1")).collect();
        let many = format!("{{{}}}", many.join(","));
        let mut held = Held::new(raw(r#"{"type":"x"}"#));
        held.add(raw(&many));
        held.add(raw(&many.replace('m', "n")));
        assert_eq!(first_members(raw(&held.written()), usize::MAX).len(), MEMBERS_MAX);
    }
}
