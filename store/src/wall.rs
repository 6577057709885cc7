//! The wall clock, and times as people write them: `1 Jun 2022 16:05:00`, in this machine's zone.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use toom_core::time::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// `at` as people read it, in this machine's zone: day without padding, English month.
pub fn written(at: Timestamp) -> String {
    written_in(at, TimeZone::system())
}

/// What [`written`] writes, read back; `None` if it is no such time. A time that the zone's clock shows twice
/// is the earlier one, one that it skips is what the clock would have shown.
pub fn parse(text: &str) -> Option<Timestamp> {
    parse_in(text, TimeZone::system())
}

/// `at` as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    let at = jiff_timestamp(at);
    format!("{at:.3}")
}

fn jiff_timestamp(at: Timestamp) -> jiff::Timestamp {
    let at = at.as_millis().clamp(jiff::Timestamp::MIN.as_millisecond(), jiff::Timestamp::MAX.as_millisecond());
    jiff::Timestamp::from_millisecond(at).unwrap_or_default()
}

fn written_in(at: Timestamp, zone: TimeZone) -> String {
    jiff_timestamp(at).to_zoned(zone).strftime("%-d %b %Y %H:%M:%S").to_string()
}

fn parse_in(text: &str, zone: TimeZone) -> Option<Timestamp> {
    let fields: Vec<&str> = text.split(' ').collect();
    let [day, month, year, clock] = fields[..] else { return None };
    let digits = |field: &str, most: usize| {
        !field.is_empty() && field.len() <= most && field.bytes().all(|b| b.is_ascii_digit())
    };
    let well_formed = digits(day, 2)
        && month.len() == 3
        && year.len() == 4
        && digits(year, 4)
        && clock.len() == 8
        && clock.split(':').all(|part| part.len() == 2 && digits(part, 2));
    if !well_formed {
        return None;
    }
    let time: DateTime = strtime::parse("%d %b %Y %H:%M:%S", text).ok()?.to_datetime().ok()?;
    let at = zone.to_ambiguous_timestamp(time).compatible().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sydney() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(10))
    }

    #[test]
    fn times_are_written_as_in_the_assignment() {
        let at = Timestamp::from_millis(1_654_063_500_999);
        assert_eq!(written_in(at, sydney()), "1 Jun 2022 16:05:00");
        assert_eq!(rfc3339(at), "2022-06-01T06:05:00.999Z");
        assert_eq!(rfc3339(Timestamp::from_millis(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn times_are_read_back() {
        for text in ["1 Jun 2022 16:05:00", "01 Jun 2022 16:05:00"] {
            assert_eq!(parse_in(text, sydney()), Some(Timestamp::from_millis(1_654_063_500_000)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "1 Jun 2022",
            "1 Jun 2022 16:05",
            "32 Jun 2022 16:05:00",
            "0 Jun 2022 16:05:00",
            "1 Foo 2022 16:05:00",
            "1 Jun 2022 25:05:00",
            "1 Jun 2022 16:60:00",
            "1 Jun 22 16:05:00",
            "yesterday",
            "1  Jun 2022 16:05:00",
            "1 Jun 2022 16:05:00 x",
            "29 Feb 2023 00:00:00",
            "+1 Jun 2022 16:05:00",
            "1 Jun -022 16:05:00",
        ] {
            assert_eq!(parse_in(text, sydney()), None, "{text:?}");
        }
    }
}
