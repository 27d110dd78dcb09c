//! What one run of a hub is like: how many devices and tabs, which doors, which faults and how
//! often. Bounds, disk and channels of devices are those of the other plan.

use alloc::vec::Vec;

use crate::node::Naps;
use crate::sim::dice::{Dice, Ratio};
use crate::sim::fault::Fault;
use crate::sim::plan::Plan;
use crate::sim::schedule::{MILLI, Micros, SECOND};

/// Faults that come at a time rather than to a message or write.
pub const TIMED: &[(Fault, u32)] = &[
    (Fault::DeviceLinkCut, 4),
    (Fault::DeviceLinkStalled, 4),
    (Fault::DeviceLinkHalfOpen, 3),
    (Fault::DoorDown, 3),
    (Fault::DeviceApart, 3),
    (Fault::DeviceDied, 2),
    (Fault::RelayDied, 3),
    (Fault::HubDied, 3),
    (Fault::NodeDiedMidway, 3),
    (Fault::HubTwice, 3),
    (Fault::GrantRevoked, 3),
    (Fault::GrantChanged, 3),
    (Fault::ClientDied, 2),
    (Fault::ClientReloaded, 2),
    (Fault::ClientFrozen, 2),
    (Fault::NodeFrozen, 2),
    (Fault::LockStolen, 2),
    (Fault::DiskFull, 1),
    (Fault::TailLost, 2),
];

/// How much longer users and faults wait while a device is away for hours.
pub const NIGHT_FACTOR: u64 = 200;
/// The longest time that a device is away.
pub const APART_MAX: Micros = 2 * 3600 * SECOND;

/// A plan of a world with a hub.
#[derive(Clone, Debug)]
pub struct HubPlan {
    pub plan: Plan,
    /// The device of each tab.
    pub devices: Vec<usize>,
    pub doors: usize,
    /// Whether a device is away for hours at times, and not for a minute at most.
    pub nights: bool,
    /// How often a socket's grant ends by itself within seconds.
    pub short_grants: Ratio,
    /// Whether the host of the hub falls asleep with its sockets open when nobody does anything.
    pub naps: Option<Naps>,
}

impl HubPlan {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut plan = Plan::new(seed);
        let mut dice = Dice::new(seed, 6);
        let count = usize::try_from(dice.between(2, 4)).unwrap_or(2);
        let tabs = count + usize::try_from(dice.between(1, 3)).unwrap_or(1);
        // Each device has a tab, and most have another.
        let devices =
            (0..tabs).map(|tab| if tab < count { tab } else { dice.index(count) }).collect();
        plan.tabs = tabs;
        plan.sockets = 0;
        // A lane is kept for longer than any device is away, as by default it is for a day.
        let nights = dice.chance(Ratio::one_in(10));
        plan.limits.lane_keep_ms = if nights { 4 * APART_MAX / MILLI } else { 120_000 };
        plan.timed = TIMED.iter().copied().filter(|_| !dice.chance(Ratio::one_in(4))).collect();
        if !plan.timed.iter().any(|(fault, _)| *fault == Fault::HubDied) {
            plan.timed.push((Fault::HubDied, 2));
        }
        let doors = dice.between(1, 3) as usize;
        let short_grants = *dice.choose(&[Ratio::NEVER, Ratio::one_in(10), Ratio::one_in(3)]);
        plan.limits.window_bytes_max = *dice.choose(&[300, 4 << 10, 2 << 20]);
        plan.limits.socket_buffered_bytes_max = *dice.choose(&[500, 4 << 10, 1 << 20]);
        // Leases of these plans are short, so a host that waited longer would never sleep.
        let naps = Naps { rest_ms: dice.between(5, 100), sleep_ms_min: dice.between(5, 100) };
        let naps = dice.chance(Ratio::one_in(2)).then_some(naps);
        Self { plan, devices, doors, nights, short_grants, naps }
    }

    #[must_use]
    pub fn devices_total(&self) -> usize {
        self.devices.iter().max().map_or(0, |last| last + 1)
    }
}
