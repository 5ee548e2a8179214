use std::borrow::Cow;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn raw(nanos: u64, wire_len: u32, data: &[u8]) -> RawPcapPacket<'_> {
    RawPcapPacket {
        ts_sec: (nanos / SECOND) as u32,
        ts_frac: (nanos % SECOND) as u32,
        incl_len: data.len() as u32,
        orig_len: wire_len,
        data: Cow::Borrowed(data),
    }
}

/// A capture with nanoseconds: (time, length on the wire, bytes).
fn capture(packets: &[(u64, u32, &[u8])]) -> Vec<u8> {
    let header = PcapHeader { ts_resolution: TsResolution::NanoSecond, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (nanos, wire_len, data) in packets {
        writer.write_raw_packet(&raw(*nanos, *wire_len, data)).unwrap();
    }
    writer.into_writer()
}

fn whole(packets: &[(u64, &[u8])]) -> Vec<u8> {
    let packets: Vec<_> = packets.iter().map(|(nanos, data)| (*nanos, data.len() as u32, *data)).collect();
    capture(&packets)
}

fn on_port(port: u8) -> ArrivalRule {
    Box::new(move |_| PortId(port))
}

/// Sends everything back.
fn echo(input: &[u8]) -> Result<(ReplaySummary, Vec<u8>), ReplayError> {
    let mut io = PcapIo::new(input, Vec::new(), on_port(0))?;
    while !io.is_at_end() {
        let mut batch = FrameBatch::new();
        assert!(io.receive(&mut batch) > 0, "no packet, but not at the end");
        for frame in batch {
            io.transmit(PortId(1), frame);
        }
        io.flush();
        assert_eq!(io.accounts().outstanding, 0);
    }
    assert_eq!(io.accounts().free, io.accounts().total);
    io.finish()
}

fn read_back(output: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut reader = PcapReader::new(output).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        packets.push((packet.timestamp.as_nanos() as u64, packet.data.to_vec()));
    }
    packets
}

#[test]
fn packets_keep_their_times_and_bytes() {
    let packets: Vec<(u64, &[u8])> =
        vec![(5 * SECOND + 1, b"one"), (5 * SECOND + 999, b"two"), (9 * SECOND, b"three")];
    let (summary, output) = echo(&whole(&packets)).unwrap();
    assert_eq!(summary, ReplaySummary { received: 3, sent: 3, ..ReplaySummary::default() });
    let expected: Vec<_> = packets.iter().map(|(nanos, data)| (*nanos, data.to_vec())).collect();
    assert_eq!(read_back(&output), expected);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let packets: Vec<(u64, Vec<u8>)> = (0..500u64).map(|i| (i * 100_000, vec![i as u8; 60])).collect();
    let packets: Vec<(u64, &[u8])> = packets.iter().map(|(nanos, data)| (*nanos, &data[..])).collect();
    let input = whole(&packets);
    assert_eq!(echo(&input).unwrap().1, echo(&input).unwrap().1);
}

#[test]
fn the_clock_is_the_captures() {
    let input = whole(&[(SECOND, b"a"), (SECOND + 1_000_000, b"b"), (SECOND + 1_000_001, b"c"), (7, b"d")]);
    let mut io = PcapIo::new(&input[..], Vec::new(), on_port(0)).unwrap();
    assert_eq!(io.now(), Duration::from_secs(1));
    let mut batch = FrameBatch::new();
    assert_eq!(io.receive(&mut batch), 2, "a batch spans a millisecond");
    assert_eq!(io.now(), Duration::from_nanos(SECOND + 1_000_000));
    // An answer to the first packet has the clock's time; the packet itself its own.
    let mut answer = io.allocate().unwrap();
    answer.write(b"answer").unwrap();
    io.transmit(PortId(0), answer);
    batch.drain(..).for_each(|frame| io.transmit(PortId(0), frame));
    assert_eq!(io.receive(&mut batch), 2);
    assert_eq!(io.now(), Duration::from_nanos(SECOND + 1_000_001), "it never goes back");
    batch.drain(..).for_each(|frame| io.recycle(frame));
    let times: Vec<u64> = read_back(&io.finish().unwrap().1).iter().map(|(nanos, _)| *nanos).collect();
    assert_eq!(times, [SECOND + 1_000_000, SECOND, SECOND + 1_000_000]);
}

#[test]
fn a_rule_gives_each_packet_its_port() {
    let input = whole(&[(0, b"\x05"), (1, b"\x09")]);
    let mut io = PcapIo::new(&input[..], Vec::new(), Box::new(|bytes| PortId(bytes[0]))).unwrap();
    let mut batch = FrameBatch::new();
    io.receive(&mut batch);
    assert_eq!(batch.iter().map(|frame| frame.port().0).collect::<Vec<_>>(), [5, 9]);
    assert_eq!(io.counters(PortId(9)).rx_packets, 1);
    batch.drain(..).for_each(|frame| io.recycle(frame));
}

#[test]
fn reading_waits_for_frames() {
    let packet: (u64, &[u8]) = (0, b"x");
    let input = whole(&[packet; FRAMES + 10]);
    let mut io = PcapIo::new(&input[..], Vec::new(), on_port(0)).unwrap();
    let mut held = Vec::new();
    let mut batch = FrameBatch::new();
    while io.receive(&mut batch) > 0 {
        held.extend(batch.drain(..));
    }
    assert_eq!((held.len(), io.is_at_end()), (FRAMES, false));
    held.drain(..).for_each(|frame| io.recycle(frame));
    assert_eq!(io.receive(&mut batch), 10);
    batch.drain(..).for_each(|frame| io.recycle(frame));
    assert!(io.is_at_end());
}

#[test]
fn what_cannot_be_replayed_is_counted() {
    let long = vec![0; FRAME_SIZE + 1];
    let input = capture(&[(0, 3, b"one"), (1, 1500, b"tw"), (2, long.len() as u32, &long), (3, 4, b"four")]);
    let (summary, output) = echo(&input).unwrap();
    let expected = ReplaySummary { received: 2, sent: 2, sliced: 1, too_long: 1, input_was_cut: false };
    assert_eq!(summary, expected);
    assert_eq!(read_back(&output).len(), 2);
}

#[test]
fn a_file_cut_at_any_place_gives_what_is_whole() {
    let input = whole(&[(0, b"first"), (1, b"second")]);
    for length in 0..input.len() {
        let cut = &input[..length];
        if length < 24 {
            echo(cut).unwrap_err();
            continue;
        }
        let (summary, _) = echo(cut).unwrap();
        assert_eq!(summary.received, u64::from(length >= 24 + 16 + 5));
        assert_eq!(summary.input_was_cut, ![24, 24 + 16 + 5].contains(&length), "at {length}");
    }
}

#[test]
fn pcapng_times_have_the_interfaces_units() {
    let mut writer = PcapNgWriter::with_section_header(Vec::new(), SectionHeaderBlock::default()).unwrap();
    let resolutions = [None, Some(9), Some(0x80 | 10), Some(0)];
    for resolution in resolutions {
        let options = resolution.map(InterfaceDescriptionOption::IfTsResol).into_iter().collect();
        let interface = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 65535, options };
        writer.write_pcapng_block(interface).unwrap();
    }
    for (interface_id, ticks) in [(0, 3_000_001), (1, 3_000_000_007), (2, 3 * 1024 + 512), (3, 4)] {
        let packet = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(ticks),
            original_len: 5,
            data: Cow::Borrowed(b"bytes"),
            options: vec![],
        };
        writer.write_pcapng_block(packet).unwrap();
    }
    let (_, output) = echo(&writer.into_inner()).unwrap();
    let times: Vec<u64> = read_back(&output).iter().map(|(nanos, _)| *nanos).collect();
    assert_eq!(times, [3_000_001_000, 3_000_000_007, 3_500_000_000, 4_000_000_000]);
}

#[test]
fn refusals_say_what_and_why() {
    let said = echo(b"#!/bin/sh").unwrap_err().to_string();
    assert!(said.contains("not a capture"), "{said}");
    let header = PcapHeader { datalink: DataLink::LINUX_SLL, ..PcapHeader::default() };
    let cooked = PcapWriter::with_header(Vec::new(), header).unwrap().into_writer();
    let said = echo(&cooked).unwrap_err().to_string();
    assert!(said.contains("LINUX_SLL") && said.contains("only Ethernet"), "{said}");
    let missing = Path::new("/nowhere/in.pcap");
    let said = PcapIo::open(missing, missing, on_port(0)).unwrap_err().to_string();
    assert!(said.starts_with("/nowhere/in.pcap: "), "{said}");
}

#[test]
fn files_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.pcap"), folder.path().join("out.pcap"));
    std::fs::write(&input, whole(&[(0, b"packet")])).unwrap();
    let mut io = PcapIo::open(&input, &output, on_port(0)).unwrap();
    let mut batch = FrameBatch::new();
    io.receive(&mut batch);
    batch.drain(..).for_each(|frame| io.transmit(PortId(0), frame));
    drop(io.finish().unwrap());
    assert_eq!(read_back(&std::fs::read(&output).unwrap()), [(0, b"packet".to_vec())]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Neither arbitrary bytes nor a damaged capture make it panic or lose a frame.
    #[test]
    fn damage_is_survived(
        ng in any::<bool>(), place in 0usize..200, value in any::<u8>(), length in 0usize..200,
    ) {
        let mut input = whole(&[(0, b"first"), (1, b"second")]);
        if ng {
            let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
            writer.write_pcapng_block(InterfaceDescriptionBlock::new(DataLink::ETHERNET, 65535)).unwrap();
            let data = Cow::Borrowed(&b"bytes"[..]);
            let (timestamp, options) = (Duration::ZERO, vec![]);
            let packet = EnhancedPacketBlock { interface_id: 0, timestamp, original_len: 5, data, options };
            writer.write_pcapng_block(packet).unwrap();
            input = writer.into_inner();
        }
        input.truncate(length);
        if let Some(byte) = input.get_mut(place) {
            *byte = value;
        }
        let _either = echo(&input);
    }
}
