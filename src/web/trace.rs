//! The last transport messages of a realm and what its storage was asked, for failure reports.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cbor;
use crate::id::{ClientId, OpId};
use crate::time::Now;
use crate::wire::Envelope;

const ENTRIES_MAX: usize = 200;

/// Which way a message went, as seen from this realm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    ClientSent,
    ClientGot,
    NodeSent,
    NodeGot,
    AllSent,
    AllGot,
    StorageAsked,
    StorageAnswered,
    StorageFailed,
}

impl Way {
    const fn text(self) -> &'static str {
        match self {
            Self::ClientSent => "client>node",
            Self::ClientGot => "client<node",
            Self::NodeSent => "node>client",
            Self::NodeGot => "node<client",
            Self::AllSent => ">all",
            Self::AllGot => "<all",
            Self::StorageAsked => "node>storage",
            Self::StorageAnswered => "node<storage",
            Self::StorageFailed => "node<storage failed",
        }
    }

    const fn is_storage(self) -> bool {
        matches!(self, Self::StorageAsked | Self::StorageAnswered | Self::StorageFailed)
    }
}

#[derive(Debug)]
struct Entry {
    unix_ms: u64,
    way: Way,
    client: ClientId,
    epoch: u64,
    /// On its link; of an action of the storage its number.
    position: u64,
    /// The tag of the first frame.
    tag: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
pub struct Trace {
    entries: VecDeque<Entry>,
}

impl Trace {
    /// Notes a transport message.
    pub fn record(&mut self, now: Now, way: Way, bytes: &[u8]) {
        let read: Option<(Envelope, usize)> = cbor::decode_first(bytes).ok();
        let frames = read.map_or(&[][..], |(_, length)| &bytes[length..]);
        let (envelope, tag) =
            (read.map(|read| read.0), cbor::first_uint(frames).unwrap_or_default());
        self.push(Entry {
            unix_ms: now.unix.0,
            way,
            client: envelope.map(|envelope| envelope.client).unwrap_or_default(),
            epoch: envelope.map_or(0, |envelope| envelope.epoch.counter),
            position: envelope.map_or(0, |envelope| envelope.position),
            tag,
            bytes: bytes.len() as u64,
        });
    }

    /// Notes that the storage was asked to write so many bytes, or answered.
    pub fn record_storage(&mut self, now: Now, way: Way, op: OpId, bytes: usize) {
        let (position, bytes) = (op.0, bytes as u64);
        let (unix_ms, client) = (now.unix.0, ClientId::default());
        self.push(Entry { unix_ms, way, client, epoch: 0, position, tag: 0, bytes });
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// One line for each message, oldest first: wall time, way, client, epoch, position on its
    /// link, tag of the first frame, length. For the storage: wall time, way, number of the action,
    /// bytes to write.
    pub fn lines(&self) -> Vec<String> {
        self.entries.iter().map(Entry::line).collect()
    }
}

impl Entry {
    fn line(&self) -> String {
        let mut line = String::new();
        push_number(&mut line, "", self.unix_ms);
        line.push(' ');
        line.push_str(self.way.text());
        if self.way.is_storage() {
            push_number(&mut line, " #", self.position);
            push_number(&mut line, " bytes ", self.bytes);
            return line;
        }
        line.push(' ');
        line.push_str(&super::names::to_hex(&self.client.0[..4]));
        push_number(&mut line, " epoch ", self.epoch);
        push_number(&mut line, " #", self.position);
        push_number(&mut line, " frame ", self.tag);
        push_number(&mut line, " bytes ", self.bytes);
        line
    }
}

/// By hand: the formatting machinery of the standard library is larger than this module.
fn push_number(line: &mut String, label: &str, number: u64) {
    line.push_str(label);
    let mut digits = Vec::new();
    let mut rest = number;
    loop {
        digits.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.extend(digits.iter().rev().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Epoch, LinkNonce};
    use crate::wire::{Frame, MessageWriter};

    #[test]
    fn the_oldest_messages_are_forgotten_and_foreign_bytes_are_shown_all_the_same() {
        let mut trace = Trace::default();
        let mut writer = MessageWriter::new(1000);
        writer.push(&Frame::Ping { nonce: 1 });
        let head = Envelope {
            epoch: Epoch { counter: 3, incarnation: 9 },
            client: ClientId([0xab; 16]),
            link: LinkNonce(5),
            position: 12,
        };
        let message = writer.take_message(|| head).unwrap_or_default();
        trace.record(Now::default(), Way::ClientSent, b"");
        for _ in 0..ENTRIES_MAX - 1 {
            trace.record(Now::default(), Way::NodeGot, &message);
        }
        let lines = trace.lines();
        assert_eq!(lines[0], "0 client>node 00000000 epoch 0 #0 frame 0 bytes 0");
        assert!(lines[1].starts_with("0 node<client abababab epoch 3 #12 frame 4 bytes "));
        trace.record_storage(Now::default(), Way::StorageAsked, OpId(7), 1000);
        assert_eq!(trace.lines().last().expect("a line"), "0 node>storage #7 bytes 1000");
        trace.record(Now::default(), Way::AllGot, &message);
        assert_eq!(trace.lines().len(), ENTRIES_MAX);
        assert_eq!(trace.lines()[0], lines[2]);
    }
}
