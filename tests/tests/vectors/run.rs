//! Running a vector, and comparing it with its files.

use crate::vector::Vector;
use pcap_file::{
    DataLink, Endianness, TsResolution,
    pcap::{PcapHeader, PcapReader, PcapWriter, RawPcapPacket},
};
use penstock::replay::{Replay, run_watched};
use penstock_dataplane::path::{Counters, DropReason, ReplyKind};
use penstock_tests::packets::{Check, checks, quoted};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// A counter and its value.
type Count = (String, u64);

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The folders there are.
pub(crate) fn folders() -> BTreeSet<String> {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// Holds the vector against its files, or writes them.
pub(crate) fn check(vector: &Vector) -> Result<(), String> {
    let folder = root().join(vector.name);
    let is_regenerating = std::env::var_os("REGEN").is_some();
    if is_regenerating {
        fs::create_dir_all(&folder).unwrap();
        if !folder.join("manifests.yaml").exists() {
            std::os::unix::fs::symlink("../manifests.yaml", folder.join("manifests.yaml")).unwrap();
        }
    }
    let made = tempfile::tempdir().unwrap();
    let input = made.path().join("in.pcap");
    fs::write(&input, capture(vector)).unwrap();
    let output = made.path().join("out.pcap");
    let counters = replay(vector, &folder, &input, &output)?;
    fs::write(made.path().join("counters"), counters).unwrap();
    checksums_are_kept(&input, &output).map_err(|fault| format!("{}: {fault}", vector.name))?;
    for name in ["in.pcap", "out.pcap", "counters"] {
        let now = fs::read(made.path().join(name)).unwrap();
        let committed = fs::read(folder.join(name)).unwrap_or_default();
        if now == committed {
            continue;
        }
        if !is_regenerating {
            let (was, is) = (String::from_utf8_lossy(&committed), String::from_utf8_lossy(&now));
            let shown = if name == "counters" { format!(":\n{was}\nnow\n{is}") } else { String::new() };
            return Err(format!(
                "{}: another {name} than the committed one; if it is meant, run the test with REGEN=1 and \
                                review the difference{shown}",
                vector.name
            ));
        }
        fs::write(folder.join(name), now).unwrap();
    }
    Ok(())
}

fn capture(vector: &Vector) -> Vec<u8> {
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::MicroSecond,
        endianness: Endianness::Little,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for step in &vector.steps {
        let len = step.frame.len() as u32;
        let packet = RawPcapPacket {
            ts_sec: step.at.as_secs() as u32,
            ts_frac: step.at.subsec_micros(),
            incl_len: len,
            orig_len: len,
            data: (&step.frame).into(),
        };
        writer.write_raw_packet(&packet).unwrap();
    }
    writer.into_writer()
}

fn own_or_common(folder: &Path, name: &str) -> PathBuf {
    let own = folder.join(name);
    if own.exists() { own } else { root().join(name) }
}

/// Replays the vector. The text for `counters`, or which packets had another verdict than stated.
fn replay(vector: &Vector, folder: &Path, input: &Path, output: &Path) -> Result<String, String> {
    let replay = Replay {
        input: input.to_owned(),
        output: output.to_owned(),
        manifests: own_or_common(folder, "manifests.yaml"),
        config: Some(own_or_common(folder, "penstock.yaml")),
    };
    let mut before = counts(&Counters::default());
    let mut turns: Vec<Vec<Count>> = Vec::new();
    let outcome = run_watched(&replay, |counters| {
        assert_eq!(counters.received, counters.verdicts(), "received is the sum of the verdicts");
        let now = counts(counters);
        turns.push(change(&before, &now));
        before = now;
    })
    .map_err(|error| format!("{}: {error}", vector.name))?;
    assert!(outcome.problems.is_empty(), "{}: {:?}", vector.name, outcome.problems);
    let mut text = format!("# {}\n# What moved with each packet, and what the packet is.\n", vector.about);
    let mut wrong = String::new();
    for (place, turn) in turns.iter().enumerate() {
        let moved = words(turn);
        match vector.steps.get(place) {
            Some(step) => {
                writeln!(text, "{:>3}  {moved:<40}  {}", place + 1, step.label).unwrap();
                if !turn.iter().any(|(name, _)| name == step.verdict) {
                    writeln!(wrong, "  {}: {}: {} expected, {moved}", place + 1, step.label, step.verdict)
                        .unwrap();
                }
            }
            None => writeln!(text, "     {moved:<40}  what was held").unwrap(),
        }
    }
    if turns.len() < vector.steps.len() {
        writeln!(wrong, "  {} packets, but {} turns", vector.steps.len(), turns.len()).unwrap();
    }
    text.push_str("# In all.\n");
    for (name, count) in before.iter().filter(|(_, count)| *count > 0) {
        writeln!(text, "{name} {count}").unwrap();
    }
    if wrong.is_empty() { Ok(text) } else { Err(format!("{}:\n{wrong}", vector.name)) }
}

/// The names of the counters are those of the verdicts, and of `penstock show drops`.
fn counts(counters: &Counters) -> Vec<Count> {
    let Counters { received, forwarded, relayed, split, held, handed_off, passed, .. } = counters;
    let Counters { replied, dropped, flows_opened, flows_expired, flows_evicted, flows_v4, flows_v6, .. } =
        counters;
    let verdicts = [
        ("received", received),
        ("forwarded", forwarded),
        ("relayed", relayed),
        ("split", split),
        ("held", held),
        ("handed_off", handed_off),
        ("passed", passed),
    ];
    let flows = [
        ("flows_opened", flows_opened),
        ("flows_expired", flows_expired),
        ("flows_evicted", flows_evicted),
        ("flows_v4", flows_v4),
        ("flows_v6", flows_v6),
    ];
    let replied = ReplyKind::ALL.iter().zip(replied).map(|(kind, count)| (kind.name(), count));
    let dropped = DropReason::ALL.iter().zip(dropped).map(|(reason, count)| (reason.name(), count));
    let verdicts = verdicts.into_iter().chain(replied).chain(dropped).chain(flows);
    verdicts.map(|(name, count)| (name.to_owned(), *count)).collect()
}

fn change(before: &[Count], now: &[Count]) -> Vec<Count> {
    let pairs = before.iter().zip(now).filter(|((_, before), (_, now))| before != now);
    pairs.map(|((name, before), (_, now))| (name.clone(), now.wrapping_sub(*before))).collect()
}

fn words(moved: &[Count]) -> String {
    // Every packet is received, and one is what is to be expected.
    let others = moved.iter().filter(|(name, count)| name != "received" || *count != 1);
    let words = others.map(|(name, count)| match *count as i64 {
        1 => name.clone(),
        count => format!("{name}{count:+}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What leaves has right checksums, unless something came in with a wrong one: to be mended it must not.
fn checksums_are_kept(input: &Path, output: &Path) -> Result<(), String> {
    let wrong = |path: &Path| -> BTreeSet<(u8, usize)> {
        let mut reader = PcapReader::new(fs::File::open(path).unwrap()).unwrap();
        let mut wrong = BTreeSet::new();
        let mut number = 0;
        while let Some(packet) = reader.next_packet() {
            number += 1;
            let packet = packet.unwrap().data;
            let about = quoted(&packet).and_then(|packet| checks(&packet));
            for seen in checks(&packet).into_iter().chain(about) {
                if seen.header == Check::Wrong || seen.upper == Check::Wrong {
                    wrong.insert((seen.protocol, number));
                }
            }
        }
        wrong
    };
    let (came, left) = (wrong(input), wrong(output));
    match left.iter().find(|(protocol, _)| !came.iter().any(|(came, _)| came == protocol)) {
        Some((_, number)) => Err(format!("packet {number} of out.pcap has a wrong checksum")),
        None => Ok(()),
    }
}
