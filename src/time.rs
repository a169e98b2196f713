//! The moment a decision is made for: an argument everywhere, read from a clock only by the binaries.

use std::fmt;
use std::str::FromStr;

/// A moment, to the millisecond, counted from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    millis: i64,
}

impl Timestamp {
    /// The last second that is read of a NumericDate: the end of the year 9999.
    pub(crate) const LAST_NUMERIC_DATE: i64 = 253_402_300_799;

    /// Whether a NumericDate is read that names it: from the year 1970 to the year 9999.
    #[must_use]
    pub fn is_numeric_date(self) -> bool {
        (0..=Self::LAST_NUMERIC_DATE).contains(&self.unix_seconds())
    }

    /// The moment `seconds` after the epoch (RFC 7519 §2 NumericDate, whole seconds); saturates at the ends of `i64`
    /// milliseconds.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self { millis: seconds.saturating_mul(1_000) }
    }

    /// The moment `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self { millis }
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.millis.div_euclid(1_000)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.millis
    }

    /// The argument of Cedar's `datetime` constructor: `YYYY-MM-DDThh:mm:ss.SSSZ`. A moment outside the years that it
    /// can write gives a text that Cedar refuses.
    #[must_use]
    pub fn to_datetime_literal(self) -> String {
        match jiff::Timestamp::from_millisecond(self.millis) {
            Ok(moment) => moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            Err(_) => self.to_string(),
        }
    }
}

/// Shows the moment as RFC 3339 in UTC; outside the years -9999 to 9999 (less their last day), as milliseconds since the
/// epoch.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.millis) {
            Ok(moment) => moment.fmt(f),
            Err(_) => write!(f, "{} ms", self.millis),
        }
    }
}

/// Reads RFC 3339 (`2026-11-21T10:00:00Z`) or whole seconds since the epoch (`1795255200`).
impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(seconds) = text.parse::<i64>() {
            return Ok(Self::from_unix_seconds(seconds));
        }
        let moment: jiff::Timestamp = text.parse().map_err(|_| TimestampError { text: text.to_owned() })?;
        Ok(Self { millis: moment.as_millisecond() })
    }
}

/// A text that is not a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time: expected RFC 3339 like `2026-11-21T10:00:00Z`, or seconds since the epoch")]
pub struct TimestampError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_moment() {
        let rfc3339: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let seconds: Timestamp = "1795255200".parse().unwrap();
        assert_eq!(rfc3339, seconds);
        assert_eq!(rfc3339.to_string(), "2026-11-21T10:00:00Z");
    }

    #[test]
    fn anything_else_is_refused_with_what_was_expected() {
        let error = "tomorrow".parse::<Timestamp>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`tomorrow` is not a time: expected RFC 3339 like `2026-11-21T10:00:00Z`, or seconds since the epoch"
        );
    }

    #[test]
    fn seconds_round_down_before_the_epoch_too() {
        assert_eq!(Timestamp::from_unix_millis(-1).unix_seconds(), -1);
    }
}
