//! Which interfaces have an XDP program: netlink alone tells.

use super::link::XdpProgram;
use futures::TryStreamExt;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use std::collections::BTreeMap;

/// The XDP programs of this thread's network namespace, by interface; none if the kernel does not answer.
pub(super) fn xdp_programs() -> BTreeMap<String, XdpProgram> {
    let ask = async {
        let (connection, handle, _) = rtnetlink::new_connection().ok()?;
        let driver = tokio::spawn(connection);
        let links: Option<Vec<LinkMessage>> = handle.link().get().execute().try_collect().await.ok();
        driver.abort();
        links
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let links = runtime.ok().and_then(|runtime| runtime.block_on(ask));
    links.iter().flatten().filter_map(program).collect()
}

fn program(link: &LinkMessage) -> Option<(String, XdpProgram)> {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let facts = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(facts) => Some(facts),
        _ => None,
    })?;
    let id = facts.iter().find_map(|fact| match fact {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => {
            Some(*id)
        }
        _ => None,
    })?;
    let generic = facts.contains(&LinkXdp::Attached(XdpAttached::SocketBuffer));
    Some((name, XdpProgram { id, generic }))
}
