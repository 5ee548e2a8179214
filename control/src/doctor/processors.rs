//! Processors, the memory nodes they are on, and which of them the scheduler leaves alone.

use super::Root;
use std::collections::{BTreeMap, BTreeSet};

/// A memory node and its processors.
pub type Nodes = BTreeMap<usize, BTreeSet<usize>>;

/// Processors that only those run on who ask for them: `isolcpus` of the kernel's command line, and `nohz_full`.
pub fn isolated(root: &Root) -> BTreeSet<usize> {
    let list = |name: &str| root.text(&format!("sys/devices/system/cpu/{name}")).unwrap_or_default();
    let mut isolated = cores(&list("isolated"));
    isolated.extend(cores(&list("nohz_full")));
    isolated
}

/// All memory nodes.
pub fn nodes(root: &Root) -> Nodes {
    const FOLDER: &str = "sys/devices/system/node";
    let node = |name: String| {
        let number = name.strip_prefix("node")?.parse().ok()?;
        Some((number, cores(&root.text(&format!("{FOLDER}/{name}/cpulist"))?)))
    };
    root.names(FOLDER).into_iter().filter_map(node).collect()
}

/// The memory node that an interface's device is on; `None` for virtual ones, and where there is but one.
pub fn node_of(root: &Root, interface: &str) -> Option<usize> {
    root.number(&format!("sys/class/net/{interface}/device/numa_node"))
}

/// Those of `wanted` that are on another node than `node`, and the processors there are on that.
pub fn distant<'n>(
    wanted: &[usize],
    node: Option<usize>,
    nodes: &'n Nodes,
) -> Option<(Vec<usize>, &'n BTreeSet<usize>)> {
    let near = nodes.get(&node?).filter(|near| nodes.len() > 1 && !near.is_empty())?;
    let far: Vec<_> = wanted.iter().copied().filter(|core| !near.contains(core)).collect();
    (!far.is_empty()).then_some((far, near))
}

/// `0-3,8`
pub(super) fn cores(list: &str) -> BTreeSet<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// The opposite: `0,1,2,8`.
pub fn list<'c>(cores: impl IntoIterator<Item = &'c usize>) -> String {
    cores.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(cores("0-2,7"), [0, 1, 2, 7].into());
        assert_eq!(cores(""), [].into());
        assert_eq!(cores(" (null)"), [].into(), "nohz_full of a kernel that can but does not");
        assert_eq!(list(&cores("0-2,7")), "0,1,2,7");
    }

    #[test]
    fn only_other_nodes_are_distant() {
        let nodes: Nodes = [(0, cores("0-3")), (1, cores("4-7"))].into();
        assert_eq!(distant(&[2, 3], Some(0), &nodes), None);
        assert_eq!(distant(&[3, 4], Some(0), &nodes), Some((vec![4], &cores("0-3"))));
        assert_eq!(distant(&[3, 4], None, &nodes), None, "a virtual interface");
        let one: Nodes = [(0, cores("0-7"))].into();
        assert_eq!(distant(&[9], Some(0), &one), None, "there is but one");
    }

    #[test]
    fn this_machine_has_nodes_or_none() {
        let all: BTreeSet<usize> = nodes(&Root::machine()).into_values().flatten().collect();
        assert!(all.is_empty() || all.contains(&0), "{all:?}");
    }
}
