//! What JavaScript sees: one class. It converts and does not think.

mod batch;
mod dispatches;
mod options;
mod raw_bus;
