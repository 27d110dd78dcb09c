//! What became of messages whose producers want to know: durable, a part of the state.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor;
use crate::error::Code;
use crate::id::{MessageNumber, QueueId};
use crate::log::record::{StoredMessage, TrackEnd};
use crate::sorted::{Line, Map};
use crate::wire::frame::Properties;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Track {
    /// The queue it was sent to.
    pub queue: QueueId,
    /// Its id, unique in that queue among those that are tracked.
    pub id: String,
    /// A consumer got it, at least once.
    pub delivered: bool,
    pub end: Option<End>,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It was acknowledged, with what its handler returned.
    Processed(Option<Box<[u8]>>),
    Failed {
        code: Code,
        reason: Box<str>,
    },
}

impl End {
    pub fn as_record(&self) -> TrackEnd<'_> {
        match self {
            Self::Processed(value) => TrackEnd::Processed { value: value.as_deref() },
            Self::Failed { code, reason } => TrackEnd::Failed { code: *code, reason },
        }
    }

    fn of(end: &TrackEnd<'_>) -> Self {
        match end {
            TrackEnd::Processed { value } => Self::Processed(value.map(Into::into)),
            TrackEnd::Failed { code, reason } => {
                Self::Failed { code: *code, reason: (*reason).into() }
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Processed(value) => value.as_ref().map_or(0, |value| value.len()),
            Self::Failed { reason, .. } => reason.len(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Tracks {
    tracks: Line<MessageNumber, Track>,
    by_id: Map<(QueueId, String), MessageNumber>,
    /// Those that ended, the first that did first. May name some that were forgotten.
    ended: VecDeque<MessageNumber>,
    ended_bytes: usize,
    /// What changed since somebody looked.
    changed: Vec<MessageNumber>,
}

impl Tracks {
    /// Begins to track a stored message, if its producer asked for it. One with the same id in the
    /// same queue takes the place of the earlier one.
    pub fn store(&mut self, message: &StoredMessage<'_>) {
        if message.tracked == Some(true) {
            self.insert(message.number, message.queue, id_of(message), false, None);
        }
    }

    /// Puts a track in its place, as a checkpoint kept it.
    pub fn insert(
        &mut self,
        number: MessageNumber,
        queue: QueueId,
        id: String,
        delivered: bool,
        end: Option<&TrackEnd<'_>>,
    ) {
        if let Some(earlier) = self.by_id.insert((queue, id.clone()), number) {
            self.tracks.remove(&earlier);
        }
        self.tracks.insert(number, Track { queue, id, delivered, end: None });
        if let Some(end) = end {
            self.end(number, end);
        }
    }

    pub fn deliver(&mut self, number: MessageNumber) {
        if let Some(track) = self.tracks.get_mut(&number)
            && !track.delivered
        {
            track.delivered = true;
            self.changed.push(number);
        }
    }

    /// The first end counts: what becomes of a dead letter is another story.
    pub fn end(&mut self, number: MessageNumber, end: &TrackEnd<'_>) {
        if let Some(track) = self.tracks.get_mut(&number)
            && track.end.is_none()
        {
            let end = End::of(end);
            self.ended_bytes += end.bytes();
            track.end = Some(end);
            self.ended.push_back(number);
            self.changed.push(number);
        }
    }

    pub fn drop_track(&mut self, number: MessageNumber) {
        let Some(track) = self.tracks.remove(&number) else { return };
        self.ended_bytes -= track.end.as_ref().map_or(0, End::bytes);
        let key = (track.queue, track.id);
        if self.by_id.get(&key) == Some(&number) {
            self.by_id.remove(&key);
        }
        while self.ended.front().is_some_and(|first| !self.tracks.contains_key(first)) {
            self.ended.pop_front();
        }
    }

    pub fn get(&self, number: MessageNumber) -> Option<&Track> {
        self.tracks.get(&number)
    }

    pub fn find(&self, queue: QueueId, id: &str) -> Option<MessageNumber> {
        self.by_id.get(&(queue, String::from(id))).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (MessageNumber, &Track)> {
        self.tracks.iter().map(|(number, track)| (*number, track))
    }

    /// Those that ended and are kept: the first that did first.
    pub fn ended(&self) -> impl Iterator<Item = MessageNumber> + '_ {
        self.ended.iter().copied().filter(|number| self.tracks.contains_key(number))
    }

    /// The first that ended, if there are more of them, or longer ones, than may be kept.
    pub fn surplus(&self, results_max: u32, bytes_max: u32) -> Option<MessageNumber> {
        let over = self.ended.len() > results_max as usize || self.ended_bytes > bytes_max as usize;
        self.ended().next().filter(|_| over)
    }

    pub fn take_changed(&mut self) -> Vec<MessageNumber> {
        core::mem::take(&mut self.changed)
    }
}

/// The sender's own id, or the one that lane, sequence and index make.
pub(super) fn id_of(message: &StoredMessage<'_>) -> String {
    let properties =
        message.properties.and_then(|bytes| cbor::decode::<Properties<'_>>(bytes).ok());
    match properties.and_then(|properties| properties.id) {
        Some(id) => id.into(),
        None => format!("{}-{}-{}", message.lane.0, message.sequence.0, message.index),
    }
}
