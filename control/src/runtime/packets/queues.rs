//! The queues of interfaces that are ours.

use crate::{
    config::{self, Config, Queues},
    routes::Interface,
    rss::Question,
    runtime::error::RuntimeError,
};
use penstock_dataplane::io::PortId;

/// The queues of an interface that are ours; at least one for every worker.
pub(in crate::runtime) fn queues(
    config: &Config,
    interfaces: &[Interface],
    port: usize,
) -> Result<Vec<u32>, RuntimeError> {
    let wanted = &config.interfaces[port];
    let Some(link) = Interface::link_of(interfaces, PortId(port as u8)) else {
        return Err(RuntimeError::NoInterface {
            field: format!("interfaces[{port}].name"),
            name: wanted.name.clone(),
        });
    };
    let there = receive_queues(&wanted.name).unwrap_or(link.rx_queues).max(1);
    let (first, count) = match wanted.queues {
        Queues::All => (0, there),
        Queues::Range { first, count } => (first, count),
    };
    if first + count > there {
        return Err(RuntimeError::NoQueue {
            field: format!("interfaces[{port}].queues"),
            name: wanted.name.clone(),
            last: first + count - 1,
            there,
        });
    }
    if (count as usize) < config.workers.count {
        return Err(RuntimeError::TooManyWorkers {
            workers: config.workers.count,
            name: wanted.name.clone(),
            queues: count,
        });
    }
    Ok((first..first + count).collect())
}

/// What is to be known of the interfaces that are there.
pub(in crate::runtime) fn rss_questions(config: &Config, interfaces: &[Interface]) -> Vec<Question> {
    let question = |(port, interface): (usize, &config::Interface)| Question {
        interface: interface.name.clone(),
        queues: queues(config, interfaces, port).unwrap_or_default(),
        workers: config.workers.count,
    };
    config.interfaces.iter().enumerate().map(question).collect()
}

/// Receive queues in use, as sysfs shows them.
fn receive_queues(interface: &str) -> Option<u32> {
    let entries = std::fs::read_dir(format!("/sys/class/net/{interface}/queues")).ok()?;
    let receive = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("rx-"));
    u32::try_from(receive.count()).ok().filter(|count| *count > 0)
}
