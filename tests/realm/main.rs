//! Realms that share a store, locks and channels, all made by hand: who hosts, and what becomes of
//! everyone when the host's storage or the host itself stands still.

mod handmade;
mod harness;
mod hosting;
mod hub;
mod hub_away;
mod hub_doors;
mod hub_full;
mod hub_grants;
mod hub_idle;
mod hub_listening;
mod hub_sleep;
mod hub_world;
mod realms;
mod workers;
