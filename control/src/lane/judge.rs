//! Whether redirected packets can leave by an interface.
//!
//! In: what the kernel tells of it. Out: that they can, or what is in the way, with a remedy.

use super::Features;
use crate::doctor::drivers;
use std::time::Duration;

/// What is known of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    /// It is there, and the classifier runs in its driver; `None`: it is not there, or has no classifier.
    pub(crate) native: Option<bool>,
    /// The classifier is attached: many drivers promise nothing before.
    pub(crate) attached: bool,
    /// What it can do; `None`: the kernel does not tell.
    pub(crate) features: Option<Features>,
    pub(crate) driver: Option<&'a str>,
}

/// Whether an interface is in the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It sends redirected packets.
    Works,
    /// Drivers of its kind do. Whether it does is not told: by kernels before 6.3, or before there is an XDP program on it.
    Assumed,
    /// It does not.
    Not(Obstacle),
}

/// Why an interface is not in the lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// It is not there.
    #[error("there is no such interface, or it has no classifier")]
    Missing,
    /// The kernel has made a socket buffer of each packet already.
    #[error("the classifier runs in generic mode, where redirecting gains nothing")]
    Generic,
    /// The driver.
    #[error("its driver ({driver}) does not send redirected packets")]
    Driver {
        /// Its name, as far as it is known.
        driver: String,
    },
    /// A veth gives frames to its other end only where that has NAPI.
    #[error("its other end takes no redirected packets: that needs GRO, or an XDP program, there")]
    VethPeer,
    /// It promised to.
    #[error("{dropped} of {all} redirected packets were lost; it is tried again {}", after(.pause))]
    Drops {
        /// So many were lost.
        dropped: u64,
        /// Of so many.
        all: u64,
        /// How long it is left alone.
        pause: Duration,
    },
}

fn after(pause: &Duration) -> String {
    format!("after {} s", pause.as_secs())
}

impl Obstacle {
    /// What to do about it.
    pub fn remedy(&self, interface: &str) -> String {
        match self {
            Self::Missing => format!("look at `ip link show {interface}`; it is taken in when it is there"),
            Self::Generic => {
                "set interfaces[].mode: auto; a driver without XDP stays in generic mode".to_owned()
            }
            Self::Driver { .. } => {
                "use a NIC whose driver has ndo_xdp_xmit; workers forward what leaves by this one".to_owned()
            }
            Self::VethPeer => "run at the other end, in its namespace: ethtool -K IF gro on".to_owned(),
            Self::Drops { .. } => format!(
                "of a veth, run at its other end: ethtool -K IF gro on; else look at `ethtool -S {interface}`"
            ),
        }
    }
}

/// See the module.
pub(crate) fn judge(facts: &Facts<'_>) -> Way {
    let driver = facts.driver.unwrap_or("unknown");
    match (facts.native, facts.features) {
        (None, _) => Way::Not(Obstacle::Missing),
        (Some(false), _) => Way::Not(Obstacle::Generic),
        (Some(true), Some(features)) if features.has(Features::TRANSMITS) => Way::Works,
        (Some(true), Some(_)) if driver == "veth" => Way::Not(Obstacle::VethPeer),
        (Some(true), told)
            if (told.is_none() || !facts.attached) && drivers::transmits_redirected(driver) =>
        {
            Way::Assumed
        }
        (Some(true), _) => Way::Not(Obstacle::Driver { driver: driver.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(native: Option<bool>, features: Option<u64>, driver: &str) -> Way {
        judge(&Facts { native, attached: true, features: features.map(Features), driver: Some(driver) })
    }

    #[test]
    fn what_the_kernel_tells_counts() {
        assert_eq!(way(Some(true), Some(0x67), "veth"), Way::Works);
        assert_eq!(way(Some(true), Some(0x23), "veth"), Way::Not(Obstacle::VethPeer));
        assert_eq!(way(Some(true), Some(0x6f), "ice"), Way::Works);
        let Way::Not(driver @ Obstacle::Driver { .. }) = way(Some(true), Some(0x2b), "ice") else {
            panic!("it does not send")
        };
        assert!(driver.to_string().contains("(ice)"), "{driver}");
        assert_eq!(way(Some(false), Some(0x67), "veth"), Way::Not(Obstacle::Generic));
        assert_eq!(way(None, Some(0x67), "veth"), Way::Not(Obstacle::Missing));
    }

    #[test]
    fn where_it_tells_nothing_drivers_are_known() {
        assert_eq!(way(Some(true), None, "veth"), Way::Assumed);
        assert_eq!(way(Some(true), None, "ice"), Way::Assumed);
        assert!(matches!(way(Some(true), None, "e1000e"), Way::Not(Obstacle::Driver { .. })));
    }

    #[test]
    fn each_obstacle_has_a_remedy() {
        let drops = Obstacle::Drops { dropped: 30, all: 31, pause: Duration::from_secs(30) };
        assert_eq!(drops.to_string(), "30 of 31 redirected packets were lost; it is tried again after 30 s");
        assert!(drops.remedy("eth0").contains("gro on"));
        assert!(Obstacle::VethPeer.remedy("eth0").contains("ethtool -K IF gro on"));
    }
}
