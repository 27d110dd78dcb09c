//! Prepared messages in the simulation: the part of a user that prepares, decides and answers
//! questions, and what the model knows of them.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor;
use crate::client::Client;
use crate::client::io::Event;
use crate::id::{CheckerId, LaneId, MessageNumber, QueueId, RequestId, Sequence};
use crate::log::record::{Decision, StoredMessage};
use crate::log::{Place, Record};
use crate::sim::check::{Violation, violated};
use crate::sim::dice::{Dice, Ratio};
use crate::sim::draft::body_bytes;
use crate::sim::expiry::{EXPIRY, ttl_ms_of};
use crate::sim::fact::{Ask, Tag};
use crate::sim::ids::with_id;
use crate::sim::keys::key_of;
use crate::sim::model::{DUPLICATE, KEPT, Message, Model, RECORDS, Whereabouts};
use crate::sim::queues::{OWN_QUEUES, key_properties, priority};
use crate::sim::schedule::{MILLI, Micros, SECOND};
use crate::sim::user::Chore;
use crate::time::{Now, UnixMillis};
use crate::wire::frame::{Item, Properties, QueueMessage};

const GIVEN_UP: &str = "asked-before-given-up";

/// Bounds of every run, which the model counts by.
pub const CHECK_AFTER_MS: u64 = 1500;
pub const CHECKS_MAX: u32 = 3;
pub const AGE_MS_MAX: u64 = 25_000;

/// A message that is or was prepared.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Known {
    queue: &'static str,
    id: String,
    tag: Tag,
    tracked: bool,
}

/// The part of a user that prepares messages, decides and answers.
#[derive(Debug, Default)]
pub struct Preparer {
    /// Prepares without an answer, with the id that was given.
    asked: Vec<(RequestId, Option<String>, Known)>,
    known: Vec<Known>,
    /// Commits without an answer of messages that are tracked.
    committing: Vec<(RequestId, Known)>,
    checkers: Vec<(CheckerId, &'static str)>,
}

impl Preparer {
    pub fn work(
        &mut self,
        dice: &mut Dice,
        client: &mut Client,
        now: Now,
        tag: impl FnOnce() -> Tag,
    ) -> Option<Ask> {
        match dice.weighted(&[8, 6, 3, 1]) {
            0 => self.prepare(dice, client, now, tag()),
            1 => {
                let place = (!self.known.is_empty()).then(|| dice.index(self.known.len()))?;
                // Some are decided about again, and perhaps the other way.
                let again = dice.chance(Ratio::one_in(3));
                let known = if again {
                    self.known.get(place)?.clone()
                } else {
                    self.known.swap_remove(place)
                };
                let commit = !dice.chance(Ratio::one_in(3));
                let ask = decide(client, now, known.queue, &known.id, commit);
                if let (Some(Ask::Decide { request, .. }), true) = (&ask, commit && known.tracked) {
                    self.committing.push((*request, known));
                }
                ask
            }
            2 => {
                let queue = *dice.choose(&OWN_QUEUES);
                let checker = client.check(now, queue).ok()?;
                self.checkers.push((checker, queue));
                Some(Ask::Check { checker })
            }
            _ => {
                let (checker, _) = self.checkers.pop()?;
                client.end_check(now, checker);
                Some(Ask::EndCheck { checker })
            }
        }
    }

    fn prepare(&mut self, dice: &mut Dice, client: &mut Client, now: Now, tag: Tag) -> Option<Ask> {
        let queue = *dice.choose(&OWN_QUEUES);
        let one_in = |dice: &mut Dice, denominator| dice.chance(Ratio::one_in(denominator));
        let own = (queue == "once").then(|| format!("id-{}", dice.between(0, 60)));
        let key = key_properties(queue, tag);
        let properties = own.as_ref().map(|id| with_id(id)).or(key);
        let tracked = own.is_none() && one_in(dice, 3);
        let body = tag.body(body_bytes(dice));
        let item = Item {
            body: &body,
            properties: properties.as_deref(),
            delay_ms: one_in(dice, 4).then(|| dice.between(1, 3000)),
            track: tracked.then_some(true),
            past: None,
            ttl_ms: ttl_ms_of(tag),
            priority: priority(queue, tag),
            prepare: None,
        };
        let check_after_ms = one_in(dice, 3).then(|| dice.between(50, 3000));
        let request = client.prepare(now, queue, &item, check_after_ms, None).ok()?;
        let known = Known { queue, id: String::new(), tag, tracked };
        self.asked.push((request, own, known));
        Some(Ask::Prepare { request, tag })
    }

    /// What is to be done because of an event.
    pub fn hear(&mut self, dice: &mut Dice, event: &Event, calm: bool) -> Vec<(Micros, Chore)> {
        match event {
            Event::Sent { request, lane, sequence, .. } => {
                let place = self.asked.iter().position(|(asked, ..)| asked == request);
                let Some(place) = place else { return Vec::new() };
                let (_, own, known) = self.asked.swap_remove(place);
                let id = own.unwrap_or_else(|| format!("{}-{}-0", lane.0, sequence.0));
                self.known.push(Known { id, ..known });
                Vec::new()
            }
            Event::Counted { request, .. } => {
                let place = self.committing.iter().position(|(asked, _)| asked == request);
                let Some(place) = place else { return Vec::new() };
                let (_, Known { queue, id, tag, .. }) = self.committing.swap_remove(place);
                [(dice.between(0, SECOND), Chore::Track { queue, id, tag })].into()
            }
            Event::Check { checker, message: Some(message) } => {
                let checked = self.checkers.iter().find(|(known, _)| known == checker);
                let message = cbor::decode::<QueueMessage<'_>>(message).ok();
                let Some(((_, queue), message)) = checked.zip(message) else { return Vec::new() };
                let id = id_of(message.properties, message.lane, message.sequence, message.index);
                let commit = match dice.weighted(&[3, 1, 3]) {
                    _ if calm => true,
                    0 => true,
                    1 => false,
                    // It does not know.
                    _ => return Vec::new(),
                };
                let after = dice.between(0, 200 * MILLI);
                [(after, Chore::Decide { queue: (*queue).to_owned(), id, commit })].into()
            }
            _ => Vec::new(),
        }
    }
}

/// Decides about the prepared message of that id.
pub fn decide(client: &mut Client, now: Now, queue: &str, id: &str, commit: bool) -> Option<Ask> {
    let request = client.decide(now, queue, id, commit, None).ok()?;
    Some(Ask::Decide { request, queue: queue.to_owned(), id: id.to_owned(), commit })
}

fn own_id(properties: Option<&[u8]>) -> Option<String> {
    let properties: Properties<'_> = cbor::decode(properties?).ok()?;
    properties.id.map(ToOwned::to_owned)
}

fn id_of(properties: Option<&[u8]>, lane: LaneId, sequence: Sequence, index: u32) -> String {
    own_id(properties).unwrap_or_else(|| format!("{}-{}-{index}", lane.0, sequence.0))
}

/// What became of a prepared message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Open,
    Decided(Decision),
    /// Its queue was deleted.
    Gone,
}

/// What the model knows of a prepared message.
#[derive(Clone, Debug)]
pub struct Half {
    /// As it is to stand in its queue.
    pub message: Message,
    pub queue_name: String,
    pub id: String,
    own_id: bool,
    pub prepared_at: UnixMillis,
    pub checks: u32,
    pub fate: Fate,
}

pub type Halves = BTreeMap<MessageNumber, Half>;

impl Model {
    pub(super) fn preparation(
        &mut self,
        place: Place,
        record: &Record<'_>,
    ) -> Result<(), Violation> {
        match record {
            Record::Prepared { message, .. } => self.prepare(place, message),
            Record::Checked { number } => {
                let half = self.open_half(*number)?;
                half.checks += 1;
                if half.checks > CHECKS_MAX {
                    let what = format!("{} is asked about too often", half.message.tag);
                    return violated(GIVEN_UP, what);
                }
                Ok(())
            }
            Record::Decided { queue, number, id: None, decision, at } => {
                self.decide(*queue, *number, *decision, *at)
            }
            _ => violated(RECORDS, "a record of checkpoints lies in a chunk".to_owned()),
        }
    }

    fn open_half(&mut self, number: MessageNumber) -> Result<&mut Half, Violation> {
        match self.halves.get_mut(&number).filter(|half| half.fate == Fate::Open) {
            Some(half) => Ok(half),
            None => violated(RECORDS, format!("message {} is not prepared", number.0)),
        }
    }

    /// Whether a number may be given to a message now.
    pub(super) fn is_new(&self, number: MessageNumber) -> bool {
        let sent = self.messages.last_key_value().is_none_or(|(newest, _)| *newest < number);
        sent && self.halves.last_key_value().is_none_or(|(newest, _)| *newest < number)
    }

    fn prepare(&mut self, place: Place, stored: &StoredMessage<'_>) -> Result<(), Violation> {
        let Some(tag) = Tag::of(stored.body) else {
            return violated(KEPT, format!("message {} has a changed body", stored.number.0));
        };
        if !self.is_new(stored.number) {
            let what = format!("message number {} was issued before", stored.number.0);
            return violated(RECORDS, what);
        }
        let Some(queue) = self.queues.get(&stored.queue) else {
            return violated(RECORDS, format!("queue {} is not declared", stored.queue.0));
        };
        let queue_name = queue.name.clone();
        if !self.is_to_expire(tag, stored) {
            return violated(EXPIRY, format!("{tag} is to expire at {:?}", stored.expires_at));
        }
        let id = id_of(stored.properties, stored.lane, stored.sequence, stored.index);
        let twice = self.halves.values().any(|half| {
            let same = half.message.queue == stored.queue && half.id == id;
            half.message.tag == tag || (same && half.fate == Fate::Open)
        });
        if twice || self.by_tag.contains_key(&tag) {
            return violated(DUPLICATE, format!("{tag} is prepared twice"));
        }
        self.move_lane((stored.lane, stored.sequence, stored.index))?;
        let message = Message {
            tag,
            queue: stored.queue,
            lane: stored.lane,
            sequence: stored.sequence,
            index: stored.index,
            body_bytes: stored.body.len() as u64,
            key: key_of(stored),
            priority: stored.priority.unwrap_or(0),
            attempts: 0,
            whereabouts: Whereabouts::Waiting { due_at: stored.due_at },
            out_of_line: stored.due_at.is_some(),
            moved: false,
            place,
            deaths: Vec::new(),
            deaths_before: 0,
            expires_at: stored.expires_at,
            expired: false,
        };
        let half = Half {
            message,
            queue_name,
            id,
            own_id: own_id(stored.properties).is_some(),
            prepared_at: stored.stored_at,
            checks: 0,
            fate: Fate::Open,
        };
        self.halves.insert(stored.number, half);
        self.numbers_open.insert(stored.number);
        Ok(())
    }

    fn decide(
        &mut self,
        queue: QueueId,
        number: MessageNumber,
        decision: Decision,
        at: UnixMillis,
    ) -> Result<(), Violation> {
        let half = self.open_half(number)?;
        half.fate = Fate::Decided(decision);
        let half = half.clone();
        let tag = half.message.tag;
        if half.message.queue != queue {
            return violated(RECORDS, format!("{tag} is not of queue {}", queue.0));
        }
        let own = half.own_id.then_some(&*half.id);
        match decision {
            Decision::Committed { number } => {
                if !self.is_new(number) {
                    let what = format!("message number {} was issued before", number.0);
                    return violated(RECORDS, what);
                }
                self.remember_id(queue, number, own, at)?;
                self.by_tag.insert(tag, number);
                self.messages.insert(number, half.message);
                self.numbers_living.insert(number);
                Ok(())
            }
            Decision::Repeated { original } if own.is_none() || self.id_of(original) != own => {
                violated(DUPLICATE, format!("{tag} does not repeat message {}", original.0))
            }
            Decision::Unanswered if half.checks < CHECKS_MAX => {
                violated(GIVEN_UP, format!("{tag} was asked about {} times", half.checks))
            }
            Decision::TooOld if at.0 < half.prepared_at.0.saturating_add(AGE_MS_MAX) => {
                violated(GIVEN_UP, format!("{tag} is not so old at {}", at.0))
            }
            _ => Ok(()),
        }
    }
}
