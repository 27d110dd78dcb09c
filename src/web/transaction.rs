//! One storage action as one IndexedDB transaction.
//!
//! A commit is fenced without a read that this page would have to answer: a page that is stopped
//! or busy between the two would keep the stores locked, and its successor with them. Each claim
//! leaves a record under the key of the epoch it ends, for good, and each commit adds a record
//! under the key of its own epoch and deletes it again. So the commit of an ended epoch fails, and
//! all of a commit is handed to the browser at once; in Gecko, which commits in part what it is
//! told to commit, the page has to hear that each request went well.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{Event, IdbDatabase, IdbKeyRange, IdbObjectStore, IdbRequest, IdbTransaction};

use crate::cbor;
use crate::id::{ChunkNumber, Epoch, OpId};
use crate::store::{Key, StorageAction, StorageFault, Stored, Sync};
use crate::web::indexed_db::Arrival;
use crate::web::listener::Listener;
use crate::web::names::to_hex;
use crate::web::runtime;

const META: &str = "meta";
const CHUNKS: &str = "chunks";
const PAGES: &str = "pages";
const ENDED: &str = "ended";
pub const STORES: [&str; 4] = [META, CHUNKS, PAGES, ENDED];

/// Ended epochs that are kept. A node that slept through more of them reads the fence before it
/// writes again, as after any pause.
const ENDED_MAX: u64 = 1000;

const FENCE_KEY: &str = "fence";
const MANIFEST_KEY: &str = "manifest";
const NOTE_KEY: &str = "note";

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
    Fence { fence: IdbRequest, newest: Option<IdbRequest> },
}

impl Transaction {
    /// # Errors
    /// If the connection takes no transaction any more.
    pub fn begin(
        database: &IdbDatabase,
        op: OpId,
        action: &Rc<StorageAction>,
        fencing: Fencing,
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
            StorageAction::ReadFence => Answer::Fence {
                fence: get(&transaction, META, &FENCE_KEY.into())?,
                newest: look_for(&transaction, fencing)?,
            },
            StorageAction::Commit { .. } => {
                let writes = Writes { transaction: transaction.clone(), action: action.clone() };
                if fencing == Fencing::ByKey {
                    writes.write();
                } else {
                    // Before the fence, so that both are there when that is.
                    let newest = look_for(&transaction, fencing)?;
                    let fence = get(&transaction, META, &FENCE_KEY.into())?;
                    let again = matches!(fencing, Fencing::ReadAgain { .. });
                    let commit = Commit { writes, fence, newest, again, fenced: fenced.clone() };
                    let fence = commit.fence.clone();
                    let read = move |_: Event| commit.write();
                    listeners.push(Listener::new(&fence, &["success"], read));
                }
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
            Answer::Fence { fence, newest } => {
                Stored::Fence(epoch_of(&fence).filter(|_| !is_missing(newest.as_ref())))
            }
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
            // Nothing else is added: this epoch has ended.
            Some("ConstraintError") => StorageFault::Fenced,
            Some("AbortError") | None => StorageFault::Aborted,
            Some(_) => StorageFault::Lost,
        }
    }
}

/// How a commit is kept from writing once another epoch has begun. `newest` is a chunk that has to
/// be there, or the stores are not those that were left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fencing {
    /// By the key of its epoch alone.
    ByKey,
    /// The fence is read first, because the stores may not be those of the last commit: the
    /// connection is new.
    Read { newest: Option<ChunkNumber> },
    /// The fence is read first, and this commit was begun before, on a connection that broke.
    ReadAgain { newest: Option<ChunkNumber> },
}

/// A commit whose fence is being read. It runs inside its own transaction and touches nothing
/// else, because a transaction takes requests only while one of its own answers.
struct Commit {
    writes: Writes,
    fence: IdbRequest,
    newest: Option<IdbRequest>,
    again: bool,
    fenced: Rc<Cell<bool>>,
}

impl Commit {
    fn write(&self) {
        let StorageAction::Commit { expect, claim, .. } = &*self.writes.action else { return };
        let stored = epoch_of(&self.fence);
        if self.again && claim.is_some() && stored == *claim {
            // The first try did go through: nobody else makes this incarnation.
            return;
        }
        let fenced = stored != *expect || is_missing(self.newest.as_ref());
        self.fenced.set(fenced);
        if fenced {
            self.writes.abort();
        } else {
            self.writes.write();
        }
    }
}

/// What a commit writes, all in one turn.
struct Writes {
    transaction: IdbTransaction,
    action: Rc<StorageAction>,
}

impl Writes {
    fn write(&self) {
        if self.request_all().is_err() {
            self.abort();
        }
    }

    fn abort(&self) {
        // Fails only if the transaction is over already.
        let _ = self.transaction.abort();
    }

    fn request_all(&self) -> Result<(), JsValue> {
        let StorageAction::Commit { expect, claim, puts, deletes, .. } = &*self.action else {
            return Ok(());
        };
        if let Some(epoch) = expect {
            self.fence(*epoch, claim.is_some())?;
        }
        if let Some(epoch) = claim {
            let mut bytes = Vec::new();
            cbor::encode(epoch, &mut bytes);
            let meta = self.transaction.object_store(META)?;
            meta.put_with_key(&Uint8Array::from(&bytes[..]), &FENCE_KEY.into())?;
        }
        for (key, bytes) in puts {
            self.store(*key)?.put_with_key(&Uint8Array::from(&bytes[..]), &key_of(*key))?;
        }
        for key in deletes {
            self.store(*key)?.delete(&key_of(*key))?;
        }
        // Gecko commits what is left when it was told to and a request failed, unless that was the
        // last one: then neither would the commit be all or nothing, nor an ended epoch kept out.
        if runtime::is_gecko() {
            return Ok(());
        }
        // Without it the browser waits a turn for more requests.
        self.transaction.unchecked_ref::<OpenTransaction>().commit()
    }

    /// Fails the transaction if this epoch has ended, and ends it if `last`.
    fn fence(&self, epoch: Epoch, last: bool) -> Result<(), JsValue> {
        let ended = self.transaction.object_store(ENDED)?;
        let key = key_of_epoch(epoch);
        ended.add_with_key(&JsValue::TRUE, &key)?;
        if last {
            let oldest = Array::of1(&(epoch.counter.saturating_sub(ENDED_MAX) as f64).into());
            ended.delete(IdbKeyRange::upper_bound(&oldest)?.as_ref())?;
        } else {
            ended.delete(&key)?;
        }
        Ok(())
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

/// Asks whether the chunk is there that has to be.
fn look_for(transaction: &IdbTransaction, fencing: Fencing) -> Result<Option<IdbRequest>, JsValue> {
    let (Fencing::Read { newest } | Fencing::ReadAgain { newest }) = fencing else {
        return Ok(None);
    };
    let Some(number) = newest else { return Ok(None) };
    transaction.object_store(CHUNKS)?.get_key(&key_of(Key::Chunk(number))).map(Some)
}

fn is_missing(newest: Option<&IdbRequest>) -> bool {
    newest.is_some_and(|asked| !asked.result().is_ok_and(|key| key.as_f64().is_some()))
}

fn store_of(key: Key) -> &'static str {
    match key {
        Key::Manifest | Key::Note => META,
        Key::Chunk(_) => CHUNKS,
        Key::Page(_) => PAGES,
    }
}

/// Numbers of chunks and pages stay below 2^53 for longer than any disk lives.
fn key_of(key: Key) -> JsValue {
    match key {
        Key::Manifest => JsValue::from_str(MANIFEST_KEY),
        Key::Note => JsValue::from_str(NOTE_KEY),
        Key::Chunk(ChunkNumber(number)) | Key::Page(number) => JsValue::from_f64(number as f64),
    }
}

/// Ordered by the counter; the incarnation tells apart what a rollback let begin twice.
fn key_of_epoch(epoch: Epoch) -> JsValue {
    let incarnation = to_hex(&epoch.incarnation.to_be_bytes());
    Array::of2(&(epoch.counter as f64).into(), &incarnation.into()).into()
}

fn bytes_of(request: &IdbRequest) -> Option<Vec<u8>> {
    Some(request.result().ok()?.dyn_into::<Uint8Array>().ok()?.to_vec())
}

fn epoch_of(request: &IdbRequest) -> Option<Epoch> {
    cbor::decode(&bytes_of(request)?).ok()
}

fn numbers_of(request: &IdbRequest) -> Vec<ChunkNumber> {
    let keys = request.result().ok().and_then(|keys| keys.dyn_into::<Array>().ok());
    let numbers = keys.iter().flat_map(|keys| keys.iter()).filter_map(|key| key.as_f64());
    numbers.map(|number| ChunkNumber(number as u64)).collect()
}
