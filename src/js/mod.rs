//! What JavaScript sees: one class, and in the module of the simulator one function. It converts
//! and does not think.

#[cfg(feature = "npm")]
mod batch;
#[cfg(feature = "npm")]
mod dispatches;
#[cfg(feature = "npm")]
mod kept_sends;
#[cfg(feature = "npm")]
mod options;
#[cfg(feature = "npm")]
mod raw_bus;
#[cfg(feature = "npm")]
mod schedules;
#[cfg(feature = "npm-sim")]
mod simulator;
#[cfg(feature = "npm")]
mod sockets;
