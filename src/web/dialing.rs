//! When a socket to a hub is opened, and through which door. It is opened when there is something
//! to say, so the client's Hellos, which come in growing intervals, are what dials again; and each
//! try takes the next door.

use crate::marks::{Mark, mark};

/// So many messages may be lost to a socket that does not open before the next door is tried.
pub const MESSAGES_LOST_MAX: u32 = 6;

/// What becomes of a message for the hub.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The socket is open.
    Send,
    /// It is lost: the socket is being opened. Whoever speaks first on a link says it again.
    Lose,
    /// It is lost, and the socket opens too slowly: it counts as closed.
    GiveUp,
    /// It is lost, and a socket is opened through this door instead.
    Open { door: usize },
}

/// The one socket of a realm to its hub, as far as it is known.
#[derive(Debug)]
pub struct Dialing {
    /// How many there are, at least one.
    doors: usize,
    next_door: usize,
    /// Of the newest socket.
    number: u32,
    current: Option<Current>,
}

#[derive(Debug, Default)]
struct Current {
    is_open: bool,
    lost: u32,
}

impl Dialing {
    /// `doors` are as many as there are addresses.
    pub fn new(doors: usize) -> Self {
        Self { doors: doors.max(1), next_door: 0, number: 0, current: None }
    }

    /// Of the newest socket.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether news of this number is of the socket that is used.
    pub const fn is_current(&self, number: u32) -> bool {
        number == self.number && self.current.is_some()
    }

    /// There is a message for the hub.
    pub fn say(&mut self) -> Way {
        match &mut self.current {
            Some(current) if current.is_open => Way::Send,
            Some(current) if current.lost < MESSAGES_LOST_MAX => {
                current.lost += 1;
                Way::Lose
            }
            Some(_) => {
                mark(Mark::DialGivenUp);
                Way::GiveUp
            }
            None => {
                let door = self.next_door % self.doors;
                self.next_door = self.next_door.wrapping_add(1);
                self.number = self.number.wrapping_add(1);
                self.current = Some(Current::default());
                Way::Open { door }
            }
        }
    }

    /// The socket that is used is open.
    pub const fn opened(&mut self) {
        if let Some(current) = &mut self.current {
            current.is_open = true;
        }
    }

    /// It is used no more: the next message opens another one.
    pub fn drop_current(&mut self) {
        self.current = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_takes_the_next_door_and_the_first_again_after_the_last() {
        let mut dialing = Dialing::new(2);
        for door in [0, 1, 0] {
            assert_eq!(dialing.say(), Way::Open { door });
            dialing.opened();
            assert_eq!(dialing.say(), Way::Send);
            dialing.drop_current();
        }
    }

    #[test]
    fn a_socket_that_does_not_open_loses_a_few_messages_and_is_given_up() {
        let mut dialing = Dialing::new(1);
        assert_eq!(dialing.say(), Way::Open { door: 0 });
        for _ in 0..MESSAGES_LOST_MAX {
            assert_eq!(dialing.say(), Way::Lose);
        }
        assert_eq!(dialing.say(), Way::GiveUp);
        let number = dialing.number();
        assert!(dialing.is_current(number));
        dialing.drop_current();
        assert!(!dialing.is_current(number));
    }
}
