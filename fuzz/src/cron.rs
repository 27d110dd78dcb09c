//! Times that come again: eight bytes of a time, then the text.
//!
//! Holds: nothing panics or runs on; the next time is after the one asked for, and asking from just
//! before it gives the same.

use tabmq::cron::{Cron, Next, UTC};
use tabmq::time::UnixMillis;

/// Years that a browser can tell.
const AFTER_MS_MAX: u64 = 8_640_000_000_000_000;

/// The text as a cron expression, asked from the time on.
pub fn cron(data: &[u8]) -> bool {
    let Some((time, text)) = data.split_first_chunk::<8>() else { return false };
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let Ok(cron) = Cron::parse(text) else { return false };
    let any = u64::from_le_bytes(*time);
    for after in [any, any % AFTER_MS_MAX, any % 4_000_000_000_000] {
        if let Next::At(at) = cron.next(UnixMillis(after), None, UTC) {
            assert!(at.0 > after, "{text}: {} is not after {after}", at.0);
            let again = cron.next(UnixMillis(at.0 - 1), None, UTC);
            assert_eq!(again, Next::At(at), "{text} from {after}");
        }
    }
    true
}
