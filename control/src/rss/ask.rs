//! Asks ethtool.

use super::message::{self, Answer};
use crate::genl::{AskError, Line};

/// An open line to ethtool.
#[derive(Debug)]
pub(super) struct Ethtool(Line);

impl Ethtool {
    /// Opens it.
    pub(super) fn open() -> Result<Self, AskError> {
        Line::open("ethtool").map(Self)
    }

    /// How an interface spreads what it receives.
    pub(super) fn rss(&self, interface: &str) -> Result<Answer, AskError> {
        let answer = self.0.ask(|family| message::get_rss(family, interface))?;
        Ok(message::rss(&answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real kernel, and an interface whose driver has no such thing.
    #[test]
    fn loopback_has_no_receive_side_scaling() {
        let ethtool = Ethtool::open().unwrap();
        let Err(AskError::Refused(refused)) = ethtool.rss("lo") else {
            panic!("lo has no queues to choose from")
        };
        assert_eq!(refused.raw_os_error(), Some(libc::EOPNOTSUPP));
        let Err(AskError::Refused(refused)) = ethtool.rss("nonesuch0") else { panic!("there is none") };
        assert_eq!(refused.raw_os_error(), Some(libc::ENODEV));
    }
}
