//! tabmq.
#![forbid(unsafe_code)]
extern crate alloc;

pub mod broker;
pub mod cbor;
pub mod client;
pub mod cron;
pub mod error;
pub mod id;
#[cfg(all(target_arch = "wasm32", any(feature = "npm", feature = "npm-sim")))]
pub mod js;
pub mod limits;
pub mod log;
pub mod marks;
pub mod node;
pub mod options;
pub mod rng;
pub mod rules;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sorted;
pub mod store;
pub mod time;
pub mod topic;
pub mod web;
pub mod wire;

#[cfg(target_arch = "wasm32")]
pub use web::bus::{Bus, Options, connect};
