//! One storage action as one IndexedDB transaction.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{Event, IdbDatabase, IdbObjectStore, IdbRequest, IdbTransaction};

use crate::id::{ChunkNumber, Epoch, OpId};
use crate::store::{Key, StorageAction, StorageFault, Stored, Sync};
use crate::web::indexed_db::Arrival;
use crate::web::listener::Listener;

const META: &str = "meta";
const CHUNKS: &str = "chunks";
const PAGES: &str = "pages";
pub const STORES: [&str; 3] = [META, CHUNKS, PAGES];

const FENCE_KEY: &str = "fence";
const MANIFEST_KEY: &str = "manifest";

#[wasm_bindgen]
extern "C" {
    /// `web-sys` has the option `durability` only behind a flag of the compiler.
    #[wasm_bindgen(extends = IdbDatabase, js_name = IDBDatabase)]
    type DurableDatabase;
    #[wasm_bindgen(method, catch)]
    fn transaction(
        this: &DurableDatabase,
        stores: &Array,
        mode: &str,
        options: &Object,
    ) -> Result<IdbTransaction, JsValue>;

    /// `web-sys` calls the method deprecated, which it is nowhere.
    #[wasm_bindgen(extends = IdbTransaction, js_name = IDBTransaction)]
    type OpenTransaction;
    #[wasm_bindgen(method, catch)]
    fn commit(this: &OpenTransaction) -> Result<(), JsValue>;
}

/// A transaction that runs.
pub struct Transaction {
    // First, so that nothing is heard of a transaction that is being dropped.
    _listeners: Vec<Listener>,
    transaction: IdbTransaction,
    answer: Answer,
    fenced: Rc<Cell<bool>>,
}

/// Which requests hold the answer.
enum Answer {
    Open { fence: IdbRequest, manifest: IdbRequest },
    Committed,
    Values(Vec<IdbRequest>),
    Chunks(IdbRequest),
    Fence(IdbRequest),
}

impl Transaction {
    /// # Errors
    /// If the connection takes no transaction any more.
    pub fn begin(
        database: &IdbDatabase,
        op: OpId,
        action: &Rc<StorageAction>,
        again: bool,
        arrive: &Rc<dyn Fn(Arrival)>,
    ) -> Result<Self, JsValue> {
        let transaction = open(database, action)?;
        let fenced = Rc::new(Cell::new(false));
        let mut listeners = Vec::new();
        let answer = match &**action {
            StorageAction::Open => Answer::Open {
                fence: get(&transaction, META, &FENCE_KEY.into())?,
                manifest: get(&transaction, META, &MANIFEST_KEY.into())?,
            },
            StorageAction::Read { keys } => Answer::Values(
                keys.iter()
                    .map(|key| get(&transaction, store_of(*key), &key_of(*key)))
                    .collect::<Result<_, _>>()?,
            ),
            StorageAction::List => {
                Answer::Chunks(transaction.object_store(CHUNKS)?.get_all_keys()?)
            }
            StorageAction::ReadFence => Answer::Fence(get(&transaction, META, &FENCE_KEY.into())?),
            StorageAction::Commit { .. } => {
                let fence = get(&transaction, META, &FENCE_KEY.into())?;
                let commit = Commit {
                    transaction: transaction.clone(),
                    fence: fence.clone(),
                    action: action.clone(),
                    again,
                    fenced: fenced.clone(),
                };
                listeners.push(Listener::new(&fence, &["success"], move |_: Event| commit.write()));
                Answer::Committed
            }
        };
        let arrive = arrive.clone();
        let end = move |event: Event| {
            let completed = event.type_() == "complete";
            arrive(if completed { Arrival::Completed(op) } else { Arrival::Aborted(op) });
        };
        listeners.push(Listener::new(&transaction, &["complete", "abort"], end));
        Ok(Self { _listeners: listeners, transaction, answer, fenced })
    }

    /// The answer of a transaction that completed.
    pub fn finish(self) -> Stored {
        match self.answer {
            Answer::Open { fence, manifest } => {
                Stored::Opened { fence: epoch_of(&fence), manifest: bytes_of(&manifest) }
            }
            Answer::Committed => Stored::Committed,
            Answer::Values(requests) => Stored::Values(requests.iter().map(bytes_of).collect()),
            Answer::Chunks(request) => Stored::Chunks(numbers_of(&request)),
            Answer::Fence(request) => Stored::Fence(epoch_of(&request)),
        }
    }

    /// Why a transaction aborted.
    pub fn fault(&self) -> StorageFault {
        if self.fenced.get() {
            return StorageFault::Fenced;
        }
        let name: Option<String> = self.transaction.error().map(|error| error.name());
        match name.as_deref() {
            Some("QuotaExceededError") => StorageFault::Quota,
            Some("AbortError") | None => StorageFault::Aborted,
            Some(_) => StorageFault::Lost,
        }
    }
}

/// A commit whose fence is being read. It runs inside its own transaction and touches nothing
/// else, because a transaction takes requests only while one of its own answers.
struct Commit {
    transaction: IdbTransaction,
    fence: IdbRequest,
    action: Rc<StorageAction>,
    again: bool,
    fenced: Rc<Cell<bool>>,
}

impl Commit {
    fn write(&self) {
        let StorageAction::Commit { expect, claim, puts, deletes, .. } = &*self.action else {
            return;
        };
        let stored = epoch_of(&self.fence);
        if self.again && claim.is_some() && stored == *claim {
            // The first try did go through: nobody else makes this incarnation.
            return;
        }
        self.fenced.set(stored != *expect);
        if stored != *expect || self.put_all(*claim, puts, deletes).is_err() {
            // Fails only if the transaction is over already.
            let _ = self.transaction.abort();
        }
    }

    fn put_all(
        &self,
        claim: Option<Epoch>,
        puts: &[(Key, Vec<u8>)],
        deletes: &[Key],
    ) -> Result<(), JsValue> {
        if let Some(epoch) = claim {
            let mut bytes = Vec::new();
            // Writing to a Vec can't fail.
            let _ = minicbor::encode(epoch, &mut bytes);
            let meta = self.transaction.object_store(META)?;
            meta.put_with_key(&Uint8Array::from(&bytes[..]), &FENCE_KEY.into())?;
        }
        for (key, bytes) in puts {
            self.store(*key)?.put_with_key(&Uint8Array::from(&bytes[..]), &key_of(*key))?;
        }
        for key in deletes {
            self.store(*key)?.delete(&key_of(*key))?;
        }
        // Without it the browser waits a turn for more requests.
        self.transaction.unchecked_ref::<OpenTransaction>().commit()
    }

    fn store(&self, key: Key) -> Result<IdbObjectStore, JsValue> {
        self.transaction.object_store(store_of(key))
    }
}

fn open(database: &IdbDatabase, action: &StorageAction) -> Result<IdbTransaction, JsValue> {
    let (mode, durability) = match action {
        StorageAction::Commit { sync: Sync::Strict, .. } => ("readwrite", "strict"),
        StorageAction::Commit { sync: Sync::Relaxed, .. } => ("readwrite", "relaxed"),
        _ => ("readonly", "relaxed"),
    };
    let options = Object::new();
    Reflect::set(&options, &"durability".into(), &durability.into())?;
    let stores = STORES.iter().copied().map(JsValue::from_str).collect::<Array>();
    database.unchecked_ref::<DurableDatabase>().transaction(&stores, mode, &options)
}

fn get(transaction: &IdbTransaction, store: &str, key: &JsValue) -> Result<IdbRequest, JsValue> {
    transaction.object_store(store)?.get(key)
}

fn store_of(key: Key) -> &'static str {
    match key {
        Key::Manifest => META,
        Key::Chunk(_) => CHUNKS,
        Key::Page(_) => PAGES,
    }
}

/// Numbers of chunks and pages stay below 2^53 for longer than any disk lives.
fn key_of(key: Key) -> JsValue {
    match key {
        Key::Manifest => JsValue::from_str(MANIFEST_KEY),
        Key::Chunk(ChunkNumber(number)) | Key::Page(number) => JsValue::from_f64(number as f64),
    }
}

fn bytes_of(request: &IdbRequest) -> Option<Vec<u8>> {
    Some(request.result().ok()?.dyn_into::<Uint8Array>().ok()?.to_vec())
}

fn epoch_of(request: &IdbRequest) -> Option<Epoch> {
    minicbor::decode(&bytes_of(request)?).ok()
}

fn numbers_of(request: &IdbRequest) -> Vec<ChunkNumber> {
    let keys = request.result().ok().and_then(|keys| keys.dyn_into::<Array>().ok());
    let numbers = keys.iter().flat_map(|keys| keys.iter()).filter_map(|key| key.as_f64());
    numbers.map(|number| ChunkNumber(number as u64)).collect()
}
