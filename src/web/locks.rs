//! Web Locks: who hosts, who lives, who is visible. `web-sys` has them only behind a compiler
//! flag that every crate above would have to set, so the two methods are bound here.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use js_sys::futures::{JsFuture, spawn_local};
use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::*;
use web_sys::AbortController;

use crate::web::runtime;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = LockManager)]
    #[derive(Clone, Debug)]
    pub type LockManager;
    #[wasm_bindgen(method)]
    fn request(this: &LockManager, name: &str, options: &Object, granted: &Function) -> Promise;
    #[wasm_bindgen(method)]
    fn query(this: &LockManager) -> Promise;
}

/// How a lock is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Wait until nobody else holds it.
    Wait,
    /// Wait, and hold it together with others that ask so.
    Share,
    /// Now or not at all.
    IfAvailable,
    /// Take it from whoever holds it.
    Steal,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockNews {
    Granted,
    /// Somebody else holds it; only after `Ask::IfAvailable`.
    Taken,
    /// It was held and is not any more: it was stolen.
    Lost,
    /// This context may not have locks.
    Refused,
}

/// A lock that is held or waited for. Dropping it gives the lock back, or the request up, and
/// there is no more news.
#[derive(Debug)]
pub struct LockRequest {
    shared: Rc<Shared>,
    abort: AbortController,
}

#[derive(Debug, Default)]
struct Shared {
    dropped: Cell<bool>,
    /// Ends the promise that holds the lock; there while it is held.
    release: RefCell<Option<Function>>,
}

impl LockRequest {
    /// `None` where there is nothing to abort a request with.
    pub fn new(
        manager: &LockManager,
        name: &str,
        ask: Ask,
        report: impl Fn(LockNews) + 'static,
    ) -> Option<Self> {
        let abort = AbortController::new().ok()?;
        let options = options(ask, &abort);
        let shared = Rc::new(Shared::default());
        let report = Rc::new(report);
        let granted = {
            let (shared, report) = (shared.clone(), report.clone());
            Closure::<dyn FnMut(JsValue) -> JsValue>::new(move |lock: JsValue| {
                if shared.dropped.get() {
                    return JsValue::UNDEFINED;
                }
                if lock.is_null() {
                    report(LockNews::Taken);
                    return JsValue::UNDEFINED;
                }
                let held = Promise::new(&mut |resolve, _| {
                    shared.release.replace(Some(resolve));
                });
                report(LockNews::Granted);
                held.into()
            })
        };
        let outcome = manager.request(name, &options, granted.as_ref().unchecked_ref());
        let watched = shared.clone();
        // The task owns the closure until the browser can't call it any more.
        spawn_local(async move {
            let failed = JsFuture::from(outcome).await.is_err();
            drop(granted);
            if failed && !watched.dropped.get() {
                let was_held = watched.release.take().is_some();
                report(if was_held { LockNews::Lost } else { LockNews::Refused });
            }
        });
        Some(Self { shared, abort })
    }
}

impl Drop for LockRequest {
    fn drop(&mut self) {
        self.shared.dropped.set(true);
        if let Some(release) = self.shared.release.take() {
            let _ = release.call0(&JsValue::UNDEFINED);
        } else {
            self.abort.abort();
        }
    }
}

fn options(ask: Ask, abort: &AbortController) -> Object {
    let options = Object::new();
    let set = |name: &str, value: &JsValue| {
        // Fails only for a frozen object.
        let _ = Reflect::set(&options, &JsValue::from_str(name), value);
    };
    // A signal goes with waiting alone; with the other two the browser refuses it.
    match ask {
        Ask::Wait => set("signal", &abort.signal()),
        Ask::Share => {
            set("mode", &JsValue::from_str("shared"));
            set("signal", &abort.signal());
        }
        Ask::IfAvailable => set("ifAvailable", &JsValue::TRUE),
        Ask::Steal => set("steal", &JsValue::TRUE),
    }
    options
}

/// One lock that somebody holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldLock {
    pub name: String,
    pub shared: bool,
}

/// Lists the locks that are held now; nothing where that is refused.
pub fn list_held(manager: &LockManager, report: impl FnOnce(Vec<HeldLock>) + 'static) {
    let snapshot = manager.query();
    spawn_local(async move {
        let snapshot = JsFuture::from(snapshot).await.unwrap_or(JsValue::UNDEFINED);
        let held = runtime::property(&snapshot, "held").map(Array::unchecked_from_js);
        let held = held.iter().flat_map(|held: &Array| held.iter());
        report(held.filter_map(|lock| HeldLock::of(&lock)).collect());
    });
}

impl HeldLock {
    fn of(lock: &JsValue) -> Option<Self> {
        let name = runtime::property(lock, "name")?.as_string()?;
        let mode = runtime::property(lock, "mode")?;
        Some(Self { name, shared: mode == *"shared" })
    }
}
