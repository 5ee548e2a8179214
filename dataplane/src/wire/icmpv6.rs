//! The types of ICMPv6 (RFC 4443, RFC 4861). The view is [`IcmpMessage`].

use super::{IcmpError, IcmpKind, IcmpMessage, V6};

mod number {
    pub(super) const DESTINATION_UNREACHABLE: u8 = 1;
    pub(super) const PACKET_TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    pub(super) const ECHO_REQUEST: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
    pub(super) const REDIRECT: u8 = 137;
}

/// An ICMPv6 message.
pub type Icmpv6<'a> = IcmpMessage<'a, V6>;

/// The type of an echo reply.
pub(super) const ECHO_REPLY: u8 = number::ECHO_REPLY;

/// What a message of these numbers is.
#[inline]
pub(super) fn kind(message_type: u8, _code: u8, rest: u32) -> IcmpKind {
    match message_type {
        number::ECHO_REQUEST => IcmpKind::EchoRequest,
        number::ECHO_REPLY => IcmpKind::EchoReply,
        number::DESTINATION_UNREACHABLE => IcmpKind::Error(IcmpError::Unreachable),
        number::PACKET_TOO_BIG => IcmpKind::Error(IcmpError::PacketTooBig { mtu: rest }),
        number::TIME_EXCEEDED => IcmpKind::Error(IcmpError::TimeExceeded),
        number::PARAMETER_PROBLEM => IcmpKind::Error(IcmpError::ParameterProblem),
        number::REDIRECT => IcmpKind::Redirect,
        _ => IcmpKind::Other,
    }
}
