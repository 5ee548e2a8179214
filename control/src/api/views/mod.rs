//! Answers as JSON values, made from the published tables and the workers' reports.

mod services;
mod backends;
mod drops;
mod workers;
mod lane;
mod flows;
mod explain;
mod why;

pub use workers::PortView;

use super::{Reply, Request, Show};
use crate::runtime::Appliance;
use penstock_dataplane::table::Snapshot;
use serde::Serialize;

/// Answers a question.
pub fn answer(appliance: &Appliance, request: &Request) -> Reply {
    let snapshot = appliance.publisher.current();
    match request {
        Request::Show(Show::Services) => ok(&services::view(&snapshot)),
        Request::Show(Show::Backends) => ok(&backends::view(&snapshot, appliance)),
        Request::Show(Show::Drops) => ok(&drops::view(appliance)),
        Request::Show(Show::Workers) => ok(&workers::view(appliance)),
        Request::Flows(request) => {
            flows::view(appliance, &snapshot, request).map_or_else(Reply::Error, |view| ok(&view))
        }
        Request::Why(key) => why::view(appliance, &snapshot, key).map_or_else(Reply::Error, |view| ok(&view)),
        Request::Explain(question) => {
            explain::view(appliance, &snapshot, question).map_or_else(Reply::Error, |view| ok(&view))
        }
    }
}

/// The Service ports of a snapshot, as `show services` lists them.
pub fn services(snapshot: &Snapshot) -> serde_json::Value {
    serde_json::to_value(services::view(snapshot)).unwrap_or_default()
}

fn ok(view: &impl Serialize) -> Reply {
    match serde_json::to_value(view) {
        Ok(value) => Reply::Ok(value),
        Err(error) => Reply::Error(format!("the answer cannot be written as JSON: {error}")),
    }
}
