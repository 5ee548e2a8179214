//! From what is written to what is sent.

use std::{path::PathBuf, str::FromStr, time::Duration};

use penstock_dataplane::wire::EtherAddr;

use super::{AddressRange, FCS_BYTES, PortRange, Rate, RawSpec, RawTraffic, Sizes, Span, SpecError};
use crate::build::least_bytes;

/// The most flows: their frames take a bit more than 100 bytes each.
pub const MAX_FLOWS: u64 = 4_000_000;

/// The longest ramp, for the pace's arithmetic.
const MAX_RAMP: Duration = Duration::from_secs(300);
/// The longest run.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);

/// When to stop: at whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// After so long.
    pub duration: Duration,
    /// After so many packets.
    pub packets: u64,
}

/// What frames carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Segments with ACK and PSH, of no connection.
    Tcp,
    /// First segments of connections that are never made. They have no room for a mark: nothing can recognise them.
    TcpSyn,
}

/// Which flow's turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// One after the other.
    #[default]
    Turn,
    /// Any.
    Random,
}

/// How frames are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sender {
    /// Through an AF_XDP socket.
    #[default]
    AfXdp,
    /// By the kernel itself: a BPF program on live frames.
    LiveFrames,
    /// Through a packet socket: slow, and everywhere.
    Packet,
}

/// Where received frames are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// A namespace of `ip netns`, if not ours.
    pub namespace: Option<String>,
    /// The interface there.
    pub interface: String,
}

/// Flows of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// What they carry.
    pub protocol: Protocol,
    /// Where from.
    pub source: AddressRange,
    /// Which ports from.
    pub source_ports: PortRange,
    /// Where to.
    pub destination: AddressRange,
    /// Which ports to.
    pub destination_ports: PortRange,
    /// How many.
    pub flows: u64,
}

/// What to send, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The only interface that anything is sent on.
    pub interface: String,
    /// Where to look for it, if anywhere.
    pub receive: Option<Destination>,
    /// The interface's own if missing.
    pub source_mac: Option<EtherAddr>,
    /// The next hop's.
    pub destination_mac: Option<EtherAddr>,
    /// The flows. Empty if `pcap` is sent.
    pub traffic: Vec<Traffic>,
    /// A capture.
    pub pcap: Option<PathBuf>,
    /// Sizes.
    pub sizes: Sizes,
    /// Packets a second.
    pub rate: Rate,
    /// Time in which the rate grows.
    pub ramp: Duration,
    /// When to stop.
    pub bound: Bound,
    /// Which flow's turn it is.
    pub order: Order,
    /// How.
    pub sender: Sender,
    /// Of how many packets one is looked at; 0: they are counted only.
    pub sample: u32,
    /// The processor that sends.
    pub core: Option<usize>,
}

impl Spec {
    /// Whether what is sent can be recognised when it comes back.
    pub fn is_marked(&self) -> bool {
        self.pcap.is_none() && self.traffic.iter().all(|traffic| traffic.protocol != Protocol::TcpSyn)
    }
}

impl TryFrom<RawSpec> for Spec {
    type Error = SpecError;

    fn try_from(raw: RawSpec) -> Result<Spec, SpecError> {
        let Some(interface) = raw.interface.filter(|name| !name.is_empty()) else {
            return Err(SpecError::new("interface", "", "name the interface to send on"));
        };
        let traffic = raw.traffic.into_iter().enumerate();
        let traffic: Vec<Traffic> =
            traffic.map(|(index, traffic)| flows(index, traffic)).collect::<Result<_, _>>()?;
        let sender = choice(
            "sender",
            raw.sender,
            &[("af-xdp", Sender::AfXdp), ("live-frames", Sender::LiveFrames), ("packet", Sender::Packet)],
        )?;
        if traffic.is_empty() == raw.pcap.is_none() {
            return Err(SpecError::new(
                "traffic",
                "",
                "say what to send: a destination, or a pcap, and not both",
            ));
        }
        if raw.pcap.is_some() && sender == Sender::LiveFrames {
            return Err(SpecError::new(
                "pcap",
                "",
                "live-frames builds its packets itself: take another sender",
            ));
        }
        let total: u64 = traffic.iter().map(|traffic| traffic.flows).sum();
        if total > MAX_FLOWS {
            return Err(SpecError::new("flows", total, format!("must be at most {MAX_FLOWS} together")));
        }
        let sizes: Sizes = parsed("size", raw.size)?.unwrap_or_default();
        for (index, traffic) in traffic.iter().enumerate() {
            let least = least_bytes(traffic.protocol, traffic.source.is_ipv6()) + FCS_BYTES;
            if sizes.least() < least {
                let remedy = format!("traffic[{index}] with its mark takes {least} bytes at least");
                return Err(SpecError::new("size", sizes.least(), remedy));
            }
        }
        let mac = |field, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => text
                .parse::<EtherAddr>()
                .map(Some)
                .map_err(|_| SpecError::new(field, text, "must be six bytes, as 02:00:00:00:00:01")),
        };
        let destination_mac = mac("destinationMac", raw.destination_mac)?;
        if destination_mac.is_none() && raw.pcap.is_none() {
            return Err(SpecError::new("destinationMac", "", "name the next hop's MAC address"));
        }
        let ramp: Span = parsed("ramp", raw.ramp)?.unwrap_or_default();
        if ramp.0 > MAX_RAMP {
            return Err(SpecError::new("ramp", ramp, "must be at most 5m"));
        }
        let rate = parsed("rate", raw.rate)?.unwrap_or(Rate::PerSecond(10_000));
        if rate == Rate::Max && !ramp.0.is_zero() {
            return Err(SpecError::new("ramp", ramp, "needs a rate to grow to"));
        }
        Ok(Spec {
            interface,
            receive: raw.receive.as_deref().map(destination).transpose()?,
            source_mac: mac("sourceMac", raw.source_mac)?,
            destination_mac,
            traffic,
            pcap: raw.pcap,
            sizes,
            rate,
            ramp: ramp.0,
            bound: bound(raw.duration, raw.packets)?,
            order: choice("order", raw.order, &[("turn", Order::Turn), ("random", Order::Random)])?,
            sender,
            sample: number("sample", raw.sample, 0..=1 << 20)?.unwrap_or(1) as u32,
            core: number("core", raw.core, 0..=4095)?.map(|core| core as usize),
        })
    }
}

fn flows(index: usize, raw: RawTraffic) -> Result<Traffic, SpecError> {
    let name = |field: &str| format!("traffic[{index}].{field}");
    let missing = |field: &str| SpecError::new(name(field), "", "is missing");
    let protocol = choice(
        &name("protocol"),
        raw.protocol,
        &[("udp", Protocol::Udp), ("tcp", Protocol::Tcp), ("tcp-syn", Protocol::TcpSyn)],
    )?;
    let source: AddressRange = parsed(&name("source"), raw.source)?.ok_or_else(|| missing("source"))?;
    let destination: AddressRange =
        parsed(&name("destination"), raw.destination)?.ok_or_else(|| missing("destination"))?;
    if source.is_ipv6() != destination.is_ipv6() {
        return Err(SpecError::new(
            name("source"),
            source,
            format!("is of another family than {destination}"),
        ));
    }
    let all_ports = "1024-65535".to_owned();
    let source_ports =
        parsed::<PortRange>(&name("sourcePorts"), Some(raw.source_ports.unwrap_or(all_ports)))?
            .ok_or_else(|| missing("sourcePorts"))?;
    let destination_ports = parsed(&name("destinationPorts"), raw.destination_ports)?
        .ok_or_else(|| missing("destinationPorts"))?;
    let flows = number(&name("flows"), raw.flows, 1..=MAX_FLOWS)?.unwrap_or(1);
    let sources = source.count().saturating_mul(source_ports.count());
    if flows > sources {
        let remedy = format!("there are only {sources} sources: give a network, or more source ports");
        return Err(SpecError::new(name("flows"), flows, remedy));
    }
    Ok(Traffic { protocol, source, source_ports, destination, destination_ports, flows })
}

fn bound(duration: Option<String>, packets: Option<String>) -> Result<Bound, SpecError> {
    let duration: Option<Span> = parsed("duration", duration)?;
    let packets = number("packets", packets, 1..=u64::MAX / 2)?;
    if let Some(Span(duration)) = duration
        && (duration.is_zero() || duration > MAX_DURATION)
    {
        return Err(SpecError::new("duration", Span(duration), "must be more than nothing and at most 24h"));
    }
    if duration.is_none() && packets.is_none() {
        return Err(SpecError::new(
            "duration",
            "",
            "say when to stop: a duration, a number of packets, or both",
        ));
    }
    Ok(Bound {
        duration: duration.map_or(MAX_DURATION, |span| span.0),
        packets: packets.unwrap_or(u64::MAX / 2),
    })
}

fn destination(text: &str) -> Result<Destination, SpecError> {
    let (namespace, interface) = match text.rsplit_once(':') {
        Some((namespace, interface)) => (Some(namespace.to_owned()), interface),
        None => (None, text),
    };
    if interface.is_empty() || namespace.as_ref().is_some_and(|name| name.is_empty() || name.contains('/')) {
        return Err(SpecError::new("receive", text, "must be an interface, as eth1, or backend:eth0"));
    }
    Ok(Destination { namespace, interface: interface.to_owned() })
}

fn parsed<T: FromStr<Err = String>>(field: &str, text: Option<String>) -> Result<Option<T>, SpecError> {
    text.map(|text| text.parse().map_err(|remedy: String| SpecError::new(field, &text, remedy))).transpose()
}

fn number(
    field: &str,
    text: Option<String>,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, SpecError> {
    let Some(text) = text else { return Ok(None) };
    let number = text.replace('_', "").parse().ok().filter(|number| range.contains(number));
    let remedy = || SpecError::new(field, &text, format!("must be {} to {}", range.start(), range.end()));
    number.map(Some).ok_or_else(remedy)
}

/// The value of a word, the first if there is none.
fn choice<T: Copy>(field: &str, word: Option<String>, choices: &[(&str, T)]) -> Result<T, SpecError> {
    let wanted = word.as_deref().unwrap_or(choices[0].0);
    match choices.iter().find(|(name, _)| *name == wanted) {
        Some((_, value)) => Ok(*value),
        None => {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            Err(SpecError::new(field, wanted, format!("must be one of {}", names.join(", "))))
        }
    }
}
