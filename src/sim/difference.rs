//! What a recovered state is beside what the records say.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::broker::State;
use crate::id::{LaneId, LeaseNumber, MessageNumber, QueueId};
use crate::log::Place;
use crate::sim::deaths;
use crate::sim::model::{Message, Model, Whereabouts};
use crate::sim::prepared::Fate;
use crate::time::UnixMillis;

/// Waiting messages: in which queue, how often failed, where, when due.
type Waiting = BTreeMap<MessageNumber, (QueueId, u32, Place, Option<UnixMillis>)>;
type Leased = BTreeMap<LeaseNumber, (QueueId, MessageNumber, Place, u32, u64)>;

/// The first thing in which the recovered state is not what the model says.
#[must_use]
pub fn difference(model: &Model, state: &State) -> Option<String> {
    let told: Waiting = model
        .messages
        .iter()
        .filter_map(|(number, message)| match message.whereabouts {
            Whereabouts::Waiting { due_at } => {
                Some((*number, (message.queue, message.attempts, message.place, due_at)))
            }
            _ => None,
        })
        .collect();
    let mut found = Waiting::new();
    for (id, queue) in state.queues.iter() {
        let delayed = queue.delayed().map(|(due_at, n, entry)| (n, entry, Some(due_at)));
        let waiting = queue.ready().map(|(n, entry)| (n, entry, None)).chain(delayed);
        found.extend(waiting.map(|(n, e, due_at)| (n, (*id, e.attempts, e.place, due_at))));
    }
    for (number, (.., due_at)) in &mut found {
        // One whose time has come is ready, whatever its record says.
        if due_at.is_none() {
            *due_at = told.get(number).and_then(|(.., due_at)| *due_at);
        }
    }
    if let Some(what) = first_difference("message", &told, &found, |number| number.0) {
        return Some(what);
    }
    if let Some(what) = prepared(model, state) {
        return Some(what);
    }
    if let Some(what) = expiries(model, state) {
        return Some(what);
    }
    if let Some(what) = histories(model, state) {
        return Some(what);
    }
    let told: Leased = model
        .leases
        .iter()
        .filter(|(_, lease)| lease.end.is_none())
        .filter_map(|(number, lease)| {
            let message = model.messages.get(&lease.number)?;
            let (queue, place) = (message.queue, message.place);
            Some((*number, (queue, lease.number, place, lease.attempt, lease.lease_ms)))
        })
        .collect();
    let found: Leased = state
        .leases
        .iter()
        .map(|(number, l)| (*number, (l.queue, l.number, l.entry.place, l.attempt, l.lease_ms)))
        .collect();
    if let Some(what) = first_difference("lease", &told, &found, |number| number.0) {
        return Some(what);
    }
    let open = model.lanes.iter().filter(|(_, lane)| lane.open);
    let told: BTreeMap<LaneId, _> =
        open.map(|(number, lane)| (*number, (lane.client, lane.position))).collect();
    let found = state.lanes.iter();
    let found = found.map(|(number, lane)| (*number, (lane.client, lane.position))).collect();
    if let Some(what) = first_difference("lane", &told, &found, |number| number.0) {
        return Some(what);
    }
    names_and_leaders(model, state)
}

/// The messages that nobody decided about: where, how often asked about, when due and when they
/// expire.
fn prepared(model: &Model, state: &State) -> Option<String> {
    let open = model.halves.iter().filter(|(_, half)| half.fate == Fate::Open);
    let told: BTreeMap<MessageNumber, _> = open
        .map(|(number, half)| {
            let Message { queue, place, whereabouts, expires_at, .. } = &half.message;
            let due_at = match whereabouts {
                Whereabouts::Waiting { due_at } => *due_at,
                _ => None,
            };
            (*number, (*queue, &*half.id, *place, half.checks, due_at, *expires_at))
        })
        .collect();
    let found = state.prepared.iter().map(|(number, p)| {
        (number, (p.queue, &*p.id, p.entry.place, p.checks, p.due_at, p.expires_at))
    });
    let found: BTreeMap<MessageNumber, _> = found.collect();
    first_difference("prepared message", &told, &found, |number| number.0)
}

/// When the messages that live expire.
fn expiries(model: &Model, state: &State) -> Option<String> {
    let lives = |whereabouts| !matches!(whereabouts, Whereabouts::Acked | Whereabouts::Discarded);
    let known = model.messages.iter();
    let told: BTreeMap<MessageNumber, _> = known
        .clone()
        .filter(|(_, message)| lives(message.whereabouts))
        .filter_map(|(number, message)| Some((*number, message.expires_at?)))
        .collect();
    let found: BTreeMap<MessageNumber, _> =
        known.filter_map(|(number, _)| Some((*number, state.expiries.of(*number)?))).collect();
    first_difference("expiry of message", &told, &found, |number| number.0)
}

/// What the records say of the deaths of the messages that live.
fn histories(model: &Model, state: &State) -> Option<String> {
    let live = |message: &Message| {
        matches!(message.whereabouts, Whereabouts::Waiting { .. } | Whereabouts::Leased(_))
    };
    let died = model.messages.iter().filter(|(_, message)| !message.deaths.is_empty());
    let told: BTreeMap<MessageNumber, _> = died
        .clone()
        .filter(|(_, message)| live(message))
        .map(|(number, message)| (*number, deaths::history(message)))
        .collect();
    // Nothing is remembered of those that left.
    let known = died.filter(|(number, _)| state.deaths.of(**number).is_some());
    let found: BTreeMap<MessageNumber, _> =
        known.map(|(number, _)| (*number, state.deaths.history(*number))).collect();
    let different = first_difference("history of message", &told, &found, |number| number.0);
    different.or_else(|| {
        let counts = |moved, over| (moved, over);
        let told = model.redrives.iter().map(|(key, r)| (*key, counts(r.moved, r.over)));
        let found = state.redrives.iter();
        let found = found.map(|(key, r)| (*key, counts(r.moved, r.order.is_empty())));
        let (told, found): (BTreeMap<_, _>, BTreeMap<_, _>) = (told.collect(), found.collect());
        first_difference("redrive", &told, &found, |(_, request)| u64::from(request.0))
    })
}

fn names_and_leaders(model: &Model, state: &State) -> Option<String> {
    let told: BTreeMap<QueueId, _> =
        model.queues.iter().map(|(id, queue)| (*id, (&*queue.name, &queue.options))).collect();
    let found = state.queues.iter();
    let found = found.map(|(id, queue)| (*id, (&*queue.name, &queue.options))).collect();
    if let Some(what) = first_difference("queue", &told, &found, |id| u64::from(id.0)) {
        return Some(what);
    }
    let leaders = state.leaders.iter();
    let found: BTreeMap<String, _> =
        leaders.map(|(role, leader)| (role.clone(), (leader.term, leader.client))).collect();
    (found != model.leaders).then(|| format!("leaders are {found:?}, not {:?}", model.leaders))
}

fn first_difference<K: Ord + Copy, V: PartialEq + core::fmt::Debug>(
    kind: &str,
    told: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
    number: impl Fn(K) -> u64,
) -> Option<String> {
    let missing = told.iter().find(|(key, value)| found.get(key) != Some(value));
    let other = || found.iter().find(|(key, _)| !told.contains_key(key));
    let (key, _) = missing.or_else(other)?;
    let (told, found) = (told.get(key), found.get(key));
    Some(format!("{kind} {} is {found:?}, the records say {told:?}", number(*key)))
}
