//! Options as they come from JavaScript. They are read by hand: `serde-wasm-bindgen` would cost
//! more than the whole broker does.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::broker::{Grant, Granting};
use crate::error::{Code, Refused};
use crate::id::ClientId;
use crate::limits::Limits;
use crate::options::{
    Backoff, DeadLetter, Durability, OnFailure, Order, Overflow, QueueOptions, Rate, Slow,
};
use crate::time::UnixMillis;
use crate::web::choices::{DriverOptions, HostChoice, Reach, StorageChoice};
use crate::web::socket::Doors;

/// The first number that a JavaScript number can't tell from its neighbor.
const NUMBERS_END: f64 = 9_007_199_254_740_992.0;

/// An object whose fields are all known. It remembers the first one that is not as it should be
/// and is asked once, at the end: what it gives in place of that one means nothing.
struct Fields<'a> {
    object: &'a JsValue,
    wrong: Cell<Option<&'static str>>,
}

fn invalid(reason: &'static str) -> Refused {
    Refused::new(Code::Invalid, reason)
}

impl<'a> Fields<'a> {
    fn of(object: &'a JsValue, names: &[&str], reason: &'static str) -> Self {
        let known = |key: JsValue| names.iter().any(|name| key == **name);
        let keys = object.dyn_ref::<Object>().map(Object::keys);
        let all_known = keys.is_some_and(|keys| keys.iter().all(known));
        Self { object, wrong: Cell::new(Some(reason).filter(|_| !all_known)) }
    }

    /// What was read, if all of it was as it should be.
    fn check<T>(&self, read: T) -> Result<T, Refused> {
        self.wrong.get().map_or(Ok(read), |name| Err(invalid(name)))
    }

    /// `None` for an absent field and for an undefined one.
    #[inline(never)]
    fn get(&self, name: &'static str) -> Option<JsValue> {
        let value = Reflect::get(self.object, &JsValue::from_str(name)).ok()?;
        (!value.is_undefined()).then_some(value)
    }

    /// A field that is there must have a meaning.
    fn read<T>(&self, name: &'static str, read: impl FnOnce(&JsValue) -> Option<T>) -> Option<T> {
        let value = read(&self.get(name)?);
        if value.is_none() {
            self.refuse(name);
        }
        value
    }

    fn refuse(&self, name: &'static str) {
        self.wrong.set(self.wrong.get().or(Some(name)));
    }

    #[inline(never)]
    fn text(&self, name: &'static str) -> Option<String> {
        self.read(name, JsValue::as_string)
    }

    /// A whole number that is not above `max`.
    #[inline(never)]
    fn number(&self, name: &'static str, max: u64) -> Option<u64> {
        self.read(name, |value| whole(value).filter(|number| *number <= max))
    }

    fn long(&self, name: &'static str) -> Option<u64> {
        self.number(name, u64::MAX)
    }

    fn small(&self, name: &'static str) -> Option<u32> {
        let number = self.number(name, u64::from(u32::MAX));
        number.and_then(|number| number.try_into().ok())
    }

    #[inline(never)]
    fn limit<N: TryFrom<u64>>(&self, name: &'static str, default: N) -> N {
        let Some(number) = self.long(name) else { return default };
        number.try_into().unwrap_or_else(|_| {
            self.refuse(name);
            default
        })
    }

    fn flag(&self, name: &'static str) -> Option<bool> {
        self.read(name, JsValue::as_bool)
    }

    fn client(&self, name: &'static str) -> Option<ClientId> {
        self.read(name, |client| {
            let bytes = client.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec)?;
            Some(ClientId(bytes.try_into().ok()?))
        })
    }

    fn durability(&self) -> Option<Durability> {
        self.read("durability", |value| durability(&value.as_string()?).ok())
    }

    /// A field that must be there.
    fn required<T: Default>(&self, name: &'static str, value: Option<T>) -> T {
        if value.is_none() {
            self.refuse(name);
        }
        value.unwrap_or_default()
    }
}

fn whole(value: &JsValue) -> Option<u64> {
    let number = value.as_f64().filter(|number| (0.0..NUMBERS_END).contains(number))?;
    let whole = number as u64;
    (whole as f64 == number).then_some(whole)
}

pub fn durability(text: &str) -> Result<Durability, Refused> {
    match text {
        "memory" => Ok(Durability::Memory),
        "relaxed" => Ok(Durability::Relaxed),
        "strict" => Ok(Durability::Strict),
        _ => Err(invalid("durability")),
    }
}

/// A duration or a count that was given as a number of its own.
pub fn number(value: f64, reason: &'static str) -> Result<u64, Refused> {
    whole(&JsValue::from_f64(value)).ok_or(invalid(reason))
}

/// The options of a bus.
///
/// # Errors
/// `INVALID` with the name of the option.
pub fn bus_options(object: &JsValue) -> Result<DriverOptions, Refused> {
    let names = [
        "storage",
        "durability",
        "host",
        "user",
        "peer",
        "limits",
        "guest",
        "hub",
        "sockets",
        "timer",
        "sleeper",
    ];
    let fields = Fields::of(object, &names, "options");
    let storage = fields.read("storage", |storage| match storage.as_string().as_deref() {
        None if storage.is_object() => Some(StorageChoice::Files(storage.clone().unchecked_into())),
        Some("auto") => Some(StorageChoice::Auto),
        Some("memory") => Some(StorageChoice::Memory),
        _ => None,
    });
    let host = fields.read("host", |host| match host.as_string()?.as_str() {
        "auto" => Some(HostChoice::Auto),
        "tab" => Some(HostChoice::Tab),
        "inline" => Some(HostChoice::Inline),
        "worker-or-tab" => Some(HostChoice::BesideWorker { stands_by: true }),
        "worker" => Some(HostChoice::BesideWorker { stands_by: false }),
        "for-pages" => Some(HostChoice::ForPages),
        _ => None,
    });
    let peer = fields.read("peer", |peer| peer.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec));
    let limits = match fields.get("limits") {
        None => Limits::DEFAULTS,
        Some(limits) => read_limits(&limits)?,
    };
    let hub = fields.read("hub", |hub| doors(hub).map(Reach::Hub));
    let sockets = fields.read("sockets", |sockets| {
        sockets.is_object().then(|| Reach::Here(sockets.clone().unchecked_into()))
    });
    let options = fields.check(DriverOptions {
        user: fields.text("user"),
        host: host.unwrap_or_default(),
        storage: storage.unwrap_or_default(),
        durability: fields.durability().unwrap_or(Durability::Relaxed),
        limits,
        peer: peer.unwrap_or_default(),
        guest: fields.client("guest"),
        takes_up: true,
        reach: sockets.or(hub).unwrap_or_default(),
        timer: fields
            .read("timer", |timer| timer.is_object().then(|| timer.clone().unchecked_into())),
        sleeper: fields.client("sleeper"),
    })?;
    if options.peer.len() > options.limits.headers_bytes_max as usize {
        return Err(Refused::new(Code::TooLarge, "headers_bytes_max"));
    }
    Ok(options)
}

/// What a socket may do. What is absent is not granted.
///
/// # Errors
/// `INVALID` or `TOO_LARGE` with what is wrong.
pub fn grant(object: &JsValue) -> Result<Grant, Refused> {
    let names = ["user", "expiresAt", "publish", "subscribe", "consume", "serve", "call", "admin"];
    let fields = Fields::of(object, &names, "grant");
    let user = fields.text("user").unwrap_or_default();
    let lists = ["publish", "subscribe", "consume", "serve", "call"]
        .map(|name| fields.read(name, texts).unwrap_or_default());
    let refs = lists.each_ref().map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
    let [publish, subscribe, consume, serve, call] = &refs;
    let expires_at = fields.long("expiresAt").map(UnixMillis);
    let admin = fields.flag("admin").unwrap_or(false);
    fields.check(())?;
    let user = user.as_str();
    let granting = Granting { user, expires_at, publish, subscribe, consume, serve, call, admin };
    Grant::new(&granting, &Limits::DEFAULTS)
}

fn texts(value: &JsValue) -> Option<Vec<String>> {
    value.dyn_ref::<Array>()?.iter().map(|text| text.as_string()).collect()
}

/// The doors to a hub.
fn doors(object: &JsValue) -> Option<Doors> {
    let fields = Fields::of(object, &["urls", "protocols", "socket"], "hub");
    let urls = fields.read("urls", |urls| texts(urls).filter(|urls| !urls.is_empty()));
    let protocols = fields.read("protocols", texts).unwrap_or_default();
    let constructor = fields.read("socket", |made| made.dyn_ref::<Function>().cloned());
    fields.check(Doors { urls: urls?, protocols, constructor }).ok()
}

macro_rules! limits {
    ($($name:ident,)+) => {
        const LIMIT_NAMES: &[&str] = &[$(stringify!($name),)+];

        fn read_limits(object: &JsValue) -> Result<Limits, Refused> {
            let fields = Fields::of(object, LIMIT_NAMES, "limits");
            let limits = fields.check(Limits {
                // Without `..`, so that a new limit can't be forgotten here.
                $($name: fields.limit(stringify!($name), Limits::DEFAULTS.$name),)+
            })?;
            // A transport message must hold its own head.
            if limits.fragment_bytes_max < FRAGMENT_BYTES_MIN {
                return Err(invalid("fragment_bytes_max"));
            }
            Ok(limits)
        }
    };
}

const FRAGMENT_BYTES_MIN: u32 = 256;

limits! {
    body_bytes_max,
    headers_bytes_max,
    name_bytes_max,
    topic_words_max,
    batch_items_max,
    fragment_bytes_max,
    link_bytes_max,
    window_bytes_max,
    socket_buffered_bytes_max,
    requests_max,
    request_bytes_max,
    sessions_max,
    handles_max,
    queues_max,
    queue_messages_max,
    advisories_max,
    schedules_max,
    schedules_bytes_max,
    schedule_every_ms_min,
    redrives_max,
    policies_max,
    priorities_max,
    backoff_waits_max,
    deaths_max,
    dedupe_ids_max,
    prepared_check_after_ms,
    prepared_checks_max,
    prepared_age_ms_max,
    decisions_max,
    senders_max,
    ingest_items_max,
    lanes_max,
    lane_keep_ms,
    calls_max,
    replies_max,
    chunk_bytes_max,
    resident_bytes_max,
    checkpoint_bytes_min,
    page_bytes_max,
    log_reserve_bytes,
    repair_bytes_max,
    gap_messages_max,
    publishers_max,
    settle_ms,
    result_keep_ms,
    results_max,
    results_bytes_max,
    trackers_max,
    browses_max,
    node_silence_ms,
    hello_retry_ms,
    pause_ms_max,
    hidden_host_ms,
    outbox_after_ms,
    verb_timeout_ms,
    call_timeout_ms,
    park_ms,
    newest_repeat_ms,
}

const QUEUE_OPTIONS: [&str; 25] = [
    "durability",
    "leaseMs",
    "deliveriesMax",
    "backoff",
    "deadLetter",
    "messagesMax",
    "version",
    "bytesMax",
    "overflow",
    "singleActive",
    "consumersMin",
    "consumersWaitMs",
    "exclusive",
    "idleMsMax",
    "resultKeepMs",
    "ttlMs",
    "expired",
    "dedupeMs",
    "order",
    "onFailure",
    "priorities",
    "lastValue",
    "messagesPerKeyMax",
    "rate",
    "slow",
];

/// The options of a queue.
///
/// # Errors
/// `INVALID` with the name of the option.
pub fn queue_options(object: &JsValue) -> Result<QueueOptions, Refused> {
    let fields = Fields::of(object, &QUEUE_OPTIONS, "options");
    let dead_letter = fields.read("deadLetter", |value| {
        if *value == false {
            return Some(DeadLetter::Discard);
        }
        value.as_string().map(DeadLetter::Queue)
    });
    let overflow = fields.read("overflow", |value| match value.as_string()?.as_str() {
        "reject" => Some(Overflow::Reject),
        "drop-oldest" => Some(Overflow::DropOldest),
        "dead-letter" => Some(Overflow::DeadLetter),
        _ => None,
    });
    fields.check(QueueOptions {
        durability: fields.durability(),
        lease_ms: fields.long("leaseMs"),
        deliveries_max: fields.small("deliveriesMax"),
        backoff: fields.get("backoff").map(|value| backoff(&value)).transpose()?,
        dead_letter,
        messages_max: fields.long("messagesMax"),
        version: fields.small("version"),
        bytes_max: fields.long("bytesMax"),
        overflow,
        single_active: fields.flag("singleActive"),
        consumers_min: fields.small("consumersMin"),
        consumers_wait_ms: fields.long("consumersWaitMs"),
        exclusive: fields.flag("exclusive"),
        idle_ms_max: fields.long("idleMsMax"),
        result_keep_ms: fields.long("resultKeepMs"),
        ttl_ms: fields.long("ttlMs"),
        expired: fields.text("expired"),
        dedupe_ms: fields.long("dedupeMs"),
        order: fields.read("order", |value| match value.as_string()?.as_str() {
            "fifo" => Some(Order::Fifo),
            "key" => Some(Order::Key),
            _ => None,
        }),
        on_failure: fields.read("onFailure", on_failure),
        priorities: fields.small("priorities"),
        last_value: fields.flag("lastValue"),
        messages_per_key_max: fields.long("messagesPerKeyMax"),
        rate: fields.get("rate").map(|value| rate(&value)).transpose()?,
        slow: fields.get("slow").map(|value| slow(&value)).transpose()?,
    })
}

fn rate(object: &JsValue) -> Result<Rate, Refused> {
    let fields = Fields::of(object, &["limit", "perMs", "burst"], "rate");
    fields.check(Rate {
        limit: fields.required("limit", fields.small("limit")),
        per_ms: fields.required("perMs", fields.long("perMs")),
        burst: fields.small("burst"),
    })
}

fn on_failure(value: &JsValue) -> Option<OnFailure> {
    match value.as_string()?.as_str() {
        "block-key" => Some(OnFailure::BlockKey),
        "skip" => Some(OnFailure::Skip),
        "reorder" => Some(OnFailure::Reorder),
        _ => None,
    }
}

fn slow(object: &JsValue) -> Result<Slow, Refused> {
    let fields = Fields::of(object, &["afterMs", "detach"], "slow");
    fields.check(Slow {
        after_ms: fields.required("afterMs", fields.long("afterMs")),
        detach: fields.required("detach", fields.flag("detach")),
    })
}

fn backoff(object: &JsValue) -> Result<Backoff, Refused> {
    let names = ["firstMs", "factorPercent", "waitMsMax", "jitterPercent", "stepMs", "ladderMs"];
    let fields = Fields::of(object, &names, "backoff");
    let long = |name| fields.required(name, fields.long(name));
    let small = |name| fields.required(name, fields.small(name));
    fields.check(Backoff {
        first_ms: long("firstMs"),
        factor_percent: small("factorPercent"),
        wait_ms_max: long("waitMsMax"),
        jitter_percent: small("jitterPercent"),
        step_ms: fields.long("stepMs"),
        ladder_ms: fields.read("ladderMs", |waits| {
            waits.dyn_ref::<Array>()?.iter().map(|wait_ms| whole(&wait_ms)).collect()
        }),
    })
}
