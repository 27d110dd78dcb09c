//! To which log, and to which user of its hub, the sends of a device belong. What is written down
//! for one hub must not go to another that happens to be at its address, nor what one user wrote
//! be sent as another's. So a node that is not meant is left before anything is sent, and the host
//! decides.

use alloc::string::String;

use crate::client::Client;
use crate::client::io::Event;
use crate::id::{Epoch, LogId};
use crate::time::Now;
use crate::wire::frame::{GrantReport, Welcome};

#[derive(Debug, Default)]
pub(super) struct Belonging {
    /// Whether it matters: on a device there is one log, and who clears it means all of it.
    binds: bool,
    log: Option<LogId>,
    user: Option<String>,
}

impl Client {
    /// From now on this client follows nodes of this log alone; without one it belongs to the first
    /// log that it meets. A log in memory ends with its host, so nobody belongs to it. The same
    /// holds for the user that a hub tells. `ForeignLog` and `AnotherUser` tell of a node that is
    /// not meant, and `Bound` of where it belongs from then on.
    pub fn bind(&mut self, now: Now, log: Option<LogId>, user: Option<String>) {
        self.begin(now);
        self.belonging = Belonging { binds: true, log, user };
        self.dial_now();
        self.settle_forward();
    }

    /// True if the node is not the one that is meant: then it is left, and dialed again with
    /// growing pauses.
    pub(super) fn leaves_foreign(&mut self, epoch: Epoch, welcome: &Welcome) -> bool {
        let Belonging { binds: true, log, user } = &self.belonging else { return false };
        let granted = welcome.grant.as_ref().map(|grant| &grant.user);
        if user.as_ref().zip(granted).is_some_and(|(user, granted)| user != granted) {
            self.decline(epoch);
            self.be_another();
            return true;
        }
        let found = welcome.log;
        let Some(bound) = log.filter(|log| *log != found) else { return false };
        self.decline(epoch);
        // Whoever decides looks at what is written down.
        self.keep_all();
        self.events.push_back(Event::ForeignLog { epoch, bound, found });
        true
    }

    /// This client is one user's, and the hub has it for another's.
    pub(super) fn be_another(&mut self) {
        self.keep_all();
        self.events.push_back(Event::AnotherUser);
    }

    /// The Welcome is taken.
    pub(super) fn belong_to(&mut self, welcome: &Welcome) {
        if !self.belonging.binds {
            return;
        }
        if let Some(GrantReport { ends_in_ms, .. }) = welcome.grant {
            self.events.push_back(Event::Granted { ends_in_ms });
        }
        let log = Some(welcome.log).filter(|_| welcome.storage.persistent);
        let user = welcome.grant.as_ref().map(|grant| grant.user.clone());
        let user = user.or_else(|| self.belonging.user.clone());
        if (self.belonging.log, &self.belonging.user) != (log, &user) {
            self.belonging = Belonging { binds: true, log, user: user.clone() };
            self.events.push_back(Event::Bound { log, user });
        }
    }

    /// Hands another token to the hub, whose grant is to go on on the same way. `Granted` answers;
    /// or the way is closed, as it is when a grant ends. Without a link it does nothing.
    pub fn renew(&mut self, now: Now, token: &str) {
        self.begin(now);
        self.push(&crate::wire::Frame::Renew { token });
        self.settle_forward();
    }
}
