//! What outlives a process, on real interfaces: a client on one side of the gateway, a backend on the other.

use super::bench::{Laned, entries, leaves, packet, way_back, write};
use crate::{
    io::testing::{RawSocket, eventually, ifindex, in_namespace, ip, veth},
    lane::{PairId, WorkerLane},
    path::world::{BACKEND_PORT, CLIENT_PORT, Seen, Spec, backend_link, both_families},
    state::{LastHopId, Tuple},
    table::{NextHopId, Transport},
    xdp::{
        AttachPreference, Classifier, ClassifierError, ClassifierState, InterfaceEntry, LaneMaps, LaneSize,
        XdpMode, detach_pinned,
    },
};
use nix::{mount, sched};
use std::path::PathBuf;

both_families!(
    netns_promoted_flows_go_on_without_the_process,
    netns_what_is_laid_out_otherwise_is_replaced,
    netns_nothing_is_left_where_nothing_is_pinned,
);

const PAIR: PairId = PairId(5);

/// The gateway's interfaces are `client` and `backend`, those of the hosts there `far` and `server`.
pub(super) struct Site {
    client: RawSocket,
    backend: RawSocket,
    folder: tempfile::TempDir,
}

/// Runs a test in a namespace with both interfaces, and with a BPF file system of its own.
pub(super) fn on_site(test: impl FnOnce(&Site) + Send) {
    in_namespace(|| {
        sched::unshare(sched::CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount::mount(none, "/", none, mount::MsFlags::MS_REC | mount::MsFlags::MS_PRIVATE, none).unwrap();
        let folder = tempfile::tempdir().unwrap();
        mount::mount(Some("bpf"), folder.path(), Some("bpf"), mount::MsFlags::empty(), none).unwrap();
        veth("client", "far", 1);
        veth("backend", "server", 1);
        let site = Site { client: RawSocket::open("far"), backend: RawSocket::open("server"), folder };
        test(&site);
        mount::umount2(site.folder.path(), mount::MntFlags::MNT_DETACH).unwrap();
    });
}

impl Site {
    fn size(&self) -> LaneSize {
        LaneSize { v4_pairs: 64, v6_pairs: 64, pin: Some(self.pins()), fingerprint: 7, ..LaneSize::default() }
    }

    fn pins(&self) -> PathBuf {
        self.folder.path().join("penstock")
    }

    /// Whether a packet of the client's arrives at the backend, translated.
    #[track_caller]
    pub(super) fn carries<F: Laned>(&self, spec: &Spec<F>) -> bool {
        while self.backend.receive().is_some() {}
        self.client.send(&spec.bytes());
        // A packet has gone its way when the call returns, or soon after; one that does not come, never.
        for _ in 0..200 {
            if let Some(frame) = self.backend.receive() {
                let seen = Seen::read(BACKEND_PORT, &frame);
                assert_eq!(seen.ip.tuple::<F>(), leaves::<F>(spec.tuple.transport));
                return true;
            }
            std::thread::sleep(std::time::Duration::from_micros(500));
        }
        false
    }
}

/// A process: its classifier, attached to all.
pub(super) struct Process<F: Laned> {
    pub(super) classifier: Classifier,
    pub(super) maps: LaneMaps,
    pub(super) lane: WorkerLane<F>,
}

impl<F: Laned> Process<F> {
    pub(super) fn start(size: &LaneSize) -> Self {
        let (mut classifier, mut maps) = Classifier::load_with_lane(size).unwrap();
        let mut state = ClassifierState::default();
        for (port, interface) in [(CLIENT_PORT, "client"), (BACKEND_PORT, "backend")] {
            let entry = InterfaceEntry { port, backend: false };
            state.interfaces.insert(ifindex(interface), entry);
            maps.control.set_port(port, Some(ifindex(interface))).unwrap();
        }
        classifier.grow(&state).unwrap();
        for transport in [Transport::Tcp, Transport::Udp] {
            let epoch = super::bench::epoch(transport);
            maps.control.set_epoch(F::ADDR_LEN == 16, transport, epoch);
        }
        let lane = F::share(&maps, 0);
        Self { classifier, maps, lane }
    }

    /// Attaches it; the backend's side too, since a veth takes redirected packets only if its peer has a program.
    pub(super) fn attach(&mut self) {
        for interface in ["client", "backend", "server"] {
            let mode = self.classifier.attach(interface, AttachPreference::Native).unwrap();
            assert_eq!(mode, XdpMode::Native);
        }
    }

    pub(super) fn promote(&mut self, spec: &Spec<F>) {
        let out = self.lane.hops.next(NextHopId(1)).unwrap();
        let back = self.lane.hops.last(0, LastHopId::default());
        let entries = entries(&spec.tuple, &leaves::<F>(spec.tuple.transport), out, back);
        self.set_hops();
        write(&self.lane, PAIR, &entries);
    }

    fn set_hops(&self) {
        let hops = &self.lane.hops;
        hops.set(hops.next(NextHopId(1)).unwrap(), Some((&backend_link(1), 1500)));
        hops.set(hops.last(0, LastHopId::default()), Some((&way_back::<F>(), 1500)));
    }

    fn taken(&self) -> u64 {
        self.classifier.counters().unwrap().redirect_lane
    }
}

fn attached() -> usize {
    ip("link show").matches(" xdp").count()
}

fn netns_promoted_flows_go_on_without_the_process<F: Laned>() {
    on_site(|site| {
        let spec = packet::<F>(Transport::Tcp);
        let mut first = Process::<F>::start(&site.size());
        assert!(!first.maps.adopted);
        first.attach();
        assert!(!site.carries(&spec), "not promoted");
        first.promote(&spec);
        assert!(site.carries(&spec));
        assert_eq!(first.taken(), 1);
        let stranger = Tuple { source_port: 1, ..spec.tuple };
        assert!(first.lane.index.insert(&stranger, first.lane.slots.ids(PAIR)[0]));
        let (hops, counted) = (first.lane.hops.next(NextHopId(1)), first.lane.slots.seen(PAIR));
        assert_eq!(first.lane.index.len(), 3);
        drop(first);

        assert!(site.carries(&spec), "without a process");
        let mut second = Process::<F>::start(&site.size());
        assert!(second.maps.adopted);
        assert!(site.carries(&spec), "by the program of the first");
        second.attach();
        assert!(site.carries(&spec), "by the hops of the first");
        assert_eq!(second.taken(), 1);
        assert_eq!(second.lane.index.len(), 2, "what no slot is behind is gone");
        let entries = second.lane.slots.read(PAIR).unwrap();
        assert_eq!((entries[0].arrives, Some(entries[0].hop)), (spec.tuple, hops));
        let [seen, _] = second.lane.slots.seen(PAIR);
        assert_eq!(seen.packets, counted[0].packets + 3);
        second.set_hops();
        let (out, back) =
            (second.lane.hops.next(NextHopId(1)).unwrap(), second.lane.hops.last(0, LastHopId::default()));
        assert_ne!(Some(out), hops);
        second.lane.slots.set_hops(PAIR, [out, back]);
        assert!(site.carries(&spec), "by hops of its own");
        drop(second);

        // The third has the hops of the first. Were the slot still the first's, nobody would know where it goes.
        let third = Process::<F>::start(&site.size());
        assert!(third.maps.adopted && third.lane.hops.next(NextHopId(1)) == hops);
        assert!(third.lane.slots.read(PAIR).is_some() && site.carries(&spec));
        drop(third);
        let fourth = Process::<F>::start(&site.size());
        assert_eq!(fourth.lane.slots.read(PAIR), None, "the third has not adopted it");
        assert!(fourth.lane.index.is_empty());
        assert!(!site.carries(&spec));
    });
}

fn netns_what_is_laid_out_otherwise_is_replaced<F: Laned>() {
    on_site(|site| {
        let spec = packet::<F>(Transport::Udp);
        let mut first = Process::<F>::start(&site.size());
        first.attach();
        first.promote(&spec);
        drop(first);
        for change in [
            |size: &mut LaneSize| size.fingerprint += 1,
            |size: &mut LaneSize| size.workers += 1,
            |size: &mut LaneSize| size.next_hops -= 1,
        ] {
            let mut size = site.size();
            change(&mut size);
            let mut other = Process::<F>::start(&size);
            assert!(!other.maps.adopted && other.lane.slots.read(PAIR).is_none());
            assert_eq!(attached(), 3, "links stay");
            other.attach();
            assert!(!site.carries(&spec), "the maps are new");
            other.promote(&spec);
            assert!(site.carries(&spec));
            assert_eq!(other.taken(), 1);
        }
        // An interface that is not configured any longer.
        let mut last = Process::<F>::start(&site.size());
        last.classifier.attach("client", AttachPreference::Native).unwrap();
        let mut left = last.classifier.detach_left().unwrap();
        left.sort();
        let mut expected = [ifindex("backend"), ifindex("server")];
        expected.sort();
        assert_eq!((left, attached()), (expected.to_vec(), 1));
        // Another mode.
        drop(last);
        let mut generic = Process::<F>::start(&site.size());
        let mode = generic.classifier.attach("client", AttachPreference::Generic).unwrap();
        assert_eq!(mode, XdpMode::Generic);
        assert!(ip("link show client").contains("xdpgeneric"));
        generic.classifier.detach("client").unwrap();
        assert_eq!(attached(), 0);
        // An interface that is gone, and comes again.
        generic.classifier.attach("client", AttachPreference::Auto).unwrap();
        drop(generic);
        ip("link del client");
        veth("client", "far", 1);
        let mut again = Process::<F>::start(&site.size());
        again.classifier.attach("client", AttachPreference::Auto).unwrap();
        drop(again);
        assert_eq!(attached(), 1);

        let removed = detach_pinned(&site.pins()).unwrap();
        assert!(removed.iter().any(|line| line.starts_with("XDP program (native) on client")), "{removed:?}");
        assert_eq!(removed.iter().filter(|line| line.starts_with("map lane_")).count(), 8, "{removed:?}");
        assert_eq!((attached(), site.pins().exists()), (0, false));
        assert_eq!(detach_pinned(&site.pins()).unwrap(), Vec::<String>::new());
    });
}

fn netns_nothing_is_left_where_nothing_is_pinned<F: Laned>() {
    on_site(|site| {
        let spec = packet::<F>(Transport::Tcp);
        let mut process = Process::<F>::start(&LaneSize { pin: None, ..site.size() });
        process.attach();
        process.promote(&spec);
        assert!(site.carries(&spec));
        assert!(process.classifier.detach_left().unwrap().is_empty());
        drop(process);
        eventually("detaching", || attached() == 0);
        assert!(!site.pins().exists());
        let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
        let size = LaneSize { pin: Some(elsewhere.path().into()), ..site.size() };
        match Classifier::load_with_lane(&size) {
            Err(error @ ClassifierError::NotBpffs(_)) => assert!(error.to_string().contains("mount -t bpf")),
            other => panic!("{other:?}"),
        }
    });
}

impl Site {
    /// A size without pins.
    pub(super) fn unpinned(&self) -> LaneSize {
        LaneSize { pin: None, ..self.size() }
    }
}
