//! What holds of every log over which a node serves.

use tabmq::broker::State;
use tabmq::broker::io::{Event, Input, Output};
use tabmq::cbor::decode_first;
use tabmq::id::{ClientId, LaneId, LinkNonce, Sequence};
use tabmq::log::{MemoryStore, Place, Record};
use tabmq::node::Node;
use tabmq::time::Now;
use tabmq::wire::frame::{Hello, Item};
use tabmq::wire::{Envelope, Frame, MessageWriter};

use crate::host::{End, Host, LIMITS};

/// Sends that make the log grow until it writes a checkpoint.
const SENDS: u64 = 12;
const BODY: [u8; 300] = [7; 300];
const GUEST: ClientId = ClientId(*b"guest-guest-gues");

/// Recovers over the store, whatever is in it. If a node serves then, the checkpoint of its state
/// gives the same state, at once and after more work. Gives whether one serves.
///
/// # Panics
/// If it does not, or if recovery neither fails nor comes to an end.
pub fn holds(store: MemoryStore, now: Now) -> bool {
    let mut host = Host::new(store, now);
    if host.start() != End::Serving {
        return false;
    }
    is_written_whole(&host);
    work(&mut host);
    is_written_whole(&host);
    true
}

fn is_written_whole(host: &Host) {
    let Some(broker) = host.node.broker() else { return };
    let written = broker.state().checkpoint_records();
    let mut again = State::new(&LIMITS);
    let mut rest = &written[..];
    while !rest.is_empty() {
        let (record, length) = decode_first::<Record<'_>>(rest).expect("a record that was written");
        again.apply(Place::default(), &record);
        rest = &rest[length..];
    }
    if again.checkpoint_records() != written {
        differ(broker.state(), &again);
    }
}

/// Says where two states differ first.
fn differ(kept: &State, found: &State) -> ! {
    let (kept, found) = (format!("{kept:#?}"), format!("{found:#?}"));
    let mut lines = kept.lines().zip(found.lines()).enumerate();
    let at = lines.find(|(_, (kept, found))| kept != found).map_or(0, |(at, _)| at);
    let around = |text: &str| {
        text.lines().skip(at.saturating_sub(12)).take(30).collect::<Vec<_>>().join("\n")
    };
    panic!("kept:\n{}\n\nfound again:\n{}", around(&kept), around(&found));
}

/// What is durable now is what recovery finds.
///
/// # Panics
/// If it is not.
pub fn is_found_again(host: &mut Host) {
    host.perform_all();
    host.input(Input::Tick);
    if host.over.is_some() {
        return;
    }
    let Some(broker) = host.node.broker() else { panic!("no node serves") };
    let found = recover(host.store.clone(), host.now);
    let found = found.unwrap_or_else(|reason| panic!("what was served over is refused: {reason}"));
    let Some(next) = found.broker() else { panic!("the next node is over") };
    if next.digest() != broker.digest() {
        differ(broker.state(), next.state());
    }
}

/// A node over the store, as soon as it serves; or why it is over.
fn recover(mut store: MemoryStore, now: Now) -> Result<Node, &'static str> {
    let mut node = Host::new(MemoryStore::default(), now).node;
    while node.broker().is_none() {
        match node.poll_output() {
            Output::Storage { op, action } => {
                let result = store.perform(&action);
                node.handle_input(now, Input::Stored { op, result });
            }
            Output::Event(Event::Over { reason, .. }) => return Err(reason),
            Output::Idle { .. } => return Err("it waits for nothing"),
            _ => {}
        }
    }
    // What has come due is ready without a record.
    node.handle_input(now, Input::Tick);
    Ok(node)
}

/// A client sends so much that a checkpoint comes of it.
pub fn work(host: &mut Host) {
    let conn = host.node.accept(host.now);
    let epoch = host.node.epoch().unwrap_or_default();
    let mut position = 0;
    let mut say = |host: &mut Host, frame: Frame<'_>| {
        let mut writer = MessageWriter::new(512);
        writer.push(&frame);
        while let Some(bytes) = writer.take_message(|| {
            position += 1;
            Envelope { epoch, client: GUEST, link: LinkNonce(99), position }
        }) {
            host.input(Input::Received { conn, bytes: &bytes });
        }
    };
    say(host, Frame::Hello(first_hello()));
    for sequence in (1..=SENDS).map(Sequence) {
        let items = vec![item(&BODY)];
        let (refusals_seen, durability) = (Sequence(0), None);
        let queue = "guests";
        say(host, Frame::Send { sequence, queue, refusals_seen, durability, items });
        host.pass_ms(100);
    }
}

/// What a client without a lane says first.
#[must_use]
pub fn first_hello() -> Hello<'static> {
    Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        log: None,
        lane: LaneId(0),
        confirmed: Sequence(0),
        floor: Sequence(1),
        fresh: false,
        peer: b"",
        leases: Vec::new(),
        serving: Vec::new(),
        terms: Vec::new(),
        published: None,
    }
}

/// A message with this body and nothing else.
#[must_use]
pub fn item(body: &[u8]) -> Item<'_> {
    Item {
        body,
        properties: None,
        delay_ms: None,
        track: None,
        past: None,
        ttl_ms: None,
        priority: None,
        prepare: None,
    }
}
