//! Dates as text, in UTC: for file names, audit rows and the page.

use time::OffsetDateTime;
use traffic::time::Timestamp;

/// As in `2026-11-20T18:03:07Z`.
#[must_use]
pub fn iso(time: Timestamp) -> String {
    let at = date_time(time);
    let (hour, minute, second) = at.to_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(at))
}

/// As in `2026-11-20T180307Z`: [`iso`] without the colons that some file systems refuse.
#[must_use]
pub fn for_file_name(time: Timestamp) -> String {
    let at = date_time(time);
    let (hour, minute, second) = at.to_hms();
    format!("{}T{hour:02}{minute:02}{second:02}Z", date(at))
}

fn date(at: OffsetDateTime) -> String {
    let (year, month, day) = at.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}", u8::from(month))
}

fn date_time(time: Timestamp) -> OffsetDateTime {
    // A timestamp ends in the year 2554, within what the calendar can say; the fallback is never taken.
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_in_utc() {
        let time = Timestamp::from_secs(1_795_197_787);
        assert_eq!(iso(time), "2026-11-20T18:03:07Z");
        assert_eq!(for_file_name(time), "2026-11-20T180307Z");
        assert_eq!(iso(Timestamp::EPOCH), "1970-01-01T00:00:00Z");
        assert!(iso(Timestamp::from_nanos(u64::MAX)).starts_with("2554-07-2"));
    }
}
