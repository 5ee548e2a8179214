//! TCP options (RFC 9293 §3.2, RFC 7323, RFC 2018).
//!
//! The iterator is bounded by the 40 bytes that a header can have, and ends at the first option whose length is
//! impossible: what follows cannot be told apart any more.

use super::bytes::{be16, be32};

mod field {
    pub(super) const KIND: usize = 0;
    pub(super) const LENGTH: usize = 1;
    /// Kind and length, before the data.
    pub(super) const HEAD: usize = 2;
    /// Where the only value of an option is, counted as below from the start of the data.
    pub(super) const VALUE: usize = 0;
    pub(super) mod timestamps {
        pub(in super::super) const VALUE: usize = 0;
        pub(in super::super) const ECHO: usize = 4;
    }
}

mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const MAXIMUM_SEGMENT_SIZE: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const TIMESTAMPS: u8 = 8;
}

/// One TCP option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TcpOption<'a> {
    /// The largest segment the sender takes.
    MaximumSegmentSize(u16),
    /// By how many bits the sender's windows are shifted; at most 14 counts (RFC 7323 §2.3).
    WindowScale(u8),
    /// The sender understands selective acknowledgements.
    SackPermitted,
    /// Timestamps.
    Timestamps {
        /// The sender's.
        value: u32,
        /// The other side's, sent back.
        echo: u32,
    },
    /// Any other, or one of the above with a length it cannot have.
    Other {
        /// Its number.
        kind: u8,
        /// Its data.
        data: &'a [u8],
    },
}

/// Iterates over the options of a segment.
#[derive(Clone, Debug)]
pub struct TcpOptions<'a> {
    rest: &'a [u8],
}

impl<'a> TcpOptions<'a> {
    #[inline]
    pub(super) fn new(options: &'a [u8]) -> TcpOptions<'a> {
        TcpOptions { rest: options }
    }
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        while let Some((&kind::NO_OPERATION, rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        let options = std::mem::take(&mut self.rest);
        let head = options.first_chunk::<{ field::HEAD }>()?;
        let kind = head[field::KIND];
        if kind == kind::END {
            return None;
        }
        let (option, rest) = options.split_at_checked(usize::from(head[field::LENGTH]))?;
        let data = option.get(field::HEAD..)?;
        self.rest = rest;
        Some(match (kind, data.len()) {
            (kind::MAXIMUM_SEGMENT_SIZE, 2) => TcpOption::MaximumSegmentSize(be16(data, field::VALUE)),
            (kind::WINDOW_SCALE, 1) => TcpOption::WindowScale(data[field::VALUE]),
            (kind::SACK_PERMITTED, 0) => TcpOption::SackPermitted,
            (kind::TIMESTAMPS, 8) => TcpOption::Timestamps {
                value: be32(data, field::timestamps::VALUE),
                echo: be32(data, field::timestamps::ECHO),
            },
            _ => TcpOption::Other { kind, data },
        })
    }
}
