//! A spec as it is written: every field may be missing, every value is text.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Deserializer};

use super::SpecError;

/// The file, and the options of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Args)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RawSpec {
    /// The interface to send on: nothing is ever sent on another
    #[arg(long, short)]
    pub interface: Option<String>,
    /// The interface to receive on, as IF, or NAMESPACE:IF for one of `ip netns`
    #[arg(long)]
    pub receive: Option<String>,
    /// Source MAC address [default: the interface's]
    #[arg(long)]
    pub source_mac: Option<String>,
    /// Destination MAC address: the next hop's
    #[arg(long)]
    pub destination_mac: Option<String>,
    /// What is sent: each entry is so many flows
    #[arg(skip)]
    pub traffic: Vec<RawTraffic>,
    /// A capture to send, again and again, in place of traffic; needs the sender af-xdp or packet
    #[arg(long)]
    pub pcap: Option<PathBuf>,
    /// Sizes of frames with their check sequence: 64, or several in turn (64,512), or imix
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub size: Option<String>,
    /// Packets a second: 250000, 250k, 1.5M or max [default: 10k]
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub rate: Option<String>,
    /// Time in which the rate grows to its full height: 2s
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub ramp: Option<String>,
    /// How long to send: 10s
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub duration: Option<String>,
    /// How many packets to send
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub packets: Option<String>,
    /// Which flow's turn it is: turn or random [default: turn]
    #[arg(long)]
    pub order: Option<String>,
    /// How packets are sent: af-xdp, live-frames or packet [default: af-xdp]
    #[arg(long)]
    pub sender: Option<String>,
    /// Look at every so many packets of a flow: more is faster, but only 1 sees what is reordered or doubled; 0: count only
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub sample: Option<String>,
    /// The processor that sends
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub core: Option<String>,
}

/// Flows of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Args)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RawTraffic {
    /// udp, tcp (segments of no connection) or tcp-syn [default: udp]
    #[arg(long)]
    pub protocol: Option<String>,
    /// Source: an address, or the hosts of a network
    #[arg(long)]
    pub source: Option<String>,
    /// Source ports [default: 1024-65535]
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub source_ports: Option<String>,
    /// Destination: an address, or the hosts of a network
    #[arg(long)]
    pub destination: Option<String>,
    /// Destination ports
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub destination_ports: Option<String>,
    /// Flows, each from a source (address and port) of its own, over the destinations in turn [default: 1]
    #[arg(long)]
    #[serde(deserialize_with = "text")]
    pub flows: Option<String>,
}

impl RawSpec {
    /// Reads a file's text.
    pub fn parse(yaml: &str) -> Result<RawSpec, SpecError> {
        let tree: serde_yaml_ng::Value =
            serde_yaml_ng::from_str(yaml).map_err(|error| SpecError::new("the file", error, "not YAML"))?;
        if tree.is_null() {
            return Ok(RawSpec::default());
        }
        serde_path_to_error::deserialize(tree).map_err(|error| {
            let field = error.path().to_string();
            SpecError::new(field, "", error.into_inner().to_string())
        })
    }

    /// This, with what is missing from `file`. Traffic is taken from one of them, not mixed.
    #[must_use]
    pub fn over(self, file: RawSpec) -> RawSpec {
        RawSpec {
            interface: self.interface.or(file.interface),
            receive: self.receive.or(file.receive),
            source_mac: self.source_mac.or(file.source_mac),
            destination_mac: self.destination_mac.or(file.destination_mac),
            traffic: if self.traffic.is_empty() { file.traffic } else { self.traffic },
            pcap: self.pcap.or(file.pcap),
            size: self.size.or(file.size),
            rate: self.rate.or(file.rate),
            ramp: self.ramp.or(file.ramp),
            duration: self.duration.or(file.duration),
            packets: self.packets.or(file.packets),
            order: self.order.or(file.order),
            sender: self.sender.or(file.sender),
            sample: self.sample.or(file.sample),
            core: self.core.or(file.core),
        }
    }
}

/// A scalar, or a list of them, as the text that an option would have.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "must be a number or a word, or a list of them")]
    enum Scalar {
        Whole(u64),
        Real(f64),
        Word(String),
    }
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "must be a number or a word, or a list of them")]
    enum OneOrMore {
        One(Scalar),
        More(Vec<Scalar>),
    }
    let shown = |scalar: &Scalar| match scalar {
        Scalar::Whole(number) => number.to_string(),
        Scalar::Real(number) => number.to_string(),
        Scalar::Word(word) => word.clone(),
    };
    Ok(match Option::<OneOrMore>::deserialize(deserializer)? {
        None => None,
        Some(OneOrMore::One(scalar)) => Some(shown(&scalar)),
        Some(OneOrMore::More(scalars)) => Some(scalars.iter().map(shown).collect::<Vec<_>>().join(",")),
    })
}
