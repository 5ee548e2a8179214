//! Carries the questions to the kernel and the answers back.
//!
//! The kernel answers within the call that sends, so nothing is waited for. A socket sees the interfaces of the
//! network namespace of the thread that opened it.

use super::message::{Answer, Message};
use rtnetlink::{
    packet_core::{DecodeError, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload},
    sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC},
};
use std::io;

/// More than any answer: the table of the largest NIC is 16 KiB.
const LONGEST_ANSWER: usize = 1 << 17;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The kernel, or a limit of this process, refused.
    #[error(transparent)]
    Refused(#[from] io::Error),
    /// What came back is no answer.
    #[error("the kernel's answer can't be read: {0}")]
    Unreadable(#[from] DecodeError),
    /// Something else came back.
    #[error("the kernel answered something else")]
    Other,
}

/// An open line to ethtool.
#[derive(Debug)]
pub(super) struct Ethtool {
    socket: Socket,
    family: u16,
}

impl Ethtool {
    /// Opens it.
    pub(super) fn open() -> Result<Self, AskError> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        let family =
            exchange(&socket, Message::get_family("ethtool"))?.family_number().ok_or(AskError::Other)?;
        Ok(Self { socket, family })
    }

    /// How an interface spreads what it receives.
    pub(super) fn rss(&self, interface: &str) -> Result<Answer, AskError> {
        Ok(exchange(&self.socket, Message::get_rss(self.family, interface))?.rss())
    }
}

fn exchange(socket: &Socket, question: Message) -> Result<Message, AskError> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let family = question.family;
    let mut question = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut bytes = Vec::with_capacity(LONGEST_ANSWER);
    socket.recv(&mut bytes, 0)?;
    match NetlinkMessage::<Message>::deserialize(&bytes)?.payload {
        NetlinkPayload::InnerMessage(answer) if answer.family == family => Ok(answer),
        NetlinkPayload::Error(error) => Err(error.to_io().into()),
        _ => Err(AskError::Other),
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
