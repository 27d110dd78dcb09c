//! Time zones, which only the runtime knows.

use alloc::vec::Vec;

use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::*;

use crate::cron::Offset;
use crate::time::UnixMillis;

/// Offsets are looked up so far apart; no zone changes its clocks twice within that.
const STEP_MS: u64 = 12 * 3600 * 1000;

#[wasm_bindgen]
extern "C" {
    type DateTimeFormat;
    #[wasm_bindgen(constructor, catch, js_namespace = Intl)]
    fn new(locales: &str, options: &Object) -> Result<DateTimeFormat, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn format(this: &DateTimeFormat, at: f64) -> Result<alloc::string::String, JsValue>;
}

/// Whether the runtime knows a zone of that name.
pub fn is_known(zone: &str) -> bool {
    formatter(zone).is_some()
}

/// The offsets of a zone; `None` if the runtime knows no such one.
pub fn offsets(zone: &str, from: UnixMillis, until: UnixMillis) -> Option<Vec<Offset>> {
    let format = formatter(zone)?;
    let mut last = Offset { from, ahead_s: ahead_s(&format, from)? };
    let mut found = Vec::from([last]);
    let mut at = from;
    while at < until {
        let before = at;
        at = UnixMillis((at.0 + STEP_MS).min(until.0));
        if ahead_s(&format, at)? != last.ahead_s {
            last = change(&format, before, at, last.ahead_s)?;
            found.push(last);
        }
    }
    Some(found)
}

/// The second in which the offset is no longer `ahead`, between one where it is and one where not.
fn change(
    format: &DateTimeFormat,
    before: UnixMillis,
    after: UnixMillis,
    ahead: i32,
) -> Option<Offset> {
    let (mut before, mut after) = (before.0 / 1000, after.0 / 1000);
    while before + 1 < after {
        let middle = before.midpoint(after);
        let same = ahead_s(format, UnixMillis(middle * 1000))? == ahead;
        *(if same { &mut before } else { &mut after }) = middle;
    }
    let from = UnixMillis(after * 1000);
    Some(Offset { from, ahead_s: ahead_s(format, from)? })
}

fn formatter(zone: &str) -> Option<DateTimeFormat> {
    let options = Object::new();
    let set = |name: &str, value: &str| Reflect::set(&options, &name.into(), &value.into()).ok();
    set("timeZone", zone)?;
    set("timeZoneName", "longOffset")?;
    DateTimeFormat::new("en-US", &options).ok()
}

/// Reads what stands behind `GMT`: nothing, `+02:00`, or `-00:25:21` of long ago.
fn ahead_s(format: &DateTimeFormat, at: UnixMillis) -> Option<i32> {
    let text = format.format(at.0 as f64).ok()?;
    let text = text.as_bytes();
    let name = text.windows(3).position(|part| part == b"GMT")?;
    let (mut ahead_s, mut part, mut unit_s) = (0, 0, 3600);
    let mut sign = 1;
    // Numbers are read by hand: what the library has for it brings its messages along.
    for byte in text.get(name + 3..)? {
        match byte {
            b'0'..=b'9' => part = part * 10 + i32::from(byte - b'0'),
            b':' => {
                ahead_s += part * unit_s;
                (part, unit_s) = (0, unit_s / 60);
            }
            b'+' => {}
            // A hyphen, or the minus sign of other versions.
            _ => sign = -1,
        }
    }
    Some(sign * (ahead_s + part * unit_s))
}
