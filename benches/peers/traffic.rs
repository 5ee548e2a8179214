//! What the generator sends: UDP flows from many sources to Services in turn.

use std::{net::Ipv4Addr, sync::atomic::AtomicBool};

use anyhow::{Context, Result};
use penstock_pktgen::{
    spec::{RawSpec, RawTraffic, Spec},
    trial::{self, Outcome, Tick},
};

use crate::{
    bed::{Bed, TESTER_CORE},
    objects::{PORT, address},
};

static GO_ON: AtomicBool = AtomicBool::new(false);

/// A load.
#[derive(Debug, Clone)]
pub(crate) struct Load {
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
        let last = address(self.services - 1);
        let traffic = RawTraffic {
            source: Some(self.sources.clone()),
            destination: Some(format!("{}-{last}", address(0))),
            destination_ports: Some(PORT.to_string()),
            flows: Some(self.flows.to_string()),
            ..RawTraffic::default()
        };
        let raw = RawSpec {
            interface: Some(bed.name('g')),
            receive: self.receive.then(|| format!("{}:{}", bed.sink.name(), bed.name('k'))),
            destination_mac: Some(bed.mac(2).map(|byte| format!("{byte:02x}")).join(":")),
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

/// Whether Service `number` is served: a few packets to it arrive.
pub(crate) fn reaches(bed: &Bed, number: usize) -> Result<bool> {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(1);
    let turn = u32::from(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    // All Services up to it are called once, the last one by the last flow.
    let load = Load {
        services: number + 1,
        flows: number as u64 + 1,
        sources: Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 64, 0).to_bits() + turn % 4096).to_string(),
        rate: "20k".to_owned(),
        duration: "2s".to_owned(),
        packets: Some(number as u64 + 1),
        receive: true,
        sample: 0,
    };
    let outcome = load.run(bed, |_| ())?;
    Ok(outcome.received.is_some_and(|received| received.lost == 0))
}
