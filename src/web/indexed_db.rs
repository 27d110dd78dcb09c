//! Storage in IndexedDB: one database for one bus and user, with the fence and the manifest in
//! `meta`, and one record for each chunk and page. The transaction that writes is fenced, so a
//! node that was replaced while it slept can't write.
//!
//! A connection may break under us at any time (WebKit drops it after a suspend, a user clears the
//! site's data). What was running is then tried once more on a new connection; a commit that did
//! go through is recognized by its own claim or changes nothing when it is repeated.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::JsCast;
use web_sys::{DomException, Event, IdbDatabase, IdbFactory, IdbOpenDbRequest, IdbRequest};

use crate::id::OpId;
use crate::sorted::Map;
use crate::store::{StorageAction, StorageFault, StorageResult};
use crate::web::listener::Listener;
use crate::web::runtime;
use crate::web::transaction::{Fencing, STORES, Transaction};

/// Changes only with the layout of the stores; the log has a format number of its own.
const VERSION: u32 = 1;

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
    Stored { op: OpId, result: StorageResult },
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
    /// Actions not begun, in order.
    waiting: VecDeque<Operation>,
    running: Map<OpId, (Operation, Transaction)>,
    done: Vec<Done>,
}

enum Connection {
    None,
    Opening { request: IdbOpenDbRequest, _listeners: [Listener; 2] },
    Open { database: IdbDatabase, fence_read: bool, _listener: Listener },
}

struct Operation {
    op: OpId,
    action: Rc<StorageAction>,
    /// It was begun before, on a connection that broke.
    again: bool,
}

impl Operation {
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
            waiting: VecDeque::new(),
            running: Map::new(),
            done: Vec::new(),
        };
        database.open();
        database
    }

    pub fn perform(&mut self, op: OpId, action: StorageAction) {
        self.waiting.push_back(Operation { op, action: Rc::new(action), again: false });
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
            Arrival::Closed => self.lose_connection(),
            Arrival::Completed(op) => {
                if let Some((_, transaction)) = self.running.remove(&op) {
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
        let Ok(database) = request.result() else { return };
        let database: IdbDatabase = database.unchecked_into();
        let arrive = self.arrive.clone();
        let closing = database.clone();
        let listener = Listener::new(&database, &["close", "versionchange"], move |_: Event| {
            // A deletion waits for every connection; ours must not be what it waits for.
            closing.close();
            arrive(Arrival::Closed);
        });
        self.connection = Connection::Open { database, fence_read: false, _listener: listener };
        if !core::mem::replace(&mut self.reported, true) {
            self.done.push(Done::Opened);
        }
        self.advance();
    }

    fn open_failed(&mut self, fault: OpenFault) {
        self.connection = Connection::None;
        if !core::mem::replace(&mut self.reported, true) {
            self.done.push(Done::OpenFailed(fault));
        }
        for Operation { op, .. } in self.waiting.drain(..) {
            self.done.push(Done::Stored { op, result: Err(StorageFault::Lost) });
        }
    }

    /// Begins what may begin: reads at once, commits one at a time, so that none is stored without
    /// those before it.
    fn advance(&mut self) {
        while let Some(operation) = self.waiting.front() {
            let Connection::Open { database, fence_read, .. } = &mut self.connection else {
                return self.open_if_closed();
            };
            if operation.is_commit() && self.running.values().any(|(o, _)| o.is_commit()) {
                return;
            }
            let fencing = match (operation.again, *fence_read) {
                (true, _) => Fencing::ReadAgain,
                (false, false) => Fencing::Read,
                (false, true) => Fencing::ByKey,
            };
            *fence_read |= operation.is_commit();
            let Operation { op, action, .. } = operation;
            match Transaction::begin(database, *op, action, fencing, &self.arrive) {
                Ok(transaction) => {
                    let Some(operation) = self.waiting.pop_front() else { return };
                    self.running.insert(operation.op, (operation, transaction));
                }
                Err(_) => self.lose_connection(),
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
        if final_fault || operation.again {
            return self.fail(&operation, fault);
        }
        self.running.insert(op, (operation, transaction));
        self.lose_connection();
    }

    /// What was running begins anew on a new connection; what had its second try has failed.
    fn lose_connection(&mut self) {
        if let Connection::Open { database, .. } = &self.connection {
            database.close();
        }
        self.connection = Connection::None;
        let running = core::mem::take(&mut self.running);
        for (operation, _) in running.into_iter().map(|(_, value)| value).rev() {
            self.waiting.push_front(operation);
        }
        let (failed, waiting): (VecDeque<_>, VecDeque<_>) =
            core::mem::take(&mut self.waiting).into_iter().partition(|operation| operation.again);
        self.waiting = waiting;
        for operation in failed {
            self.fail(&operation, StorageFault::Lost);
        }
        for operation in &mut self.waiting {
            operation.again = true;
        }
        if !self.waiting.is_empty() {
            self.open_if_closed();
        }
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
