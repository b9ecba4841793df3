//! x
use crate::dialect::{Call, Unsayable, Upstream};
/// Writes a call for a provider, to be streamed.
pub fn write(_call: &Call, _model: &str) -> Result<Upstream, Unsayable> {
    Err(Unsayable { path: "$".to_owned(), dialect: super::NAME, why: "SCAFFOLD".to_owned() })
}
