//! What the browser does to a page, as facts. A worker has no page and tells nothing.

use alloc::vec::Vec;

use wasm_bindgen::JsCast;
use web_sys::{Document, Event, EventTarget, PageTransitionEvent, VisibilityState};

use crate::web::io::PageFact;
use crate::web::listener::Listener;
use crate::web::runtime;

/// Listens for as long as it lives.
#[derive(Debug)]
pub struct PageLifecycle {
    _listeners: Vec<Listener>,
}

impl PageLifecycle {
    /// Nothing is told where there is no document.
    pub fn new(report: impl Fn(PageFact) + Clone + 'static) -> Self {
        let Some(document) = document() else { return Self { _listeners: Vec::new() } };
        let window: EventTarget = js_sys::global().unchecked_into();
        let of_document = {
            let report = report.clone();
            Listener::new(&document, &["visibilitychange", "freeze", "resume"], move |event| {
                report(match event.type_().as_str() {
                    "freeze" => PageFact::Frozen,
                    "resume" => PageFact::Thawed,
                    _ if is_visible() => PageFact::Shown,
                    _ => PageFact::Hidden,
                });
            })
        };
        let of_window = Listener::new(&window, &["pagehide", "pageshow"], move |event: Event| {
            let leaves = event.type_() == "pagehide";
            let cached = event.unchecked_into::<PageTransitionEvent>().persisted();
            if leaves {
                report(PageFact::Left { cached });
            } else if cached {
                // Without the cache it is the first show of a new page.
                report(PageFact::Restored);
            }
        });
        Self { _listeners: [of_document, of_window].into() }
    }
}

/// True where there is no page that could be hidden.
pub fn is_visible() -> bool {
    document().is_none_or(|document| document.visibility_state() == VisibilityState::Visible)
}

fn document() -> Option<Document> {
    Some(runtime::global("document")?.unchecked_into())
}
