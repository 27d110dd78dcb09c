//! The committed corpus: where it is, and how it is made. Frames are the golden vectors of the
//! protocol; logs and checkpoints are what the simulator leaves on its disk; scripts of the broker
//! put the golden frames into sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::{fs, io};

use serde_json::Value;
use tabmq::cbor::first_uint;
use tabmq::id::{CallId, ConsumerId, LeaseNumber, MessageNumber, RequestId, Sequence, ServiceId};
use tabmq::log::records_of;
use tabmq::options::{ConsumeOptions, QueueOptions};
use tabmq::sim::run::Run;
use tabmq::sim::world::World;
use tabmq::store::Key;
use tabmq::wire::Frame;
use tabmq::wire::envelope::encode_frame;
use tabmq::wire::frame::{CallKey, Outcome, Settlement};

use crate::broker::{Step, client, store_after, write_step};
use crate::checkpoint::sections_of;
use crate::recovered::{first_hello, item};

/// Seeds of the simulator that are looked at.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=24;
/// Longer logs are left out, and of the others all but the shortest.
const LOG_BYTES_MAX: usize = 32 << 10;
const LOGS: usize = 1;
const CHUNK_BYTES_MAX: usize = 1024;
const HEAD_BYTES: usize = 56;

/// Entries of one target by their names.
pub type Corpus = BTreeMap<String, Vec<u8>>;

/// The folder of one target.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The committed entries of one target, in the order of their names.
///
/// # Errors
/// If they can't be read, or if there are none.
pub fn read(target: &str) -> io::Result<Corpus> {
    let folder = folder(target);
    let mut corpus = Corpus::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        corpus.insert(name, fs::read(entry.path())?);
    }
    if corpus.is_empty() {
        return Err(io::Error::other(format!("{} is empty", folder.display())));
    }
    Ok(corpus)
}

/// Makes the corpus of every target anew.
///
/// # Errors
/// If the golden vectors can't be read.
pub fn make() -> io::Result<BTreeMap<&'static str, Corpus>> {
    let vectors = vectors()?;
    let (logs, mut checkpoints) = logs();
    let scripts = scripts(&vectors);
    checkpoints.extend(stories(&scripts));
    Ok([
        ("broker", scripts),
        ("frames", vectors),
        ("filters", texts(FILTERS, &[])),
        ("cron", texts(CRONS, &1_700_000_000_000_u64.to_le_bytes())),
        ("log_scanning", logs),
        ("checkpoint_loading", checkpoints),
    ]
    .into())
}

fn vectors() -> io::Result<Corpus> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/wire/vectors");
    let mut corpus = Corpus::new();
    for file in ["frames", "messages"] {
        let text = fs::read_to_string(folder.join(file).with_extension("json"))?;
        let vectors: Vec<Value> = serde_json::from_str(&text)?;
        for vector in vectors {
            let part = |key: &str| vector[key].as_str().unwrap_or_default();
            let digits: Vec<char> = part("hex").chars().collect();
            let pair = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16);
            let bytes: Result<Vec<u8>, _> = digits.chunks(2).map(pair).collect();
            corpus.insert(part("name").to_owned(), bytes.map_err(io::Error::other)?);
        }
    }
    Ok(corpus)
}

fn texts(texts: &[(&str, &str)], before: &[u8]) -> Corpus {
    let entry =
        |(name, text): &(&str, &str)| ((*name).to_owned(), [before, text.as_bytes()].concat());
    texts.iter().map(entry).collect()
}

const FILTERS: &[(&str, &str)] = &[
    ("words", "price.eu.shoes\nprice.eu.shoes\nprice.us.shoes\nprice\nprice.eu"),
    ("stars", "a.b.c\n*.b.c\na.*.c\na.b.*\n*.*.*\n*.*\n*"),
    ("hashes", "a.b.c.d\n#\na.#\n#.d\na.#.d\n#.b.#\n#.#\na.b.c.d.#"),
    ("both", "a.b.b.c.d\n#.b.*.d\n*.#.*\n#.*\n*.#\n#.b.#.b.#\na.*.#.d"),
    ("system", "$tabmq.queue.jobs.dead\n$tabmq.#\n#\n*.queue.#\n$tabmq.queue.*.dead"),
    ("refused", "a..b\n\n.\na.\n.a\n#a\n*b.c\n\u{7f}"),
    ("accents", "gr\u{fc}n.\u{1f600}\ngr\u{fc}n.*\n*.\u{1f600}\n#"),
    ("many-hashes", "a.a.a.a.a.a.a.a\n#.a.#.a.#.a.#.a\n#.a.#.a.#.b\n#.#.#.#.#.#.#.#"),
];

const CRONS: &[(&str, &str)] = &[
    ("daily", "@daily"),
    ("yearly", "@yearly"),
    ("every-five-minutes", "*/5 * * * *"),
    ("with-seconds", "10-50/20 0 12 * * MON-FRI"),
    ("both-days", "0 0 13 * FRI"),
    ("leap-day", "0 0 29 2 *"),
    ("never", "0 0 30 2 *"),
    ("lists", "1,2,30-40/5 0-23/3 1,15 JAN,JUL *"),
    ("sundays", "0 0 * * 5-7"),
];

/// Chunks that hold a kind of record that no earlier one held, and short logs with checkpoints.
fn logs() -> (Corpus, Corpus) {
    let (mut chunks, mut logs) = (Corpus::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for seed in SEEDS {
        let mut world = World::new(&Run::of(seed));
        let _ = world.run();
        let mut store = world.disk.store().clone();
        for (key, bytes) in store.values_mut().iter() {
            let Key::Chunk(number) = key else { continue };
            let kinds = kinds_of(bytes);
            if bytes.len() <= CHUNK_BYTES_MAX && !kinds.is_subset(&seen) {
                seen.extend(kinds);
                let name = format!("seed-{seed}-chunk-{}", number.0);
                chunks.insert(name, bytes[HEAD_BYTES..].to_vec());
            }
        }
        let log = sections_of(store).filter(|log| log.len() <= LOG_BYTES_MAX);
        logs.extend(log.map(|log| (log.len(), format!("seed-{seed}"), log)));
    }
    logs.sort();
    logs.truncate(LOGS);
    (chunks, logs.into_iter().map(|(_, name, log)| (name, log)).collect())
}

/// The logs that scripts of the broker leave, each with a checkpoint.
fn stories(scripts: &Corpus) -> Corpus {
    let mut stores: Corpus = Corpus::new();
    let mut add = |name: &str, script: &[u8]| {
        let log = store_after(script, true).and_then(sections_of);
        stores.extend(log.map(|log| (name.to_owned(), log)));
    };
    for name in ["queue", "calls", "restart"] {
        add(name, &scripts[name]);
    }
    let frames = scripts.iter().filter(|(name, _)| name.starts_with("frame-"));
    let all: Vec<&[u8]> = frames.map(|(_, script)| script.as_slice()).collect();
    for (at, part) in all.chunks(15).enumerate() {
        // Each begins where those before have left for good.
        let left = [Step::Gone as u8, 0, Step::Gone as u8, 1];
        add(&format!("frames-{at}"), &part.join(&left[..]));
    }
    stores
}

/// The kinds of the records in a chunk.
fn kinds_of(chunk: &[u8]) -> BTreeSet<u64> {
    let records = records_of(chunk).unwrap_or_default();
    let encoded = records.iter().map(|(_, record)| {
        let mut bytes = Vec::new();
        tabmq::cbor::encode(record, &mut bytes);
        first_uint(&bytes).unwrap_or(0)
    });
    encoded.collect()
}

/// Each golden frame in a session of its own, and a few whole stories.
fn scripts(vectors: &Corpus) -> Corpus {
    let mut corpus = Corpus::new();
    for (name, bytes) in vectors {
        let mut script = two_sessions();
        write_step(&mut script, Step::Say, 0, bytes);
        script.extend([Step::PassMs as u8, 0x10, 0x27]);
        corpus.insert(format!("frame-{name}"), script);
    }
    corpus.insert("queue".to_owned(), queue());
    corpus.insert("calls".to_owned(), calls());
    corpus.insert("restart".to_owned(), restart());
    corpus
}

fn say(script: &mut Vec<u8>, peer: u8, frame: &Frame<'_>) {
    let mut bytes = Vec::new();
    encode_frame(frame, &mut bytes);
    write_step(script, Step::Say, peer, &bytes);
}

fn two_sessions() -> Vec<u8> {
    let mut script = Vec::new();
    for peer in [0, 1] {
        script.extend([Step::Connect as u8, peer]);
        say(&mut script, peer, &Frame::Hello(first_hello()));
    }
    script
}

fn send(sequence: u64, body: &[u8]) -> Frame<'_> {
    let (sequence, refusals_seen, durability) = (Sequence(sequence), Sequence(0), None);
    Frame::Send { sequence, queue: "jobs", refusals_seen, durability, items: vec![item(body)] }
}

/// A queue that is used, looked at, emptied and deleted.
fn queue() -> Vec<u8> {
    let mut script = two_sessions();
    let options = QueueOptions { deliveries_max: Some(2), ..QueueOptions::default() };
    say(&mut script, 0, &Frame::Declare { request: RequestId(1), queue: "jobs", options });
    for sequence in 1..=4 {
        say(&mut script, 0, &send(sequence, b"body"));
    }
    let options = ConsumeOptions::new(3, 1000);
    say(&mut script, 1, &Frame::Consume { consumer: ConsumerId(1), queue: "jobs", options });
    let settlements = [
        Settlement::Ack { value: None },
        Settlement::Retry { after_ms: Some(5), reason: Some("again") },
        Settlement::Reject { reason: Some("broken") },
        Settlement::Release,
    ];
    for (lease, settlement) in (1..).map(LeaseNumber).zip(settlements) {
        say(&mut script, 1, &Frame::Settle { lease, settlement });
    }
    script.extend([Step::PassMs as u8, 0x88, 0x13]);
    say(&mut script, 0, &Frame::Inspect { request: RequestId(2), queue: "jobs" });
    let through = MessageNumber(u64::MAX);
    say(&mut script, 0, &Frame::Purge { request: RequestId(3), queue: "jobs", through });
    script
}

/// A service, a call of it, and its answer.
fn calls() -> Vec<u8> {
    let mut script = two_sessions();
    let (service, method) = (ServiceId(1), tabmq::id::MethodId(1));
    say(&mut script, 0, &Frame::Serve { service, name: "calc", concurrency: 2 });
    say(&mut script, 1, &Frame::Method { method, service: "calc", name: "add" });
    for call in [CallId(1), CallId(2)] {
        let (timeout_ms, first_epoch, traceparent) = (1000, None, None);
        let arguments = b"\x82\x02\x03";
        let frame = Frame::Call { call, method, timeout_ms, arguments, first_epoch, traceparent };
        say(&mut script, 1, &frame);
    }
    let key = CallKey { caller: client(1), call: CallId(1) };
    say(&mut script, 0, &Frame::Reply { key, outcome: Outcome::Value(b"\x05") });
    script.extend([Step::Gone as u8, 0, Step::PassMs as u8, 0xd0, 7]);
    script
}

/// Writes that are under way when the node dies, and clients that come back.
fn restart() -> Vec<u8> {
    let mut script = two_sessions();
    say(&mut script, 0, &send(1, b"kept"));
    script.push(Step::HoldStorage as u8);
    say(&mut script, 0, &send(2, b"lost"));
    script.extend([Step::Answer as u8, 1, Step::ReleaseStorage as u8]);
    script.extend([Step::Restart as u8, Step::Present as u8, 3]);
    script.extend(two_sessions());
    say(&mut script, 0, &send(2, b"again"));
    script.extend([Step::Disconnect as u8, 0, Step::Gone as u8, 1]);
    script
}
