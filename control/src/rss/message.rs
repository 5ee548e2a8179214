//! The two questions, and their answers, as bytes of generic netlink.
//!
//! In and out: payloads behind the netlink header. A generic netlink header is a command, a version, and two bytes of
//! nothing; attributes follow. Attributes that are not known are passed over, those that are cut short end the reading.

use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NetlinkDeserializable, NetlinkHeader,
    NetlinkSerializable, NlasIterator,
};
use std::collections::BTreeMap;

/// The family that tells the numbers of the others (`GENL_ID_CTRL`).
pub(super) const CONTROL: u16 = 0x10;
/// Bytes of the generic header.
const HEADER: usize = 4;

const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const ETHTOOL_MSG_RSS_GET: u8 = 38;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_RSS_HEADER: u16 = 1;
const ETHTOOL_A_RSS_HFUNC: u16 = 3;
const ETHTOOL_A_RSS_INDIR: u16 = 4;
const ETHTOOL_A_RSS_HKEY: u16 = 5;
const ETHTOOL_A_RSS_INPUT_XFRM: u16 = 6;
const ETHTOOL_A_RSS_FLOW_HASH: u16 = 8;

/// A message of any family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The family's number.
    pub(super) family: u16,
    command: u8,
    version: u8,
    /// The attributes, as they come.
    attributes: Vec<u8>,
}

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

impl Message {
    /// What number has the family of this name?
    pub(super) fn get_family(name: &str) -> Self {
        let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, [name.as_bytes(), &[0]].concat());
        Self::new(CONTROL, CTRL_CMD_GETFAMILY, &name)
    }

    /// How does this interface spread what it receives? `family` is ethtool's number.
    pub(super) fn get_rss(family: u16, interface: &str) -> Self {
        let name = DefaultNla::new(ETHTOOL_A_HEADER_DEV_NAME, [interface.as_bytes(), &[0]].concat());
        Self::new(
            family,
            ETHTOOL_MSG_RSS_GET,
            &DefaultNla::new(ETHTOOL_A_RSS_HEADER | NLA_F_NESTED, bytes(&name)),
        )
    }

    fn new(family: u16, command: u8, attribute: &DefaultNla) -> Self {
        Self { family, command, version: 1, attributes: bytes(attribute) }
    }

    /// The number in an answer to [`get_family`](Self::get_family).
    pub(super) fn family_number(&self) -> Option<u16> {
        let id = self.attributes().find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?.1;
        Some(u16::from_ne_bytes(*id.first_chunk()?))
    }

    /// What an answer to [`get_rss`](Self::get_rss) says.
    pub(super) fn rss(&self) -> Answer {
        let mut answer = Answer::default();
        for (kind, value) in self.attributes() {
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

    fn attributes(&self) -> impl Iterator<Item = (u16, &[u8])> {
        attributes(&self.attributes)
    }
}

fn bytes(attribute: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|attribute| {
        let kind = attribute.kind();
        let (start, end) = (HEADER, usize::from(attribute.length()));
        (kind, &attribute.into_inner()[start..end])
    })
}

/// A number of four or eight bytes, as the kernel likes (`NLA_UINT`).
fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        4 => Some(u32::from_ne_bytes(*value.first_chunk()?).into()),
        8 => Some(u64::from_ne_bytes(*value.first_chunk()?)),
        _ => None,
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(HEADER);
        header.copy_from_slice(&[self.command, self.version, 0, 0]);
        attributes.copy_from_slice(&self.attributes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let Some(([command, version, _, _], attributes)) = payload.split_first_chunk::<HEADER>() else {
            return Err(DecodeError::from("a generic netlink message without its header"));
        };
        let (command, version) = (*command, *version);
        Ok(Self { family: header.message_type, command, version, attributes: attributes.to_vec() })
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
