//! A frame made of what is encoded already: a client encodes the items of a send once, when it is
//! asked, and transmits the same bytes on each link.

use alloc::vec::Vec;

use crate::cbor::{Write, encode, write_fields};
use crate::id::Sequence;
use crate::options::Durability;
use crate::wire::frame::Item;

/// The tag of `Frame::Send`.
const SEND: u32 = 12;
/// What most items have beside their bodies and properties, at most.
const ITEM_HEAD_BYTES: usize = 24;

/// A `Frame::Send` whose items are encoded.
#[derive(Clone, Copy, Debug)]
pub struct EncodedSend<'a> {
    pub sequence: Sequence,
    pub queue: &'a str,
    pub refusals_seen: Sequence,
    pub durability: Option<Durability>,
    /// A list of `Item`.
    pub items: &'a [u8],
}

impl Write for EncodedSend<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { sequence, queue, refusals_seen, durability, items } = self;
        let items = Encoded(items);
        write_fields(out, Some(SEND), &[sequence, queue, refusals_seen, durability, &items]);
    }
}

/// The items of a send.
pub fn encode_items(items: &[Item<'_>]) -> Vec<u8> {
    let bytes = |item: &Item<'_>| {
        ITEM_HEAD_BYTES + item.body.len() + item.properties.map_or(0, <[u8]>::len)
    };
    let mut encoded = Vec::with_capacity(items.iter().map(bytes).sum());
    encode(items, &mut encoded);
    encoded
}

/// A value as it stands.
struct Encoded<'a>(&'a [u8]);

impl Write for Encoded<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frame;

    fn encoded(value: &(impl Write + ?Sized)) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(value, &mut bytes);
        bytes
    }

    #[test]
    fn a_send_of_encoded_items_is_the_frame() {
        let item = Item {
            body: b"body",
            properties: None,
            delay_ms: Some(7),
            track: None,
            past: None,
            ttl_ms: None,
            priority: None,
            prepare: None,
        };
        let (sequence, queue, refusals_seen) = (Sequence(700), "work", Sequence(3));
        for durability in [None, Some(Durability::Strict)] {
            let items = alloc::vec![item, item];
            let bytes = encode_items(&items);
            let send = EncodedSend { sequence, queue, refusals_seen, durability, items: &bytes };
            let frame = Frame::Send { sequence, queue, refusals_seen, durability, items };
            assert_eq!(encoded(&send), encoded(&frame));
        }
    }
}
