//! The queues of the simulation, and how each is declared.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use crate::cbor;
use crate::options::{
    Backoff, DeadLetter, Durability, OnFailure, Order, Overflow, QueueOptions, Rate, Slow,
};
use crate::sim::fact::Tag;
use crate::wire::frame::Properties;

pub const QUEUES: [&str; 21] = [
    "once",
    "plain",
    "brief",
    "discards",
    "strict",
    "small",
    "ring",
    "spills",
    "single",
    "round",
    "fades",
    "keyed",
    "loose",
    "ranked",
    "state",
    "few",
    "scarce",
    "paced",
    "brief.dead",
    "spills.dead",
    "faded",
];
/// Those that are declared and sent to.
pub const OWN_QUEUES: [&str; 18] = [
    "once", "plain", "brief", "discards", "strict", "small", "ring", "spills", "single", "round",
    "fades", "keyed", "loose", "ranked", "state", "few", "scarce", "paced",
];

/// Each message of one of them becomes one of the next.
pub const STAGES: [&str; 3] = ["stage.1", "stage.2", "stage.3"];

const BACKOFF: Backoff = Backoff {
    first_ms: 50,
    factor_percent: 200,
    wait_ms_max: 400,
    jitter_percent: 20,
    step_ms: None,
    ladder_ms: None,
};

/// Properties with a key that other messages have as well. Only queues to which keys mean something
/// have such messages, and others beside them.
#[must_use]
pub fn key_properties(queue: &str, tag: Tag) -> Option<Vec<u8>> {
    let keyed = ["keyed", "loose", "state", "few", "scarce"].contains(&queue);
    if !keyed || tag.serial.is_multiple_of(4) {
        return None;
    }
    let keys = ["red", "green", "blue"];
    let key = keys.get(tag.serial as usize % keys.len()).copied();
    let mut properties = Vec::new();
    cbor::encode(&Properties { key, ..Properties::default() }, &mut properties);
    Some(properties)
}

/// Only queues that have priorities have such messages, and others beside them.
#[must_use]
pub fn priority(queue: &str, tag: Tag) -> Option<u32> {
    ["keyed", "ranked"].contains(&queue).then_some(tag.serial / 5 % 3)
}

/// How a queue of the simulation is declared.
#[must_use]
pub fn queue_options(name: &str) -> QueueOptions {
    let brief = QueueOptions { backoff: Some(BACKOFF), ..QueueOptions::default() };
    match name {
        "brief" => QueueOptions { lease_ms: Some(700), deliveries_max: Some(3), ..brief },
        "discards" => QueueOptions {
            lease_ms: Some(2000),
            deliveries_max: Some(2),
            dead_letter: Some(DeadLetter::Discard),
            ..brief
        },
        "once" => QueueOptions { dedupe_ms: Some(4000), messages_max: Some(40), ..brief },
        "strict" => QueueOptions { durability: Some(Durability::Strict), ..brief },
        // Delays, leases and waits all may last longer.
        "fades" => QueueOptions {
            lease_ms: Some(1500),
            ttl_ms: Some(1200),
            expired: Some("faded".to_owned()),
            ..brief
        },
        "single" => QueueOptions { lease_ms: Some(1000), single_active: Some(true), ..brief },
        "stage.2" => QueueOptions {
            lease_ms: Some(1000),
            deliveries_max: Some(1000),
            messages_max: Some(20),
            ..brief
        },
        "stage.1" | "stage.3" => {
            QueueOptions { lease_ms: Some(1500), deliveries_max: Some(1000), ..brief }
        }
        "keyed" => QueueOptions { priorities: Some(3), ..by_key(None, brief) },
        "loose" => by_key(Some(OnFailure::Reorder), brief),
        // Some handlers take longer than the queue waits, and many hold a lease to its end.
        "ranked" => QueueOptions {
            lease_ms: Some(900),
            priorities: Some(3),
            slow: Some(Slow { after_ms: 400, detach: true }),
            ..brief
        },
        "state" => QueueOptions { lease_ms: Some(900), last_value: Some(true), ..brief },
        "paced" => QueueOptions {
            lease_ms: Some(900),
            rate: Some(Rate { limit: 10, per_ms: 1000, burst: Some(2) }),
            ..brief
        },
        _ => shedding_options(name, brief),
    }
}

/// Of queues with limits, which shed or refuse what is too much.
fn shedding_options(name: &str, brief: QueueOptions) -> QueueOptions {
    match name {
        "ring" => QueueOptions {
            lease_ms: Some(1500),
            messages_max: Some(8),
            overflow: Some(Overflow::DropOldest),
            ..brief
        },
        "spills" => QueueOptions {
            lease_ms: Some(1500),
            bytes_max: Some(2000),
            overflow: Some(Overflow::DeadLetter),
            consumers_min: Some(2),
            consumers_wait_ms: Some(400),
            ..brief
        },
        // What it sheds comes back to it from there.
        "spills.dead" => QueueOptions {
            lease_ms: Some(1500),
            messages_max: Some(8),
            overflow: Some(Overflow::DeadLetter),
            dead_letter: Some(DeadLetter::Queue("round".to_owned())),
            ..brief
        },
        "round" => QueueOptions {
            lease_ms: Some(1500),
            messages_max: Some(6),
            overflow: Some(Overflow::DeadLetter),
            dead_letter: Some(DeadLetter::Queue("spills.dead".to_owned())),
            ..brief
        },
        "brief.dead" => QueueOptions {
            messages_max: Some(20),
            overflow: Some(Overflow::DropOldest),
            dead_letter: Some(DeadLetter::Queue("brief.dead".to_owned())),
            ..QueueOptions::default()
        },
        "few" => QueueOptions {
            lease_ms: Some(1500),
            messages_per_key_max: Some(2),
            overflow: Some(Overflow::DropOldest),
            ..brief
        },
        "scarce" => QueueOptions { lease_ms: Some(1500), messages_per_key_max: Some(2), ..brief },
        "small" => QueueOptions { lease_ms: Some(1500), messages_max: Some(15), ..brief },
        _ => QueueOptions::default(),
    }
}

fn by_key(on_failure: Option<OnFailure>, others: QueueOptions) -> QueueOptions {
    QueueOptions { lease_ms: Some(900), order: Some(Order::Key), on_failure, ..others }
}
