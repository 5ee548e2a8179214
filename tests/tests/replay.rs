//! A replay is a function of its input: the same capture and manifests give the same bytes, every time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command, time::Duration};

use pcap_file::pcap::{PcapPacket, PcapWriter};
use penstock::demo::{Endpoint, ManifestFolder, ServiceManifest, ServicePort};
use penstock_pktgen::{FrameTemplate, Stamp, Transport};
use penstock_tests::penstock;

const FLOWS: u32 = 50;
const PACKETS_EACH: u64 = 4;

fn manifests(folder: &Path) -> ManifestFolder {
    let manifests = ManifestFolder::create(folder).unwrap();
    let service = ServiceManifest {
        name: "dns".to_owned(),
        ports: vec![ServicePort {
            name: "dns",
            protocol: "UDP",
            port: 53,
            target_port: 8053,
            node_port: None,
        }],
        cluster_ips: vec!["10.96.0.10".parse().unwrap(), "fd00:96::10".parse().unwrap()],
        load_balancer_ips: Vec::new(),
    };
    let endpoint = |number: u8| Endpoint {
        node: format!("node-{number}"),
        addresses: vec![
            format!("10.2.0.1{number}").parse().unwrap(),
            format!("fd00:2::1{number}").parse().unwrap(),
        ],
    };
    manifests.write("service.yaml", &[service.service()]).unwrap();
    manifests.write("endpoints.yaml", &service.slices(&[1, 2, 3].map(endpoint))).unwrap();
    manifests
}

fn capture(path: &Path) {
    let mut writer = PcapWriter::new(fs::File::create(path).unwrap()).unwrap();
    let (mut frame, mut time) = (Vec::new(), Duration::from_secs(1_700_000_000));
    for number in 0..PACKETS_EACH {
        for flow in 0..FLOWS {
            for (source, destination) in
                [("10.1.0.2:20000", "10.96.0.10:53"), ("[fd00:1::2]:20000", "[fd00:96::10]:53")]
            {
                let template = FrameTemplate {
                    macs: ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
                    source: source.parse().unwrap(),
                    destination: destination.parse().unwrap(),
                    transport: Transport::Udp,
                    payload_bytes: 64,
                };
                template.build(Stamp { flow, number }, &mut frame).unwrap();
                time += Duration::from_micros(10);
                let length = u32::try_from(frame.len()).unwrap();
                writer.write_packet(&PcapPacket::new(time, length, &frame)).unwrap();
            }
        }
    }
}

#[test]
fn a_replay_gives_the_same_bytes_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.pcap");
    capture(&input);
    let manifests = manifests(&folder.path().join("manifests"));
    let replay = |name: &str| {
        let output = folder.path().join(name);
        let mut command = Command::new(penstock());
        command.arg("replay").arg(&input).arg("--manifests").arg(manifests.path()).arg("-w").arg(&output);
        let result = command.output().unwrap();
        assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
        fs::read(output).unwrap()
    };
    let first = replay("first.pcap");
    let packets = 2 * u64::from(FLOWS) * PACKETS_EACH;
    assert!(first.len() as u64 > packets * 100, "only {} bytes for {packets} packets", first.len());
    for attempt in 0..3 {
        assert!(replay(&format!("again-{attempt}.pcap")) == first, "another replay gave other bytes");
    }
}
