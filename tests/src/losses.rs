//! Where packets get lost that no program of ours ever saw: the kernel's own counters, in every namespace of a lab.

use std::{collections::BTreeMap, fmt};

use anyhow::Result;
use penstock::netns::{Namespace, World};

/// The counters of nstat that mean a packet that was not delivered.
const NSTAT: [&str; 8] = [
    "UdpRcvbufErrors",
    "Udp6RcvbufErrors",
    "UdpInErrors",
    "Udp6InErrors",
    "IpReasmFails",
    "Ip6ReasmFails",
    "IpInDiscards",
    "Ip6InDiscards",
];

/// Counters of lost packets by place, those that are not zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses(BTreeMap<String, u64>);

impl Losses {
    /// What every namespace of `world` has counted.
    pub fn of(world: &World) -> Result<Losses> {
        let mut losses = BTreeMap::new();
        let fixed = [&world.client, &world.gateway, &world.network];
        for namespace in fixed.into_iter().chain(world.backends.iter().map(|backend| &backend.namespace)) {
            add(&mut losses, namespace)?;
        }
        losses.retain(|_, count| *count > 0);
        Ok(Losses(losses))
    }

    /// What has been counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Losses) -> Losses {
        let since = |(place, count): (&String, &u64)| {
            let count = count - before.0.get(place).copied().unwrap_or(0).min(*count);
            (count > 0).then(|| (place.clone(), count))
        };
        Losses(self.0.iter().filter_map(since).collect())
    }

    /// The sum over the places whose name ends so.
    pub fn at(&self, ending: &str) -> u64 {
        self.0.iter().filter(|(place, _)| place.ends_with(ending)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the kernel has lost nothing");
        }
        self.0.iter().try_for_each(|(place, count)| writeln!(f, "{count:>8} {place}"))
    }
}

fn add(losses: &mut BTreeMap<String, u64>, namespace: &Namespace) -> Result<()> {
    let name = namespace.name();
    let links: serde_json::Value = serde_json::from_str(&namespace.ip("-s -j link")?)?;
    for link in links.as_array().into_iter().flatten() {
        let interface = link["ifname"].as_str().unwrap_or("?");
        for (way, what) in
            [("rx", "dropped"), ("rx", "over_errors"), ("rx", "errors"), ("tx", "dropped"), ("tx", "errors")]
        {
            let count = link["stats64"][way][what].as_u64().unwrap_or(0);
            losses.insert(format!("{name} {interface} {way}_{what}"), count);
        }
        // The queues of a veth pair tell of what its ring had no room for.
        let Ok(text) = namespace.run(&["ethtool", "-S", interface]) else { continue };
        for (what, count) in text.lines().filter_map(|line| line.split_once(':')) {
            if (what.contains("drop") || what.contains("err"))
                && let Ok(count) = count.trim().parse()
            {
                losses.insert(format!("{name} {interface} {}", what.trim()), count);
            }
        }
    }
    let text = namespace.run(&["nstat", "-asz"])?;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(what), Some(Ok(count))) = (words.next(), words.next().map(str::parse))
            && NSTAT.contains(&what)
        {
            losses.insert(format!("{name} {what}"), count);
        }
    }
    Ok(())
}
