//! Packets in from a capture file, and out to another.
//!
//! In: pcap or pcapng of Ethernet. Each packet arrives on the port that a rule gives; the clock is that of the
//! capture, [`PcapIo::now`]. Out: pcap with nanoseconds; a packet that was received keeps its time, one that was
//! built has the time it was built at. The same input gives the same output bytes.
//!
//! A batch spans a millisecond of the capture at most, so that within a batch the clock hardly moves. When frames
//! run out, reading waits: nothing is lost. Packets of which the capture holds only a part, and those longer than a
//! frame, are left out and counted.

mod capture;

#[cfg(test)]
mod tests;

pub use capture::CaptureError;

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapWriter, RawPcapPacket};
use pcap_file::{DataLink, Endianness, TsResolution};

use super::pool::FramePool;
use super::{Frame, FrameAccounts, FrameBatch, FrameRegion, PacketIo, PortCounters, PortId};
use capture::{Capture, Captured};

const FRAMES: usize = 256;
/// Holds jumbo frames. Longer packets in captures are put together by the capturing host.
const FRAME_SIZE: usize = 16384;
const BATCH_SPAN: Duration = Duration::from_millis(1);

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file could not be opened or made.
    #[error("{path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The input can't be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The output can't be written.
    #[error("the output capture could not be written: {0}")]
    Write(String),
}

/// What a replay read and wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct ReplaySummary {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets left out because the capture has only their first bytes.
    pub sliced: u64,
    /// Packets left out because they are longer than a frame.
    pub too_long: u64,
    /// Whether the input ended within a packet.
    pub input_was_cut: bool,
}

/// Which port a packet arrives on.
pub type ArrivalRule = Box<dyn FnMut(&[u8]) -> PortId + Send>;

/// A [`PacketIo`] between two capture files.
pub struct PcapIo<R: Read, W: Write> {
    pool: FramePool,
    /// When the packet of each frame arrived, by address.
    times: Vec<Duration>,
    capture: Capture<R>,
    /// Read, and not yet received.
    next: Option<Captured>,
    rule: ArrivalRule,
    writer: PcapWriter<W>,
    now: Duration,
    counters: Box<[PortCounters; 256]>,
    summary: ReplaySummary,
    failure: Option<ReplayError>,
    ended: bool,
}

impl PcapIo<File, BufWriter<File>> {
    /// Reads one file and makes another.
    pub fn open(input: &Path, output: &Path, rule: ArrivalRule) -> Result<Self, ReplayError> {
        let named = |path: &Path| {
            let path = path.display().to_string();
            move |source| ReplayError::Open { path, source }
        };
        let reader = File::open(input).map_err(named(input))?;
        let writer = File::create(output).map_err(named(output))?;
        PcapIo::new(reader, BufWriter::new(writer), rule)
    }
}

impl<R: Read, W: Write> PcapIo<R, W> {
    /// Reads from one place and writes to another.
    pub fn new(input: R, output: W, rule: ArrivalRule) -> Result<Self, ReplayError> {
        let capture = Capture::open(input)?;
        let header = PcapHeader {
            version_major: 2,
            version_minor: 4,
            ts_correction: 0,
            ts_accuracy: 0,
            snaplen: 262_144,
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            // Whatever the machine, so that outputs can be compared.
            endianness: Endianness::Little,
        };
        let writer = PcapWriter::with_header(output, header).map_err(write_error)?;
        let mut replay = PcapIo {
            pool: FramePool::new(FrameRegion::heap(FRAMES, FRAME_SIZE), 0),
            times: vec![Duration::ZERO; FRAMES],
            capture,
            next: None,
            rule,
            writer,
            now: Duration::ZERO,
            counters: Box::new([PortCounters::default(); 256]),
            summary: ReplaySummary::default(),
            failure: None,
            ended: false,
        };
        replay.advance();
        replay.now = replay.next.as_ref().map_or(Duration::ZERO, |first| first.time);
        Ok(replay)
    }

    /// The capture's clock: the time since 1970 of the packet received last, or of the first one before that. Never
    /// goes back, even where the capture does.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Whether every packet was received.
    pub fn is_at_end(&self) -> bool {
        self.next.is_none()
    }

    /// Ends the replay: the summary, or what went wrong on the way, and where the output was written to.
    pub fn finish(mut self) -> Result<(ReplaySummary, W), ReplayError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut output = self.writer.into_writer();
        output.flush().map_err(|error| ReplayError::Write(error.to_string()))?;
        Ok((ReplaySummary { input_was_cut: self.capture.was_cut(), ..self.summary }, output))
    }

    /// Reads the next packet that can be replayed.
    fn advance(&mut self) {
        self.next = None;
        while !self.ended {
            match self.capture.next() {
                Ok(Some(packet)) if packet.bytes.len() < packet.wire_len => self.summary.sliced += 1,
                Ok(Some(packet)) if packet.bytes.len() > FRAME_SIZE => self.summary.too_long += 1,
                Ok(Some(packet)) => {
                    self.next = Some(packet);
                    return;
                }
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    self.failure.get_or_insert(error.into());
                }
            }
        }
    }

    /// Writes what is sent from a frame.
    fn write(&mut self, time: Duration, packet: &[u8]) {
        let length = packet.len() as u32;
        let raw = RawPcapPacket {
            ts_sec: u32::try_from(time.as_secs()).unwrap_or(u32::MAX),
            ts_frac: time.subsec_nanos(),
            incl_len: length,
            orig_len: length,
            data: packet.into(),
        };
        if let Err(error) = self.writer.write_raw_packet(&raw) {
            self.failure.get_or_insert(write_error(error));
        }
    }
}

impl<R: Read, W: Write> PacketIo for PcapIo<R, W> {
    fn receive(&mut self, batch: &mut FrameBatch) -> usize {
        let before = batch.len();
        let mut until = None;
        while !batch.is_full() {
            let Some(packet) = &self.next else { break };
            if packet.time > *until.get_or_insert(packet.time.saturating_add(BATCH_SPAN)) {
                break;
            }
            let port = (self.rule)(&packet.bytes);
            let Some(mut frame) = self.pool.allocate(port) else { break };
            // Longer ones were left out when they were read.
            let written = frame.write(&packet.bytes);
            debug_assert!(written.is_ok());
            if let Some(index) = self.pool.index_of(&frame) {
                self.times[index] = packet.time;
            }
            self.now = self.now.max(packet.time);
            let counters = &mut self.counters[usize::from(port.0)];
            counters.rx_packets += 1;
            counters.rx_bytes += frame.len() as u64;
            self.summary.received += 1;
            batch.push(frame);
            self.advance();
        }
        batch.len() - before
    }

    /// Writes at once: there is nothing to gain from waiting for the flush.
    fn transmit(&mut self, port: PortId, frame: Frame) {
        let time = self.pool.index_of(&frame).map_or(self.now, |index| self.times[index]);
        self.write(time, &frame);
        let counters = &mut self.counters[usize::from(port.0)];
        counters.tx_packets += 1;
        counters.tx_bytes += frame.len() as u64;
        self.summary.sent += 1;
        self.pool.release(frame);
    }

    fn flush(&mut self) {}

    fn allocate(&mut self) -> Option<Frame> {
        let frame = self.pool.allocate(PortId::default())?;
        if let Some(index) = self.pool.index_of(&frame) {
            self.times[index] = self.now;
        }
        Some(frame)
    }

    fn recycle(&mut self, frame: Frame) {
        self.pool.release(frame);
    }

    /// Time is the capture's, so there is nothing to wait for.
    fn wait(&mut self, _timeout: Duration, _wake: Option<BorrowedFd<'_>>) {}

    fn accounts(&self) -> FrameAccounts {
        FrameAccounts {
            total: self.pool.total(),
            free: self.pool.free(),
            receiving: 0,
            sending: 0,
            outstanding: self.pool.out(),
        }
    }

    fn counters(&self, port: PortId) -> PortCounters {
        self.counters[usize::from(port.0)]
    }
}

impl<R: Read, W: Write> fmt::Debug for PcapIo<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapIo")
            .field("now", &self.now)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

fn write_error(error: pcap_file::PcapError) -> ReplayError {
    match error {
        pcap_file::PcapError::IoError(error) => ReplayError::Write(error.to_string()),
        other => ReplayError::Write(other.to_string()),
    }
}
