//! Golden frames of lists of queues and services, watches, policies and traces.

use tabmq::id::{ClientId, MessageNumber, QueueId, RequestId, Sequence, WatchId};
use tabmq::options::{Overflow, QueueOptions};
use tabmq::time::UnixMillis;
use tabmq::wire::Frame;
use tabmq::wire::frame::{
    Item, Past, Policy, QueueCounts, QueueEntry, QueueStats, ServerEntry, ServiceEntry,
};

use crate::frames::Dice;
use crate::golden::{FIVE, Golden};

const AT: UnixMillis = UnixMillis(1_764_000_000_000);

pub fn goldens() -> Vec<Golden> {
    let request = RequestId(1);
    let watch = WatchId(2);
    let state = QueueCounts { ready: 3, sent_total: 9, id: QueueId(4), ..QueueCounts::default() };
    let options = QueueOptions {
        messages_max: Some(100),
        overflow: Some(Overflow::DropOldest),
        ..QueueOptions::default()
    };
    let policy = Policy { name: "rings", pattern: "log.#", priority: 2, options: options.clone() };
    let entry = QueueEntry {
        name: "log.eu",
        state,
        bytes: 12,
        options,
        owner: Some(ClientId(*b"client-client-01")),
        paused_until: Some(AT),
        policy: Some("rings"),
        traced: None,
    };
    let stats = Some(QueueStats { state, bytes: 12, oldest_at: Some(AT) });
    let past = Some(Past { attempts: 2, stored_at: AT, deaths: None });
    let item = Item {
        body: FIVE,
        properties: None,
        delay_ms: None,
        track: None,
        past,
        ttl_ms: Some(60_000),
        priority: Some(2),
        prepare: None,
    };
    vec![
        (
            "list-queues",
            "those of one filter behind a name",
            Frame::ListQueues { request, after: Some("log.at"), filter: Some("log.*") },
        ),
        (
            "queue-list",
            "one queue, and more behind it",
            Frame::QueueList { request, queues: vec![entry], more: true },
        ),
        ("watch-queue", "counts as they change", Frame::WatchQueue { watch, queue: "log.eu" }),
        ("unwatch-queue", "", Frame::UnwatchQueue { watch }),
        ("queue-stats", "3 are ready", Frame::QueueStats { watch, at: AT, stats, refused: None }),
        (
            "set-policy",
            "rings of 100 messages",
            Frame::SetPolicy { request, name: "rings", policy: Some(policy.clone()) },
        ),
        ("remove-policy", "it is gone", Frame::SetPolicy { request, name: "rings", policy: None }),
        ("list-policies", "", Frame::ListPolicies { request }),
        ("policy-list", "there is one", Frame::PolicyList { request, policies: vec![policy] }),
        ("trace", "on", Frame::Trace { request, queue: "log.eu", traced: true }),
        (
            "send-imported",
            "a message that failed twice where it was before",
            Frame::Send {
                sequence: Sequence(1),
                queue: "log.eu",
                refusals_seen: Sequence(0),
                durability: None,
                items: vec![item],
            },
        ),
    ]
}

pub fn goldens_of_services() -> Vec<Golden> {
    let request = RequestId(1);
    let client = ClientId(*b"client-client-01");
    let servers = vec![ServerEntry { client, concurrency: 16, running: 3 }];
    let service = ServiceEntry { name: "calc@1", servers, waiting: 2 };
    vec![
        ("list-services", "", Frame::ListServices { request, after: Some("calc@0") }),
        (
            "service-list",
            "one that somebody serves, and others wait for",
            Frame::ServiceList { request, services: vec![service], more: false },
        ),
    ]
}

/// A frame of any kind that belongs here.
pub fn admin_frame<'a>(dice: &mut Dice<'a>, tag: u64) -> Frame<'a> {
    let request = RequestId(dice.short());
    let watch = WatchId(dice.short());
    match tag {
        65 => Frame::ListQueues {
            request,
            after: dice.maybe(Dice::text),
            filter: dice.maybe(Dice::text),
        },
        66 => Frame::QueueList { request, queues: dice.list(entry), more: dice.flag() },
        67 => Frame::WatchQueue { watch, queue: dice.text() },
        68 => Frame::UnwatchQueue { watch },
        69 => Frame::QueueStats {
            watch,
            at: UnixMillis(dice.number()),
            stats: dice.maybe(|dice| QueueStats {
                state: dice.counts(),
                bytes: dice.number(),
                oldest_at: dice.maybe(|dice| UnixMillis(dice.number())),
            }),
            refused: dice.maybe(Dice::code),
        },
        70 => Frame::SetPolicy { request, name: dice.text(), policy: dice.maybe(policy) },
        71 => Frame::ListPolicies { request },
        72 => Frame::PolicyList { request, policies: dice.list(policy) },
        87 => Frame::ListServices { request, after: dice.maybe(Dice::text) },
        88 => Frame::ServiceList { request, services: dice.list(service), more: dice.flag() },
        _ => Frame::Trace { request, queue: dice.text(), traced: dice.flag() },
    }
}

fn entry<'a>(dice: &mut Dice<'a>) -> QueueEntry<'a> {
    QueueEntry {
        name: dice.text(),
        state: QueueCounts { newest: MessageNumber(dice.number()), ..dice.counts() },
        bytes: dice.number(),
        options: dice.options(),
        owner: dice.maybe(Dice::client),
        paused_until: dice.maybe(|dice| UnixMillis(dice.number())),
        policy: dice.maybe(Dice::text),
        traced: dice.maybe(Dice::flag),
    }
}

fn service<'a>(dice: &mut Dice<'a>) -> ServiceEntry<'a> {
    let server = |dice: &mut Dice<'a>| ServerEntry {
        client: dice.client(),
        concurrency: dice.short(),
        running: dice.short(),
    };
    ServiceEntry { name: dice.text(), servers: dice.list(server), waiting: dice.short() }
}

fn policy<'a>(dice: &mut Dice<'a>) -> Policy<'a> {
    let (name, pattern, priority) = (dice.text(), dice.text(), dice.short());
    Policy { name, pattern, priority, options: dice.options() }
}
