//! Who sent a message, as the node knows it.

use tabmq::id::{ClientId, ConsumerId, MessageNumber, RequestId};
use tabmq::limits::Limits;
use tabmq::options::ConsumeOptions;
use tabmq::wire::Frame;
use tabmq::wire::frame::Browse;

use crate::harness::{Bench, client};

/// The senders of what a new consumer gets.
fn senders(bench: &mut Bench, number: u8) -> Vec<Option<ClientId>> {
    let mut worker = bench.join(number);
    let options = ConsumeOptions::new(100, 1 << 20);
    bench.say(&mut worker, &[Frame::Consume { consumer: ConsumerId(1), queue: "q", options }]);
    let frames = bench.frames(&worker);
    let sender = |frame| if let Frame::Deliver(d) = frame { Some(d.sender) } else { None };
    let senders = frames.into_iter().filter_map(sender).collect();
    bench.say(&mut worker, &[Frame::Goodbye { park: false }]);
    senders
}

#[test]
fn a_delivery_names_the_client_that_sent_it() {
    let mut bench = Bench::new();
    let (mut one, mut two) = (bench.join(1), bench.join(2));
    bench.send(&mut one, "q", b"a");
    bench.send(&mut two, "q", b"b");
    let both = [Some(client(1)), Some(client(2))];
    assert_eq!(senders(&mut bench, 3), both);
    let mut looker = bench.join(4);
    let browse = Browse {
        after: MessageNumber(0),
        messages_max: 10,
        delayed: false,
        leased: false,
        headers_only: true,
    };
    bench.say(&mut looker, &[Frame::Browse { request: RequestId(1), queue: "q", browse }]);
    let Some(Frame::Browsed { messages, .. }) = bench.frames(&looker).pop() else {
        panic!("a page");
    };
    assert_eq!(messages.iter().map(|message| message.sender).collect::<Vec<_>>(), both);
}

#[test]
fn a_sender_is_known_when_it_has_left_and_at_another_node() {
    let limits = Limits { checkpoint_bytes_min: 1, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let mut one = bench.join(1);
    bench.send(&mut one, "q", b"a");
    bench.say(&mut one, &[Frame::Goodbye { park: false }]);
    let digest = bench.node.broker().expect("it serves").digest();
    for _ in 0..2 {
        assert_eq!(senders(&mut bench, 3), [Some(client(1))]);
        bench.restart();
    }
    assert_ne!(bench.node.broker().expect("it serves").digest(), digest);
}

#[test]
fn so_many_senders_that_left_are_remembered() {
    let mut bench = Bench::with(Limits { senders_max: 2, ..Limits::default() });
    for number in 1..=3 {
        let mut peer = bench.join(number);
        bench.send(&mut peer, "q", b"a");
        bench.say(&mut peer, &[Frame::Goodbye { park: false }]);
    }
    let mut silent = bench.join(4);
    bench.say(&mut silent, &[Frame::Goodbye { park: false }]);
    let expected = [None, Some(client(2)), Some(client(3))];
    assert_eq!(senders(&mut bench, 5), expected);
    bench.restart();
    assert_eq!(senders(&mut bench, 5), expected);
}
