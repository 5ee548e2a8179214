//! A gateway and a peer in network namespaces of their own, joined by two veth pairs, for
//! [`netns_tests`](super::netns_tests). They need root; where it is missing the tests are skipped, which is a
//! failure where `CI=true`.
//!
//! `ip` is run from here and blocks the only thread of the runtime meanwhile, so the news of a whole script is
//! there at once, as in a burst.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

use super::view::Mac;

pub(super) const GW_MAC: Mac = [2, 0, 0, 0, 0, 1];
pub(super) const GW_MAC_1: Mac = [2, 0, 0, 0, 1, 1];
pub(super) const PEER_MAC: Mac = [2, 0, 0, 0, 0, 2];
pub(super) const PEER_MAC_1: Mac = [2, 0, 0, 0, 1, 2];

/// Two namespaces, removed when this is dropped.
pub(super) struct Lab {
    gw: String,
    peer: String,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in [&self.gw, &self.peer] {
            let _gone = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}

impl Lab {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("pnroutes-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let lab = Self { gw: format!("{id}-gw"), peer: format!("{id}-peer") };
        for name in [&lab.gw, &lab.peer] {
            assert!(Command::new("ip").args(["netns", "add", name]).status().unwrap().success());
        }
        lab.gw("link set lo up");
        lab.pair(0);
        lab.pair(1);
        lab
    }

    /// eth`n` of the gateway, 10.77.`n`.1 and fd77:`n`::1, and p`n` of the peer, which ends in 2.
    pub(super) fn pair(&self, n: u8) {
        let peer = &self.peer;
        self.gw(&format!(
            "link add eth{n} address 02:00:00:00:0{n}:01 type veth \
             peer name p{n} address 02:00:00:00:0{n}:02 netns {peer}\n\
             link set eth{n} up"
        ));
        self.peer(&format!("link set p{n} up"));
        for (ns, dev, host) in [(&self.gw, format!("eth{n}"), 1), (&self.peer, format!("p{n}"), 2)] {
            let addresses = format!(
                "address add 10.77.{n}.{host}/24 dev {dev}\n\
                 address add fd77:{n}::{host}/64 dev {dev} nodad"
            );
            batch(ns, &addresses);
        }
    }

    pub(super) fn gw(&self, script: &str) {
        batch(&self.gw, script);
    }

    pub(super) fn peer(&self, script: &str) {
        batch(&self.peer, script);
    }

    /// Whether the gateway's kernel can do this.
    pub(super) fn can(&self, command: &str) -> bool {
        let mut ip = Command::new("ip");
        ip.args(["-n", &self.gw]).args(command.split(' ')).stderr(Stdio::null()).status().unwrap().success()
    }

    /// What `ip` prints in the gateway.
    pub(super) fn show(&self, arguments: &str) -> String {
        let output = Command::new("ip").args(["-n", &self.gw]).args(arguments.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Has the peer tell of its new MACs by itself, as network cards do on fail-over.
    pub(super) fn announce_new_macs(&self) {
        for (family, name) in [("ipv4", "arp_notify"), ("ipv6", "ndisc_notify")] {
            let setting = format!("net.{family}.conf.all.{name}=1");
            let mut sysctl = Command::new("ip");
            sysctl.args(["netns", "exec", &self.peer, "sysctl", "-q", "-w", &setting]);
            assert!(sysctl.status().unwrap().success());
        }
    }
}

fn batch(namespace: &str, script: &str) {
    let mut ip = Command::new("ip");
    let mut ip = ip.args(["-n", namespace, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{script}");
}

/// Runs a test in a lab, inside the namespace of the gateway.
pub(super) fn in_lab(test: impl AsyncFnOnce(&Lab) + Send) {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "root tests must not be skipped in CI");
        eprintln!("skipped: needs root");
        return;
    }
    let lab = Lab::new();
    let inside = || {
        let namespace = std::fs::File::open(format!("/run/netns/{}", lab.gw)).unwrap();
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(&lab));
    };
    let ended = std::thread::scope(|scope| scope.spawn(inside).join());
    if let Err(panic) = ended {
        drop(lab);
        std::panic::resume_unwind(panic);
    }
}
