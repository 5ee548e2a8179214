//! Bytes as they go over the socket.

use super::*;
use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};

/// The bytes of a question.
pub(crate) fn sent(message: Message) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// What these bytes are.
pub(crate) fn received(bytes: &[u8]) -> Message {
    match NetlinkMessage::<Message>::deserialize(bytes).unwrap().payload {
        NetlinkPayload::InnerMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

/// As `strace ethtool -x eth0` shows them (without the flags that ethtool adds to its header).
#[test]
fn the_first_question_is_the_bytes_that_ethtool_sends() {
    #[rustfmt::skip]
    assert_eq!(sent(Message::get_family("ethtool")), [
        32, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        3, 1, 0, 0,
        12, 0, 2, 0, b'e', b't', b'h', b't', b'o', b'o', b'l', 0,
    ]);
}

/// The answer of a kernel 6.18: `ethtool`'s number among other attributes.
#[test]
fn the_family_s_number_is_found() {
    #[rustfmt::skip]
    let message = received(&[
        48, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
        1, 2, 0, 0,
        12, 0, 2, 0, b'e', b't', b'h', b't', b'o', b'o', b'l', 0,
        6, 0, 1, 0, 0x15, 0, 0, 0,
        8, 0, 3, 0, 1, 0, 0, 0,
    ]);
    assert_eq!(message.family_number(), Some(0x15));
    assert_eq!(
        received(&[20, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 0]).family_number(),
        None
    );
}

#[test]
fn a_message_without_its_header_is_none() {
    let bytes = [18, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 38, 1];
    assert!(NetlinkMessage::<Message>::deserialize(&bytes).is_err());
}
