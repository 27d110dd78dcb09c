//! The storage in IndexedDB for tests in pages: each step of tests/log/conformance.json is
//! performed by the same code that a host performs it with. Nothing of this is in what ships.

#![cfg(target_arch = "wasm32")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::futures::spawn_local;
use js_sys::{Function, Promise};
use tabmq::id::OpId;
use tabmq::store::StorageResult;
use tabmq::web::indexed_db::{Arrival, Database, Done};
use wasm_bindgen::prelude::*;

#[path = "../../log/steps.rs"]
mod steps;

/// One connection to a database. Freed, it is closed.
#[wasm_bindgen]
pub struct Store(Rc<Shared>);

struct Shared {
    database: RefCell<Option<Database>>,
    next_op: Cell<u64>,
    waiting: RefCell<HashMap<OpId, Function>>,
}

#[wasm_bindgen]
impl Store {
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(name: &str) -> Self {
        let waiting = RefCell::new(HashMap::new());
        let shared =
            Rc::new(Shared { database: RefCell::new(None), next_op: Cell::new(1), waiting });
        let weak = Rc::downgrade(&shared);
        let arrive = move |arrival: Arrival| {
            let weak = weak.clone();
            // As in the driver, nothing happens inside a callback of the browser.
            spawn_local(async move {
                if let Some(shared) = weak.upgrade() {
                    shared.handle(arrival);
                }
            });
        };
        *shared.database.borrow_mut() = Some(Database::new(name, arrive));
        Self(shared)
    }

    /// Performs one step. Resolves with its answer as JSON.
    pub fn perform(&self, name: &str, given: &str) -> Promise {
        let given = serde_json::from_str(given).expect("a step is JSON");
        let action = steps::action(&name.into(), &given);
        let shared = self.0.clone();
        let op = OpId(shared.next_op.replace(shared.next_op.get() + 1));
        Promise::new(&mut |resolve, _| {
            shared.waiting.borrow_mut().insert(op, resolve);
            if let Some(database) = &mut *shared.database.borrow_mut() {
                database.perform(op, action.clone());
            }
            shared.answer();
        })
    }
}

impl Shared {
    fn handle(&self, arrival: Arrival) {
        if let Some(database) = &mut *self.database.borrow_mut() {
            database.handle(arrival);
        }
        self.answer();
    }

    fn answer(&self) {
        let done = match &mut *self.database.borrow_mut() {
            Some(database) => database.take_done(),
            None => return,
        };
        for done in done {
            if let Done::Stored { op, result } = done {
                self.tell(op, result);
            }
        }
    }

    fn tell(&self, op: OpId, result: StorageResult) {
        let resolve = self.waiting.borrow_mut().remove(&op).expect("it was asked once");
        let answer = steps::told(result).to_string();
        // Fails only if the page is going.
        let _ = resolve.call1(&JsValue::NULL, &answer.into());
    }
}
