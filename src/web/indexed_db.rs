//! Storage in IndexedDB: one database for one bus and user, with the fence and the manifest in
//! `meta`, and one record for each chunk and page. The transaction that writes is fenced, so a
//! node that was replaced while it slept can't write.
//!
//! A connection may break under us at any time (WebKit drops it after a suspend, a user clears the
//! site's data). What has no answer is then performed on a new connection, from memory: a commit
//! that did go through is recognized by its own claim or changes nothing when it is repeated. The
//! stores behind a new connection need not be those that were left: they may have been deleted, or
//! have lost their end. So the first commit, and every look at the fence before it, also looks for
//! the chunk that was stored last; without it the epoch counts as ended, and its successor
//! recovers what is there.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::JsCast;
use web_sys::{DomException, Event, IdbDatabase, IdbFactory, IdbOpenDbRequest, IdbRequest};

use crate::id::{ChunkNumber, Epoch, OpId};
use crate::sorted::Map;
use crate::store::{Key, StorageAction, StorageFault, StorageResult};
use crate::web::listener::Listener;
use crate::web::runtime;
use crate::web::transaction::{Fencing, STORES, Transaction};

/// Changes only with the layout of the stores; the log has a format number of its own.
const VERSION: u32 = 1;

/// So often an action is begun, and a connection that broke is opened anew, before that counts as
/// the loss of the storage.
const TRIES_MAX: u8 = 3;

/// What the browser told. The owner of the database hands it back to `Database::handle`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    Opened,
    OpenFailed,
    /// Another connection keeps the database from being opened, until it closes.
    Blocked,
    /// The connection is gone, or has to make way for a deletion.
    Closed,
    Completed(OpId),
    Aborted(OpId),
}

/// What the owner of the database must know.
#[derive(Debug)]
pub enum Done {
    Opened,
    OpenFailed(OpenFault),
    Blocked,
    /// The connection was lost and there will be another: somebody may have changed the stores.
    Lost,
    Stored {
        op: OpId,
        result: StorageResult,
    },
}

/// Why there is no database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenFault {
    /// This context may not have one.
    Refused,
    /// A newer version of this software has changed it.
    Newer,
    Failed,
}

pub struct Database {
    name: String,
    arrive: Rc<dyn Fn(Arrival)>,
    connection: Connection,
    /// Told once whether the first opening worked.
    reported: bool,
    /// How often the connection that broke was opened anew in vain.
    reopenings: u8,
    /// The newest chunk that was stored and not deleted.
    newest: Option<ChunkNumber>,
    /// Actions not begun, in order.
    waiting: VecDeque<Operation>,
    running: Map<OpId, (Operation, Transaction)>,
    done: Vec<Done>,
}

enum Connection {
    None,
    Opening {
        request: IdbOpenDbRequest,
        _listeners: [Listener; 2],
    },
    Open {
        database: IdbDatabase,
        /// The fence as this connection left it; only another claim changes it.
        held: Option<Epoch>,
        _listener: Listener,
    },
}

struct Operation {
    op: OpId,
    action: Rc<StorageAction>,
    /// How often it was begun, on connections that broke.
    tries: u8,
}

impl Operation {
    fn is_again(&self) -> bool {
        self.tries > 0
    }

    fn expects(&self) -> Option<Epoch> {
        match *self.action {
            StorageAction::Commit { expect, .. } => expect,
            _ => None,
        }
    }

    fn is_commit(&self) -> bool {
        matches!(*self.action, StorageAction::Commit { .. })
    }
}

impl Database {
    /// Starts to open the database. `arrive` is called by the browser and must do no more than
    /// keep the arrival for later.
    pub fn new(name: &str, arrive: impl Fn(Arrival) + 'static) -> Self {
        let mut database = Self {
            name: name.into(),
            arrive: Rc::new(arrive),
            connection: Connection::None,
            reported: false,
            reopenings: 0,
            newest: None,
            waiting: VecDeque::new(),
            running: Map::new(),
            done: Vec::new(),
        };
        database.open();
        database
    }

    pub fn perform(&mut self, op: OpId, action: StorageAction) {
        self.waiting.push_back(Operation { op, action: Rc::new(action), tries: 0 });
        self.advance();
    }

    pub fn handle(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Opened => self.opened(),
            Arrival::OpenFailed => {
                let fault = match &self.connection {
                    Connection::Opening { request, .. } => open_fault(request),
                    Connection::None | Connection::Open { .. } => return,
                };
                self.open_failed(fault);
            }
            Arrival::Blocked => self.done.push(Done::Blocked),
            Arrival::Closed => {
                self.done.push(Done::Lost);
                self.lose_connection();
            }
            Arrival::Completed(op) => {
                if let Some((operation, transaction)) = self.running.remove(&op) {
                    self.remember(&operation.action);
                    self.done.push(Done::Stored { op, result: Ok(transaction.finish()) });
                }
                self.advance();
            }
            Arrival::Aborted(op) => self.aborted(op),
        }
    }

    /// What happened, oldest first.
    pub fn take_done(&mut self) -> Vec<Done> {
        core::mem::take(&mut self.done)
    }

    fn open(&mut self) {
        let Some(factory) = runtime::global("indexedDB") else {
            return self.open_failed(OpenFault::Refused);
        };
        let factory: IdbFactory = factory.unchecked_into();
        let Ok(request) = factory.open_with_u32(&self.name, VERSION) else {
            return self.open_failed(OpenFault::Refused);
        };
        let arrive = self.arrive.clone();
        let opening = request.clone();
        let upgrade = Listener::new(&request, &["upgradeneeded"], move |_: Event| {
            create_stores(&opening);
        });
        let end = Listener::new(&request, &["success", "error", "blocked"], move |event: Event| {
            arrive(match event.type_().as_str() {
                "success" => Arrival::Opened,
                "blocked" => Arrival::Blocked,
                _ => Arrival::OpenFailed,
            });
        });
        self.connection = Connection::Opening { request, _listeners: [upgrade, end] };
    }

    fn opened(&mut self) {
        let Connection::Opening { request, .. } = &self.connection else { return };
        self.reopenings = 0;
        let Ok(database) = request.result() else { return };
        let database: IdbDatabase = database.unchecked_into();
        let arrive = self.arrive.clone();
        let closing = database.clone();
        let listener = Listener::new(&database, &["close", "versionchange"], move |_: Event| {
            // A deletion waits for every connection; ours must not be what it waits for.
            closing.close();
            arrive(Arrival::Closed);
        });
        self.connection = Connection::Open { database, held: None, _listener: listener };
        if !core::mem::replace(&mut self.reported, true) {
            self.done.push(Done::Opened);
        }
        self.advance();
    }

    fn open_failed(&mut self, fault: OpenFault) {
        self.connection = Connection::None;
        if !core::mem::replace(&mut self.reported, true) {
            self.done.push(Done::OpenFailed(fault));
        } else if fault == OpenFault::Failed && self.reopenings < TRIES_MAX {
            self.reopenings += 1;
            return self.open();
        }
        for Operation { op, .. } in self.waiting.drain(..) {
            self.done.push(Done::Stored { op, result: Err(StorageFault::Lost) });
        }
    }

    /// Begins what may begin: reads at once, commits one at a time, so that none is stored without
    /// those before it.
    fn advance(&mut self) {
        while let Some(operation) = self.waiting.front() {
            let Connection::Open { database, held, .. } = &self.connection else {
                return self.open_if_closed();
            };
            if operation.is_commit() && self.running.values().any(|(o, _)| o.is_commit()) {
                return;
            }
            // A commit that is running, or may have been done before, may delete it.
            let running = self.running.values().any(|(o, _)| o.is_commit());
            let newest = self
                .newest
                .filter(|chunk| held.is_none() && !running && !deletes(&operation.action, *chunk));
            let holds = held.is_some() && *held == operation.expects();
            let fencing = match (operation.is_again(), holds) {
                (true, _) => Fencing::ReadAgain { newest },
                (false, false) => Fencing::Read { newest },
                (false, true) => Fencing::ByKey,
            };
            let begun = Transaction::begin(
                database,
                operation.op,
                &operation.action,
                fencing,
                &self.arrive,
            );
            let Some(mut operation) = self.waiting.pop_front() else { return };
            match begun {
                Ok(transaction) => {
                    self.running.insert(operation.op, (operation, transaction));
                }
                Err(_) => {
                    operation.tries += 1;
                    self.waiting.push_front(operation);
                    self.lose_connection();
                }
            }
        }
    }

    fn open_if_closed(&mut self) {
        if matches!(self.connection, Connection::None) {
            self.open();
        }
    }

    fn aborted(&mut self, op: OpId) {
        let Some((operation, transaction)) = self.running.remove(&op) else { return };
        let fault = transaction.fault();
        let final_fault = matches!(fault, StorageFault::Fenced | StorageFault::Quota);
        if final_fault || operation.tries + 1 >= TRIES_MAX {
            return self.fail(&operation, fault);
        }
        self.running.insert(op, (operation, transaction));
        self.lose_connection();
    }

    /// What was running begins anew on a new connection; what had its last try has failed.
    fn lose_connection(&mut self) {
        if let Connection::Open { database, .. } = &self.connection {
            database.close();
        }
        self.connection = Connection::None;
        let running = core::mem::take(&mut self.running);
        for (mut operation, _) in running.into_iter().map(|(_, value)| value).rev() {
            operation.tries += 1;
            self.waiting.push_front(operation);
        }
        let (failed, waiting): (VecDeque<_>, VecDeque<_>) =
            core::mem::take(&mut self.waiting).into_iter().partition(|o| o.tries >= TRIES_MAX);
        self.waiting = waiting;
        for operation in failed {
            self.fail(&operation, StorageFault::Lost);
        }
        if !self.waiting.is_empty() {
            self.open_if_closed();
        }
    }

    fn remember(&mut self, action: &StorageAction) {
        let StorageAction::Commit { expect, claim, puts, .. } = action else { return };
        if let Connection::Open { held, .. } = &mut self.connection {
            *held = claim.or(*expect);
        }
        self.newest = self.newest.filter(|newest| !deletes(action, *newest));
        let chunks = puts.iter().filter_map(|(key, _)| match key {
            Key::Chunk(number) => Some(*number),
            Key::Manifest | Key::Page(_) | Key::Note => None,
        });
        self.newest = self.newest.max(chunks.max());
    }

    fn fail(&mut self, operation: &Operation, fault: StorageFault) {
        self.done.push(Done::Stored { op: operation.op, result: Err(fault) });
        if operation.is_commit() {
            // Those behind were made on top of it.
            let (behind, rest): (VecDeque<_>, VecDeque<_>) =
                core::mem::take(&mut self.waiting).into_iter().partition(Operation::is_commit);
            self.waiting = rest;
            for Operation { op, .. } in behind {
                self.done.push(Done::Stored { op, result: Err(StorageFault::Aborted) });
            }
        }
        self.advance();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Connection::Open { database, .. } = &self.connection {
            database.close();
        }
    }
}

fn deletes(action: &StorageAction, chunk: ChunkNumber) -> bool {
    matches!(action, StorageAction::Commit { deletes, .. } if deletes.contains(&Key::Chunk(chunk)))
}

fn create_stores(request: &IdbOpenDbRequest) {
    let Ok(database) = request.result() else { return };
    let database: IdbDatabase = database.unchecked_into();
    for store in STORES {
        // Fails only if the store exists, which it can't before version 1.
        let _ = database.create_object_store(store);
    }
}

fn open_fault(request: &IdbRequest) -> OpenFault {
    match error_name(request).as_deref() {
        Some("VersionError") => OpenFault::Newer,
        // Firefox answers with the second one in windows that may not store.
        Some("SecurityError" | "InvalidStateError") => OpenFault::Refused,
        _ => OpenFault::Failed,
    }
}

fn error_name(request: &IdbRequest) -> Option<String> {
    request.error().ok().flatten().map(|error: DomException| error.name())
}
