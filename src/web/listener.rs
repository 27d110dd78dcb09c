//! A listener that is removed from its target when it is dropped.

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventTarget};

/// Listens to events of one target for as long as it lives. Must not be dropped by its own call:
/// what it runs only puts a fact into an inbox, and the inbox is drained later.
#[derive(Debug)]
pub struct Listener {
    target: EventTarget,
    types: &'static [&'static str],
    run: Closure<dyn FnMut(Event)>,
}

impl Listener {
    pub fn new(
        target: &EventTarget,
        types: &'static [&'static str],
        run: impl FnMut(Event) + 'static,
    ) -> Self {
        let run = Closure::new(run);
        for name in types {
            let added = target.add_event_listener_with_callback(name, run.as_ref().unchecked_ref());
            debug_assert!(added.is_ok());
        }
        Self { target: target.clone(), types, run }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let run = self.run.as_ref().unchecked_ref();
        for name in self.types {
            // Fails only for a target that is no event target, which `new` excludes.
            let _ = self.target.remove_event_listener_with_callback(name, run);
        }
    }
}
