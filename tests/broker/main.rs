//! The node as its peers see it: frames in, frames out, over a store in memory.

mod admin;
mod advisories;
mod backoff;
mod calls;
mod commits;
mod consumers;
mod deaths;
mod dedupe;
mod expiry;
mod format;
mod full_storage;
#[allow(dead_code, reason = "the test of many producers uses the rest")]
mod harness;
mod hostile;
mod keys;
mod live;
mod operate;
mod overflow;
mod per_key;
mod picking;
mod policies;
mod prepared;
mod priorities;
mod questions;
mod queues;
mod rate;
mod recovery;
mod redrive;
mod reserve;
mod results;
mod rewriting;
mod roles;
mod schedules;
mod senders;
mod sessions;
mod slow;
