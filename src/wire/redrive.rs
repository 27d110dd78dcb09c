//! Moving dead letters back: which, where to, and how fast.

use alloc::vec::Vec;

use crate::cbor::{self, Read, Reader, Write, structure, write_uint};
use crate::error::{Code, Refused};
use crate::id::{LaneId, MessageNumber, Sequence};
use crate::limits::Limits;
use crate::wire::death::{Death, Reason};
use crate::wire::parts::Properties;

structure! {
    /// Which dead letters are meant: those that fit all that is given.
    #[derive(Clone, PartialEq, Eq, Debug, Default)]
    pub struct Filter<'a> {
        /// Why they came here.
        pub reason: Option<Reason>,
        /// The queue they came from.
        pub queue: Option<&'a str>,
        pub numbers: Option<Vec<MessageNumber>>,
        /// The ids of their senders, or `<lane>-<sequence>-<index>` of those that have none.
        pub ids: Option<Vec<&'a str>>,
        /// A CBOR map. Each entry must be among their headers, its value encoded in the same bytes.
        pub headers: Option<&'a [u8]>,
    }
}

structure! {
    /// What a client wants moved back.
    #[derive(Clone, PartialEq, Eq, Debug, Default)]
    pub struct Redrive<'a> {
        /// The dead-letter queue. Absent: the one that the queue of the filter declares.
        pub queue: Option<&'a str>,
        /// Where to. Absent: each to the queue that it came from.
        pub into: Option<&'a str>,
        pub filter: Option<Filter<'a>>,
        /// At least this much time from one to the next.
        pub every_us: Option<u64>,
        /// At most so many.
        pub messages_max: Option<u64>,
        /// Absent: dead letters go back. Else what is done to any message of `queue` that nobody
        /// holds.
        pub task: Option<Task>,
    }
}

/// What is done to messages that are picked by hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// To the queue `into`. What waits for its time goes on waiting there.
    Move,
    /// They are gone, and who waits for one hears `DISCARDED`.
    Discard,
    /// The same, as its sender wants it. One that is tracked is found by its id at once.
    Cancel,
}

impl Task {
    /// Whether messages are gone by it.
    #[must_use]
    pub const fn takes_away(self) -> bool {
        matches!(self, Self::Discard | Self::Cancel)
    }
}

/// A task is its number, without an array around it.
impl Read<'_> for Task {
    fn read(reader: &mut Reader<'_>) -> Self {
        match reader.uint(2) {
            0 => Self::Move,
            1 => Self::Discard,
            _ => Self::Cancel,
        }
    }
}

impl Write for Task {
    fn write(&self, out: &mut Vec<u8>) {
        write_uint(out, *self as u64);
    }
}

/// What tells a message from others, as far as a filter looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    pub lane: LaneId,
    pub sequence: Sequence,
    pub index: u32,
    /// Encoded `Properties`.
    pub properties: Option<&'a [u8]>,
}

impl Redrive<'_> {
    /// What can be refused without knowing any queue.
    ///
    /// # Errors
    /// `INVALID` for headers that are no map, for a queue that is given in no way and for a task
    /// that does not fit the queues, `TOO_LARGE` for a list or a filter over its bound.
    pub fn check(&self, limits: &Limits) -> Result<(), Refused> {
        let filter = self.filter.as_ref();
        if self.queue.is_none() && filter.is_none_or(|filter| filter.queue.is_none()) {
            return Err(Refused::new(Code::Invalid, "queue"));
        }
        if self.task.is_some() && self.queue.is_none() {
            return Err(Refused::new(Code::Invalid, "queue"));
        }
        let wants_into = self.task.map(|task| task == Task::Move);
        if wants_into.is_some_and(|wanted| wanted != self.into.is_some()) {
            return Err(Refused::new(Code::Invalid, "into"));
        }
        if self.into.is_some() && self.into == self.queue {
            return Err(Refused::new(Code::Invalid, "into"));
        }
        let Some(filter) = filter else { return Ok(()) };
        let items_max = limits.batch_items_max as usize;
        let ids = filter.ids.as_ref().map_or(0, Vec::len);
        if filter.numbers.as_ref().map_or(0, Vec::len).max(ids) > items_max {
            return Err(Refused::new(Code::TooLarge, "batch_items_max"));
        }
        let headers = filter.headers.unwrap_or(cbor::EMPTY_MAP);
        if headers.len() > limits.headers_bytes_max as usize {
            return Err(Refused::new(Code::TooLarge, "headers_bytes_max"));
        }
        let texts = filter.ids.iter().flatten().map(|id| id.len());
        if texts.sum::<usize>() > limits.body_bytes_max as usize {
            return Err(Refused::new(Code::TooLarge, "body_bytes_max"));
        }
        cbor::entries(headers).map(drop).map_err(|_| Refused::new(Code::Invalid, "headers"))
    }
}

impl Filter<'_> {
    /// Whether a message of this number that came here by this death, if by any, may be meant.
    #[must_use]
    pub fn fits_death(&self, number: MessageNumber, death: Option<&Death<'_>>) -> bool {
        let came_for = |reason| death.is_some_and(|death| death.reason == reason);
        let came_from = |queue| death.is_some_and(|death| death.queue == queue);
        self.reason.is_none_or(came_for)
            && self.queue.is_none_or(came_from)
            && self.numbers.as_ref().is_none_or(|numbers| numbers.contains(&number))
    }

    /// The least number behind `seen` that may be meant, or `None` if there is none left.
    #[must_use]
    pub fn next_number(&self, seen: MessageNumber) -> Option<MessageNumber> {
        match &self.numbers {
            None => Some(MessageNumber(seen.0.saturating_add(1))),
            Some(numbers) => numbers.iter().filter(|number| **number > seen).min().copied(),
        }
    }

    /// It has to be asked for the message itself as well.
    #[must_use]
    pub const fn looks_into_messages(&self) -> bool {
        self.ids.is_some() || self.headers.is_some()
    }

    /// Whether the message is meant, as far as its own parts can tell.
    #[must_use]
    pub fn fits_message(&self, identity: &Identity<'_>) -> bool {
        let properties = identity.properties.and_then(|bytes| cbor::decode(bytes).ok());
        let properties: Properties<'_> = properties.unwrap_or_default();
        let named = |id: &str| match properties.id {
            Some(own) => own == id,
            None => is_stored_id(id, identity),
        };
        self.ids.as_ref().is_none_or(|ids| ids.iter().any(|id| named(id)))
            && self.headers.is_none_or(|wanted| has_headers(properties.headers, wanted))
    }
}

/// Whether the text is the id of a message whose sender gave none.
fn is_stored_id(id: &str, identity: &Identity<'_>) -> bool {
    let Identity { lane, sequence, index, .. } = *identity;
    let mut parts = id.split('-').map(str::parse::<u64>);
    [lane.0, sequence.0, u64::from(index)].iter().all(|part| parts.next() == Some(Ok(*part)))
        && parts.next().is_none()
}

fn has_headers(found: Option<&[u8]>, wanted: &[u8]) -> bool {
    let found = cbor::entries(found.unwrap_or(cbor::EMPTY_MAP)).unwrap_or_default();
    cbor::entries(wanted).unwrap_or_default().iter().all(|entry| found.contains(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The CBOR of `{"a": 1, "b": "x"}`.
    const HEADERS: &[u8] = &[0xa2, 0x61, b'a', 1, 0x61, b'b', 0x61, b'x'];

    fn identity(properties: Option<&[u8]>) -> Identity<'_> {
        Identity { lane: LaneId(3), sequence: Sequence(41), index: 0, properties }
    }

    fn properties(id: Option<&str>, headers: Option<&[u8]>) -> Vec<u8> {
        let mut bytes = Vec::new();
        cbor::encode(&Properties { id, headers, ..Properties::default() }, &mut bytes);
        bytes
    }

    #[test]
    fn ids_are_those_of_the_sender_or_else_the_stored_ones() {
        let wanted = |id| Filter { ids: Some([id].into()), ..Filter::default() };
        assert!(wanted("3-41-0").fits_message(&identity(None)));
        for other in ["3-41-1", "3-41", "3-41-0-0", "", "x"] {
            assert!(!wanted(other).fits_message(&identity(None)), "{other}");
        }
        let named = properties(Some("order-7"), None);
        assert!(wanted("order-7").fits_message(&identity(Some(&named))));
        assert!(!wanted("3-41-0").fits_message(&identity(Some(&named))));
    }

    #[test]
    fn headers_fit_entry_by_entry() {
        let found = properties(None, Some(HEADERS));
        let fits = |headers| {
            let filter = Filter { headers: Some(headers), ..Filter::default() };
            filter.fits_message(&identity(Some(&found)))
        };
        for good in [&[0xa0][..], HEADERS, &[0xa1, 0x61, b'b', 0x61, b'x']] {
            assert!(fits(good), "{good:x?}");
        }
        for other in [&[0xa1, 0x61, b'a', 2][..], &[0xa1, 0x61, b'c', 1]] {
            assert!(!fits(other), "{other:x?}");
        }
        let filter = Filter { headers: Some(&[0xa1, 0x61, b'a', 1]), ..Filter::default() };
        assert!(!filter.fits_message(&identity(None)));
    }

    #[test]
    fn what_can_not_be_followed_is_refused() {
        let limits = Limits { batch_items_max: 2, headers_bytes_max: 9, ..Limits::DEFAULTS };
        let refusal = |queue, into, filter| {
            let redrive = Redrive { queue, into, filter, ..Redrive::default() };
            redrive.check(&limits).err().map(|refused| (refused.code, refused.reason))
        };
        let headers = |headers| Some(Filter { headers: Some(headers), ..Filter::default() });
        let ids = |ids| Some(Filter { ids: Some(ids), ..Filter::default() });
        let dead = Some("q.dead");
        assert_eq!(refusal(dead, None, headers(HEADERS)), None);
        assert_eq!(refusal(None, None, None), Some((Code::Invalid, "queue")));
        assert_eq!(refusal(dead, dead, None), Some((Code::Invalid, "into")));
        for malformed in [&[][..], &[0x80], &[0xa1, 1], &[0xbf, 0xff], &[0xa0, 0]] {
            assert_eq!(refusal(dead, None, headers(malformed)), Some((Code::Invalid, "headers")));
        }
        let long = Some((Code::TooLarge, "headers_bytes_max"));
        assert_eq!(refusal(dead, None, headers(&[0; 10])), long);
        let many = Some((Code::TooLarge, "batch_items_max"));
        assert_eq!(refusal(dead, None, ids(["a"; 3].into())), many);
    }
}
