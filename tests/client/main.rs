//! The client as a host and a node see it: verbs and frames in, frames and events out.

mod admin;
mod belonging;
mod calls;
mod closing;
mod commits;
mod consumers;
mod harness;
mod holding;
mod hostile;
mod keeping;
mod leadership;
mod link;
mod listening;
mod live;
mod liveness;
mod prepared;
mod publish;
mod schedules;
mod sends;
mod services;
mod sweeping;
mod system;
mod with_node;
mod world;
