//! The lock that makes an identity a client's own, and what comes between having it and working:
//! what was written down of its sends is taken up.

use crate::error::Code;
use crate::web::driver::{Core, Phase, new_identity};
use crate::web::io::{Fact, Notice};
use crate::web::locks::{Ask, HeldLock, LockNews};
use crate::web::platform::Platform;

impl Core {
    /// Begins to work, or goes on, with an identity that is claimed.
    pub(super) fn go_on(&mut self, platform: &mut Platform) {
        let now = self.clock.now();
        match self.phase {
            Phase::Claimed if self.ran => {
                self.phase = Phase::Running;
                self.realm.handle(now, Fact::Claimed);
            }
            Phase::Claimed => {
                platform.start();
                self.run();
            }
            Phase::Idle | Phase::Claiming | Phase::Running => {}
        }
    }

    fn has_claim(&mut self, platform: &mut Platform) {
        self.ran = self.phase == Phase::Running;
        let keeps = if self.ran { self.realm.client.keeps_any() } else { self.keeps };
        self.phase = Phase::Claimed;
        if !keeps {
            self.go_on(platform);
        }
    }

    /// News of the lock that makes the client's identity its own.
    pub(super) fn claimed(&mut self, platform: &mut Platform, news: LockNews) {
        match news {
            LockNews::Granted => self.has_claim(platform),
            LockNews::Taken => platform.look_at_claims(),
            LockNews::Refused if self.phase == Phase::Claiming && self.may_be_inline() => {
                platform.fall_back_to_inline();
                self.realm.host_inline();
                self.has_claim(platform);
            }
            LockNews::Refused if self.phase == Phase::Claiming => {
                self.realm.refuse(Code::Unsupported, "host");
                self.has_claim(platform);
            }
            LockNews::Refused => {}
            LockNews::Lost => platform.claim(Ask::Wait),
        }
    }

    /// The identity was taken: by the tab this one was cloned from, or for a moment by a watcher.
    pub(super) fn look_at_claims(
        &mut self,
        platform: &mut Platform,
        held: &[HeldLock],
    ) -> Option<Notice> {
        if self.phase != Phase::Claiming {
            return None;
        }
        if platform.is_claimed_elsewhere(held) {
            if self.guest {
                return Some(Notice::Error { code: Code::Unavailable, reason: "claimed" });
            }
            platform.client = new_identity();
            self.realm.rename(platform.client);
        }
        platform.claim(Ask::IfAvailable);
        None
    }
}
