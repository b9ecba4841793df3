//! Durations and sizes as people write them.

use std::time::Duration;

use super::Rate;

/// A year: longer than anything here makes sense, and far from where the clock's arithmetic overflows.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A billion for a million tokens is more than anybody asks.
const RATE_DIGITS: usize = 9;
/// Money for one token in billionths of a thousandth: finer than any list of prices.
const RATE_DECIMALS: usize = 6;

const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// `16ms`, `10s`, `5m`, `1h`. The error says what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = number(text, &DURATIONS).map(Duration::from_millis);
    let expected = || "a duration such as `16ms`, `10s`, `5m` or `1h`".to_owned();
    match duration.ok_or_else(expected)? {
        duration if duration <= DURATION_MAX => Ok(duration),
        _ => Err("a duration of at most `8760h`".to_owned()),
    }
}

/// A duration as [`duration`] reads it, in the largest unit that says it.
pub(super) fn shown(duration: Duration) -> String {
    let millis = duration.as_millis() as u64;
    let units = DURATIONS.iter().rev();
    let mut fits = units.filter(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
    let (name, unit) = fits.next().copied().unwrap_or(("ms", 1));
    format!("{}{name}", millis / unit)
}

/// `64KiB`, `8MiB`, `1GiB`, `512B`. The error says what would be right.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let size = number(text, &SIZES).and_then(|bytes| usize::try_from(bytes).ok());
    size.ok_or_else(|| "a size such as `64KiB`, `8MiB` or `1GiB`".to_owned())
}

/// `2`, `0.25`: money for a million tokens, exactly as written. The error says what would be right.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let expected =
        || "a price for a million tokens, such as `0.25`, with at most six decimals".to_owned();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, RATE_DIGITS) || !digits(decimals, RATE_DECIMALS) {
        return Err(expected());
    }
    // Fifteen digits at most: far below what a u64 holds.
    let millionths = format!("{whole}{decimals:0<RATE_DECIMALS$}").parse();
    millionths.map(Rate).map_err(|_| expected())
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|char: char| !char.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, millis) in
            [("0s", 0), ("16ms", 16), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert!(millis == 0 || shown(Duration::from_millis(millis)) == text, "{text}");
        }
        assert_eq!(shown(Duration::from_millis(90_000)), "90s");
        for text in ["", "10", "s", "-1s", "1.5s", "10 s", "1d", "1h30m", "99999999999999999999s"] {
            assert!(duration(text).is_err_and(|error| error.contains("such as")), "{text}");
        }
        assert!(duration("8761h").is_err_and(|error| error.contains("at most")));
    }

    #[test]
    fn prices_are_exactly_what_is_written() {
        for (text, millionths) in [
            ("0", 0),
            ("2", 2_000_000),
            ("0.25", 250_000),
            ("0.1", 100_000),
            ("3.000001", 3_000_001),
            ("999999999.999999", 999_999_999_999_999),
        ] {
            assert_eq!(rate(text), Ok(Rate(millionths)), "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "0.0000001", "1,5", "$1", "1000000000"]
        {
            assert!(rate(text).is_err_and(|error| error.contains("such as")), "{text}");
        }
    }

    #[test]
    fn sizes_have_a_number_and_a_unit() {
        for (text, bytes) in [("0B", 0), ("64KiB", 65_536), ("8MiB", 8_388_608), ("1GiB", 1 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "8", "8MB", "8mib", "8 MiB", "-1B", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
