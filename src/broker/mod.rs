//! The broker: sessions, destinations and their log. It performs no I/O.
pub mod io;
