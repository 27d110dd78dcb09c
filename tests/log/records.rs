//! Records as bytes.

use tabmq::cbor::{self, Malformed};
use tabmq::error::Code;
use tabmq::id::{
    ChunkNumber, ClientId, ConsumerId, LaneId, LeaseNumber, MessageNumber, QueueId, RequestId,
    Sequence, Term,
};
use tabmq::log::record::{Decision, LeaseEnd, StoredMessage, TrackEnd};
use tabmq::log::{Place, Record, Removal};
use tabmq::options::{DeadLetter, Durability, QueueOptions};
use tabmq::time::UnixMillis;
use tabmq::wire::frame::{Firing, Item, Prepare, Reason, Scheduling, When};

const QUEUE: QueueId = QueueId(3);
const LEASE: LeaseNumber = LeaseNumber(u64::MAX);
const NUMBER: MessageNumber = MessageNumber(70_000);
const CLIENT: ClientId = ClientId([200; 16]);
const LANE: LaneId = LaneId(9);
const POSITION: Sequence = Sequence(41);

/// At least one of every kind.
fn records() -> Vec<Record<'static>> {
    [messages(), prepared(), redrives(), lanes_and_roles(), checkpoint()].concat()
}

const fn message() -> StoredMessage<'static> {
    StoredMessage {
        queue: QUEUE,
        number: NUMBER,
        lane: LANE,
        sequence: POSITION,
        index: 2,
        stored_at: UnixMillis(1_764_000_000_000),
        due_at: None,
        body: b"body",
        properties: None,
        tracked: None,
        past: None,
        expires_at: Some(UnixMillis(70_000)),
        priority: None,
    }
}

fn messages() -> Vec<Record<'static>> {
    let message = message();
    let delayed = StoredMessage {
        due_at: Some(UnixMillis(5)),
        properties: Some(b"\x80"),
        body: b"",
        ..message
    };
    let end = |end| Record::Ended { lease: LEASE, end, by_holder: true };
    let removed = |removal| Record::Removed { queue: QUEUE, number: NUMBER, removal };
    let options = QueueOptions {
        durability: Some(Durability::Memory),
        dead_letter: Some(DeadLetter::Queue("dead".to_owned())),
        ..QueueOptions::default()
    };
    let from = Place { chunk: ChunkNumber(300), offset: 48 };
    vec![
        Record::Message(message),
        Record::Message(delayed),
        Record::Moved { from, queue: QUEUE, lease: None, message },
        Record::Moved { from, queue: QueueId(4), lease: Some(LEASE), message: delayed },
        Record::Leased {
            lease: LEASE,
            queue: QUEUE,
            number: NUMBER,
            client: CLIENT,
            lease_ms: 30_000,
            attempt: 2,
            consumer: ConsumerId(4),
        },
        end(LeaseEnd::Acked { value: None }),
        end(LeaseEnd::Acked { value: Some(b"value") }),
        end(LeaseEnd::Released),
        end(LeaseEnd::Failed { due_at: None }),
        end(LeaseEnd::Failed { due_at: Some(UnixMillis(7)) }),
        end(LeaseEnd::DeadLettered {
            into: QUEUE,
            reason: Reason::DeliveriesMax,
            note: Some("busy"),
            at: UnixMillis(8),
        }),
        end(LeaseEnd::Discarded { reason: "" }),
        Record::Extended { lease: LEASE, lease_ms: 1 },
        Record::Declared { queue: QUEUE, name: "jobs", options, owner: Some(CLIENT) },
        Record::Deleted { queue: QUEUE },
        Record::Paused { queue: QUEUE, paused: true, until: Some(UnixMillis(7)) },
        Record::Purged { queue: QUEUE, through: NUMBER },
        removed(Removal::Discarded { reason: "overflow" }),
        removed(Removal::Expired { at: UnixMillis(9) }),
        removed(Removal::DeadLettered { into: QUEUE, reason: Reason::Overflow, at: UnixMillis(8) }),
    ]
}

fn prepared() -> Vec<Record<'static>> {
    let message = message();
    let decided = |id, decision| {
        let (queue, number, at) = (QUEUE, NUMBER, UnixMillis(9));
        Record::Decided { queue, number, id, decision, at }
    };
    vec![
        Record::Prepared { message, check_after_ms: None },
        Record::Prepared { message, check_after_ms: Some(9) },
        Record::Checked { number: NUMBER },
        decided(None, Decision::Committed { number: NUMBER }),
        decided(None, Decision::Repeated { original: NUMBER }),
        decided(Some("1-2-0"), Decision::RolledBack),
        decided(Some("1-2-1"), Decision::Unanswered),
        decided(None, Decision::TooOld),
    ]
}

fn redrives() -> Vec<Record<'static>> {
    let (properties, delay_ms, track) = (None, None, None);
    let item = Item {
        body: b"body",
        properties,
        delay_ms,
        track,
        past: None,
        ttl_ms: Some(9),
        priority: Some(2),
        prepare: Some(Prepare { check_after_ms: Some(7) }),
    };
    vec![
        Record::Redrive {
            client: CLIENT,
            request: RequestId(7),
            order: &[0x81, 0x61, b'q'],
            moved: 3,
            reached: NUMBER,
        },
        Record::Redriven {
            client: CLIENT,
            request: RequestId(7),
            queue: QUEUE,
            number: NUMBER,
            into: Some(QueueId(4)),
            due_at: Some(UnixMillis(9)),
            cancelled: Some(true),
        },
        Record::RedriveForgotten { client: CLIENT, request: RequestId(7) },
        Record::TrackForgotten { number: NUMBER },
        Record::Scheduled {
            queue: QUEUE,
            number: NUMBER,
            lane: LANE,
            sequence: POSITION,
            scheduling: Scheduling {
                key: "k",
                when: When::Every { every_ms: 1000 },
                item,
                latest: Some("t"),
            },
            due_at: Some(UnixMillis(9)),
            last: Some(Firing { due_at: UnixMillis(7), at: UnixMillis(8), count: 1 }),
        },
        Record::ScheduleDue { number: NUMBER, due_at: None, fired_at: Some(UnixMillis(9)) },
        Record::Unscheduled { number: NUMBER },
    ]
}

fn lanes_and_roles() -> Vec<Record<'static>> {
    let refused = Some(Code::Full);
    vec![
        Record::LaneOpened { lane: LANE, client: CLIENT, position: POSITION, user: None },
        Record::LaneVoid { lane: LANE, position: POSITION, refused: None },
        Record::LaneVoid { lane: LANE, position: POSITION, refused },
        Record::LaneClosed { lane: LANE },
        Record::TermBegan { role: "cron", term: Term(2), client: CLIENT },
        Record::TermEnded { role: "cron" },
    ]
}

fn checkpoint() -> Vec<Record<'static>> {
    let tracked = |end| {
        let (queue, delivered) = (QUEUE, true);
        Record::Tracked { number: NUMBER, queue, id: "1-2-0", delivered, end }
    };
    let kept = |due_at, deaths| Record::Kept {
        queue: QUEUE,
        number: NUMBER,
        place: Place { chunk: ChunkNumber(300), offset: 48 },
        body_bytes: 4,
        attempts: 1,
        due_at,
        deaths,
        properties_bytes: deaths.map(|_| 7),
        expires_at: deaths.map(|_| UnixMillis(5)),
        key: deaths.map(|_| 8),
        priority: deaths.map(|_| 3),
    };
    vec![
        tracked(None),
        tracked(Some(TrackEnd::Processed { value: Some(b"value") })),
        tracked(Some(TrackEnd::Failed { code: Code::DeadLettered, reason: "rejected" })),
        Record::Piece { first: NUMBER },
        kept(None, None),
        kept(Some(UnixMillis(9)), Some(b"\x82\x00\x80")),
        Record::PreparedKept {
            queue: QUEUE,
            number: NUMBER,
            id: "1-2-0",
            own_id: false,
            place: Place { chunk: ChunkNumber(300), offset: 48 },
            body_bytes: 4,
            properties_bytes: 0,
            prepared_at: UnixMillis(5),
            tracked: true,
            checks: 3,
            check_after_ms: None,
            due_at: Some(UnixMillis(9)),
            expires_at: None,
            key: None,
            priority: Some(2),
        },
        Record::Counters { queue: QUEUE, lane: LANE, message: NUMBER, lease: LEASE, term: Term(3) },
        Record::SettledLately { client: CLIENT, leases: vec![LEASE, LeaseNumber(1)] },
        Record::Totals {
            queue: QUEUE,
            sent: 1,
            acked: 2,
            redelivered: 3,
            dead_lettered: 4,
            discarded: 5,
        },
    ]
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    cbor::encode(record, &mut bytes);
    bytes
}

#[test]
fn every_record_comes_back_as_it_was_and_not_from_a_part() {
    for record in records() {
        let bytes = encoded(&record);
        assert_eq!(cbor::decode(&bytes), Ok(record));
        for end in 0..bytes.len() {
            assert_eq!(cbor::decode::<Record<'_>>(&bytes[..end]), Err(Malformed));
        }
    }
}

#[test]
fn a_lease_and_a_settlement_are_short() {
    let length = |record| encoded(record).len();
    let lease = LeaseNumber(100_000);
    let ended = Record::Ended { lease, end: LeaseEnd::Acked { value: None }, by_holder: true };
    assert!(length(&ended) <= 10);
    let leased = Record::Leased {
        lease,
        queue: QUEUE,
        number: MessageNumber(100_000),
        client: CLIENT,
        lease_ms: 30_000,
        attempt: 1,
        consumer: ConsumerId(4),
    };
    assert!(length(&leased) <= 36);
}
