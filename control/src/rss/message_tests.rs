//! Bytes as they go over the socket.

use super::*;
use crate::genl::testing::{received, sent};

/// As `strace ethtool -x eth0` shows them (without the flags that ethtool adds to its header).
#[test]
fn the_question_is_the_bytes_that_ethtool_sends() {
    #[rustfmt::skip]
    assert_eq!(sent(get_rss(0x15, "eth0")), [
        36, 0, 0, 0, 0x15, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        38, 1, 0, 0,
        16, 0, 1, 0x80, 9, 0, 2, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0,
    ]);
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
    let answer = rss(&received(&with_header(&full())));
    assert_eq!((answer.function, answer.transformation), (1, 0));
    assert_eq!(answer.key, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(answer.table, [0, 1, 2, 1]);
    assert_eq!(answer.fields, Some([(4, 0xf0), (6, 0x30)].into()));
}

#[test]
fn a_kernel_before_6_17_says_nothing_of_fields() {
    let payload = full();
    let answer = rss(&received(&with_header(&payload[..payload.len() - 20])));
    assert_eq!((answer.table.len(), answer.fields), (4, None));
}

/// Wherever it is cut, what is before is read, and nothing panics.
#[test]
fn an_answer_may_end_anywhere() {
    let payload = full();
    for end in 4..payload.len() {
        let answer = rss(&received(&with_header(&payload[..end])));
        assert!(answer.table.is_empty() || answer.table == [0, 1, 2, 1], "cut at {end}");
    }
}
