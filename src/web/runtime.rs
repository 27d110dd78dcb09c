//! What every JavaScript runtime has: clocks, entropy, microtasks and timers; and what it may
//! lack, found out by looking.

use js_sys::{Function, Reflect};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

use crate::options::HostKind;
use crate::time::{Instant, Now, UnixMillis};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = queueMicrotask)]
    pub fn queue_microtask(run: &Function);
    #[wasm_bindgen(js_name = setTimeout)]
    pub fn set_timeout(run: &Function, after_ms: i32) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    pub fn clear_timeout(id: &JsValue);
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    fn date_now() -> f64;
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);
}

/// Both clocks. The running one is kept from going back, whatever the runtime does.
#[derive(Debug, Default)]
pub struct Clock {
    latest: Instant,
}

impl Clock {
    pub fn now(&mut self) -> Now {
        // A float to integer cast saturates, so no reading can be out of range.
        self.latest = self.latest.max(Instant((performance_now() * 1000.0) as u64));
        Now { mono: self.latest, unix: UnixMillis(date_now() as u64) }
    }
}

pub fn random_bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    get_random_values(&mut bytes);
    bytes
}

/// A property of the global object. `None` if it is absent, null, or refuses to be read, as
/// `sessionStorage` does in sandboxed frames.
pub fn global(name: &str) -> Option<JsValue> {
    property(&js_sys::global(), name)
}

/// What kind of realm this is, among those that share a node.
pub fn kind() -> HostKind {
    if global("document").is_some() {
        HostKind::Tab
    } else if global("SharedWorkerGlobalScope").is_some() {
        HostKind::SharedWorker
    } else {
        HostKind::Worker
    }
}

/// A property that may be absent, null or refuse to be read.
pub fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &JsValue::from_str(name))
        .ok()
        .filter(|value| !value.is_null() && !value.is_undefined())
}

/// Whether this is the engine of Firefox, which alone says so: others are "like Gecko".
pub fn is_gecko() -> bool {
    let name = navigator::<JsValue>("userAgent").and_then(|name| name.as_string());
    name.is_some_and(|name| name.contains(" Gecko/"))
}

/// A property of `navigator`, which Node 20 does not have.
pub fn navigator<T: JsCast>(name: &str) -> Option<T> {
    Some(property(&global("navigator")?, name)?.unchecked_into())
}
