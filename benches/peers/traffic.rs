//! What the generator sends: UDP flows from many sources to Services in turn.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use anyhow::{Context, Result};
use penstock_pktgen::{
    spec::{RawSpec, RawTraffic, Spec},
    trial::{self, Outcome, Tick},
};

use crate::{
    bed::{Bed, TESTER_CORE},
    objects::PORT,
    way::Way,
};

static GO_ON: AtomicBool = AtomicBool::new(false);

/// A load.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// The kind of packets.
    pub(crate) way: Way,
    /// Services that are called, the first ones.
    pub(crate) services: usize,
    /// Flows, from 10.1.128.0 on.
    pub(crate) flows: u64,
    /// Where they come from.
    pub(crate) sources: String,
    /// As options have it.
    pub(crate) rate: String,
    /// As options have it.
    pub(crate) duration: String,
    /// If it is to end sooner.
    pub(crate) packets: Option<u64>,
    /// Whether the sink takes what arrives, or does what it likes with it.
    pub(crate) receive: bool,
    /// 0: arrivals are counted only; 1: each is looked at.
    pub(crate) sample: u32,
}

impl Load {
    /// Sends it through a bed.
    pub(crate) fn run(&self, bed: &Bed, watch: impl FnMut(&Tick) + Send) -> Result<Outcome> {
        let spec = self.spec(bed)?;
        let outcome = bed.generator.enter(|| trial::run(&spec, &GO_ON, watch))?;
        outcome.context("the generator")
    }

    fn spec(&self, bed: &Bed) -> Result<Spec> {
        let (first, last) = (self.way.vip(0), self.way.vip(self.services - 1));
        let traffic = RawTraffic {
            source: Some(self.sources.clone()),
            destination: Some(if first == last { first.to_string() } else { format!("{first}-{last}") }),
            destination_ports: Some(PORT.to_string()),
            flows: Some(self.flows.to_string()),
            ..RawTraffic::default()
        };
        let raw = RawSpec {
            interface: Some(bed.name('g')),
            receive: self.receive.then(|| format!("{}:{}", bed.sink.name(), bed.name('k'))),
            destination_mac: Some(bed.mac(2).map(|byte| format!("{byte:02x}")).join(":")),
            size: Some(self.way.packet_bytes().to_string()),
            traffic: vec![traffic],
            rate: Some(self.rate.clone()),
            duration: Some(self.duration.clone()),
            packets: self.packets.map(|packets| packets.to_string()),
            sender: Some("live-frames".to_owned()),
            sample: Some(self.sample.to_string()),
            core: Some(TESTER_CORE.to_string()),
            ..RawSpec::default()
        };
        Ok(Spec::try_from(raw)?)
    }
}

/// Whether so many Services are served: a packet to each arrives.
pub(crate) fn reaches(bed: &Bed, way: Way, services: usize) -> Result<bool> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let load = Load {
        way,
        services,
        flows: services as u64,
        sources: way.source(NEXT.fetch_add(1, Ordering::Relaxed)).to_string(),
        rate: "20k".to_owned(),
        duration: "2s".to_owned(),
        packets: Some(services as u64),
        receive: true,
        sample: 0,
    };
    let outcome = load.run(bed, |_| ())?;
    Ok(outcome.received.is_some_and(|received| received.lost == 0))
}
