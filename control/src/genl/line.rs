//! Carries questions to the kernel and the answers back.

use super::message::Message;
use rtnetlink::{
    packet_core::{DecodeError, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload},
    sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC},
};
use std::io;

/// More than any answer: the table of the largest NIC is 16 KiB.
const LONGEST_ANSWER: usize = 1 << 17;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
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

/// An open line to a family.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Socket,
    family: u16,
}

impl Line {
    /// Opens it. A kernel that has no such family refuses.
    pub(crate) fn open(family: &str) -> Result<Self, AskError> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        let family =
            exchange(&socket, Message::get_family(family))?.family_number().ok_or(AskError::Other)?;
        Ok(Self { socket, family })
    }

    /// Asks. `question` is made with the family's number.
    pub(crate) fn ask(&self, question: impl FnOnce(u16) -> Message) -> Result<Message, AskError> {
        exchange(&self.socket, question(self.family))
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

    #[test]
    fn a_family_that_is_not_there_is_refused() {
        let Err(AskError::Refused(refused)) = Line::open("nonesuch") else { panic!("there is none") };
        assert_eq!(refused.raw_os_error(), Some(libc::ENOENT));
    }
}
