use super::*;
use std::{fs, os::unix::fs::symlink};

/// A machine that is a good gateway, as files.
fn good_root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    write("proc/self/status", "Name:\tpenstock\nCapEff:\t000000c000007000\n");
    write("proc/self/limits", "Max locked memory         8388608              8388608              bytes\n");
    write("proc/self/mounts", "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n");
    write("dev/net/tun", "");
    write("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
    write("proc/sys/net/ipv4/ip_local_reserved_ports", "\n");
    write("proc/sys/net/ipv4/ip_forward", "0\n");
    write("proc/sys/net/ipv4/conf/default/rp_filter", "2\n");
    write("proc/sys/net/ipv4/conf/all/rp_filter", "0\n");
    write("proc/sys/net/ipv4/conf/all/arp_ignore", "1\n");
    write("proc/sys/net/ipv4/conf/all/arp_announce", "2\n");
    write("sys/devices/system/cpu/online", "0-7\n");
    write("sys/devices/system/cpu/isolated", "2\n");
    write("sys/devices/system/cpu/nohz_full", "3\n");
    write("sys/devices/system/node/node0/cpulist", "0-7\n");
    write("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "64\n");
    for (index, name) in [(2, "eth0"), (3, "eth1")] {
        write(&format!("sys/class/net/{name}/ifindex"), &index.to_string());
        write(&format!("sys/class/net/{name}/mtu"), "1500\n");
        write(&format!("sys/class/net/{name}/flags"), "0x1003\n");
        write(&format!("sys/class/net/{name}/operstate"), "up\n");
        for queue in 0..4 {
            write(&format!("sys/class/net/{name}/queues/rx-{queue}/x"), "");
            write(&format!("sys/class/net/{name}/queues/tx-{queue}/x"), "");
        }
        let device = root.path().join(format!("sys/class/net/{name}/device"));
        fs::create_dir_all(&device).unwrap();
        symlink("../../../bus/pci/drivers/ice", device.join("driver")).unwrap();
    }
    root
}

const CONFIG: &str = "
interfaces: [{name: eth0, roles: [client]}, {name: eth1, roles: [backend]}]
workers: {count: 2, cores: [2, 3], idle: busy}
umem: {hugePages: true}
socket: /nowhere/penstock.sock
";

fn config(text: &str) -> Config {
    Config::from_yaml(text, "test.yaml", "node-1").unwrap()
}

fn good_machine() -> (Config, Machine) {
    let config = config(CONFIG);
    let root = good_root();
    let machine = Machine::read(&Root::at(root.path()), &config);
    (config, machine)
}

/// What is found of a machine that is good but for one thing: verdicts, subjects and remedies of all that did not pass.
fn found(spoil: impl FnOnce(&mut Config, &mut Machine)) -> Vec<(Verdict, String, String)> {
    let (mut config, mut machine) = good_machine();
    spoil(&mut config, &mut machine);
    checks::of_machine(&config, &machine)
        .into_iter()
        .filter(|check| check.verdict != Verdict::Pass)
        .map(|check| (check.verdict, check.subject, format!("{} | {}", check.finding, check.remedy.unwrap())))
        .collect()
}

/// There is exactly one finding.
#[track_caller]
fn only(verdict: Verdict, subject: &str, words: &str, spoil: impl FnOnce(&mut Config, &mut Machine)) {
    let found = found(spoil);
    let [(was, about, text)] = found.as_slice() else { panic!("{found:#?}") };
    assert!((*was, about.as_str()) == (verdict, subject) && text.contains(words), "{found:#?}");
}

fn eth0(machine: &mut Machine) -> &mut Link {
    machine.links.get_mut("eth0").unwrap()
}

#[test]
fn a_good_machine_passes_everything() {
    assert_eq!(found(|_, _| {}), []);
    let (_, machine) = good_machine();
    assert_eq!(machine.links["eth1"].driver.as_deref(), Some("ice"));
    assert_eq!((machine.links["eth0"].rx_queues, machine.links["eth0"].index), (4, 2));
    assert_eq!(machine.tun, Tun::Usable);
}

#[test]
fn old_kernels_fail() {
    only(Verdict::Fail, "kernel", "5.9 or newer", |_, machine| machine.kernel = "4.19.0".into());
    only(Verdict::Warn, "kernel", "5.16", |_, machine| machine.kernel = "5.10.0-28".into());
    only(Verdict::Warn, "kernel", "cannot be read", |_, machine| machine.kernel = "odd".into());
}

#[test]
fn each_missing_capability_is_named() {
    for (bit, name) in [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (39, "CAP_BPF"), (38, "CAP_PERFMON")] {
        only(Verdict::Fail, "capabilities", name, |_, machine| machine.capabilities &= !(1 << bit));
    }
    only(Verdict::Fail, "locked memory", "CAP_IPC_LOCK", |_, machine| machine.capabilities &= !(1 << 14));
    let without_limit = found(|_, machine| {
        machine.capabilities &= !(1 << 14);
        machine.memlock = None;
    });
    assert_eq!(without_limit, []);
    // Root of old.
    assert_eq!(found(|_, machine| machine.capabilities = (1 << 21) | (1 << 12) | (1 << 13) | (1 << 24)), []);
}

#[test]
fn memory_that_is_not_there_fails() {
    only(Verdict::Fail, "huge pages", "hugepages-2Mi", |_, machine| machine.huge_pages = 3);
}

#[test]
fn the_way_back_to_the_kernel_is_looked_at() {
    only(Verdict::Warn, "/dev/net/tun", "modprobe tun", |_, machine| machine.tun = Tun::Missing);
    only(Verdict::Warn, "/dev/net/tun", "chmod 0666", |_, machine| machine.tun = Tun::Refused("no".into()));
    only(Verdict::Warn, "/dev/net/tun", "default.rp_filter=2", |_, machine| {
        machine.sysctls_writable = false;
        machine.rp_filter_of_new = 1;
    });
}

#[test]
fn cores_are_there_and_alone() {
    only(Verdict::Fail, "cores", "names 9", |config, _| config.workers.cores = vec![2, 9]);
    only(Verdict::Warn, "cores", "isolcpus=2,4", |config, _| config.workers.cores = vec![2, 4]);
    only(Verdict::Warn, "irqbalance", "IRQBALANCE_BANNED_CPULIST=2,3", |_, machine| {
        machine.irqbalance = true
    });
    only(Verdict::Warn, "cores", "set workers.count to 1", |config, machine| {
        config.workers.cores = Vec::new();
        machine.online = [0, 1].into();
    });
    only(Verdict::Warn, "eth0", "set workers.cores to some of 4,5", |_, machine| {
        machine.nodes = [(0, [0, 1, 2, 3].into()), (1, [4, 5].into())].into();
        eth0(machine).node = Some(1);
    });
    let busy_poll = |config: &mut Config, machine: &mut Machine| {
        config.workers.idle = Some(penstock_dataplane::worker::Idle::BusyPoll);
        machine.links.get_mut("eth1").unwrap().defers_interrupts = true;
    };
    only(Verdict::Warn, "eth0", "/sys/class/net/eth0/gro_flush_timeout", busy_poll);
}

#[test]
fn sysctls_in_the_way_are_told() {
    only(Verdict::Warn, "net.ipv4.ip_local_port_range", "61000-65000", |_, machine| {
        machine.node.local_ports = Some(1024..=65000);
    });
    only(Verdict::Warn, "net.ipv4.conf.eth0.rp_filter", "all.rp_filter=2", |_, machine| {
        eth0(machine).rp_filter = 1
    });
    only(Verdict::Warn, "arp_ignore, arp_announce", "on eth0 ", |_, machine| eth0(machine).arp_ignore = 0);
}

#[test]
fn an_interface_that_is_missing_or_taken_fails() {
    only(Verdict::Fail, "eth0", "interfaces[0].name", |_, machine| {
        machine.links.remove("eth0");
    });
    let other = |_: &mut Config, machine: &mut Machine| {
        eth0(machine).xdp = Some(XdpProgram { id: 77, generic: false });
    };
    only(Verdict::Fail, "eth0", "bpftool prog show id 77", other);
    let own = found(|config, machine| {
        other(config, machine);
        machine.appliance = true;
    });
    assert_eq!(own, [], "it is that of the appliance that runs");
    only(Verdict::Warn, "eth0", "enslaved to bond0", |_, machine| {
        eth0(machine).master = Some("bond0".into())
    });
    only(Verdict::Warn, "eth0", "ip link set eth0 up", |_, machine| eth0(machine).up = false);
}

#[test]
fn drivers_without_xdp_or_zero_copy_are_told() {
    only(Verdict::Warn, "eth0", "e1000e", |_, machine| eth0(machine).driver = Some("e1000e".into()));
    only(Verdict::Warn, "eth0", "the start may fail", |config, machine| {
        config.interfaces[0].zero_copy = crate::config::ZeroCopy::On;
        eth0(machine).driver = Some("bnxt_en".into());
    });
}

#[test]
fn queues_workers_and_frames_must_fit() {
    only(Verdict::Fail, "eth0", "ethtool -L eth0 combined 2", |_, machine| {
        eth0(machine).rx_queues = 1;
        machine.node.queues.retain(|(name, ..)| name != "eth0");
    });
    only(Verdict::Fail, "eth0", "queues 3 to 6", |config, machine| {
        config.interfaces[0].queues = crate::config::Queues::Range { first: 3, count: 4 };
        // The hint about the same is another check's.
        machine.node.interfaces.clear();
    });
    only(Verdict::Warn, "eth0", "set frames to 4096", |_, machine| {
        machine.node.interfaces[0].link.as_mut().unwrap().mtu = 1800;
    });
    only(Verdict::Warn, "eth0", "ethtool -X eth0 equal 2", |config, machine| {
        config.interfaces[0].queues = crate::config::Queues::Range { first: 0, count: 2 };
        eth0(machine).indirection = Some(vec![0, 1, 2, 3]);
        machine.node.interfaces.clear();
    });
}

#[test]
fn offloads_that_hide_packets_are_told() {
    let harmless = Offloads { lro: false, gro: true, rx_vlan: true, tx_checksum: true };
    assert_eq!(found(|_, machine| eth0(machine).offloads = Some(harmless)), []);
    only(Verdict::Warn, "eth0", "lro off", |_, machine| {
        eth0(machine).offloads = Some(Offloads { lro: true, ..harmless });
    });
    only(Verdict::Warn, "eth0", "rxvlan off", |_, machine| {
        eth0(machine).offloads = Some(harmless);
        eth0(machine).vlans = vec!["eth0.7".into()];
    });
    only(Verdict::Warn, "eth0", "gro off", |config, machine| {
        config.interfaces[0].mode = crate::config::XdpMode::Generic;
        eth0(machine).offloads = Some(harmless);
    });
}

#[test]
fn every_fault_of_a_configuration_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("penstock.yaml");
    fs::write(&file, "interfaces: [{name: eth0}]\nworkers: {count: 0}\nnodname: x\n").unwrap();
    let root = good_root();
    let report = examine(&file, &Root::at(root.path()));
    let wrong: Vec<_> = report.checks.iter().filter(|check| check.subject == "configuration").collect();
    assert_eq!(wrong.len(), 2, "{report}");
    assert_eq!(report.count(Verdict::Fail), 2, "the machine is looked at all the same: {report}");
    assert!(report.checks.len() > 4);
    let missing = examine(&folder.path().join("none.yaml"), &Root::at(root.path()));
    assert!(missing.checks[0].finding.contains("cannot be read"), "{missing}");
}

#[test]
fn doors_are_tried() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!(
        "interfaces: [{{name: eth0}}]\nsocket: {0}/penstock.sock\nmanifests: {{path: {0}/none}}\n\
         metricsBindAddress: {address}\nhealthzBindAddress: ''\n",
        folder.path().display()
    );
    let config = config(&text);
    let root = good_root();
    let machine = Machine::read(&Root::at(root.path()), &config);
    let verdicts = |checks: &[Check]| -> Vec<(Verdict, String)> {
        checks.iter().map(|check| (check.verdict, check.subject.clone())).collect()
    };
    let checks = checks::of_control(&config, &machine);
    assert_eq!(
        verdicts(&checks),
        [
            (Verdict::Pass, "socket".into()),
            (Verdict::Warn, "metricsBindAddress".into()),
            (Verdict::Fail, "manifests.path".into()),
        ],
        "{checks:#?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays");
    let _listening = std::os::unix::net::UnixListener::bind(&config.socket).unwrap();
    let machine = Machine::read(&Root::at(root.path()), &config);
    let checks = checks::of_control(&config, &machine);
    assert!(checks[0].finding.contains("an appliance answers"), "{checks:#?}");
    assert_eq!(checks.len(), 2, "its ports are its own: {checks:#?}");
}

#[test]
fn the_way_to_the_api_server_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let text = format!(
            "interfaces: [{{name: eth0}}]\nsocket: {0}/s\nkubernetes: {{kubeconfig: {0}/kubeconfig}}\n\
             metricsBindAddress: ''\nhealthzBindAddress: ''\n",
            folder.path().display()
        );
        let config = config(&text);
        let checks = checks::of_control(&config, &Machine::without_interfaces(&Root::at(folder.path())));
        checks.into_iter().next_back().unwrap()
    };
    let kubeconfig = format!(
        "current-context: it\ncontexts: [{{name: it, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}'}}}}]\n"
    );
    assert_eq!(check(&kubeconfig).verdict, Verdict::Pass);
    drop(server);
    let away = check(&kubeconfig);
    assert_eq!(away.verdict, Verdict::Warn, "it is waited for: {away:?}");
    assert_eq!(check("current-context: other\n").verdict, Verdict::Fail);
    assert_eq!(check("- no kubeconfig\n").verdict, Verdict::Fail);
}

#[test]
fn reports_read_well() {
    let report = Report {
        checks: vec![
            Check::pass("kernel", "Linux 6.1"),
            Check::warn("eth0", "is down", "run: ip link set eth0 up"),
        ],
    };
    assert_eq!(
        report.to_string(),
        "pass  kernel  Linux 6.1\nWARN  eth0    is down\n              -> run: ip link set eth0 up\n1 passed, 1 warnings, 0 failures"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["checks"][1]["verdict"], "warn");
    assert!(json["checks"][0].get("remedy").is_none());
}

#[test]
fn the_fast_lane_is_looked_at() {
    use crate::{config::FastLaneMode, lane::Features};
    let copying = |_: &mut Config, machine: &mut Machine| {
        for link in machine.links.values_mut() {
            (link.driver, link.features) = (Some("veth".into()), Some(Features(0x67)));
        }
    };
    assert_eq!(found(copying), []);
    only(Verdict::Warn, "eth0", "ethtool -K IF gro on", |config, machine| {
        copying(config, machine);
        eth0(machine).features = Some(Features(0x23));
    });
    let off = found(|config, machine| {
        copying(config, machine);
        eth0(machine).features = Some(Features(0x23));
        config.fast_lane.mode = FastLaneMode::Off;
    });
    assert_eq!(off, []);
    only(Verdict::Warn, "eth0", "does not send redirected packets", |config, machine| {
        config.fast_lane.mode = FastLaneMode::On;
        eth0(machine).features = Some(Features(0x2b));
        eth0(machine).xdp = Some(XdpProgram { id: 7, generic: false });
        machine.appliance = true;
    });
    only(Verdict::Fail, "fast lane", "lower fastLane.flows", |config, machine| {
        copying(config, machine);
        machine.memory = Some(1 << 20);
    });
}

#[test]
fn what_persists_needs_a_place() {
    only(Verdict::Fail, "pinPath", "mount -t bpf", |config, machine| {
        config.persist = true;
        machine.bpffs.clear();
    });
    assert_eq!(found(|config, _| config.persist = true), []);
    only(Verdict::Warn, "pinPath", "penstock detach", |_, machine| machine.pinned = true);
}

#[test]
fn ports_of_udp_are_to_be_hashed() {
    use penstock_dataplane::{
        table::{Hashed, Transport},
        wire::V6,
    };
    let hashed = |hashed| {
        move |_: &mut Config, machine: &mut Machine| eth0(machine).hashed.set::<V6>(Transport::Udp, hashed)
    };
    let remedy = "ethtool -N eth0 rx-flow-hash udp6 sdfn";
    only(Verdict::Warn, "eth0", remedy, hashed(Hashed::Addresses));
    assert_eq!(found(hashed(Hashed::AddressesAndPorts)), []);
    let alone = found(|config, machine| {
        hashed(Hashed::Addresses)(config, machine);
        config.workers = crate::config::Workers { count: 1, cores: vec![2], idle: None };
    });
    assert_eq!(alone, [], "a single worker has all queues");
}
