//! What one run is like: how many tabs, which bounds, which faults and how often. Each seed leaves
//! out a part of the faults, so that the others meet states they would otherwise never meet.

use alloc::vec::Vec;

use crate::limits::Limits;
use crate::options::HostKind;
use crate::sim::damage::DamagePlan;
use crate::sim::dice::{Dice, Ratio};
use crate::sim::disk::DiskPlan;
use crate::sim::fault::Fault;
use crate::sim::ids::IDS_MIN;
use crate::sim::network::NetworkPlan;
use crate::sim::prepared::{AGE_MS_MAX, CHECK_AFTER_MS, CHECKS_MAX};
use crate::sim::schedule::{MILLI, Micros, SECOND};

/// What a run has to reach before its faults stop.
pub const INPUTS_MIN: u64 = 2000;
pub const NODE_DEATHS_MIN: u64 = 2;
pub const FAULTS_MIN: u64 = 20;
pub const FAULTY_TIME_MIN: Micros = 30 * SECOND;
/// A run that has not reached it by then is a failure.
pub const FAULTY_TIME_MAX: Micros = 600 * SECOND;
/// Time without faults in which all that is open has to end.
pub const QUIET_TIME: Micros = 60 * SECOND;
/// Time after that in which users do nothing more. What was asked for last is answered in it.
pub const LAST_ANSWERS_TIME: Micros = SECOND;

/// A session without a link is kept for at least so long.
pub const PARK_MS_MIN: u64 = 6000;

/// Faults that come at a time rather than to a message or write.
pub const TIMED: &[(Fault, u32)] = &[
    (Fault::LinkCut, 3),
    (Fault::Partitioned, 2),
    (Fault::DiskFull, 2),
    (Fault::TailLost, 2),
    (Fault::ClientDied, 2),
    (Fault::ClientReloaded, 3),
    (Fault::ClientFrozen, 3),
    (Fault::ClientParked, 2),
    (Fault::NodeDied, 3),
    (Fault::NodeDiedMidway, 4),
    (Fault::NodeFrozen, 2),
    (Fault::LockStolen, 2),
    (Fault::WallJumpedAhead, 1),
    (Fault::WallJumpedBack, 1),
    (Fault::PageHidden, 3),
    (Fault::PageDiscarded, 1),
    (Fault::PageEvicted, 1),
];

/// Which realms of a page stand in line for the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hosts {
    /// The pages alone.
    Pages,
    /// A worker of each page, and the pages behind it. It stands still with its page.
    OwnWorkers,
    /// One worker for all, and the pages behind it. It goes on while the page that started it
    /// stands still, and dies with it.
    SharedWorker,
}

impl Hosts {
    /// Where a node runs.
    #[must_use]
    pub const fn kind_of(self, in_worker: bool) -> HostKind {
        match self {
            Self::OwnWorkers if in_worker => HostKind::Worker,
            Self::SharedWorker if in_worker => HostKind::SharedWorker,
            _ => HostKind::Tab,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub tabs: usize,
    pub limits: Limits,
    pub network: NetworkPlan,
    pub disk: DiskPlan,
    /// How many of the tabs reach the node through a socket.
    pub sockets: usize,
    /// Kinds of timed faults and their weights.
    pub timed: Vec<(Fault, u32)>,
    /// The weight of no fault at all, beside those.
    pub uneventful: u32,
    pub fault_every_max: Micros,
    pub work_every_max: Micros,
    pub hosts: Hosts,
    /// How often a node dies of a write that rewrites the log.
    pub died_rewriting: Ratio,
    pub damage: DamagePlan,
}

impl Plan {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let tabs = usize::try_from(dice.between(3, 6)).unwrap_or(3);
        let mut timed: Vec<(Fault, u32)> =
            TIMED.iter().copied().filter(|_| !dice.chance(Ratio::one_in(4))).collect();
        if !timed.iter().any(|(fault, _)| *fault == Fault::NodeDied) {
            timed.push((Fault::NodeDied, 2));
        }
        Self {
            tabs,
            limits: limits(&mut dice),
            network: network(&mut dice),
            disk: disk(&mut dice),
            sockets: dice.index(tabs),
            timed,
            uneventful: 0,
            fault_every_max: dice.between(500, 2500) * MILLI,
            work_every_max: dice.between(20, 200) * MILLI,
            hosts: *dice.choose(&[Hosts::Pages, Hosts::OwnWorkers, Hosts::SharedWorker]),
            died_rewriting: *dice.choose(&[Ratio::NEVER, Ratio::one_in(20), Ratio::one_in(4)]),
            damage: DamagePlan { chunk_missing: true, bit_flipped: true },
        }
    }
}

/// Small bounds, so that they are met.
fn limits(dice: &mut Dice) -> Limits {
    Limits {
        fragment_bytes_max: *dice.choose(&[256, 1024, 64 << 10]),
        body_bytes_max: 16 << 10,
        chunk_bytes_max: *dice.choose(&[256, 2048, 16 << 10]),
        resident_bytes_max: *dice.choose(&[16 << 10, 1 << 20]),
        checkpoint_bytes_min: *dice.choose(&[4 << 10, 32 << 10]),
        page_bytes_max: *dice.choose(&[512, 8 << 10]),
        log_reserve_bytes: *dice.choose(&[0, 4 << 10, 32 << 10]),
        repair_bytes_max: *dice.choose(&[1 << 10, 64 << 10]),
        gap_messages_max: *dice.choose(&[5, 100]),
        dedupe_ids_max: *dice.choose(&[IDS_MIN, 20_000]),
        prepared_check_after_ms: CHECK_AFTER_MS,
        prepared_checks_max: CHECKS_MAX,
        prepared_age_ms_max: AGE_MS_MAX,
        replies_max: *dice.choose(&[300, 40_000]),
        calls_max: *dice.choose(&[20, 100_000]),
        publishers_max: *dice.choose(&[24, 10_000]),
        lane_keep_ms: *dice.choose(&[20_000, 120_000]),
        settle_ms: *dice.choose(&[500, 2000]),
        node_silence_ms: *dice.choose(&[500, 1500]),
        pause_ms_max: *dice.choose(&[300, 2000]),
        park_ms: *dice.choose(&[PARK_MS_MIN, 60_000]),
        ..Limits::DEFAULTS
    }
}

fn network(dice: &mut Dice) -> NetworkPlan {
    NetworkPlan {
        latency_max: *dice.choose(&[200, 2 * MILLI, 20 * MILLI]),
        dropped: *dice.choose(&[Ratio::NEVER, Ratio::one_in(500), Ratio::one_in(100)]),
        duplicated: *dice.choose(&[Ratio::NEVER, Ratio::one_in(500), Ratio::one_in(100)]),
        broadcast_lost: *dice.choose(&[Ratio::NEVER, Ratio::one_in(50), Ratio::one_in(10)]),
        delayed: *dice.choose(&[Ratio::NEVER, Ratio::one_in(200), Ratio::one_in(50)]),
        delay_max: *dice.choose(&[50 * MILLI, 1500 * MILLI]),
    }
}

fn disk(dice: &mut Dice) -> DiskPlan {
    DiskPlan {
        latency_max: *dice.choose(&[200, 2 * MILLI, 20 * MILLI]),
        slow: *dice.choose(&[Ratio::NEVER, Ratio::one_in(200), Ratio::one_in(50)]),
        aborted: *dice.choose(&[Ratio::NEVER, Ratio::one_in(200), Ratio::one_in(50)]),
        lost: *dice.choose(&[Ratio::NEVER, Ratio::one_in(1000), Ratio::one_in(300)]),
        tears: dice.chance(Ratio::one_in(2)),
    }
}
