//! Frames that are longer than one transport message travel in parts.
pub struct Reassembly;
pub fn split() {}
