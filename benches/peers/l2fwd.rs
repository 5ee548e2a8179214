//! The bare forwarder: the dataplane's classifier and rings, with nothing between them but new link-layer addresses.
//!
//! Started as a process of its own in its gateway, so that the processors it uses are counted as every other system's.

use anyhow::{Result, bail};
use penstock_dataplane::{
    io::{AfXdp, AfXdpConfig, FrameBatch, PacketIo, PortId},
    wire::{EtherAddr, set_destination, set_source},
    worker::LONGEST_SLEEP,
    xdp::{AttachPreference, Classifier, ClassifierState, InterfaceEntry},
};

use crate::bed::{GATEWAY_CORE, stay_on};

const IN: PortId = PortId(0);
const OUT: PortId = PortId(1);

/// `l2fwd IN OUT SOURCE-MAC DESTINATION-MAC`, until somebody ends it.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [client, backend, source, destination] = arguments else {
        bail!("l2fwd IN OUT SOURCE-MAC DESTINATION-MAC");
    };
    let (source, destination): (EtherAddr, EtherAddr) = (source.parse()?, destination.parse()?);
    stay_on(GATEWAY_CORE)?;
    let mut classifier = Classifier::load()?;
    let mut state = ClassifierState::default();
    state.ranges.insert(("10.96.0.0".parse()?, 12));
    for (port, interface) in [(IN, client), (OUT, backend)] {
        let index = nix::net::if_::if_nametoindex(interface.as_str())?;
        classifier.attach(interface, AttachPreference::Auto)?;
        state.interfaces.insert(index, InterfaceEntry { port, backend: port == OUT });
    }
    let mut io = AfXdp::open(&AfXdpConfig::default(), &[(IN, client, 0), (OUT, backend, 0)])?;
    for (port, queue, socket) in io.fds() {
        classifier.bind_socket(port, queue, socket)?;
    }
    classifier.grow(&state)?;
    let mut batch = FrameBatch::new();
    loop {
        if io.receive(&mut batch) == 0 {
            io.wait(LONGEST_SLEEP, None);
        }
        for mut frame in batch.drain(..) {
            set_destination(&mut frame, destination);
            set_source(&mut frame, source);
            io.transmit(OUT, frame);
        }
        io.flush();
    }
}
