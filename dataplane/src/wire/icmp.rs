//! ICMP messages of both families, and the types of ICMP for IPv4 (RFC 792, RFC 1191).
//!
//! In: the upper layer of a packet. Out: a view and its [`IcmpKind`], which is all that NAT has to tell apart: echoes
//! have an identifier, errors quote a packet of the flow they are about. The classes are the same in both families, so
//! the view is one type over [`Family`]; the numbers of ICMPv6 are in `icmpv6.rs`.
//! Limit: the extensions of RFC 4884 behind a quote are seen as part of it.

use std::marker::PhantomData;

use super::bytes::be32;
use super::{Checksum, Delta, Family, ParseError, Sum, V4};

mod field {
    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: usize = 2;
    /// Four bytes whose meaning the type decides.
    pub(super) const REST: usize = 4;
    pub(super) const LEN: usize = 8;
}

mod number {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const DESTINATION_UNREACHABLE: u8 = 3;
    pub(super) const SOURCE_QUENCH: u8 = 4;
    pub(super) const REDIRECT: u8 = 5;
    pub(super) const ECHO_REQUEST: u8 = 8;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
    /// The code of "destination unreachable" that carries the next hop's MTU.
    pub(super) const FRAGMENTATION_NEEDED: u8 = 4;
}

/// The type of an echo reply.
pub(super) const ECHO_REPLY: u8 = number::ECHO_REPLY;

/// What a message is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IcmpKind {
    /// A ping.
    EchoRequest,
    /// Its answer.
    EchoReply,
    /// An error, which quotes the packet it is about.
    Error(IcmpError),
    /// A redirect.
    Redirect,
    /// All the rest.
    Other,
}

/// Which error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IcmpError {
    /// Network, host, port or protocol cannot be reached.
    Unreachable,
    /// The packet is too big for a link, which takes so many bytes; 0 from routers older than RFC 1191.
    PacketTooBig {
        /// The link's MTU.
        mtu: u32,
    },
    /// The hop limit or the time to reassemble has run out.
    TimeExceeded,
    /// A field of the header was not understood.
    ParameterProblem,
    /// Send slower; IPv4 only, deprecated by RFC 6633.
    SourceQuench,
}

/// What an IPv4 message of these numbers is.
#[inline]
pub(super) fn kind(message_type: u8, code: u8, rest: u32) -> IcmpKind {
    match (message_type, code) {
        (number::ECHO_REQUEST, _) => IcmpKind::EchoRequest,
        (number::ECHO_REPLY, _) => IcmpKind::EchoReply,
        (number::DESTINATION_UNREACHABLE, number::FRAGMENTATION_NEEDED) => {
            // RFC 1191 §4: the lower half; the upper is unused or RFC 4884's length.
            IcmpKind::Error(IcmpError::PacketTooBig { mtu: rest & 0xffff })
        }
        (number::DESTINATION_UNREACHABLE, _) => IcmpKind::Error(IcmpError::Unreachable),
        (number::TIME_EXCEEDED, _) => IcmpKind::Error(IcmpError::TimeExceeded),
        (number::PARAMETER_PROBLEM, _) => IcmpKind::Error(IcmpError::ParameterProblem),
        (number::SOURCE_QUENCH, _) => IcmpKind::Error(IcmpError::SourceQuench),
        (number::REDIRECT, _) => IcmpKind::Redirect,
        _ => IcmpKind::Other,
    }
}

/// An ICMP message for IPv4.
pub type Icmp<'a> = IcmpMessage<'a, V4>;

/// An ICMP message whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct IcmpMessage<'a, F: Family> {
    header: &'a [u8; field::LEN],
    body: &'a [u8],
    family: PhantomData<F>,
}

impl<'a, F: Family> IcmpMessage<'a, F> {
    /// Bytes of the header, which the body follows.
    pub const LEN: usize = field::LEN;

    /// Checks that there is a header. The checksum is [`checksum_is_valid`](Self::checksum_is_valid)'s to check.
    #[inline]
    pub fn parse(l4: &'a [u8]) -> Result<IcmpMessage<'a, F>, ParseError> {
        match l4.split_first_chunk::<{ field::LEN }>() {
            Some((header, body)) => Ok(IcmpMessage { header, body, family: PhantomData }),
            None => Err(ParseError::truncated(F::ICMP_LAYER, field::LEN, l4.len())),
        }
    }

    /// The type.
    #[inline]
    pub fn message_type(&self) -> u8 {
        self.header[field::TYPE]
    }

    /// The code.
    #[inline]
    pub fn code(&self) -> u8 {
        self.header[field::CODE]
    }

    /// The second word, whose meaning the type decides.
    #[inline]
    pub fn rest(&self) -> u32 {
        be32(self.header, field::REST)
    }

    /// The identifier of an echo.
    #[inline]
    pub fn echo_id(&self) -> u16 {
        (self.rest() >> 16) as u16
    }

    /// What the message is for.
    #[inline]
    pub fn kind(&self) -> IcmpKind {
        F::icmp_kind(self.message_type(), self.code(), self.rest())
    }

    /// What follows the header.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The packet an error quotes, from its network header on; empty for other messages. (A redirect quotes one too, but
    /// none that is translated: redirects are dropped.)
    #[inline]
    pub fn quoted(&self) -> &'a [u8] {
        match self.kind() {
            IcmpKind::Error(_) => self.body,
            IcmpKind::EchoRequest | IcmpKind::EchoReply | IcmpKind::Redirect | IcmpKind::Other => &[],
        }
    }

    /// Whether the checksum is right, given [`Family::icmp_sum`] over the message.
    pub fn checksum_is_valid(&self, pseudo_header: Sum) -> bool {
        pseudo_header.add_bytes(self.header).add_bytes(self.body).is_valid()
    }

    /// Repairs the checksum after a change.
    #[inline]
    pub fn apply_checksum(l4: &mut [u8], delta: Delta) {
        Checksum::update(l4, field::CHECKSUM, delta);
    }

    /// Makes an echo request its answer, and leaves the checksum to [`fill_checksum`](Self::fill_checksum).
    pub fn set_echo_reply(l4: &mut [u8]) {
        l4[field::TYPE] = F::ECHO_REPLY;
    }

    /// Computes the checksum of a message made here.
    pub fn fill_checksum(l4: &mut [u8], pseudo_header: Sum) {
        Checksum::default().write(l4, field::CHECKSUM);
        pseudo_header.add_bytes(l4).checksum().write(l4, field::CHECKSUM);
    }
}
