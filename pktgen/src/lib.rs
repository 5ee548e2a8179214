//! Builds, sends, receives and measures packets; knows nothing of Services.
//!
//! A run, in the order of the modules: a [`spec`] says what to send; [`build`] makes the frames of its flows, each with
//! a mark of when it was sent; [`send`](mod@send) sends them through AF_XDP, through a program in the kernel (live frames) or
//! through a packet socket; [`receive`](mod@receive) finds the marks where they come out; [`measure`] makes loss, order and latency
//! of them; [`trial`] does all that once and [`search`](mod@search) many times, for the highest rate that loses nothing;
//! [`report`] and [`plot`] tell. [`request`] makes whole TCP connections instead.
//!
//! [`account`] is for tests, which want to know of every single datagram.

mod bytes;
mod clock;
mod link;
mod packet_socket;
pub mod spec;
pub mod build;
pub mod send;
pub mod receive;
pub mod measure;
pub mod trial;
pub mod search;
pub mod request;
pub mod report;
pub mod plot;
pub mod account;

pub use account::{
    Bound, FrameTemplate, Ledger, MIN_PAYLOAD_BYTES, Received, Sent, Stamp, StampError, Summary, Transport,
    read_payload, receive, send,
};
pub use packet_socket::PacketSocket;
