//! How NICs choose a queue for what they receive (receive-side scaling): asked of the kernel, for the workers.
//!
//! In: the configured interfaces and their queues. Out: a [`Rss`](penstock_dataplane::table::Rss) for each that tells
//! enough, and for each of the others the reason, once. `message` speaks ethtool's generic netlink
//! (Documentation/networking/ethtool-netlink.rst, RSS_GET, Linux 6.2), `ask` has `genl` carry it, `fields` tells by ioctl what
//! kernels before 6.17 leave out, `facts` judges what was told, and `watch` asks again from time to time.
//!
//! What is not known is never guessed, but for one thing: that ports of TCP are hashed, as all NICs do from the start.
//! The driver is believed: what it says of a hash that the hardware computes otherwise costs handovers, and shows there.
//! Limits: Toeplitz only, without symmetric input; tables of a power of two; the default context, as flow steering rules
//! (`ethtool -N`) are the operator's.

mod message;
mod ask;
mod fields;
mod facts;
mod watch;

pub use facts::{Lack, Question, Told};
pub(crate) use fields::by_ioctl as hashed_fields;
pub use watch::RssWatch;
