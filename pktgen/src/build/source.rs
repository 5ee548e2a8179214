//! The next frame, whatever it is of: flows in turn or at random, or a capture again and again.

use std::{fs::File, path::Path};

use anyhow::{Context, Result, bail};
use pcap_file::{DataLink, pcap::PcapReader};
use penstock_dataplane::wire::{EtherAddr, set_destination, set_source};

use super::{FlowFrame, flows};
use crate::spec::{FCS_BYTES, Order, Spec};

/// Frames to send, without end.
#[derive(Debug)]
pub enum Source {
    /// Built ones.
    Flows {
        /// Of these.
        flows: Vec<FlowFrame>,
        /// Bytes without check sequence, in turn.
        sizes: Vec<u16>,
        /// Which flow's turn it is.
        order: Order,
        /// The next flow.
        next: usize,
        /// The next size.
        next_size: usize,
        /// For flows at random.
        random: u64,
    },
    /// Recorded ones.
    Recording {
        /// In their order.
        frames: Vec<Vec<u8>>,
        /// The next one.
        next: usize,
    },
}

impl Source {
    /// What `spec` says. `own_mac` is the interface's.
    pub fn new(spec: &Spec, own_mac: EtherAddr, run: u16) -> Result<Source> {
        if let Some(file) = &spec.pcap {
            let frames = read(file, spec.source_mac, spec.destination_mac)
                .with_context(|| format!("pcap: {}", file.display()))?;
            return Ok(Source::Recording { frames, next: 0 });
        }
        Ok(Source::Flows {
            flows: flows(spec, spec.source_mac.unwrap_or(own_mac), run)?,
            sizes: spec.sizes.0.iter().map(|size| size - FCS_BYTES).collect(),
            order: spec.order,
            next: 0,
            next_size: 0,
            random: u64::from(run) << 32 | 0x9e37_79b9,
        })
    }

    /// The longest frame.
    pub fn longest(&self) -> usize {
        match self {
            Source::Flows { sizes, .. } => sizes.iter().copied().max().unwrap_or_default().into(),
            Source::Recording { frames, .. } => frames.iter().map(Vec::len).max().unwrap_or_default(),
        }
    }

    /// Writes the next frame and returns its length: 0 if `frame` is too short for it.
    #[inline]
    pub fn next(&mut self, frame: &mut [u8], now_ns: u64) -> usize {
        match self {
            Source::Flows { flows, sizes, order, next, next_size, random } => {
                let flow = match order {
                    Order::Turn => *next,
                    Order::Random => {
                        // xorshift64.
                        *random ^= *random << 13;
                        *random ^= *random >> 7;
                        *random ^= *random << 17;
                        (*random % flows.len() as u64) as usize
                    }
                };
                *next = if *next + 1 < flows.len() { *next + 1 } else { 0 };
                let size = usize::from(sizes[*next_size]);
                // A round of all flows begins with another size each time, so that no flow is tied to one.
                *next_size = (*next_size + 1 + usize::from(*next == 0)) % sizes.len();
                if size > frame.len() {
                    return 0;
                }
                flows[flow].write(frame, size, now_ns);
                size
            }
            Source::Recording { frames, next } => {
                let recorded = &frames[*next];
                *next = (*next + 1) % frames.len();
                let Some(frame) = frame.get_mut(..recorded.len()) else { return 0 };
                frame.copy_from_slice(recorded);
                recorded.len()
            }
        }
    }

    /// Packets by flow, as far as they were built here.
    pub fn by_flow(&self) -> Vec<u32> {
        match self {
            Source::Flows { flows, .. } => flows.iter().map(FlowFrame::written).collect(),
            Source::Recording { .. } => Vec::new(),
        }
    }
}

fn read(file: &Path, source: Option<EtherAddr>, destination: Option<EtherAddr>) -> Result<Vec<Vec<u8>>> {
    let mut reader = PcapReader::new(File::open(file).context("cannot open it")?)
        .context("is not a pcap file (tcpdump -w writes one; editcap -F pcap makes one of pcapng)")?;
    if reader.header().datalink != DataLink::ETHERNET {
        bail!("has link type {:?}: only Ethernet can be sent", reader.header().datalink);
    }
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.with_context(|| format!("packet {} is malformed", frames.len() + 1))?;
        let mut frame = packet.data.into_owned();
        if frame.len() < 14 || frame.len() < packet.orig_len as usize {
            bail!("packet {} was cut off when it was captured (tcpdump -s 0 keeps all)", frames.len() + 1);
        }
        if let Some(mac) = source {
            set_source(&mut frame, mac);
        }
        if let Some(mac) = destination {
            set_destination(&mut frame, mac);
        }
        frames.push(frame);
    }
    if frames.is_empty() {
        bail!("has no packets");
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use pcap_file::pcap::{PcapPacket, PcapWriter};

    use super::*;
    use crate::{build::find_mark, spec::RawSpec};

    fn spec(more: &str) -> Spec {
        let yaml = format!("{{interface: x, destinationMac: '02:00:00:00:00:02', packets: 1, {more}}}");
        RawSpec::parse(&yaml).unwrap().try_into().unwrap()
    }

    const TRAFFIC: &str =
        "traffic: [{source: 10.0.0.1, destination: 10.0.0.2, destinationPorts: 9, flows: 4}]";

    #[test]
    fn flows_take_turns_and_get_all_sizes() {
        let spec = spec(&format!("size: '64,128', {TRAFFIC}"));
        let mut source = Source::new(&spec, EtherAddr([2; 6]), 1).unwrap();
        let mut frame = [0; 200];
        let seen: Vec<_> = (0..16)
            .map(|_| {
                let length = source.next(&mut frame, 0);
                (find_mark(&frame[..length]).unwrap().0.flow, length)
            })
            .collect();
        assert_eq!(seen[..6], [(0, 60), (1, 124), (2, 60), (3, 124), (0, 124), (1, 60)]);
        assert_eq!(source.by_flow(), [4; 4]);
        assert_eq!(source.next(&mut [0; 50], 0), 0);
    }

    #[test]
    fn flows_at_random_are_all_there() {
        let mut source =
            Source::new(&spec(&format!("order: random, {TRAFFIC}")), EtherAddr([2; 6]), 1).unwrap();
        (0..1000).for_each(|_| {
            source.next(&mut [0; 60], 0);
        });
        assert!(source.by_flow().iter().all(|count| (200..300).contains(count)), "{:?}", source.by_flow());
    }

    #[test]
    fn a_capture_is_sent_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("two.pcap");
        let mut writer = PcapWriter::new(File::create(&file).unwrap()).unwrap();
        for byte in [1_u8, 2] {
            let frame = [byte; 20];
            writer.write_packet(&PcapPacket::new(std::time::Duration::ZERO, 20, &frame)).unwrap();
        }
        let spec = spec(&format!("pcap: {}", file.display()));
        let mut source = Source::new(&spec, EtherAddr([2; 6]), 1).unwrap();
        let mut frame = [0; 64];
        let sent: Vec<_> = (0..3).map(|_| (source.next(&mut frame, 0), frame[19])).collect();
        assert_eq!(sent, [(20, 1), (20, 2), (20, 1)]);
        assert_eq!(frame[..6], [2, 0, 0, 0, 0, 2]);
        let missing = Source::new(&Spec { pcap: Some("/nowhere".into()), ..spec }, EtherAddr([2; 6]), 1);
        assert!(format!("{:#}", missing.unwrap_err()).contains("pcap: /nowhere: cannot open it"));
    }
}
