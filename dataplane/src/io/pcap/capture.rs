//! Reading a capture file, pcap or pcapng, as packets with times.
//!
//! A file that ends within a record is not an error: captures are cut off when the disk is full or the capturing
//! process is killed. What is whole is given out, and [`Capture::was_cut`] says that there was more.
//!
//! References: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. Units of pcapng timestamps (`if_tsresol`,
//! `if_tsoffset`) are applied here, the crate leaves them as they are.

use std::io::{self, Cursor, Read};
use std::time::Duration;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError, TsResolution};

/// Why a capture can't be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Neither pcap nor pcapng.
    #[error("not a capture: it starts with {0:02x?}, which neither pcap nor pcapng files do")]
    NotACapture(Vec<u8>),
    /// Packets of something else than Ethernet.
    #[error(
        "the capture's link type is {0}, only Ethernet can be replayed (capture on an interface, not on `any`)"
    )]
    NotEthernet(String),
    /// A record that makes no sense.
    #[error("packet {number} of the capture is malformed: {what}")]
    Malformed {
        /// Counting from 1.
        number: u64,
        /// What is wrong.
        what: String,
    },
    /// The file could not be read.
    #[error("the capture could not be read: {0}")]
    Read(#[from] io::Error),
}

/// A packet of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Captured {
    /// Since 1970.
    pub(super) time: Duration,
    /// How long it was on the wire. More than there are bytes, where the capture kept only the first ones.
    pub(super) wire_len: usize,
    pub(super) bytes: Vec<u8>,
}

type Source<R> = io::Chain<Cursor<Vec<u8>>, R>;

enum Format<R: Read> {
    Pcap(PcapReader<Source<R>>),
    PcapNg(Box<PcapNgReader<Source<R>>>),
}

/// A capture being read.
pub(super) struct Capture<R: Read> {
    format: Format<R>,
    packets: u64,
    cut: bool,
    /// For packets without a time of their own.
    last_time: Duration,
}

impl<R: Read> Capture<R> {
    pub(super) fn open(mut input: R) -> Result<Capture<R>, CaptureError> {
        let mut magic = Vec::with_capacity(4);
        input.by_ref().take(4).read_to_end(&mut magic)?;
        let source = Cursor::new(magic.clone()).chain(input);
        let format = match magic[..] {
            [0x0a, 0x0d, 0x0d, 0x0a] => {
                let reader = PcapNgReader::new(source).map_err(|error| malformed(0, &error))?;
                Format::PcapNg(Box::new(reader))
            }
            [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x4d, 0x3c, 0xb2, 0xa1] => {
                let reader = PcapReader::new(source).map_err(|error| malformed(0, &error))?;
                check_link(reader.header().datalink)?;
                Format::Pcap(reader)
            }
            _ => return Err(CaptureError::NotACapture(magic)),
        };
        Ok(Capture { format, packets: 0, cut: false, last_time: Duration::ZERO })
    }

    /// Whether the file ended within a record.
    pub(super) fn was_cut(&self) -> bool {
        self.cut
    }

    /// The next packet; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        let next = match &mut self.format {
            Format::Pcap(reader) => next_pcap(reader),
            Format::PcapNg(reader) => next_pcapng(reader, self.last_time),
        };
        match next {
            Ok(Some(packet)) => {
                self.packets += 1;
                self.last_time = packet.time;
                Ok(Some(packet))
            }
            Ok(None) => Ok(None),
            Err(Stop::Format(PcapError::IoError(error))) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.cut = true;
                Ok(None)
            }
            Err(Stop::Format(error)) => Err(malformed(self.packets + 1, &error)),
            Err(Stop::Capture(error)) => Err(error),
        }
    }
}

enum Stop {
    Format(PcapError),
    Capture(CaptureError),
}

fn next_pcap<R: Read>(reader: &mut PcapReader<R>) -> Result<Option<Captured>, Stop> {
    let nanos_a_tick = match reader.header().ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    // Raw, because the crate refuses packets longer than the snap length, which are those it cut.
    let Some(raw) = reader.next_raw_packet() else { return Ok(None) };
    let raw = raw.map_err(Stop::Format)?;
    let fraction = Duration::from_nanos(u64::from(raw.ts_frac) * nanos_a_tick);
    Ok(Some(Captured {
        time: Duration::from_secs(raw.ts_sec.into()) + fraction,
        wire_len: raw.orig_len as usize,
        bytes: raw.data.into_owned(),
    }))
}

fn next_pcapng<R: Read>(reader: &mut PcapNgReader<R>, last: Duration) -> Result<Option<Captured>, Stop> {
    loop {
        let Some(block) = reader.next_block() else { return Ok(None) };
        match block.map_err(Stop::Format)?.into_owned() {
            Block::InterfaceDescription(interface) => {
                check_link(interface.linktype).map_err(Stop::Capture)?;
            }
            Block::EnhancedPacket(packet) => {
                let interface = interface(reader, packet.interface_id)?;
                // The crate takes ticks for nanoseconds.
                let ticks = packet.timestamp.as_nanos() as u64;
                return Ok(Some(Captured {
                    time: time_of(interface, ticks),
                    wire_len: packet.original_len as usize,
                    bytes: packet.data.into_owned(),
                }));
            }
            Block::Packet(packet) => {
                let interface = interface(reader, packet.interface_id.into())?;
                return Ok(Some(Captured {
                    time: time_of(interface, packet.timestamp),
                    wire_len: packet.original_len as usize,
                    bytes: packet.data.into_owned(),
                }));
            }
            Block::SimplePacket(packet) => {
                let wire_len = packet.original_len as usize;
                let mut bytes = packet.data.into_owned();
                // It has no length of its own: padding is not part of it.
                bytes.truncate(wire_len);
                return Ok(Some(Captured { time: last, wire_len, bytes }));
            }
            _ => (),
        }
    }
}

fn interface<R: Read>(
    reader: &PcapNgReader<R>,
    id: u32,
) -> Result<&InterfaceDescriptionBlock<'static>, Stop> {
    reader.interfaces().get(id as usize).ok_or(Stop::Format(PcapError::InvalidInterfaceId(id)))
}

/// A pcapng timestamp since 1970.
fn time_of(interface: &InterfaceDescriptionBlock<'_>, ticks: u64) -> Duration {
    let (mut resolution, mut offset) = (6, 0);
    for option in &interface.options {
        match option {
            InterfaceDescriptionOption::IfTsResol(value) => resolution = *value,
            InterfaceDescriptionOption::IfTsOffset(seconds) => offset = *seconds,
            _ => (),
        }
    }
    let exponent = u32::from(resolution & 0x7f);
    let per_second = match resolution & 0x80 {
        0 => 10u64.checked_pow(exponent),
        _ => 2u64.checked_pow(exponent),
    };
    // A finer clock than 64 bits can tell has ticks of no length.
    let per_second = u128::from(per_second.unwrap_or(u64::MAX));
    let nanos = u128::from(ticks) * 1_000_000_000 / per_second;
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    let time = Duration::new(seconds, (nanos % 1_000_000_000) as u32);
    time.checked_add(Duration::from_secs(offset)).unwrap_or(time)
}

fn check_link(link: DataLink) -> Result<(), CaptureError> {
    match link {
        DataLink::ETHERNET => Ok(()),
        other => Err(CaptureError::NotEthernet(format!("{other:?}"))),
    }
}

fn malformed(number: u64, error: &PcapError) -> CaptureError {
    CaptureError::Malformed { number, what: error.to_string() }
}
