//! Two kinds of time. `Instant` drives timers and never appears in records;
//! `UnixMillis` is data in records and never drives a timer on its own.

use alloc::vec::Vec;

use crate::cbor::{Read, Reader, Write};

/// Microseconds since an origin the host picks. It does not go back and is not wall time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Instant(pub u64);

/// Milliseconds since 1970-01-01 UTC, as the host's wall clock reads. It may jump.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct UnixMillis(pub u64);

/// Both clocks, read once by the host for one input.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Now {
    pub mono: Instant,
    pub unix: UnixMillis,
}

impl Read<'_> for UnixMillis {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(Read::read(reader))
    }
}

impl Write for UnixMillis {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

impl Instant {
    /// The instant `ms` milliseconds later; saturates at the end of time.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    /// Whole milliseconds from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}
