//! tmp
use crate::generation::{OnDisconnect, Timeouts};
#[derive(Clone)]
pub struct Target {
    pub provider: String,
    pub model: String,
    pub timeouts: Timeouts,
    pub on_disconnect: OnDisconnect,
}
pub struct Plan;
impl Plan {
    pub fn into_first(self) -> Target {
        loop {}
    }
}
pub struct Routes;
impl Routes {
    pub fn new(_: &crate::config::Config) -> Self {
        Self
    }
    pub fn plan(&self, _: &str, _: u64) -> Result<Plan, std::fmt::Error> {
        Ok(Plan)
    }
    pub fn models(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
    pub fn default_provider(&self) -> Option<&str> {
        None
    }
}
