//! Runs of the simulator and what they report.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::marks::{self, Mark};
use crate::rules::Rules;
use crate::sim::change::Change;
use crate::sim::check::{Checkers, Violation, violated};
use crate::sim::cut::Cut;
use crate::sim::damage;
use crate::sim::dice::Dice;
use crate::sim::disk::Disk;
use crate::sim::fault::{Fault, FaultCounts};
use crate::sim::hub::HubWorld;
use crate::sim::model::Model;
use crate::sim::plan::Plan;
use crate::sim::world::World;

/// Over all seeds of a whole run every kind of fault occurs at least this often.
pub const FAULT_KIND_MIN: u64 = 50;
/// Seeds of a whole run, and the most that a switched-off rule may survive.
pub const SEEDS: u64 = 200;

/// Who looks at a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watch {
    /// Nobody: its outputs alone count.
    Outputs,
    Checkers,
    /// The checkers, and everything that happens is written down.
    Everything,
}

/// Where the node of a world is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Place {
    /// On the one device, whose tabs host it.
    #[default]
    Device,
    /// At a hub, which tabs of several devices reach by links.
    Hub,
}

impl Place {
    pub const ALL: [Self; 2] = [Self::Device, Self::Hub];

    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Hub => "hub",
        }
    }

    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.text() == text)
    }

    /// The option of the command line that asks for it.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Device => "",
            Self::Hub => " --world hub",
        }
    }
}

/// What a run is made from. The same gives the same.
#[derive(Clone, Debug)]
pub struct Run {
    pub seed: u64,
    pub place: Place,
    pub rules: Rules,
    pub watch: Watch,
    pub cut: Cut,
    pub change: Change,
}

impl Run {
    /// The whole run of a seed, with all rules on.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self {
            seed,
            place: Place::Device,
            rules: Rules::ON,
            watch: Watch::Checkers,
            cut: Cut::default(),
            change: Change::default(),
        }
    }
}

/// What one seed did.
#[derive(Clone, Debug)]
pub struct SeedReport {
    pub seed: u64,
    pub place: Place,
    pub violation: Option<Violation>,
    pub hash: u64,
    /// Until its end or its failure.
    pub steps: u64,
    pub tabs: usize,
    /// Virtual time from its begin to there.
    pub virtual_ms: u64,
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
            pub marks: marks::Counts,
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Totals {
            pub const ZERO: Self = Self {
                faults: FaultCounts::ZERO,
                marks: [0; Mark::ALL.len()],
                $($name: 0,)+
            };

            pub fn add_all(&mut self, other: &Self) {
                self.faults.add_all(&other.faults);
                for (sum, count) in self.marks.iter_mut().zip(other.marks) {
                    *sum += count;
                }
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

/// What one world did.
macro_rules! report_of {
    ($world:ident, $run:ident, $result:ident) => {{
        let totals = Totals {
            faults: $world.faults.clone(),
            marks: marks::take(),
            inputs: $world.inputs,
            node_deaths: $world.node_deaths,
            checkpoints: $world.checkpoints,
            moves: $world.moves,
            chunks_deleted: $world.chunks_deleted,
            filled_up: $world.filled_up,
            had_room: $world.had_room,
            swept: $world.swept,
            ..counted(&$world.checkers, &$world.model)
        };
        SeedReport {
            seed: $run.seed,
            place: $run.place,
            violation: $result.err(),
            hash: $world.hash(),
            steps: $world.steps,
            tabs: $world.tabs(),
            virtual_ms: $world.virtual_ms(),
            totals,
            trace: $world.take_trace(),
        }
    }};
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
    /// Sends that were written down in an outbox, and those that a guest went on with.
    written_down,
    swept,
    /// Sends that were written down while their device was away, and are stored.
    merged,
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
    /// Consumers that were told to be slow.
    slow_told,
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
    /// Verbs that were refused because a grant did not cover them.
    refused,
    /// Frames that were compared with the disk as they left.
    frames_compared,
}

/// Runs one seed.
#[must_use]
pub fn run_seed(seed: u64, rules: Rules, verbose: bool) -> SeedReport {
    let watch = if verbose { Watch::Everything } else { Watch::Checkers };
    run(&Run { rules, watch, ..Run::of(seed) })
}

/// Runs what is given.
#[must_use]
pub fn run(run: &Run) -> SeedReport {
    let _ = marks::take();
    match run.place {
        Place::Device => {
            let mut world = World::new(run);
            let result = world.run().and_then(|()| epilogue(&mut world, run));
            report_of!(world, run, result)
        }
        Place::Hub => {
            let mut world = HubWorld::new(run);
            let result = world.run().and_then(|()| epilogue_of_hub(&mut world, run));
            report_of!(world, run, result)
        }
    }
}

/// Sums that the checkers keep.
fn counted(checkers: &Checkers, model: &Model) -> Totals {
    let count = |n: usize| n as u64;
    Totals {
        nodes_served: count(checkers.epochs.served()),
        confirmed: count(checkers.sends.confirmed()),
        written_down: count(checkers.accepted.count()),
        merged: count(checkers.accepted.merged()),
        duplicates: count(checkers.sends.duplicates()),
        redelivered: count(checkers.leases.redelivered()),
        stale_settlements: count(checkers.leases.stale()),
        given_on: count(checkers.chain.given_on()),
        fired: model.fired_total,
        sampled: count(checkers.sampling.sent()),
        decided: count(checkers.prepared.decided()),
        questions: count(checkers.prepared.questions()),
        advisories: count(checkers.advisories.told()),
        redriven: count(checkers.redrives.moved()),
        circles: count(checkers.redrives.circles()),
        expired: count(checkers.expiry.expired()),
        slow_told: count(checkers.slow.told()),
        rated: count(checkers.flow.judged()),
        watched: count(checkers.watches.told()),
        settled: count(checkers.requests.settled()),
        calls_ended: count(checkers.calls.ended()),
        live_delivered: count(checkers.live.delivered()),
        gaps_reported: count(checkers.live.gaps()),
        results_told: count(checkers.results.told()),
        leaders_changed: count(checkers.roles.changes()),
        frames_compared: count(checkers.stored.frames()),
        refused: count(checkers.granted.refused()),
        ..Totals::ZERO
    }
}

fn epilogue(world: &mut World, run: &Run) -> Result<(), Violation> {
    let plan = world.plan.clone();
    damaged(&world.disk, &world.model, &plan, run, &mut world.faults)
}

fn epilogue_of_hub(world: &mut HubWorld, run: &Run) -> Result<(), Violation> {
    let plan = world.hub_plan.plan.clone();
    damaged(&world.disk, &world.model, &plan, run, &mut world.faults)
}

fn damaged(
    disk: &Disk,
    model: &Model,
    plan: &Plan,
    run: &Run,
    faults: &mut FaultCounts,
) -> Result<(), Violation> {
    if run.watch == Watch::Outputs {
        return Ok(());
    }
    damage::recovers(disk.store(), model, &plan.limits, run.rules)?;
    let mut dice = Dice::new(run.seed, 9);
    damage::is_refused(disk.store(), plan, run.rules, &mut dice, faults)
}

/// Runs twice and compares: the same seed has to give the same outputs. Checkers change nothing, so
/// nobody has to look at the second run.
#[must_use]
pub fn run_twice(once: &Run) -> SeedReport {
    let mut first = run(once);
    let second = run(&Run { watch: Watch::Outputs, ..once.clone() });
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

/// Paths that a whole run never took.
#[must_use]
pub fn marks_missed(totals: &Totals) -> Vec<Mark> {
    let counted = Mark::ALL.iter().zip(totals.marks);
    counted.filter(|(_, count)| *count == 0).map(|(mark, _)| *mark).collect()
}
