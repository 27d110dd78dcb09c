//! One timer, armed for the earliest moment anyone waits for. JavaScript may perform it, where a
//! timer of the runtime would keep a host awake that nobody needs.

use js_sys::Function;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::*;

use crate::time::{Instant, Now};
use crate::web::runtime;

/// The longest wait that `setTimeout` takes; a longer one would fire at once.
const TIMEOUT_MS_MAX: u64 = (1 << 31) - 1;

#[wasm_bindgen]
extern "C" {
    /// `RawTimer` of pkg/src/raw.ts.
    #[derive(Clone, Debug)]
    pub type TimerHost;
    #[wasm_bindgen(method, catch)]
    fn set(this: &TimerHost, run: &Function, wait_ms: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn clear(this: &TimerHost) -> Result<(), JsValue>;
}

#[derive(Debug)]
pub struct Timer {
    run: Closure<dyn FnMut()>,
    host: Option<TimerHost>,
    armed: Option<(Instant, JsValue)>,
}

impl Timer {
    /// One that `host` performs, or the runtime.
    pub fn new(host: Option<TimerHost>, run: impl FnMut() + 'static) -> Self {
        Self { run: Closure::new(run), host, armed: None }
    }

    /// Fires at `wake_at`, or not at all. It may fire late, by a minute in a hidden page, and
    /// early after the longest wait.
    pub fn set(&mut self, now: Now, wake_at: Option<Instant>) {
        let armed = self.armed.as_ref().map(|(at, _)| *at);
        // What is due moves along with the time. The timer that was set for it is about to fire; a
        // new one would wait anew in a page whose timers are held back.
        let about_to_fire =
            armed.is_some_and(|armed| wake_at.is_some_and(|at| armed <= at && at <= now.mono));
        if wake_at == armed || about_to_fire {
            return;
        }
        self.clear();
        let Some(at) = wake_at else { return };
        // Rounded up: a timer that fires too early would fire again and again.
        let wait_ms = at.0.saturating_sub(now.mono.0).div_ceil(1000);
        let run: &Function = self.run.as_ref().unchecked_ref();
        let id = match &self.host {
            Some(host) => {
                let _ = host.set(run, wait_ms as f64);
                JsValue::UNDEFINED
            }
            None => {
                let wait_ms = wait_ms.min(TIMEOUT_MS_MAX);
                runtime::set_timeout(run, i32::try_from(wait_ms).unwrap_or(i32::MAX))
            }
        };
        self.armed = Some((at, id));
    }

    /// The armed timer has fired.
    pub fn fired(&mut self) {
        self.armed = None;
    }

    pub fn clear(&mut self) {
        let Some((_, id)) = self.armed.take() else { return };
        match &self.host {
            Some(host) => drop(host.clear()),
            None => runtime::clear_timeout(&id),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clear();
    }
}
