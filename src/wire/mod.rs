//! What two peers say to each other. Frames are CBOR (RFC 8949) arrays whose first element is
//! an integer tag; a transport message is an envelope followed by frames. `docs/protocol.md`
//! describes the same in prose, with vectors that Rust and TypeScript both read.

mod admin;
mod death;
pub mod encoded;
pub mod envelope;
pub mod fragment;
pub mod frame;
mod parts;
mod redrive;
mod schedule;
pub mod summary;
pub mod writer;

pub use envelope::{Envelope, Malformed, Message};
pub use fragment::{Reassembly, TooLong};
pub use frame::Frame;
pub use summary::Summary;
pub use writer::MessageWriter;

/// The newest protocol version this build speaks.
pub const VERSION: u16 = if cfg!(feature = "next-version") { 2 } else { 1 };
/// The feature of a client that says `Listen` and knows `Audience` and `Skipped`.
pub const AUDIENCES: u64 = 1;
/// The oldest protocol version this build speaks.
pub const VERSION_MIN: u16 = if cfg!(feature = "next-version-only") { 2 } else { 1 };
