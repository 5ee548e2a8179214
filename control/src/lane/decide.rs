//! Whether there is a fast lane at all.
//!
//! With zero-copy a worker sends as cheaply as a redirect does, and the lane would only cost memory: `auto` has it where
//! sockets copy. A worker's sockets are all of one kind ([`af_xdp`](penstock_dataplane::io::af_xdp)): one interface that
//! cannot do without copying makes all of them copy.
//!
//! What is loaded comes before sockets, as some drivers give zero-copy only where there is an XDP program. So what sockets
//! will be is told beforehand, by what drivers say they can ([`expect`]); but what they are then counts ([`decide`]).

use super::Features;
use crate::{
    config::{FastLaneMode, Interface, XdpMode, ZeroCopy},
    doctor::drivers,
};
use std::fmt;

/// Whether there is a lane, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes: `fastLane: on`.
    Wanted,
    /// Yes: sockets copy.
    Copying,
    /// No: `fastLane: off`.
    Unwanted,
    /// No: sockets do without copying.
    ZeroCopy,
    /// No: the kernel refuses it.
    Refused,
}

impl Decision {
    /// Whether there is one.
    pub fn is_on(self) -> bool {
        matches!(self, Self::Wanted | Self::Copying)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wanted => "fastLane is on",
            Self::Copying => "AF_XDP copies, and fastLane is auto",
            Self::Unwanted => "fastLane is off",
            Self::Refused => "the kernel refuses it, and fastLane is auto; the log says why",
            Self::ZeroCopy => {
                "AF_XDP does without copying, and fastLane is auto; set fastLane: on to have both"
            }
        })
    }
}

/// What an interface's sockets are expected to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) interface: &'a Interface,
    pub(crate) features: Option<Features>,
    pub(crate) driver: Option<&'a str>,
}

impl Expected<'_> {
    fn zero_copy(&self) -> bool {
        let able = match self.features {
            Some(features) => features.has(Features::ZERO_COPY),
            None => self.driver.is_some_and(drivers::has_zero_copy),
        };
        match self.interface.zero_copy {
            ZeroCopy::On => true,
            ZeroCopy::Off => false,
            ZeroCopy::Auto => able && self.interface.mode != XdpMode::Generic,
        }
    }
}

/// What will be decided, as far as interfaces tell.
pub(crate) fn expect<'a>(mode: FastLaneMode, interfaces: impl IntoIterator<Item = Expected<'a>>) -> Decision {
    decide(mode, interfaces.into_iter().all(|interface| interface.zero_copy()))
}

/// Whether there is to be a lane, if all sockets do without copying, or not all.
pub(crate) fn decide(mode: FastLaneMode, zero_copy: bool) -> Decision {
    match (mode, zero_copy) {
        (FastLaneMode::On, _) => Decision::Wanted,
        (FastLaneMode::Off, _) => Decision::Unwanted,
        (FastLaneMode::Auto, true) => Decision::ZeroCopy,
        (FastLaneMode::Auto, false) => Decision::Copying,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// By what the two interfaces' drivers can, and what is configured of the second.
    fn auto(features: [Option<u64>; 2], driver: &str, further: &str) -> Decision {
        let text = format!("interfaces: [{{name: a}}, {{name: b{further}}}]");
        let config = Config::from_yaml(&text, "test", "node").unwrap();
        let expected = config.interfaces.iter().zip(features).map(|(interface, features)| Expected {
            interface,
            features: features.map(Features),
            driver: Some(driver),
        });
        expect(config.fast_lane.mode, expected)
    }

    #[test]
    fn automatic_is_where_something_copies() {
        assert_eq!(auto([Some(0x6f), Some(0x6f)], "ice", ""), Decision::ZeroCopy);
        assert_eq!(auto([Some(0x6f), Some(0x67)], "ice", ""), Decision::Copying);
        assert_eq!(auto([Some(0x6f), Some(0x6f)], "ice", ", zeroCopy: off"), Decision::Copying);
        assert_eq!(auto([Some(0x6f), Some(0x6f)], "ice", ", mode: generic"), Decision::Copying);
        assert_eq!(auto([None, None], "ice", ""), Decision::ZeroCopy, "drivers are known");
        assert_eq!(auto([None, None], "veth", ""), Decision::Copying);
    }

    #[test]
    fn what_is_wanted_is_done() {
        for zero_copy in [false, true] {
            assert_eq!(decide(FastLaneMode::On, zero_copy), Decision::Wanted);
            assert_eq!(decide(FastLaneMode::Off, zero_copy), Decision::Unwanted);
        }
        assert!(Decision::Wanted.is_on() && Decision::Copying.is_on());
        assert!(!Decision::Unwanted.is_on() && !Decision::ZeroCopy.is_on());
    }
}
