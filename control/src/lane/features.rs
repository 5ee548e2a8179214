//! What an interface can do with XDP, as the kernel tells since Linux 6.3 (Documentation/netlink/specs/netdev.yaml).
//!
//! Drivers change what they say: many send redirected packets only while a program is attached to them, and a veth only
//! while its other end polls, wherever that is. So this is asked again and again, of the running system.

use crate::genl::{AskError, Line, Message, number};
use rtnetlink::packet_core::DefaultNla;

const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;

/// Bits of `NETDEV_XDP_ACT_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(pub u64);

impl Features {
    /// `NDO_XMIT`: it sends what is redirected to it.
    pub const TRANSMITS: Self = Self(1 << 2);
    /// `XSK_ZEROCOPY`: AF_XDP works without copying.
    pub const ZERO_COPY: Self = Self(1 << 3);

    /// Whether all of `other` are there.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An open line to `netdev`.
#[derive(Debug)]
pub(crate) struct Netdev(Line);

impl Netdev {
    /// Opens it, of this thread's network namespace. `None`: the kernel is older, and tells nothing.
    pub(crate) fn open() -> Option<Self> {
        Line::open("netdev").ok().map(Self)
    }

    /// What an interface can do now; `None` if it does not tell.
    pub(crate) fn features(&self, ifindex: u32) -> Result<Option<Features>, AskError> {
        Ok(features(&self.0.ask(|family| question(family, ifindex))?))
    }
}

fn question(family: u16, ifindex: u32) -> Message {
    let index = DefaultNla::new(NETDEV_A_DEV_IFINDEX, ifindex.to_ne_bytes().to_vec());
    Message::new(family, NETDEV_CMD_DEV_GET, &index)
}

fn features(answer: &Message) -> Option<Features> {
    let (_, value) = answer.attributes().find(|(kind, _)| *kind == NETDEV_A_DEV_XDP_FEATURES)?;
    number(value).map(Features)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genl::testing::{received, sent};

    #[test]
    fn the_question_names_the_interface() {
        #[rustfmt::skip]
        assert_eq!(sent(question(0x1b, 7)), [
            28, 0, 0, 0, 0x1b, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            1, 1, 0, 0,
            8, 0, 1, 0, 7, 0, 0, 0,
        ]);
    }

    /// A veth of a kernel 6.18, whose other end has GRO.
    #[test]
    fn the_answer_is_read() {
        #[rustfmt::skip]
        let answer = [
            40, 0, 0, 0, 0x1b, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
            1, 1, 0, 0,
            8, 0, 1, 0, 2, 0, 0, 0,
            12, 0, 3, 0, 0x67, 0, 0, 0, 0, 0, 0, 0,
        ];
        let told = features(&received(&answer)).expect("features");
        assert_eq!(told, Features(0x67));
        assert!(told.has(Features::TRANSMITS) && !told.has(Features::ZERO_COPY));
        let mut short = answer[..28].to_vec();
        short[0] = 28;
        assert_eq!(features(&received(&short)), None);
    }

    /// A real kernel.
    #[test]
    fn loopback_sends_nothing_that_is_redirected() {
        let Some(netdev) = Netdev::open() else { return };
        let told = netdev.features(1).expect("lo is there").expect("features");
        assert!(!told.has(Features::TRANSMITS));
        let Err(AskError::Refused(refused)) = netdev.features(0x7fff_fffe) else { panic!("there is none") };
        assert_eq!(refused.raw_os_error(), Some(libc::ENODEV));
    }
}
