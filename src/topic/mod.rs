//! Names, topics and filters: parsed once, valid for ever.

mod cover;
mod name;
mod trie;

pub use name::{Filter, Name, Topic, fits};
pub use trie::FilterTrie;
