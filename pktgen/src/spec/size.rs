//! Sizes of frames: one, several in turn, or a mix that the field knows.

use std::str::FromStr;

/// The frame check sequence, which sizes include and the kernel never sees.
pub const FCS_BYTES: u16 = 4;

/// The most sizes in turn.
pub const MAX_SIZES: usize = 64;

/// The smallest and the largest frame: Ethernet's least, and what a page of the kernel's generator holds.
const LIMITS: (u16, u16) = (64, 3000);

/// Simple IMIX, as routers are quoted with: 7 × 64, 4 × 594 and 1 × 1518 bytes, mixed so that no size comes in a lump.
const IMIX: [u16; 12] = [64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64];

/// Sizes, in the order they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes(pub Vec<u16>);

impl Sizes {
    /// The smallest.
    pub fn least(&self) -> u16 {
        self.0.iter().copied().min().unwrap_or(LIMITS.0)
    }

    /// The largest.
    pub fn most(&self) -> u16 {
        self.0.iter().copied().max().unwrap_or(LIMITS.0)
    }

    /// The mean, in bytes.
    pub fn mean(&self) -> f64 {
        self.0.iter().copied().map(f64::from).sum::<f64>() / self.0.len().max(1) as f64
    }
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes(vec![LIMITS.0])
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        if text.eq_ignore_ascii_case("imix") {
            return Ok(Sizes(IMIX.to_vec()));
        }
        let (least, most) = LIMITS;
        let sizes: Option<Vec<u16>> = text
            .split(',')
            .map(|size| size.trim().parse().ok().filter(|size| (least..=most).contains(size)))
            .collect();
        sizes.filter(|sizes| sizes.len() <= MAX_SIZES).map(Sizes).ok_or_else(|| {
            format!("must be imix, or up to {MAX_SIZES} sizes of {least} to {most} bytes, check sequence included, as 64,512")
        })
    }
}
