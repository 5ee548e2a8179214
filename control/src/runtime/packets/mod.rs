//! Starting the packet side: classifier, sockets, worker threads.
//!
//! In: the configuration and the interfaces as they are. Out: running workers that have no Services yet, and a
//! classifier that passes everything to the kernel. Queue *q* of every interface belongs to worker *q mod N*, and a
//! worker sends by its own queues, so it must have one on each interface.

mod start;
mod attach;
mod queues;
mod sockets;
mod worker;
mod common;

pub(super) use attach::{attach, attach_preference};
pub use common::Common;
pub(super) use queues::{queues, rss_questions};
pub(super) use sockets::{Bound, Socket, describe, named, socket_config, sockets};
pub(super) use start::{Started, start};
pub(super) use worker::idle;
pub use worker::{RunningWorker, path_config};

#[cfg(test)]
mod tests;
