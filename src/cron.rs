//! Times that come again and again, as cron writes them, and what a local time is in a zone.
//!
//! The core knows no zones. Whoever asks for the next time gives the offsets of the zone around
//! it; where they do not reach, the answer says where they are needed.

use alloc::vec::Vec;

use crate::error::{Code, Refused};
use crate::time::UnixMillis;

const DAY_S: i64 = 86_400;
/// Leap days are at most eight years apart.
const DAYS_MAX: i64 = 8 * 366 + 1;

const MONTHS: &[u8] = b"JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC";
const WEEKDAYS: &[u8] = b"SUNMONTUEWEDTHUFRISAT";

/// Each field is a set of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Bit 0 is Sunday.
    weekdays: u64,
}

/// From this instant on a zone is so many seconds ahead of UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offset {
    pub from: UnixMillis,
    pub ahead_s: i32,
}

/// The offsets of a zone from the first of them until `until`, in order.
#[derive(Clone, Copy, Debug)]
pub struct Offsets<'a> {
    pub list: &'a [Offset],
    pub until: UnixMillis,
}

/// UTC, at all times.
pub const UTC: Offsets<'static> =
    Offsets { list: &[Offset { from: UnixMillis(0), ahead_s: 0 }], until: UnixMillis(u64::MAX) };

/// The next time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    At(UnixMillis),
    /// It is at this local second, in seconds since 1970, where the offsets do not reach.
    Local(i64),
    Never,
}

/// What the numbers of a field may be, and their names.
#[derive(Clone, Copy)]
struct Field {
    least: u64,
    most: u64,
    names: &'static [u8],
}

const FIELDS: [Field; 6] = [
    Field { least: 0, most: 59, names: b"" },
    Field { least: 0, most: 59, names: b"" },
    Field { least: 0, most: 23, names: b"" },
    Field { least: 1, most: 31, names: b"" },
    Field { least: 1, most: 12, names: MONTHS },
    // 7 is Sunday, too.
    Field { least: 0, most: 7, names: WEEKDAYS },
];

impl Cron {
    /// Reads minute, hour, day of the month, month and day of the week, perhaps with the second
    /// before them, or a name such as `@daily`. Each field is `*`, or a list of numbers, ranges and
    /// steps; months and weekdays have names of three letters. If both days are restricted, one of
    /// them is enough.
    ///
    /// # Errors
    /// `INVALID` for what is none, and for a time that never comes.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let cron = Self::read(text).filter(|cron| cron.next_local(0).is_some());
        cron.ok_or(Refused::new(Code::Invalid, "cron"))
    }

    fn read(text: &str) -> Option<Self> {
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        let (mut sets, first) = match words.len() {
            5 => ([1; 6], 1),
            6 => ([0; 6], 0),
            _ => return None,
        };
        for ((set, field), word) in sets.iter_mut().zip(FIELDS).skip(first).zip(words) {
            *set = field.read(word)?;
        }
        let [seconds, minutes, hours, days, months, weekdays] = sets;
        let weekdays = (weekdays | weekdays >> 7) & 0x7f;
        Some(Self { seconds, minutes, hours, days, months, weekdays })
    }

    /// The first time after `after`. `local` is what `Next::Local` gave, once there are offsets
    /// around it.
    ///
    /// A local time that a change of the clock leaves out is at that change; one that comes twice
    /// is at its first coming.
    #[must_use]
    pub fn next(&self, after: UnixMillis, local: Option<i64>, zone: Offsets<'_>) -> Next {
        let from = local.unwrap_or_else(|| zone.shown_by(seconds(after)) + 1);
        match self.next_local(from) {
            None => Next::Never,
            Some(local) => match zone.reach(local) {
                Some(at_s) => Next::At(UnixMillis(at_s.max(0) as u64 * 1000)),
                None => Next::Local(local),
            },
        }
    }

    /// The first local second of the set at or after `from`.
    fn next_local(&self, from: i64) -> Option<i64> {
        let first = from.div_euclid(DAY_S);
        let at_start = self.next_of_day(from.rem_euclid(DAY_S));
        if let Some(second) = at_start.filter(|_| self.has_day(first)) {
            return Some(first * DAY_S + second);
        }
        let day = (first + 1..first + DAYS_MAX).find(|day| self.has_day(*day))?;
        self.next_of_day(0).map(|second| day * DAY_S + second)
    }

    fn has_day(&self, days: i64) -> bool {
        let (month, day) = month_and_day(days);
        // 1970 began on a Thursday.
        let weekday = (days + 4).rem_euclid(7);
        let by_day = self.days >> day & 1 == 1;
        let by_weekday = self.weekdays >> weekday & 1 == 1;
        let restricted = self.days.count_ones() < 31 && self.weekdays.count_ones() < 7;
        let fits = if restricted { by_day || by_weekday } else { by_day && by_weekday };
        fits && self.months >> month & 1 == 1
    }

    fn next_of_day(&self, from: i64) -> Option<i64> {
        let from = from.unsigned_abs();
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        let (least_minute, least_second) = (first_of(self.minutes, 0)?, first_of(self.seconds, 0)?);
        let whole = |hour, minute, second| (hour * 3600 + minute * 60 + second) as i64;
        if self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1
                && let Some(second) = first_of(self.seconds, second)
            {
                return Some(whole(hour, minute, second));
            }
            if let Some(minute) = first_of(self.minutes, minute + 1) {
                return Some(whole(hour, minute, least_second));
            }
        }
        first_of(self.hours, hour + 1).map(|hour| whole(hour, least_minute, least_second))
    }
}

impl Field {
    fn read(self, text: &str) -> Option<u64> {
        text.split(',').try_fold(0, |set, part| Some(set | self.part(part)?))
    }

    fn part(self, text: &str) -> Option<u64> {
        let (range, step) = halves(text, '/')?;
        let step = match step {
            Some(step) => Some(number(step).filter(|step| *step > 0)?),
            None => None,
        };
        let (first, last) = match halves(range, '-')? {
            ("*", None) => (self.least, self.most),
            (first, Some(last)) => (self.value(first)?, self.value(last)?),
            // A step alone goes on to the end.
            (first, None) => {
                let first = self.value(first)?;
                (first, step.map_or(first, |_| self.most))
            }
        };
        // A week may end on a Sunday.
        let last = if last == 0 && first > 0 && self.most == 7 { 7 } else { last };
        if first > last {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        Some((first..=last).step_by(step).fold(0, |set, value| set | 1 << value))
    }

    fn value(self, text: &str) -> Option<u64> {
        let named = |name: &[u8]| name.eq_ignore_ascii_case(text.as_bytes());
        let value = match self.names.chunks(3).position(named) {
            Some(place) => self.least + place as u64,
            None => number(text)?,
        };
        (self.least..=self.most).contains(&value).then_some(value)
    }
}

impl Offsets<'_> {
    fn pieces(&self) -> impl Iterator<Item = (i64, i64, i64)> + '_ {
        let ends = self.list.iter().skip(1).map(|next| next.from).chain([self.until]);
        let piece = |(offset, end): (&Offset, UnixMillis)| {
            (seconds(offset.from), seconds(end), i64::from(offset.ahead_s))
        };
        self.list.iter().zip(ends).map(piece)
    }

    /// The latest local second that a clock in the zone has shown by `at_s`.
    fn shown_by(&self, at_s: i64) -> i64 {
        let begun = self.pieces().filter(|(from, ..)| *from <= at_s);
        begun.map(|(_, until, ahead)| at_s.min(until - 1) + ahead).max().unwrap_or(at_s)
    }

    /// The first second in which a clock in the zone shows `local` or a later time.
    fn reach(&self, local: i64) -> Option<i64> {
        let mut pieces = self.pieces().map(|(from, until, ahead)| (from.max(local - ahead), until));
        pieces.find(|(at, until)| at < until).map(|(at, _)| at)
    }
}

/// What stands before the only separator and what behind it.
fn halves(text: &str, separator: char) -> Option<(&str, Option<&str>)> {
    let mut parts = text.split(separator);
    let halves = (parts.next()?, parts.next());
    parts.next().is_none().then_some(halves)
}

fn number(text: &str) -> Option<u64> {
    let digit = |number: u64, byte: u8| {
        let number = number.saturating_mul(10).saturating_add(u64::from(byte.wrapping_sub(b'0')));
        byte.is_ascii_digit().then_some(number)
    };
    if text.is_empty() { None } else { text.bytes().try_fold(0, digit) }
}

/// The first member of a set from `from` on.
const fn first_of(set: u64, from: u64) -> Option<u64> {
    let left = set & (u64::MAX << from);
    if left == 0 { None } else { Some(left.trailing_zeros() as u64) }
}

fn seconds(at: UnixMillis) -> i64 {
    i64::try_from(at.0 / 1000).unwrap_or(i64::MAX / 2)
}

/// Of a day since 1970, in the Gregorian calendar. Years begin in March, so that a leap day is the
/// last one.
const fn month_and_day(days: i64) -> (i64, i64) {
    let of_era = (days + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-29 01:00 UTC, when clocks in Berlin go from 2:00 to 3:00.
    const SPRING: u64 = 1_774_746_000;
    /// 2026-10-25 01:00 UTC, when they go from 3:00 to 2:00.
    const AUTUMN: u64 = 1_792_890_000;
    const HOUR: u64 = 3600;

    fn at(second: u64) -> UnixMillis {
        UnixMillis(second * 1000)
    }

    /// The next times after an instant, in a zone that changes once.
    fn times(text: &str, after: u64, count: usize, change: (u64, i32, i32)) -> Vec<u64> {
        let cron = Cron::parse(text).unwrap();
        let (changes_at, before_s, after_s) = change;
        let list = [
            Offset { from: at(changes_at - 10 * 24 * HOUR), ahead_s: before_s },
            Offset { from: at(changes_at), ahead_s: after_s },
        ];
        let zone = Offsets { list: &list, until: at(changes_at + 10 * 24 * HOUR) };
        let mut found = Vec::new();
        let mut last = at(after);
        while found.len() < count {
            let Next::At(next) = cron.next(last, None, zone) else { break };
            found.push(next.0 / 1000);
            last = next;
        }
        found
    }

    const FORWARD: (u64, i32, i32) = (SPRING, 3600, 7200);
    const BACK: (u64, i32, i32) = (AUTUMN, 7200, 3600);

    #[test]
    fn a_time_that_is_left_out_is_at_the_change() {
        // The day before at 2:30, then 3:00 instead of 2:30, then 2:30 again.
        let half_past = times("30 2 * * *", SPRING - 24 * HOUR, 3, FORWARD);
        let before = SPRING - 24 * HOUR + 1800;
        assert_eq!(half_past, [before, SPRING, SPRING + 24 * HOUR - 1800]);
        let quarters = times("*/15 * * * *", SPRING - 901, 3, FORWARD);
        assert_eq!(quarters, [SPRING - 900, SPRING, SPRING + 900]);
    }

    #[test]
    fn a_time_that_comes_twice_is_at_its_first_coming() {
        let half_past = times("30 2 * * *", AUTUMN - 24 * HOUR, 2, BACK);
        assert_eq!(half_past, [AUTUMN - 1800, AUTUMN + 24 * HOUR + 1800]);
        // In the hour that comes again nothing is due.
        let quarters = times("*/15 * * * *", AUTUMN - 901, 2, BACK);
        assert_eq!(quarters, [AUTUMN - 900, AUTUMN + HOUR]);
        // A search that begins in it does not find what came before it.
        assert_eq!(times("45 2 * * *", AUTUMN + 600, 1, BACK), [AUTUMN + 24 * HOUR + 2700]);
    }

    #[test]
    fn a_change_of_half_an_hour_is_no_other() {
        // Lord Howe: back from 2:00 to 1:30 in April, forward from 2:00 to 2:30 in October.
        let back = (1_775_314_800, 39_600, 37_800);
        let quarter_to = times("45 1 * * *", 1_775_314_800 - 24 * HOUR, 2, back);
        assert_eq!(quarter_to, [1_775_314_800 - 900, 1_775_314_800 + 24 * HOUR - 900 + 1800]);
        let forward = (1_791_041_400, 37_800, 39_600);
        let quarter_past = times("15 2 * * *", 1_791_041_400 - 24 * HOUR, 3, forward);
        let next_day = 1_791_041_400 + 24 * HOUR - 900;
        assert_eq!(quarter_past, [1_791_041_400 - 24 * HOUR + 900, 1_791_041_400, next_day]);
    }

    #[test]
    fn where_offsets_do_not_reach_the_local_time_is_told() {
        let cron = Cron::parse("0 12 1 1 *").unwrap();
        let near = [Offset { from: at(SPRING), ahead_s: 7200 }];
        let near = Offsets { list: &near, until: at(SPRING + HOUR) };
        let noon = 1_798_804_800;
        assert_eq!(cron.next(at(SPRING + 60), None, near), Next::Local(noon));
        let there = [Offset { from: at(noon as u64 - 24 * HOUR), ahead_s: 3600 }];
        let there = Offsets { list: &there, until: at(noon as u64 + 24 * HOUR) };
        let next = cron.next(at(SPRING + 60), Some(noon), there);
        assert_eq!(next, Next::At(at(noon as u64 - HOUR)));
    }

    #[test]
    fn fields_have_lists_ranges_steps_and_names() {
        let of = |text| Cron::parse(text).unwrap();
        assert_eq!(of("0 0 * * *"), of("@daily"));
        assert_eq!(of("0 0 0 * * *"), of("0 0 * * *"));
        assert_eq!(of("*/20 * * * *"), of("0,20,40 * * * *"));
        assert_eq!(of("50/5 1-3 * * *"), of("50,55 1,2,3 * * *"));
        assert_eq!(of("0 0 * jan-Mar MON-FRI"), of("0 0 * 1-3 1-5"));
        assert_eq!(of("0 0 * * 7"), of("0 0 * * SUN"));
        assert_eq!(of("0 0 * * sat-sun"), of("0 0 * * 0,6"));
        assert_eq!(of("0 0 * * 5-7/2"), of("0 0 * * 5,7"));
    }

    #[test]
    fn either_day_is_enough_if_both_are_restricted() {
        // From Thursday, the first of January 1970 on.
        let days = |text: &str, count| {
            let cron = Cron::parse(text).unwrap();
            let mut last = 0;
            let next = || {
                last = cron.next_local(last + 1).unwrap();
                last / DAY_S + 1
            };
            core::iter::repeat_with(next).take(count).collect::<Vec<_>>()
        };
        assert_eq!(days("0 0 13 * FRI", 4), [2, 9, 13, 16]);
        assert_eq!(days("0 0 * * FRI", 3), [2, 9, 16]);
        assert_eq!(days("0 0 31 * *", 3), [31, 31 + 28 + 31, 31 + 28 + 31 + 30 + 31]);
        assert_eq!(days("0 0 29 FEB *", 2), [365 + 365 + 31 + 29, 3 * 365 + 366 + 790]);
    }

    #[test]
    fn what_is_none_is_refused() {
        let wrong = [
            "",
            "* * * *",
            "* * * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
            "5-1 * * * *",
            "1,,2 * * * *",
            "a * * * *",
            "* * * JANU *",
            "-1 * * * *",
            "+1 * * * *",
            "1- * * * *",
            "/5 * * * *",
            "@often",
            "0 0 30 FEB *",
            "0 0 31 4,6,9,11 *",
            "99999999999999999999 * * * *",
            "* * * * L",
        ];
        for text in wrong {
            assert_eq!(Cron::parse(text), Err(Refused::new(Code::Invalid, "cron")), "{text}");
        }
    }
}
