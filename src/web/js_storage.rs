//! Storage that JavaScript performs, in runtimes whose storage `web-sys` does not know. What is
//! asked in one drain goes out as one batch; answers come from the event loop at any time.

use alloc::vec::Vec;

use js_sys::{Function, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

use crate::error::Code;
use crate::id::OpId;
use crate::store::StorageAction;
use crate::web::storage_batch::{self, Batch, News};

#[wasm_bindgen]
extern "C" {
    /// `RawStorage` of pkg/src/raw.ts.
    #[derive(Clone, Debug)]
    pub type StorageMaker;
    #[wasm_bindgen(method, catch)]
    fn open(this: &StorageMaker, answer: &Function) -> Result<Session, JsValue>;

    type Session;
    #[wasm_bindgen(method, catch)]
    fn perform(this: &Session, batch: &Uint8Array) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn close(this: &Session) -> Result<(), JsValue>;
}

/// The storage of one tenure.
pub struct JsStorage {
    /// `None` if it threw where it should have answered.
    session: Option<Session>,
    batch: Batch,
    _answer: Closure<dyn FnMut(Uint8Array)>,
}

impl JsStorage {
    /// Starts to open it. `arrive` gets batches of answers and must do no more than keep them.
    pub fn open(maker: &StorageMaker, arrive: impl Fn(Vec<u8>) + 'static) -> Self {
        let answer = Closure::new(move |batch: Uint8Array| arrive(batch.to_vec()));
        let session = maker.open(answer.as_ref().unchecked_ref()).ok();
        Self { session, batch: Batch::default(), _answer: answer }
    }

    pub fn perform(&mut self, op: OpId, action: &StorageAction) {
        self.batch.ask(op, action);
    }

    /// Hands over what was asked for.
    pub fn flush(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        let performed = self.session.as_ref().map(|session| session.perform(&(&batch[..]).into()));
        if !matches!(performed, Some(Ok(()))) {
            self.session = None;
        }
    }

    /// What a batch of answers says. One that can't be read ends the storage.
    pub fn read(&mut self, batch: &[u8]) -> Vec<News> {
        storage_batch::answers(batch)
            .unwrap_or_else(|_| [News::Unusable(Code::Storage, "lost")].into())
    }
}

impl Drop for JsStorage {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            // What it has begun it ends by itself; nobody waits for it.
            let _ = session.close();
        }
    }
}
