//! The simulator: many tabs, their nodes and one disk in one process, under virtual time and one
//! seed. Checkers hold the promises of the system against everything that happens.
//!
//! # The fault model
//!
//! What can happen is a kind of fault (`fault.rs`), counted, and each kind occurs at least
//! `FAULT_KIND_MIN` times in a whole run, or the run fails. What can't happen is not survived
//! either. Each seed draws its own plan (`plan.rs`), in which about a quarter of the kinds is left
//! out and the others are more or less frequent: a fault that is always there hides what only
//! happens without it. All chances are ratios of integers.
//!
//! **Network** (`network.rs`). Per message: dropped or doubled on a channel, missed by one receiver
//! of a message to everyone, or delayed by up to 1.5 s with all that follows on the same way, each
//! never to 1 in 10 or rarer. At times: a socket is cut, a process is apart from all others for up
//! to 6 s. Never: messages of one way out of order, a byte that is not what was sent.
//!
//! **Disk** (`disk.rs`). Per operation: aborted without effect (at most 1 in 50), slow by up to 2 s
//! (1 in 50), or with its connection lost so that nobody knows (1 in 300). On media without
//! transactions, half of the seeds, the last commit of a node that dies is torn. At times: full for
//! up to 3 s; power is lost, and with it any number of the newest commits that were not flushed.
//! After a run, on copies: a chunk is missing, a bit is wrong, and recovery has to refuse. Never:
//! two writers between the compare and the write of a commit, a loss from the middle of the log, a
//! bit that is wrong in a log that goes on.
//!
//! **Pages** (`world/misfortune.rs`, `world/realms.rs`). At times, one page after the other: it
//! dies without a word, is loaded anew with what a page may keep, goes out of view (its timers come
//! once a second, or once a minute) and back into it, is frozen for up to 6 s and goes on, is
//! discarded while it is frozen, goes into the cache of the browser and is restored or evicted, or
//! closes by its own will. Never: two pages with the same identity at the same time.
//!
//! **Outboxes** (`outbox.rs`, `world/outbox.rs`). Pages write down what has no answer, which takes
//! up to 1 s. A page that dies leaves the last of its writes undone; the next page of its tab takes
//! up what is there, or another page sends it as a guest, perhaps while the page that wrote it lies
//! in the cache. Never: a write that is lost once it was told, or one that overtakes another of its
//! page.
//!
//! **Hosts** (`world/hosts.rs`). In a third of the seeds the pages host; in a third each page has a
//! worker that hosts before any page does; in a third there is one worker for all. A worker has no
//! client, and is gone with the page that started it. At times: the node dies, between two inputs,
//! after any output of one, or around a write that rewrites the log; its realm stands still for up
//! to 12 s and goes on fenced; its lock is stolen, of which it learns up to 3 s late. Never: a lock
//! with two holders, other than by theft.
//!
//! **Clocks** (`walls.rs`). Each realm has a running clock of its own origin, which never jumps.
//! The wall clock is one, and jumps by up to 30 s, ahead or back.
//!
//! **Hubs** (`hub/`). A world of its own, which a run has beside the other one: tabs on two to four
//! devices, one to three doors, and the node at a hub. Realms on both ends are those that ship,
//! with the relay of a device and the sockets of a hub in them. A tab that relays, a whole device
//! or the process of the hub dies; a second process starts over the same disk while the first
//! lives, and the fence decides. The link of a device (`hub/links.rs`) is an ordered stream each
//! way: it is cut after any part of what is under way, stalls for up to 20 s, or leads nowhere
//! while one end or none learns of it, which takes up to 60 s. A door is down for up to 20 s. A
//! device is apart for up to 40 s, or in one of ten seeds once for up to two hours, in which users
//! and faults are slower, and lanes are kept for longer. Grants end within seconds, are revoked for
//! up to 10 s, or are renewed with another content in the open socket; what they mean is judged
//! apart from the broker (`hub/scope.rs`). Never: a hole in what a link brings, a device whose lane
//! was let go.
//!
//! A timed fault comes every 50 ms to 2.5 s. A run has at least 20 faults, 2 deaths of a node and
//! 30 s; then all is healed, what is open has a minute to end, and the checkers look at the end.
//!
//! # Rare paths
//!
//! The core marks paths that are rarely taken (`marks.rs`). A whole run that never takes one of
//! them fails and names it: the plan has to be changed until it does, or the path has to go.

pub mod change;
pub mod check;
pub mod cut;
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
pub mod hub;
pub mod ids;
mod keys;
mod living;
pub mod lock;
pub mod model;
mod moves;
pub mod network;
mod operator;
pub mod outbox;
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
