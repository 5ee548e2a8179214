//! Questions to a family of generic netlink (Documentation/userspace-api/netlink/intro.rst).
//!
//! [`Line`] is open to one family, whose number the kernel tells by its name; a [`Message`] goes each way. What a family's
//! attributes mean is its asker's business: [`rss`](crate::rss) asks `ethtool`, [`lane`](crate::lane) asks `netdev`.
//!
//! The kernel answers within the call that sends, so nothing is waited for. A line sees the interfaces of the network
//! namespace of the thread that opened it. Limits: one question, one answer: no dumps.

mod message;
mod line;

pub(crate) use line::{AskError, Line};
pub(crate) use message::{Message, attribute, attributes, number};

#[cfg(test)]
pub(crate) use message::tests as testing;
