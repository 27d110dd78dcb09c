//! The host of pages, workers and processes that run JavaScript: it gives the client and the node
//! of one realm what they ask for. What decides is plain Rust and is tested natively; the rest are
//! the only files of the crate that name the browser.

pub mod dialing;
pub mod hosting;
pub mod io;
pub mod links;
mod load;
pub mod names;
mod overdue;
mod reach;
pub mod realm;
mod relay;
pub mod sockets;
pub mod storage_batch;
mod to_hub;
pub mod trace;
pub mod worker;

#[cfg(target_arch = "wasm32")]
mod broadcast_channel;
#[cfg(target_arch = "wasm32")]
pub mod bus;
#[cfg(target_arch = "wasm32")]
pub mod choices;
#[cfg(target_arch = "wasm32")]
mod claiming;
#[cfg(target_arch = "wasm32")]
pub mod driver;
#[cfg(target_arch = "wasm32")]
mod inbox;
#[cfg(target_arch = "wasm32")]
pub mod indexed_db;
#[cfg(target_arch = "wasm32")]
pub mod js_sockets;
#[cfg(target_arch = "wasm32")]
mod js_storage;
#[cfg(target_arch = "wasm32")]
mod listener;
#[cfg(target_arch = "wasm32")]
mod locks;
#[cfg(target_arch = "wasm32")]
mod page_lifecycle;
#[cfg(target_arch = "wasm32")]
mod platform;
#[cfg(target_arch = "wasm32")]
mod runtime;
#[cfg(target_arch = "wasm32")]
mod session_storage;
#[cfg(target_arch = "wasm32")]
pub mod socket;
#[cfg(target_arch = "wasm32")]
mod timer;
#[cfg(target_arch = "wasm32")]
mod transaction;
#[cfg(target_arch = "wasm32")]
mod way;
#[cfg(target_arch = "wasm32")]
pub mod zones;
