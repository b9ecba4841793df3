//! What the gateway remembers of responses, so that an app can come back to one by its id.
//!
//! Pure: an index with its bounds, the numbers in which apps count, and pages of input items. It starts nothing and
//! reads no channel.

mod index;
mod numbers;
mod page;

pub use index::{Entry, Limits, Responses};
pub use numbers::Numbers;
pub use page::{Order, Page, input_items};
