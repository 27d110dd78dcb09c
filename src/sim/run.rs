//! Runs of the simulator and what they report.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::rules::Rules;
use crate::sim::check::{Violation, violated};
use crate::sim::damage;
use crate::sim::dice::Dice;
use crate::sim::fault::{Fault, FaultCounts};
use crate::sim::world::World;

/// Over all seeds of a whole run every kind of fault occurs at least this often.
pub const FAULT_KIND_MIN: u64 = 50;
/// Seeds of a whole run, and the most that a switched-off rule may survive.
pub const SEEDS: u64 = 200;

/// What one seed did.
#[derive(Clone, Debug)]
pub struct SeedReport {
    pub seed: u64,
    pub violation: Option<Violation>,
    pub hash: u64,
    pub totals: Totals,
    /// Everything that happened, if it was asked for.
    pub trace: Vec<String>,
}

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Sums over seeds.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct Totals {
            pub faults: FaultCounts,
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Totals {
            pub const ZERO: Self = Self { faults: FaultCounts::ZERO, $($name: 0,)+ };

            pub fn add_all(&mut self, other: &Self) {
                self.faults.add_all(&other.faults);
                $(self.$name += other.$name;)+
            }

            /// Each sum with its name.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into()
            }
        }
    };
}

totals! {
    /// Inputs of clients and nodes, and verbs.
    inputs,
    node_deaths,
    nodes_served,
    checkpoints,
    /// Messages that were written again at the end of the log.
    moves,
    chunks_deleted,
    /// How often a node found its storage full, and had room again.
    filled_up,
    had_room,
    /// Messages whose send was confirmed; each is followed to the end.
    confirmed,
    /// Items that repeated a message and were not stored.
    duplicates,
    /// Deliveries that were second or later attempts.
    redelivered,
    stale_settlements,
    /// Messages that a stage of a chain made another of.
    given_on,
    /// Times at which a schedule was due and fired.
    fired,
    /// Values of topics that schedules sent.
    sampled,
    /// Prepared messages that were decided about, and questions about them.
    decided,
    questions,
    /// Advisories that were heard.
    advisories,
    /// Dead letters that were moved back.
    redriven,
    /// Messages that full queues pushed in a circle.
    circles,
    /// Messages that outlived their time.
    expired,
    /// Deliveries of queues with a rate.
    rated,
    /// Counts that were told to those who watch.
    watched,
    /// Requests and calls that were settled.
    settled,
    calls_ended,
    live_delivered,
    gaps_reported,
    leaders_changed,
    /// Producers that were told what became of a message.
    results_told,
    /// Frames that were compared with the disk as they left.
    frames_compared,
}

/// Runs one seed.
#[must_use]
pub fn run_seed(seed: u64, rules: Rules, verbose: bool) -> SeedReport {
    let mut world = World::new(seed, rules, verbose);
    let result = world.run().and_then(|()| epilogue(&mut world, seed, rules));
    let count = |n: usize| n as u64;
    let checkers = &world.checkers;
    let totals = Totals {
        faults: world.faults.clone(),
        inputs: world.inputs,
        node_deaths: world.node_deaths,
        checkpoints: world.checkpoints,
        moves: world.moves,
        chunks_deleted: world.chunks_deleted,
        filled_up: world.filled_up,
        had_room: world.had_room,
        nodes_served: count(checkers.epochs.served()),
        confirmed: count(checkers.sends.confirmed()),
        duplicates: count(checkers.sends.duplicates()),
        redelivered: count(checkers.leases.redelivered()),
        stale_settlements: count(checkers.leases.stale()),
        given_on: count(checkers.chain.given_on()),
        fired: world.model.fired_total,
        sampled: count(checkers.sampling.sent()),
        decided: count(checkers.prepared.decided()),
        questions: count(checkers.prepared.questions()),
        advisories: count(checkers.advisories.told()),
        redriven: count(checkers.redrives.moved()),
        circles: count(checkers.redrives.circles()),
        expired: count(checkers.expiry.expired()),
        rated: count(checkers.flow.judged()),
        watched: count(checkers.watches.told()),
        settled: count(checkers.requests.settled()),
        calls_ended: count(checkers.calls.ended()),
        live_delivered: count(checkers.live.delivered()),
        gaps_reported: count(checkers.live.gaps()),
        results_told: count(checkers.results.told()),
        leaders_changed: count(checkers.roles.changes()),
        frames_compared: count(checkers.stored.frames()),
    };
    let hash = world.hash();
    SeedReport { seed, violation: result.err(), hash, totals, trace: world.take_trace() }
}

fn epilogue(world: &mut World, seed: u64, rules: Rules) -> Result<(), Violation> {
    let limits = world.plan.limits.clone();
    damage::recovers(world.disk.store(), &world.model, &limits, rules)?;
    let mut dice = Dice::new(seed, 9);
    damage::is_refused(world.disk.store(), &limits, rules, &mut dice, &mut world.faults)
}

/// Runs one seed twice and compares: the same seed has to give the same outputs.
#[must_use]
pub fn run_seed_twice(seed: u64, rules: Rules) -> SeedReport {
    let mut first = run_seed(seed, rules, false);
    let second = run_seed(seed, rules, false);
    if first.violation.is_none() && first.hash != second.hash {
        let what = format!("hashes {:016x} and {:016x}", first.hash, second.hash);
        first.violation = violated::<()>("same-seed-same-output", what).err();
    }
    first
}

/// Kinds of faults that a whole run met too rarely.
#[must_use]
pub fn rare_faults(totals: &Totals) -> Vec<(Fault, u64)> {
    let counted = Fault::ALL.iter().map(|fault| (*fault, totals.faults.of(*fault)));
    counted.filter(|(_, count)| *count < FAULT_KIND_MIN).collect()
}
