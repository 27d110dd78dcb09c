//! The log over a store in memory: what is appended comes back, in whatever moment the node dies,
//! and what was damaged is not taken for what was written.

mod conformance;
mod crashes;
mod damage;
mod fences;
mod harness;
mod records;
mod reserve;
mod running;
mod steps;
