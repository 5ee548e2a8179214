//! Messages, and their attributes, as bytes.
//!
//! In and out: payloads behind the netlink header. A generic netlink header is a command, a version, and two bytes of
//! nothing; attributes follow. Attributes that are cut short end the reading.

use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable,
    NlasIterator,
};

/// The family that tells the numbers of the others (`GENL_ID_CTRL`).
const CONTROL: u16 = 0x10;
/// Bytes of the generic header.
const HEADER: usize = 4;

const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// A message of any family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The family's number.
    pub(super) family: u16,
    command: u8,
    version: u8,
    /// The attributes, as they come.
    attributes: Vec<u8>,
}

impl Message {
    /// What number has the family of this name?
    pub(super) fn get_family(name: &str) -> Self {
        let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, [name.as_bytes(), &[0]].concat());
        Self::new(CONTROL, CTRL_CMD_GETFAMILY, &name)
    }

    /// A question with one attribute.
    pub(crate) fn new(family: u16, command: u8, about: &DefaultNla) -> Self {
        Self { family, command, version: 1, attributes: attribute(about) }
    }

    /// The number in an answer to [`get_family`](Self::get_family).
    pub(super) fn family_number(&self) -> Option<u16> {
        let id = self.attributes().find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?.1;
        Some(u16::from_ne_bytes(*id.first_chunk()?))
    }

    /// Kinds and values.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (u16, &[u8])> {
        attributes(&self.attributes)
    }
}

/// The bytes of an attribute, for one that it is in.
pub(crate) fn attribute(attribute: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

/// The attributes in the value of one.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|attribute| {
        let kind = attribute.kind();
        let (start, end) = (HEADER, usize::from(attribute.length()));
        (kind, &attribute.into_inner()[start..end])
    })
}

/// A number of four or eight bytes, as the kernel likes (`NLA_UINT`).
pub(crate) fn number(value: &[u8]) -> Option<u64> {
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
pub(crate) mod tests;
