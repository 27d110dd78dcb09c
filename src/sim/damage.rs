//! Recovery on copies of the disk, outside of the run.
//! `recovery-equals-model`: an intact copy gives what the records say, at any moment.
//! `damage-is-refused`: no log survives a chunk that is gone or a bit that is wrong; recovery has
//! to say so.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::broker::State;
use crate::broker::io::{Event, Input, Output};
use crate::id::{ChunkNumber, Epoch};
use crate::limits::Limits;
use crate::log::record::Decision;
use crate::log::{Manifest, MemoryStore, records_of};
use crate::node::{Node, NodeConfig};
use crate::options::HostKind;
use crate::rules::Rules;
use crate::sim::check::{Violation, violated};
use crate::sim::dice::Dice;
use crate::sim::difference::difference;
use crate::sim::fault::{Fault, FaultCounts};
use crate::sim::model::Model;
use crate::sim::plan::Plan;
use crate::sim::prepared::Fate;
use crate::sim::world::STORAGE;
use crate::store::Key;
use crate::time::{Instant, Now, UnixMillis};

const REFUSED: &str = "damage-is-refused";

/// More outputs than any recovery has.
const OUTPUTS_MAX: usize = 100_000;

/// What is done to copies of the disk after the run.
#[derive(Clone, Copy, Debug)]
pub struct DamagePlan {
    pub chunk_missing: bool,
    pub bit_flipped: bool,
}

/// Starts a node over a store that fails in nothing. Gives the node that serves, or why none does.
fn recover(mut store: MemoryStore, limits: &Limits, rules: Rules) -> Result<Node, String> {
    let now = Now { mono: Instant(0), unix: UnixMillis(0) };
    let heard = Epoch::default();
    let config = NodeConfig {
        limits: limits.clone(),
        rules,
        storage: STORAGE,
        host: HostKind::Tab,
        tears: true,
        heard,
        sleeps: None,
    };
    let mut node = Node::new(config, [1; 32], now);
    for _ in 0..OUTPUTS_MAX {
        match node.poll_output() {
            Output::Storage { op, action } => {
                let result = store.perform(&action);
                node.handle_input(now, Input::Stored { op, result });
            }
            Output::Event(Event::Ready { .. }) => return Ok(node),
            Output::Event(Event::Over { reason, .. }) => return Err(reason.to_string()),
            Output::Idle { .. } => return Err("it waits for nothing".to_string()),
            _ => {}
        }
    }
    Err("it never ends".to_string())
}

/// An intact log gives what its records say.
///
/// # Errors
/// If it does not.
pub fn recovers(
    store: &MemoryStore,
    model: &Model,
    limits: &Limits,
    rules: Rules,
) -> Result<(), Violation> {
    match recover(store.clone(), limits, rules) {
        Ok(node) => {
            let Some(broker) = node.broker() else { return Ok(()) };
            if let Some(what) = difference(model, broker.state()) {
                return violated("recovery-equals-model", what);
            }
            bodies_are_there(store, model, broker.state())
        }
        Err(reason) => violated("recovery-succeeds", format!("a copy of the disk: {reason}")),
    }
}

/// Every live message is where the state says.
fn bodies_are_there(store: &MemoryStore, model: &Model, state: &State) -> Result<(), Violation> {
    let mut store = store.clone();
    let mut found = BTreeSet::new();
    // One that was prepared is stored under the number that it had then.
    let mut prepared_as = BTreeMap::new();
    for (number, half) in &model.halves {
        if let Fate::Decided(Decision::Committed { number: sent_as }) = half.fate {
            prepared_as.insert(*number, sent_as);
        }
    }
    let chunks: BTreeSet<ChunkNumber> = state.live().map(|(_, entry)| entry.place.chunk).collect();
    for chunk in chunks {
        let bytes = store.values_mut().get(&Key::Chunk(chunk));
        for (place, record) in bytes.and_then(|bytes| records_of(bytes)).into_iter().flatten() {
            if let Some(message) = record.stored() {
                let sent_as = prepared_as.get(&message.number).copied();
                found.insert((sent_as.unwrap_or(message.number), place));
            }
        }
    }
    match state.live().find(|(stand, entry)| !found.contains(&(stand.number, entry.place))) {
        Some((stand, entry)) => {
            let what = format!("message {} is not at {:?}", stand.number.0, entry.place);
            violated("bodies-are-there", what)
        }
        None => Ok(()),
    }
}

/// Damages copies of a store and expects each to be refused.
///
/// # Errors
/// If a node serves over a damaged log.
pub fn is_refused(
    store: &MemoryStore,
    plan: &Plan,
    rules: Rules,
    dice: &mut Dice,
    faults: &mut FaultCounts,
) -> Result<(), Violation> {
    let Plan { limits, damage, .. } = plan;
    let mut damaged = store.clone();
    let Needed { pages, chunks, tail } = needed(&mut damaged);
    let needed: Vec<ChunkNumber> = chunks.into_iter().chain(tail.iter().copied()).collect();
    if damage.chunk_missing && !needed.is_empty() && faults.occurs(Fault::ChunkMissing) {
        let chunk = *dice.choose(&needed);
        damaged.values_mut().remove(&Key::Chunk(chunk));
        if recover(damaged, limits, rules).is_ok() {
            return violated(REFUSED, format!("a node serves without chunk {}", chunk.0));
        }
    }
    let mut damaged = store.clone();
    let pages = pages.into_iter().map(Key::Page);
    let read: Vec<Key> = pages.chain(tail.into_iter().map(Key::Chunk)).collect();
    if damage.bit_flipped && !read.is_empty() && faults.occurs(Fault::BitFlipped) {
        let key = *dice.choose(&read);
        if let Some(bytes) = damaged.values_mut().get_mut(&key) {
            let bit = dice.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if recover(damaged, limits, rules).is_ok() {
            return violated(REFUSED, format!("a node serves over a wrong bit in {key:?}"));
        }
    }
    Ok(())
}

/// What a recovery can't do without.
#[derive(Debug, Default)]
struct Needed {
    /// Those that the checkpoint lists.
    pages: Vec<u64>,
    chunks: Vec<ChunkNumber>,
    /// The chunks after it but for the last, which may be torn.
    tail: Vec<ChunkNumber>,
}

fn needed(store: &mut MemoryStore) -> Needed {
    let values = store.values_mut();
    let manifest = values.get(&Key::Manifest).and_then(|bytes| Manifest::decode(bytes).ok());
    let Some(manifest) = manifest else { return Needed::default() };
    let chunk = |key: &Key| match key {
        Key::Chunk(number) => Some(*number),
        _ => None,
    };
    let mut tail: Vec<ChunkNumber> =
        values.keys().filter_map(chunk).filter(|number| *number > manifest.through).collect();
    tail.pop();
    Needed {
        pages: manifest.pages.iter().map(|page| page.number).collect(),
        chunks: manifest.chunks.iter().map(|chunk| chunk.number).collect(),
        tail,
    }
}
