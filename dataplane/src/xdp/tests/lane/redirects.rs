//! What becomes of redirected packets is counted, on interfaces that lose them and on those that do not.

use super::{
    bench::packet,
    pinned::{Process, on_site},
};
use crate::{
    io::testing::{eventually, ip},
    path::world::{BACKEND_PORT, CLIENT_PORT},
    table::Transport,
    wire::V4,
    xdp::{AttachPreference, RedirectCounts},
};

#[test]
fn netns_lost_redirects_are_counted() {
    on_site(|site| {
        let spec = packet::<V4>(Transport::Udp);
        let mut process = Process::<V4>::start(&site.unpinned());
        process.classifier.attach("client", AttachPreference::Native).unwrap();
        process.promote(&spec);
        let counts = |process: &Process<V4>| {
            let counts = process.maps.control.redirects().unwrap().expect("this kernel has BTF");
            assert_eq!(counts[&CLIENT_PORT], RedirectCounts::default(), "nothing went there");
            counts[&BACKEND_PORT]
        };
        assert_eq!(counts(&process), RedirectCounts::default());
        assert!(!site.carries(&spec), "no program behind the veth");
        eventually("counting", || counts(&process) == RedirectCounts { sent: 0, refused: 1, overrun: 0 });
        process.classifier.attach("server", AttachPreference::Native).unwrap();
        assert!(site.carries(&spec));
        eventually("counting", || counts(&process) == RedirectCounts { sent: 1, refused: 1, overrun: 0 });
        ip("link set dev backend down");
        assert!(!site.carries(&spec));
        eventually("counting", || counts(&process) == RedirectCounts { sent: 1, refused: 2, overrun: 0 });
        process.maps.control.set_port(BACKEND_PORT, None).unwrap();
        let left = process.maps.control.redirects().unwrap().unwrap();
        assert_eq!(left.keys().collect::<Vec<_>>(), [&CLIENT_PORT]);
    });
}
