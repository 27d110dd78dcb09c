//! What a frame costs on its way through a transport message.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use tabmq::id::{CallId, ClientId, Epoch, LinkNonce, MethodId, Sequence};
use tabmq::wire::frame::Item;
use tabmq::wire::{Envelope, Frame, Message, MessageWriter, Reassembly};

fn main() {
    divan::main();
}

const FRAMES: u32 = 1000;
const MESSAGE_BYTES_MAX: usize = 64 << 10;

fn envelope() -> Envelope {
    let epoch = Epoch { counter: 3, incarnation: u64::MAX };
    Envelope { epoch, client: ClientId([1; 16]), link: LinkNonce(u64::MAX), position: 1 }
}

fn call(number: u32) -> Frame<'static> {
    Frame::Call {
        call: CallId(number),
        method: MethodId(1),
        timeout_ms: 30_000,
        arguments: &[0x82, 2, 3],
        first_epoch: None,
        traceparent: None,
    }
}

fn send(body: &[u8]) -> Frame<'_> {
    Frame::Send {
        sequence: Sequence(1),
        queue: "jobs",
        refusals_seen: Sequence(0),
        durability: None,
        items: vec![Item {
            body,
            properties: None,
            delay_ms: None,
            track: None,
            past: None,
            ttl_ms: None,
            priority: None,
            prepare: None,
        }],
    }
}

fn messages(writer: &mut MessageWriter) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| writer.take_message(envelope)).collect()
}

#[divan::bench]
fn write_calls(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(FRAMES)).bench(|| {
        let mut writer = MessageWriter::new(MESSAGE_BYTES_MAX);
        for number in 0..FRAMES {
            writer.push(&call(number));
        }
        messages(&mut writer)
    });
}

#[divan::bench]
fn read_calls(bencher: Bencher<'_, '_>) {
    let mut writer = MessageWriter::new(MESSAGE_BYTES_MAX);
    for number in 0..FRAMES {
        writer.push(&call(number));
    }
    let messages = messages(&mut writer);
    bencher.counter(ItemsCount::new(FRAMES)).bench(|| {
        let frames = |bytes: &Vec<u8>| Message::parse(bytes).unwrap().frames().count();
        black_box(&messages).iter().map(frames).sum::<usize>()
    });
}

/// A body of 1 MiB in fragments and whole again.
#[divan::bench]
fn cut_and_join(bencher: Bencher<'_, '_>) {
    let body = vec![7; 1 << 20];
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let mut writer = MessageWriter::new(MESSAGE_BYTES_MAX);
        writer.push(&send(&body));
        let mut reassembly = Reassembly::new(8 << 20);
        let mut whole = None;
        while let Some(bytes) = writer.take_message(envelope) {
            for frame in Message::parse(&bytes).unwrap().frames() {
                let Ok(Frame::Fragment { last, bytes }) = frame else { unreachable!("parts only") };
                whole = reassembly.push(last, bytes).unwrap();
            }
        }
        whole.map(|frame| frame.len())
    });
}
