//! Conversations through the whole path.

mod forwarding;
mod decisions;
mod answers;
mod icmp;
mod links;
mod batches;
mod limits;
mod workers;
mod properties;
mod maglev;
