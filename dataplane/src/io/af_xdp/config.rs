//! What can be chosen about the sockets.

use std::fmt;

/// Sizes and choices for the sockets of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AfXdpConfig {
    /// Entries of each ring (fill, receive, transmit, completion): a power of two.
    pub ring_size: u32,
    /// Bytes of a frame, 256 of which are the kernel's: 2048 or 4096.
    pub frame_size: u32,
    /// Frames of the UMEM. By default twice a ring for each socket, and a batch.
    pub frames: Option<u32>,
    /// Whether to take the UMEM from huge pages, where there are any reserved.
    pub huge_pages: bool,
    /// Zero-copy or copying.
    pub bind: BindPreference,
    /// Whether the drivers' receiving is to be done by the worker's system calls, on its core and when it asks
    /// (preferred busy polling, Linux 5.11), instead of by interrupts.
    pub busy_poll: bool,
}

impl Default for AfXdpConfig {
    fn default() -> Self {
        AfXdpConfig {
            ring_size: 2048,
            frame_size: 4096,
            frames: None,
            huge_pages: true,
            bind: BindPreference::Auto,
            busy_poll: false,
        }
    }
}

/// Which bind mode is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BindPreference {
    /// Zero-copy; if any interface can't, copying for all.
    #[default]
    Auto,
    /// Zero-copy or nothing.
    ZeroCopy,
    /// Copying, even where the driver can do without.
    Copy,
}

/// How packets get between the driver and the UMEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindMode {
    /// The device reads and writes frames itself.
    ZeroCopy,
    /// The kernel copies.
    Copy,
}

impl fmt::Display for BindMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BindMode::ZeroCopy => "zero-copy",
            BindMode::Copy => "copy",
        })
    }
}
