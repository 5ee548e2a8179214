//! Numbers with units: `100k`, `1.5M`, `500ms`.

use std::{fmt, str::FromStr, time::Duration};

/// Frames a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// As many as can be.
    Max,
    /// So many.
    PerSecond(u64),
}

/// The highest rate that can be asked for: beyond any one core's, and small enough for the pace's arithmetic.
const MAX_RATE: u64 = 100_000_000;

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        if text == "max" {
            return Ok(Rate::Max);
        }
        let wrong = || "must be packets a second, as 250000, 250k or 1.5M (1 to 100M), or max".to_owned();
        let (digits, factor) = match text.char_indices().last() {
            Some((at, 'k' | 'K')) => (&text[..at], 1e3),
            Some((at, 'M')) => (&text[..at], 1e6),
            _ => (text, 1.0),
        };
        let number: f64 = digits.parse().map_err(|_| wrong())?;
        let rate = (number * factor).round();
        if (1.0..=MAX_RATE as f64).contains(&rate) { Ok(Rate::PerSecond(rate as u64)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Max => f.write_str("max"),
            Rate::PerSecond(rate) => write!(f, "{rate}"),
        }
    }
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let wrong = || "must be a time, as 500ms, 10s or 2m; a bare number is of seconds".to_owned();
        let (digits, factor) =
            [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)]
                .into_iter()
                .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
                .ok_or_else(wrong)?;
        let seconds = digits.trim().parse::<f64>().map_err(|_| wrong())? * factor;
        Duration::try_from_secs_f64(seconds).map(Span).map_err(|_| wrong())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
