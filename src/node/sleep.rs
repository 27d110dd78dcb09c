//! The note that a node leaves while nothing happens, so that its host may fall asleep with its
//! sockets open. The next input makes it void before it is handled: a note is never older than what
//! anybody was told.

use crate::broker::Grant;
use crate::broker::io::Input;
use crate::id::{Epoch, SocketId};
use crate::log::Note;
use crate::marks::{Mark, mark};
use crate::node::{Asker, Node, NodeConfig, NodeState};
use crate::sorted::Map;
use crate::store::{Key, StorageAction, StorageFault, StorageResult, Sync};
use crate::time::{Instant, Now};

/// In other modules no host sleeps, and none of this is there.
const CAN_SLEEP: bool = cfg!(feature = "sleep");

/// How a host sleeps, and when a note is worth its write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Naps {
    /// Nothing has happened for so long.
    pub rest_ms: u64,
    /// And nothing is to happen within so long: for less the host does not fall asleep.
    pub sleep_ms_min: u64,
}

impl Naps {
    /// A Durable Object is asleep after ten idle seconds. Shorter waits are timers of its runtime,
    /// as in pkg/src/hub/cloudflare/alarm_timer.ts, and keep it awake.
    pub const OF_OBJECTS: Self = Self { rest_ms: 1_000, sleep_ms_min: 3_000 };
}

/// A host that may fall asleep with its sockets open, and loses its memory then.
#[derive(Clone, Debug)]
pub struct Sleeps {
    pub naps: Naps,
    /// The sockets that it has at the start, and what each may do.
    pub sockets: Map<SocketId, Grant>,
}

impl NodeConfig {
    /// How the host sleeps, if it does.
    pub(super) fn sleeps(&self) -> Option<&Sleeps> {
        self.sleeps.as_ref().filter(|_| CAN_SLEEP)
    }
}

#[derive(Debug, Default)]
pub(super) struct Sleep {
    /// When something happened last.
    stirred: Instant,
    note: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    /// None was written since something happened.
    #[default]
    Due,
    /// Something is under way that a note can't tell. It is tried again when more has happened.
    NotNow,
    /// One is in the store, or on its way there.
    Noted,
}

impl Sleep {
    pub fn stir(&mut self, now: Instant) {
        self.stirred = now;
        if self.note == Stage::NotNow {
            self.note = Stage::Due;
        }
    }

    pub fn is_noted(&self) -> bool {
        self.note == Stage::Noted
    }

    /// The note is out of the store.
    pub fn void(&mut self) {
        self.note = Stage::Due;
    }

    fn rest_at(&self, sleeps: Option<&Sleeps>) -> Option<Instant> {
        let sleeps = sleeps.filter(|_| self.note == Stage::Due)?;
        Some(self.stirred.after_ms(sleeps.naps.rest_ms))
    }
}

/// Takes the note out of the store.
pub(super) fn void(epoch: Epoch) -> StorageAction {
    let (expect, puts, deletes) = (Some(epoch), [].into(), [Key::Note].into());
    StorageAction::Commit { expect, claim: None, sync: Sync::Strict, puts, deletes }
}

impl Node {
    /// Whether the host may sleep: whoever starts over the same storage goes on in this node's
    /// place.
    pub fn may_sleep(&self) -> bool {
        let at_rest = matches!(self.state, NodeState::Serving(_)) && self.outputs.is_empty();
        at_rest && self.sleep.is_noted() && !self.asked.values().any(|asker| *asker == Asker::Note)
    }

    /// Whether the input changes anything. If so, and there is a note, it is held until that is
    /// void.
    pub(super) fn stirs(&mut self, now: Now, input: &Input<'_>) -> bool {
        let NodeState::Serving(broker) = &self.state else { return true };
        let is_due = || broker.wake_at().is_some_and(|at| at <= now.mono);
        let stirs = !matches!(input, Input::Tick) || is_due();
        if stirs && self.sleep.is_noted() && self.config.rules.note_void_first() {
            mark(Mark::NoteVoid);
            self.start_holding();
        }
        stirs
    }

    /// Leaves a note once nothing has happened for a while.
    pub(super) fn rest(&mut self, now: Now, stirred: bool) {
        let Some(Sleeps { naps, .. }) = self.config.sleeps() else { return };
        if stirred {
            return self.sleep.stir(now.mono);
        }
        let rest_at = self.sleep.rest_at(self.config.sleeps());
        if rest_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let NodeState::Serving(broker) = &mut self.state else { return };
        self.sleep.note = Stage::NotNow;
        let Some(memory) = broker.memory(now, naps.sleep_ms_min) else { return };
        mark(Mark::Noted);
        let (epoch, log) = (broker.epoch(), broker.log_id());
        let note = Note::new(epoch, log, broker.stored_through(), &memory).encode();
        let (expect, puts, deletes) = (Some(epoch), [(Key::Note, note)].into(), [].into());
        let action =
            StorageAction::Commit { expect, claim: None, sync: Sync::Strict, puts, deletes };
        self.sleep.note = Stage::Noted;
        let output = self.ask(Asker::Note, action);
        self.outputs.push_back(output);
    }

    /// One that was not stored does no harm: it is made void as any other.
    pub(super) fn note_written(&mut self, result: &StorageResult) {
        if *result == Err(StorageFault::Fenced) {
            self.over(crate::error::Code::Unavailable, "fenced");
        }
    }

    /// When this node next has something to do, if its broker has until then.
    pub(super) fn rest_at(&self, wake_at: Option<Instant>) -> Option<Instant> {
        let rest_at = self.sleep.rest_at(self.config.sleeps());
        [wake_at, rest_at].into_iter().flatten().min()
    }
}
