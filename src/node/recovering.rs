//! A node that recovers its log.

use alloc::vec::Vec;

use crate::broker::{State, Volatile};
use crate::id::{ClientId, Epoch, LogId, OpId};
use crate::log::{LogConfig, NewIdentity, Place, Record, Recovery, RecoveryFault};
use crate::node::NodeConfig;
use crate::options::Durability;
use crate::rng::Rng;
use crate::store::StorageResult;

#[derive(Debug)]
pub(super) struct Recovering {
    pub recovery: Recovery,
    pub state: State,
    pub storage_full: bool,
    pub volatile: Volatile,
    pub present: Option<Vec<ClientId>>,
}

impl Recovering {
    /// Feeds the log's recovery; true once the whole log was replayed.
    pub fn handle_stored(
        &mut self,
        op: OpId,
        result: StorageResult,
    ) -> Result<bool, RecoveryFault> {
        let Self { recovery, state, .. } = self;
        recovery.handle_stored(op, result, &mut |place: Place, record: &Record<'_>| {
            let _ = state.apply(place, record);
        })
    }

    pub fn new(config: &NodeConfig, rng: &mut Rng) -> Self {
        let (log, identity) = (log_config(config), identity(rng));
        let recovery = match config.sleeps() {
            Some(_) => Recovery::awake(log, identity, config.heard),
            None => Recovery::new(log, identity, config.heard),
        };
        let state = State::new(&config.limits);
        Self { recovery, state, storage_full: false, volatile: Volatile::default(), present: None }
    }

    /// Recovers what a node has that just found its storage full.
    pub fn again(config: &NodeConfig, rng: &mut Rng, own: Epoch, volatile: Volatile) -> Self {
        let recovery = Recovery::reopen(log_config(config), identity(rng), own);
        let state = State::new(&config.limits);
        Self { recovery, state, storage_full: true, volatile, present: None }
    }
}

fn log_config(config: &NodeConfig) -> LogConfig {
    let log = LogConfig::new(&config.limits, config.rules);
    // Memory that is kept for when there is none would only be missing before.
    let stored = config.storage.durability_max > Durability::Memory;
    let reserve_bytes = if stored { log.reserve_bytes } else { 0 };
    LogConfig { reserve_bytes, tears: config.tears, ..log }
}

fn identity(rng: &mut Rng) -> NewIdentity {
    NewIdentity { log: LogId(rng.bytes16()), incarnation: rng.next_u64() }
}
