//! What clients are told of their grants, and how they ask for another.

use tabmq::id::{LaneId, LogId, Sequence};
use tabmq::options::{Durability, HostKind};
use tabmq::wire::Frame;
use tabmq::wire::frame::{GrantReport, StorageReport, Welcome};

use crate::frames::Dice;
use crate::golden::Golden;

const HOUR_MS: u64 = 3_600_000;

/// Of a hub that grants for an hour.
pub fn welcome() -> Welcome {
    Welcome {
        version: 1,
        features: 0,
        log: LogId(*b"log-log-log-log-"),
        lane: LaneId(3),
        position: Sequence(0),
        resumed: false,
        rolled_back: false,
        newest: Vec::new(),
        stale: Vec::new(),
        storage: StorageReport {
            persistent: true,
            fenced: true,
            durability_max: Durability::Strict,
        },
        body_bytes_max: 1 << 20,
        host: Some(HostKind::Hub),
        kept: None,
        grant: Some(GrantReport { user: "ann".into(), ends_in_ms: Some(HOUR_MS) }),
        audience: None,
    }
}

pub fn goldens() -> Vec<Golden> {
    let granted = vec![
        ("welcome-granted", "a hub grants for an hour", Frame::Welcome(welcome())),
        ("renew", "another token", Frame::Renew { token: "token" }),
        ("granted", "for another hour", Frame::Granted { ends_in_ms: Some(HOUR_MS) }),
    ];
    [granted, crate::audiences::goldens()].concat()
}

pub fn grant_report(dice: &mut Dice<'_>) -> GrantReport {
    GrantReport { user: dice.text().into(), ends_in_ms: dice.maybe(Dice::number) }
}

pub fn grant_frame<'a>(dice: &mut Dice<'a>, tag: u64) -> Option<Frame<'a>> {
    match tag {
        85 => Some(Frame::Renew { token: dice.text() }),
        86 => Some(Frame::Granted { ends_in_ms: dice.maybe(Dice::number) }),
        _ => crate::audiences::audience_frame(dice, tag),
    }
}
