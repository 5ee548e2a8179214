//! What is read at the scrape: the workers, the classifier, and the health pages.

use super::super::{Health, health::Question};
use crate::{lane::Way, runtime::LanePort};
use penstock_dataplane::{
    io::PortCounters,
    path::{DropReason, ReplyKind},
    worker::Report,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet},
    metrics::MetricType,
};
use std::{fmt, sync::Arc};

/// Everything at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The generation of the newest tables.
    pub generation: u64,
    /// The workers, in order.
    pub workers: Vec<WorkerSample>,
    /// Records of ClientIP affinity, and how many there is room for.
    pub affinity: (usize, usize),
    /// Packets by the classifier's decision.
    pub classifier: Vec<(&'static str, u64)>,
    /// Whether there is a fast lane, and its interfaces.
    pub lane: (bool, Vec<LanePort>),
}

/// One worker.
#[derive(Debug, Clone, Default)]
pub struct WorkerSample {
    /// Whether its thread runs.
    pub alive: bool,
    /// Its numbers.
    pub report: Report,
    /// The names of its sockets' interfaces, by port.
    pub interfaces: Vec<String>,
}

type Source = dyn Fn() -> Sample + Send + Sync;

/// Asks the source at every scrape.
pub(super) struct Live {
    health: Arc<Health>,
    source: Box<Source>,
}

impl Live {
    pub(super) fn new(health: Arc<Health>, source: impl Fn() -> Sample + Send + Sync + 'static) -> Self {
        Self { health, source: Box::new(source) }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sample = (self.source)();
        let mut page = Page(&mut encoder);
        let help = "Generation of the newest tables";
        page.gauge("generation", help, sample.generation)?;
        workers(&mut page, &sample)?;
        let affinity = [("used", sample.affinity.0), ("capacity", sample.affinity.1)];
        page.gauges(
            "affinity_records",
            "Records of ClientIP affinity, and how many there is room for",
            affinity.map(|(state, count)| ([("state", state)], count as u64)),
        )?;
        let classified =
            sample.classifier.iter().map(|(decision, packets)| ([("decision", *decision)], *packets));
        page.counters("classifier_packets", "Packets by the XDP classifier's decision", classified)?;
        for (name, help, question) in [
            ("healthz", "Answers of /healthz, by status code", Question::Healthz),
            ("livez", "Answers of /livez, by status code", Question::Livez),
        ] {
            let answers = [("200", true), ("503", false)];
            let of = |(code, good)| ([("code", code)], self.health.answers(question, good));
            page.counters(name, help, answers.map(of))?;
        }
        Ok(())
    }
}

/// A number of each worker, by its name and what it means.
type Column = (&'static str, &'static str, fn(&Report) -> u64);

const COUNTERS: &[Column] = &[
    (
        "received_packets",
        "Packets that came in; the sum of forwarded, relayed, split, held, handed off, passed, replied and dropped",
        |r| r.counters.received,
    ),
    ("split_packets", "Packets translated and sent on in fragments", |r| r.counters.split),
    ("held_packets", "Fragments held until the first of their datagram comes", |r| r.counters.held),
    ("passed_packets", "Packets given back to the kernel", |r| r.counters.passed),
    ("forwarded_packets", "Packets translated and sent on", |r| r.counters.forwarded),
    ("relayed_packets", "Packets sent on as they came, to the gateway that has their flow", |r| {
        r.counters.relayed
    }),
    ("handed_off_packets", "Packets given to the worker they belong to", |r| r.counters.handed_off),
    ("handoffs_refused_packets", "Packets of other workers that they had no room for", |r| {
        r.handoffs_refused
    }),
    ("passes_refused_packets", "Packets of the kernel's that it did not take back", |r| r.passes_refused),
    (
        "splits_refused_packets",
        "Packets to be cut into fragments, not all of which there were frames for",
        |r| r.splits_refused,
    ),
    ("lane_packets", "Packets that took the fast lane, by the worker that has their flow", |r| {
        r.counters.lane.packets
    }),
    ("lane_bytes", "Bytes of these, from the IP header on", |r| r.counters.lane.bytes),
    ("lane_promotions", "Flows that were promoted to the fast lane", |r| r.counters.lane.promoted),
    ("lane_demotions", "Flows that were demoted from the fast lane, or ended in it", |r| {
        r.counters.lane.demoted
    }),
    ("flows_opened", "Flows opened", |r| r.counters.flows_opened),
    ("flows_expired", "Flows that ended by idling", |r| r.counters.flows_expired),
    ("flows_evicted", "Flows that a full table pushed out", |r| r.counters.flows_evicted),
    ("worker_turns", "Turns of the poll loop", |r| r.turns),
];

fn workers(page: &mut Page<'_, '_>, sample: &Sample) -> fmt::Result {
    let names: Vec<String> = (0..sample.workers.len()).map(|index| index.to_string()).collect();
    let all = || names.iter().map(String::as_str).zip(&sample.workers);
    for (name, help, value) in COUNTERS {
        page.counters(name, help, all().map(|(id, worker)| ([("worker", id)], value(&worker.report))))?;
    }
    let dropped = all().flat_map(|(id, worker)| {
        let reasons = DropReason::ALL.iter();
        reasons.map(move |why| ([("worker", id), ("reason", why.name())], worker.report.counters.drops(*why)))
    });
    page.counters("dropped_packets", "Packets dropped, by reason", dropped)?;
    let replied = all().flat_map(|(id, worker)| {
        let kinds = ReplyKind::ALL.iter();
        let count = |kind: &ReplyKind| worker.report.counters.replied[*kind as usize];
        kinds.map(move |kind| ([("worker", id), ("kind", kind.name())], count(kind)))
    });
    page.counters("reply_packets", "Packets answered by the gateway itself, by the kind of answer", replied)?;

    page.gauges(
        "worker_up",
        "Whether the worker's thread runs",
        all().map(|(id, worker)| ([("worker", id)], u64::from(worker.alive))),
    )?;
    page.gauges(
        "worker_generation",
        "Generation of the tables the worker uses",
        all().map(|(id, worker)| ([("worker", id)], worker.report.generation)),
    )?;
    let flows = all().flat_map(|(id, worker)| {
        let counters = &worker.report.counters;
        let families = [("IPv4", counters.flows_v4), ("IPv6", counters.flows_v6)];
        families.map(|(family, flows)| ([("worker", id), ("ip_family", family)], flows))
    });
    page.gauges("flows", "Flows in the table", flows)?;
    page.gauges(
        "lane_flows",
        "Flows in the fast lane",
        all().map(|(id, worker)| ([("worker", id)], worker.report.counters.lane.flows)),
    )?;
    let refused = all().flat_map(|(id, worker)| {
        let lane = &worker.report.counters.lane;
        let reasons = [("full", lane.refused_full), ("way", lane.refused_way)];
        reasons.map(|(reason, flows)| ([("worker", id), ("reason", reason)], flows))
    });
    page.counters("lane_refusals", "Promotions to the fast lane put off, by reason", refused)?;
    lane(page, sample)?;
    let frames = all().flat_map(|(id, worker)| {
        let frames = &worker.report.frames;
        let states = [
            ("free", frames.free),
            ("receiving", frames.receiving),
            ("sending", frames.sending),
            ("outstanding", frames.outstanding),
        ];
        states.map(|(state, count)| ([("worker", id), ("state", state)], count as u64))
    });
    page.gauges("frames", "Frames of packet memory, by where they are", frames)?;
    ports(page, sample)
}

/// The interfaces of the fast lane. Where there is none, none of them is in it.
fn lane(page: &mut Page<'_, '_>, sample: &Sample) -> fmt::Result {
    let (on, ports) = &sample.lane;
    page.gauge("lane_on", "Whether there is a fast lane", u64::from(*on))?;
    let all = || ports.iter().map(|port| ([("interface", port.interface.as_str())], port));
    page.gauges(
        "lane_interface_usable",
        "Whether the interface is in the fast lane",
        all().map(|(labels, port)| (labels, u64::from(!matches!(port.way, Way::Not(_))))),
    )?;
    page.counters(
        "lane_redirected_packets",
        "Packets of the fast lane that were sent by the interface",
        all().map(|(labels, port)| (labels, port.sent)),
    )?;
    page.counters(
        "lane_redirect_drops",
        "Packets of the fast lane that were lost at the interface",
        all().map(|(labels, port)| (labels, port.dropped)),
    )
}

/// A number of each socket, by its name and what it means.
type PortColumn = (&'static str, &'static str, fn(&PortCounters) -> u64);

const PORT_COUNTERS: &[PortColumn] = &[
    ("port_received_packets", "Packets received by a queue's socket", |c| c.rx_packets),
    ("port_received_bytes", "Bytes received by a queue's socket", |c| c.rx_bytes),
    ("port_sent_packets", "Packets handed to a queue for sending", |c| c.tx_packets),
    ("port_sent_bytes", "Bytes handed to a queue for sending", |c| c.tx_bytes),
    ("port_unsent_packets", "Packets not sent: the queue stayed full, or its interface is gone", |c| {
        c.tx_dropped
    }),
    ("port_missed_packets", "Packets the kernel dropped for want of a frame or of room in the ring", |c| {
        c.rx_missed
    }),
    ("port_ring_full_packets", "Of the missed packets: for want of room in the ring", |c| c.rx_ring_full),
    ("port_fill_ring_empty", "How often the kernel found no frame to receive into", |c| c.fill_ring_empty),
];

fn ports(page: &mut Page<'_, '_>, sample: &Sample) -> fmt::Result {
    type Labels = [(&'static str, String); 3];
    let all = || {
        sample.workers.iter().enumerate().flat_map(|(id, worker)| {
            worker.report.sockets.iter().map(move |socket| {
                let interface =
                    worker.interfaces.get(usize::from(socket.port.0)).cloned().unwrap_or_default();
                let labels: Labels = [
                    ("worker", id.to_string()),
                    ("interface", interface),
                    ("queue", socket.queue.to_string()),
                ];
                (labels, socket)
            })
        })
    };
    for (name, help, number) in PORT_COUNTERS {
        page.counters(name, help, all().map(|(labels, socket)| (labels, number(&socket.counters))))?;
    }
    let help = "Whether the queue's socket is bound to an interface that exists";
    page.gauges("port_attached", help, all().map(|(labels, socket)| (labels, u64::from(socket.attached))))
}

/// Families of numbers with labels.
pub(super) struct Page<'p, 'e>(pub(super) &'p mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    /// One number.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    pub(super) fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
