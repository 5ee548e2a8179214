//! The fast lane in the kernel: what it takes, what it leaves alone, and what it makes of what it takes. By
//! `BPF_PROG_TEST_RUN`, in which every port is the loopback interface, and nothing is sent.

mod bench;
mod decisions;
mod same_bytes;
mod pinned;
mod redirects;
mod speed;

use bench::LaneBench;
