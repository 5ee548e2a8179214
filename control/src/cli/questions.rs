//! `penstock show`, `penstock explain` and `penstock why`: questions to a running appliance.

use super::{
    OutputFormat,
    args::{Asking, ExplainArgs, ShowCommand, WhyArgs},
    print, print_json,
};
use crate::api::{self, FlowsRequest, PacketQuestion, Request, Show, render};
use serde_json::Value;

pub(super) fn show(what: &ShowCommand) -> anyhow::Result<bool> {
    match what {
        ShowCommand::Services(asking) => ask(asking, &Request::Show(Show::Services), render::services),
        ShowCommand::Backends(asking) => ask(asking, &Request::Show(Show::Backends), render::backends),
        ShowCommand::Drops(asking) => ask(asking, &Request::Show(Show::Drops), render::drops),
        ShowCommand::Workers(asking) => ask(asking, &Request::Show(Show::Workers), render::workers),
        ShowCommand::Flows { client, backend, limit, asking } => {
            let request = FlowsRequest { client: *client, backend: *backend, limit: *limit };
            ask(asking, &Request::Flows(request), render::flows)
        }
    }
}

pub(super) fn explain(args: &ExplainArgs) -> anyhow::Result<bool> {
    let question = PacketQuestion { transport: args.proto, from: args.from, to: args.to };
    ask(&args.asking, &Request::Explain(question), render::explanation)
}

pub(super) fn why(args: &WhyArgs) -> anyhow::Result<bool> {
    ask(&args.asking, &Request::Why(args.service.clone()), render::why)
}

fn ask(asking: &Asking, request: &Request, render: fn(&Value) -> String) -> anyhow::Result<bool> {
    let answer = api::ask(&asking.socket, request)?;
    match asking.output {
        OutputFormat::Table => print(&render(&answer)),
        OutputFormat::Json => print_json(&answer)?,
    }
    Ok(true)
}
