//! The simulator: many tabs, their nodes and one disk in one process, under virtual time and one
//! seed. The network, the disk, the processes and the clocks fail as their files say; checkers hold
//! the promises of the system against everything that happens.

pub mod check;
pub mod damage;
mod deaths;
pub mod dice;
pub mod difference;
pub mod disk;
mod draft;
mod emptied;
mod expiry;
pub mod fact;
pub mod fault;
pub mod ids;
mod keys;
pub mod lock;
pub mod model;
mod moves;
pub mod network;
mod operator;
pub mod per_key;
pub mod plan;
mod policies;
mod prepared;
mod queues;
mod redriver;
pub mod run;
pub mod schedule;
mod stages;
mod timetable;
pub mod user;
pub mod walls;
pub mod world;
