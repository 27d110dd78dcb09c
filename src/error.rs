//! The closed list of error codes. The wire, the TypeScript union and `docs/errors.md` are made
//! from this table, so a code's number and text never change once released.

use alloc::vec::Vec;

use crate::cbor::{Read, Reader, Write, write_uint};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal;)+) => {
        /// What went wrong, and so who can act on it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        /// A code of a newer version is read as `UPGRADE_REQUIRED`: a refusal must not turn into
        /// something else because its reason is new.
        impl Read<'_> for Code {
            fn read(reader: &mut Reader<'_>) -> Self {
                match reader.uint(u64::MAX) {
                    $($number => Self::$name,)+
                    _ => Self::UpgradeRequired,
                }
            }
        }

        impl Write for Code {
            fn write(&self, out: &mut Vec<u8>) {
                write_uint(out, *self as u64);
            }
        }

        impl Code {
            /// Every code with its stable text and its explanation.
            pub const TABLE: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$name, $text, concat!($($doc, "\n"),+)),)+];

            /// The code with this number. Not from `TABLE`, or its explanations would ship.
            #[must_use]
            pub const fn numbered(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$name => $number,)+
                }
            }

            /// The stable text that users see, such as `STALE_LEASE`.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// The bus, subscription, consumer or service was closed by this side. Open a new one.
    Closed = 1, "CLOSED";
    /// The destination or buffer is at its limit and its policy is to refuse.
    /// Send later or raise the limit.
    Full = 2, "FULL";
    /// An argument or option is not valid. The message names it; nothing was changed.
    Invalid = 3, "INVALID";
    /// What was named does not exist.
    NotFound = 4, "NOT_FOUND";
    /// The destination is declared already, with structural options that differ.
    DuplicateDeclare = 5, "DUPLICATE_DECLARE";
    /// No queue matched the message.
    Unroutable = 6, "UNROUTABLE";
    /// One operation named what lives at two homes, the device and the hub, or on two buses.
    /// Nothing was changed.
    MixedHomes = 7, "MIXED_HOMES";
    /// The lease ended before this acknowledgement; the message belongs to another delivery.
    /// Nothing was changed.
    StaleLease = 8, "STALE_LEASE";
    /// The message outlived its time to live.
    Expired = 9, "EXPIRED";
    /// The message went to the dead-letter queue.
    DeadLettered = 10, "DEAD_LETTERED";
    /// Overflow, purge, cancel, discard or rollback took the message; `data.reason` says which.
    Discarded = 11, "DISCARDED";
    /// This runtime, host kind, storage or version can't do what was asked.
    Unsupported = 12, "UNSUPPORTED";
    /// The grant of this user does not cover the operation.
    NotAuthorized = 13, "NOT_AUTHORIZED";
    /// The value can't travel; `data.path` names the part.
    Unencodable = 14, "UNENCODABLE";
    /// The message, name or batch is over a limit; `data.reason` names it.
    TooLarge = 15, "TOO_LARGE";
    /// The deadline passed. `maybeExecuted` says whether the operation may have happened.
    Timeout = 16, "TIMEOUT";
    /// The caller's signal or `cancel()` ended the operation.
    Cancelled = 17, "CANCELLED";
    /// Nobody can serve this now: no provider, or no node could be reached.
    Unavailable = 18, "UNAVAILABLE";
    /// The peer that had the call went away. `maybeExecuted` says whether it may have run it.
    PeerLost = 19, "PEER_LOST";
    /// The two sides do not mean the same log or the same contract.
    ContractMismatch = 20, "CONTRACT_MISMATCH";
    /// The stored log or the peer speaks a newer format. Reload to get the newer version.
    UpgradeRequired = 21, "UPGRADE_REQUIRED";
    /// The storage failed or is full; `data.reason` says which.
    Storage = 22, "STORAGE";
    /// The peer broke the protocol and was hung up.
    Protocol = 23, "PROTOCOL";
    /// A defect of tabmq. The node restarts and replays its log.
    Internal = 24, "INTERNAL";
}

/// A typed refusal: the code and which argument or reason it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    pub code: Code,
    /// A short fixed word for `data.reason`, such as `quota`; empty if the code says all.
    pub reason: &'static str,
}

impl Refused {
    #[must_use]
    pub const fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own() {
        for (index, (code, text, explanation)) in Code::TABLE.iter().enumerate() {
            assert_eq!(code.text(), *text);
            assert_eq!(Code::numbered(code.number()), Some(*code));
            assert!(!explanation.trim().is_empty());
            assert!(Code::TABLE[..index].iter().all(|(_, earlier, _)| earlier != text));
        }
    }

    #[test]
    fn a_code_of_a_newer_version_stays_a_refusal() {
        let decode = |bytes| crate::cbor::decode::<Option<Code>>(bytes).unwrap();
        assert_eq!(decode(&[8]), Some(Code::StaleLease));
        assert_eq!(decode(&[0x18, 200]), Some(Code::UpgradeRequired));
        assert_eq!(decode(&[0xf6]), None);
    }
}
