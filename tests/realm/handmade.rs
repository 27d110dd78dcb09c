//! Transport messages made by hand.

use tabmq::id::{ClientId, Epoch, LinkNonce};
use tabmq::wire::envelope::encode_envelope;
use tabmq::wire::{Envelope, Frame, MessageWriter};

/// One of somebody who has heard of no node.
pub fn message(client: ClientId, link: u64, position: u64, frames: &[Frame<'_>]) -> Vec<u8> {
    message_under(Epoch::default(), client, link, position, frames)
}

pub fn message_under(
    epoch: Epoch,
    client: ClientId,
    link: u64,
    position: u64,
    frames: &[Frame<'_>],
) -> Vec<u8> {
    let head = Envelope { epoch, client, link: LinkNonce(link), position };
    let mut writer = MessageWriter::new(60_000);
    frames.iter().for_each(|frame| writer.push(frame));
    writer.take_message(|| head).unwrap_or_else(|| encode_envelope(&head))
}
