//! The client: the verbs of one tab, pending requests, resume. It performs no I/O.
pub mod io;
