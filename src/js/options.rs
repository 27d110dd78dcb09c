//! Options as they come from JavaScript. They are read by hand: `serde-wasm-bindgen` would cost
//! more than the whole broker does.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::error::{Code, Refused};
use crate::limits::Limits;
use crate::options::{Backoff, DeadLetter, Durability, QueueOptions};
use crate::web::driver::{DriverOptions, HostChoice};

/// The first number that a JavaScript number can't tell from its neighbor.
const NUMBERS_END: f64 = 9_007_199_254_740_992.0;

/// An object whose fields are all known.
struct Fields<'a> {
    object: &'a JsValue,
}

fn invalid(reason: &'static str) -> Refused {
    Refused::new(Code::Invalid, reason)
}

impl<'a> Fields<'a> {
    fn of(object: &'a JsValue, names: &[&str], reason: &'static str) -> Result<Self, Refused> {
        let Some(record) = object.dyn_ref::<Object>() else { return Err(invalid(reason)) };
        let known = |key: JsValue| names.iter().any(|name| key == **name);
        if Object::keys(record).iter().all(known) {
            Ok(Self { object })
        } else {
            Err(invalid(reason))
        }
    }

    /// `None` for an absent field and for an undefined one.
    fn get(&self, name: &'static str) -> Option<JsValue> {
        let value = Reflect::get(self.object, &JsValue::from_str(name)).ok()?;
        (!value.is_undefined()).then_some(value)
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, Refused> {
        let read = |value: JsValue| value.as_string().ok_or(invalid(name));
        self.get(name).map(read).transpose()
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Refused> {
        self.get(name).map(|value| whole(&value).ok_or(invalid(name))).transpose()
    }

    fn small(&self, name: &'static str) -> Result<Option<u32>, Refused> {
        let read = |number| u32::try_from(number).map_err(|_| invalid(name));
        self.number(name)?.map(read).transpose()
    }

    fn durability(&self) -> Result<Option<Durability>, Refused> {
        self.text("durability")?.map(|text| durability(&text)).transpose()
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
    let names = ["storage", "durability", "host", "user", "peer", "limits"];
    let fields = Fields::of(object, &names, "options")?;
    let memory_only = match fields.text("storage")?.as_deref() {
        None | Some("auto") => false,
        Some("memory") => true,
        Some(_) => return Err(invalid("storage")),
    };
    let host = match fields.text("host")?.as_deref() {
        None | Some("auto") => HostChoice::Auto,
        Some("tab") => HostChoice::Tab,
        Some("inline") => HostChoice::Inline,
        Some(_) => return Err(invalid("host")),
    };
    let peer = match fields.get("peer") {
        None => Vec::new(),
        Some(peer) => peer.dyn_ref::<Uint8Array>().ok_or(invalid("peer"))?.to_vec(),
    };
    let limits = match fields.get("limits") {
        None => Limits::DEFAULTS,
        Some(limits) => read_limits(&limits)?,
    };
    if peer.len() > limits.headers_bytes_max as usize {
        return Err(Refused::new(Code::TooLarge, "headers_bytes_max"));
    }
    Ok(DriverOptions {
        user: fields.text("user")?,
        host,
        memory_only,
        durability: fields.durability()?.unwrap_or(Durability::Relaxed),
        limits,
        peer,
    })
}

macro_rules! limits {
    ($($name:ident,)+) => {
        const LIMIT_NAMES: &[&str] = &[$(stringify!($name),)+];

        fn read_limits(object: &JsValue) -> Result<Limits, Refused> {
            let fields = Fields::of(object, LIMIT_NAMES, "limits")?;
            // Without `..`, so that a new limit can't be forgotten here.
            let Limits { $($name,)+ } = Limits::DEFAULTS;
            let limits = Limits {
                $($name: match fields.number(stringify!($name))? {
                    None => $name,
                    Some(number) => {
                        number.try_into().map_err(|_| invalid(stringify!($name)))?
                    }
                },)+
            };
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
    requests_max,
    request_bytes_max,
    sessions_max,
    handles_max,
    queues_max,
    queue_messages_max,
    lanes_max,
    lane_keep_ms,
    calls_max,
    replies_max,
    chunk_bytes_max,
    resident_bytes_max,
    checkpoint_bytes_min,
    page_bytes_max,
    repair_bytes_max,
    gap_messages_max,
    publishers_max,
    settle_ms,
    node_silence_ms,
    hello_retry_ms,
    pause_ms_max,
    hidden_host_ms,
    verb_timeout_ms,
    call_timeout_ms,
    park_ms,
    newest_repeat_ms,
}

/// The options of a queue.
///
/// # Errors
/// `INVALID` with the name of the option.
pub fn queue_options(object: &JsValue) -> Result<QueueOptions, Refused> {
    let names = [
        "durability",
        "leaseMs",
        "deliveriesMax",
        "backoff",
        "deadLetter",
        "messagesMax",
        "version",
    ];
    let fields = Fields::of(object, &names, "options")?;
    let dead_letter = match fields.get("deadLetter") {
        None => None,
        Some(value) if value == false => Some(DeadLetter::Discard),
        Some(value) => {
            Some(DeadLetter::Queue(value.as_string().ok_or(invalid("deadLetter"))?.to_owned()))
        }
    };
    Ok(QueueOptions {
        durability: fields.durability()?,
        lease_ms: fields.number("leaseMs")?,
        deliveries_max: fields.small("deliveriesMax")?,
        backoff: fields.get("backoff").map(|value| backoff(&value)).transpose()?,
        dead_letter,
        messages_max: fields.number("messagesMax")?,
        version: fields.small("version")?,
    })
}

fn backoff(object: &JsValue) -> Result<Backoff, Refused> {
    let names = ["firstMs", "factorPercent", "waitMsMax", "jitterPercent"];
    let fields = Fields::of(object, &names, "backoff")?;
    Ok(Backoff {
        first_ms: fields.number("firstMs")?.ok_or(invalid("firstMs"))?,
        factor_percent: fields.small("factorPercent")?.ok_or(invalid("factorPercent"))?,
        wait_ms_max: fields.number("waitMsMax")?.ok_or(invalid("waitMsMax"))?,
        jitter_percent: fields.small("jitterPercent")?.ok_or(invalid("jitterPercent"))?,
    })
}
