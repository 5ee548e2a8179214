//! Bytes as they go over the socket.

use super::*;
use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};

fn sent(message: Message) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn received(bytes: &[u8]) -> Message {
    match NetlinkMessage::<Message>::deserialize(bytes).unwrap().payload {
        NetlinkPayload::InnerMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

/// As `strace ethtool -x eth0` shows them (without the flags that ethtool adds to its header).
#[test]
fn questions_are_the_bytes_that_ethtool_sends() {
    #[rustfmt::skip]
    assert_eq!(sent(Message::get_family("ethtool")), [
        32, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        3, 1, 0, 0,
        12, 0, 2, 0, b'e', b't', b'h', b't', b'o', b'o', b'l', 0,
    ]);
    #[rustfmt::skip]
    assert_eq!(sent(Message::get_rss(0x15, "eth0")), [
        36, 0, 0, 0, 0x15, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        38, 1, 0, 0,
        16, 0, 1, 0x80, 9, 0, 2, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0,
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

/// An answer with everything in it, as a kernel 6.18 makes it (net/ethtool/rss.c, `rss_fill_reply`).
fn full() -> Vec<u8> {
    let header: &[u8] = &[20, 0, 1, 0x80, 8, 0, 1, 0, 2, 0, 0, 0, 8, 0, 2, 0, b'e', b'0', 0, 0];
    let function: &[u8] = &[8, 0, 3, 0, 1, 0, 0, 0];
    let table: &[u8] = &[20, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];
    let key: &[u8] = &[11, 0, 5, 0, 1, 2, 3, 4, 5, 6, 7, 0];
    let transformation: &[u8] = &[8, 0, 6, 0, 0, 0, 0, 0];
    let flows: &[u8] = &[20, 0, 8, 0x80, 8, 0, 4, 0, 0xf0, 0, 0, 0, 8, 0, 6, 0, 0x30, 0, 0, 0];
    [&[38, 1, 0, 0][..], header, function, table, key, transformation, flows].concat()
}

fn with_header(payload: &[u8]) -> Vec<u8> {
    let length = (16 + payload.len()) as u32;
    [&length.to_ne_bytes()[..], &[0x15, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], payload].concat()
}

#[test]
fn an_answer_is_read_whole() {
    let answer = received(&with_header(&full())).rss();
    assert_eq!((answer.function, answer.transformation), (1, 0));
    assert_eq!(answer.key, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(answer.table, [0, 1, 2, 1]);
    assert_eq!(answer.fields, Some([(4, 0xf0), (6, 0x30)].into()));
}

#[test]
fn a_kernel_before_6_17_says_nothing_of_fields() {
    let payload = full();
    let answer = received(&with_header(&payload[..payload.len() - 20])).rss();
    assert_eq!((answer.table.len(), answer.fields), (4, None));
}

/// Wherever it is cut, what is before is read, and nothing panics.
#[test]
fn an_answer_may_end_anywhere() {
    let payload = full();
    for end in 4..payload.len() {
        let answer = received(&with_header(&payload[..end])).rss();
        assert!(answer.table.is_empty() || answer.table == [0, 1, 2, 1], "cut at {end}");
    }
    assert!(NetlinkMessage::<Message>::deserialize(&with_header(&[38, 1])).is_err());
}
