//! The question, and its answer, as attributes of generic netlink. Those that are not known are passed over.

use crate::genl::{Message, attribute, attributes, number};
use rtnetlink::packet_core::{DefaultNla, NLA_F_NESTED};
use std::collections::BTreeMap;

const ETHTOOL_MSG_RSS_GET: u8 = 38;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_RSS_HEADER: u16 = 1;
const ETHTOOL_A_RSS_HFUNC: u16 = 3;
const ETHTOOL_A_RSS_INDIR: u16 = 4;
const ETHTOOL_A_RSS_HKEY: u16 = 5;
const ETHTOOL_A_RSS_INPUT_XFRM: u16 = 6;
const ETHTOOL_A_RSS_FLOW_HASH: u16 = 8;

/// What the kernel tells of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// A bit for the hash function.
    pub(super) function: u32,
    /// What is done to the fields before they are hashed; 0: nothing.
    pub(super) transformation: u32,
    pub(super) key: Vec<u8>,
    /// The queue of each entry.
    pub(super) table: Vec<u32>,
    /// The hashed fields by `ETHTOOL_A_FLOW_`; `None` before Linux 6.17.
    pub(super) fields: Option<BTreeMap<u16, u64>>,
}

/// How does this interface spread what it receives? `family` is ethtool's number.
pub(super) fn get_rss(family: u16, interface: &str) -> Message {
    let name = DefaultNla::new(ETHTOOL_A_HEADER_DEV_NAME, [interface.as_bytes(), &[0]].concat());
    let header = DefaultNla::new(ETHTOOL_A_RSS_HEADER | NLA_F_NESTED, attribute(&name));
    Message::new(family, ETHTOOL_MSG_RSS_GET, &header)
}

/// What an answer to [`get_rss`] says.
pub(super) fn rss(message: &Message) -> Answer {
    let mut answer = Answer::default();
    for (kind, value) in message.attributes() {
        match kind {
            ETHTOOL_A_RSS_HFUNC => answer.function = number(value).unwrap_or(0) as u32,
            ETHTOOL_A_RSS_INPUT_XFRM => answer.transformation = number(value).unwrap_or(0) as u32,
            ETHTOOL_A_RSS_INDIR => {
                let entries = value.as_chunks().0;
                answer.table = entries.iter().map(|entry| u32::from_ne_bytes(*entry)).collect();
            }
            ETHTOOL_A_RSS_HKEY => answer.key = value.to_vec(),
            ETHTOOL_A_RSS_FLOW_HASH => {
                let fields = attributes(value).filter_map(|(kind, value)| Some((kind, number(value)?)));
                answer.fields = Some(fields.collect());
            }
            _ => {}
        }
    }
    answer
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
