//! Listings for people: tables made of the JSON answers, so that both tell the same.

mod lane;

use comfy_table::{Table, presets};
use serde_json::Value;

/// A column: its heading, and how its cell is made of a row.
type Column = (&'static str, fn(&Value) -> String);

/// A listing's tables.
pub fn services(answer: &Value) -> String {
    const COLUMNS: &[Column] = &[
        ("SERVICE", |row| format!("{}/{}", text(&row["namespace"]), text(&row["name"]))),
        ("PORT", |row| named_port(row)),
        ("FAMILY", |row| text(&row["family"])),
        ("ADDRESSES", |row| list(&row["addresses"], address)),
        ("ENDPOINTS", |row| text(&row["cluster"]["endpoints"])),
        ("LOCAL", |row| if uses_local(row) { text(&row["local"]["endpoints"]) } else { "-".to_owned() }),
        ("INTERNAL", |row| text(&row["internalPolicy"])),
        ("EXTERNAL", |row| text(&row["externalPolicy"])),
        ("NEW FLOWS", |row| new_flows(row)),
    ];
    table(&answer["services"], COLUMNS)
}

/// The endpoints of all Service ports, with their conditions and the lists they are in.
pub fn endpoints(rows: &Value) -> String {
    const COLUMNS: &[Column] = &[
        ("SERVICE", |row| text(&row["service"])),
        ("PORT", |row| text(&row["port"])),
        ("ENDPOINT", |row| text(&row["address"])),
        ("POD", |row| text(&row["target"])),
        ("NODE", |row| text(&row["node"])),
        ("STATE", |row| endpoint_state(row)),
        ("LISTS", |row| endpoint_lists(row)),
    ];
    table(rows, COLUMNS)
}

/// `show backends`.
pub fn backends(answer: &Value) -> String {
    const COLUMNS: &[Column] = &[
        ("BACKEND", |row| text(&row["address"])),
        ("PROTOCOL", |row| text(&row["protocol"])),
        ("SERVICES", |row| list(&row["services"], text)),
        ("REACHABLE", |row| match &row["because"] {
            Value::String(why) => format!("no: {why}"),
            _ => yes(&row["reachable"]),
        }),
        ("INTERFACE", |row| text(&row["nextHop"]["interface"])),
        ("MAC", |row| text(&row["nextHop"]["mac"])),
        ("VLAN", |row| list(&row["nextHop"]["vlan"], text)),
        ("SNAT FROM", |row| text(&row["nextHop"]["source"])),
    ];
    table(&answer["backends"], COLUMNS)
}

/// `show flows`.
pub fn flows(answer: &Value) -> String {
    const COLUMNS: &[Column] = &[
        ("PROTOCOL", |row| text(&row["transport"])),
        ("CLIENT", |row| text(&row["client"])),
        ("VIP", |row| text(&row["vip"])),
        ("SOURCE", |row| text(&row["source"])),
        ("BACKEND", |row| text(&row["backend"])),
        ("STATE", |row| text(&row["state"])),
        ("AGE", |row| seconds(&row["ageMs"])),
        ("IDLE", |row| seconds(&row["idleMs"])),
        ("LANE", |row| lane::of_flow(row)),
        ("PACKETS", |row| both_ways(row, "packets")),
        ("BYTES", |row| both_ways(row, "bytes")),
        ("WORKER", |row| text(&row["worker"])),
        ("SERVICE", |row| text(&row["serviceName"])),
    ];
    let mut shown = table(&answer["flows"], COLUMNS);
    if answer["more"] == Value::Bool(true) {
        shown.push_str("\n(there are more; see --limit, --client and --backend)");
    }
    shown
}

/// `show drops`: only what has happened.
pub fn drops(answer: &Value) -> String {
    const COLUMNS: &[Column] = &[
        ("REASON", |row| text(&row["reason"])),
        ("PACKETS", |row| text(&row["packets"])),
        ("MEANING", |row| text(&row["meaning"])),
    ];
    let happened = |rows: &Value| -> Value {
        rows.as_array().into_iter().flatten().filter(|row| row["packets"] != 0).cloned().collect()
    };
    let parts = [("Dropped", "drops"), ("Answered", "replies"), ("Classifier", "classifier")];
    let mut shown: Vec<String> = parts
        .iter()
        .map(|(title, field)| match happened(&answer[*field]) {
            Value::Array(rows) if rows.is_empty() => format!("{title}: nothing"),
            rows => format!("{title}:\n{}", table(&rows, COLUMNS)),
        })
        .collect();
    shown.push(format!("Relayed to former owners of addresses: {}", text(&answer["relayed"])));
    shown.push(format!("Handoffs refused: {}", text(&answer["handoffsRefused"])));
    shown.join("\n\n")
}

/// `show workers`.
pub fn workers(answer: &Value) -> String {
    const COLUMNS: &[Column] = &[
        ("WORKER", |row| text(&row["id"])),
        ("ALIVE", |row| yes(&row["alive"])),
        ("CORE", |row| text(&row["core"])),
        ("TABLES", |row| text(&row["generation"])),
        ("RECEIVED", |row| text(&row["counters"]["received"])),
        ("FORWARDED", |row| text(&row["counters"]["forwarded"])),
        ("BY FAST LANE", |row| text(&row["counters"]["lane"]["packets"])),
        ("RELAYED", |row| text(&row["counters"]["relayed"])),
        ("HANDED OFF", |row| text(&row["counters"]["handed_off"])),
        ("FLOWS v4/v6", |row| {
            format!("{}/{}", text(&row["counters"]["flows_v4"]), text(&row["counters"]["flows_v6"]))
        }),
        ("FRAMES FREE", |row| format!("{}/{}", text(&row["frames"]["free"]), text(&row["frames"]["total"]))),
        ("REFUSED (handoffs, passes, splits)", |row| {
            let part = |name: &str| text(&row[name]);
            format!("{}, {}, {}", part("handoffsRefused"), part("passesRefused"), part("splitsRefused"))
        }),
    ];
    const PORTS: &[Column] = &[
        ("WORKER", |row| text(&row["worker"])),
        ("INTERFACE", |row| text(&row["interface"])),
        ("QUEUE", |row| text(&row["queue"])),
        ("ATTACHED", |row| yes(&row["attached"])),
        ("XDP", |row| text(&row["xdpMode"])),
        ("BIND", |row| text(&row["bindMode"])),
        ("RECEIVED", |row| text(&row["rxPackets"])),
        ("SENT", |row| text(&row["txPackets"])),
        ("NOT SENT", |row| text(&row["txDropped"])),
        ("MISSED", |row| text(&row["rxMissed"])),
        ("RING FULL", |row| text(&row["rxRingFull"])),
        ("NO FRAMES", |row| text(&row["fillRingEmpty"])),
    ];
    let ports = answer["workers"].as_array().into_iter().flatten().flat_map(|worker| {
        let of_worker = worker["ports"].as_array().into_iter().flatten();
        of_worker.map(|port| {
            let mut row = port.clone();
            row["worker"] = worker["id"].clone();
            row
        })
    });
    let rss = answer["rss"].as_array().into_iter().flatten().map(|of| {
        let known = match of["known"] == true {
            true => "is known: replies of masqueraded flows come to their owners".to_owned(),
            false => format!("is not known, so packets are handed over: {}", text(&of["because"])),
        };
        format!("\nReceive-side scaling of {} {known}", text(&of["interface"]))
    });
    format!(
        "Tables: generation {}\n{}\n\n{}{}\n{}",
        text(&answer["generation"]),
        table(&answer["workers"], COLUMNS),
        table(&ports.collect(), PORTS),
        rss.collect::<String>(),
        lane::all(&answer["lane"])
    )
}

/// `explain`.
pub fn explanation(answer: &Value) -> String {
    let mut lines = vec![
        text(&answer["packet"]),
        format!("  {}: {}", text(&answer["outcome"]), text(&answer["because"])),
    ];
    let mut say = |what: &str, value: String| {
        if value != "-" {
            lines.push(format!("  {what:<12} {value}"));
        }
    };
    if let Value::String(mac) = &answer["relayedTo"] {
        say("later", format!("a packet that begins no flow is relayed to former owner {mac}"));
    }
    say("service", text(&answer["service"]));
    say("addressed by", text(&answer["kind"]));
    if let Value::Object(flow) = &answer["flow"] {
        say(
            "flow",
            format!(
                "{}, to {}, from {}",
                text(&flow["state"]),
                text(&flow["backend"]),
                text(&flow["source"])
            ),
        );
    }
    if let Value::Object(lane) = &answer["lane"] {
        let fast = if lane["fast"] == true { "fast" } else { "its worker's" };
        say("lane", format!("{fast}: {}", text(&lane["because"])));
    }
    if let Value::Object(decision) = &answer["decision"] {
        let hashed = if decision["affinity"] == true {
            "client address (ClientIP affinity)"
        } else {
            "client and VIP tuple"
        };
        say("source is", text(&decision["sourceClass"]));
        say("list", text(&decision["list"]));
        say("hashed by", hashed.to_owned());
        say("slot", format!("{} of {}", text(&decision["slot"]), text(&decision["ringSize"])));
        say("backend", text(&decision["backend"]));
        say("reachable", yes(&decision["reachable"]));
        say(
            "masquerade",
            format!("{}; source {}", masquerade(&decision["masquerade"]), text(&decision["source"])),
        );
        for other in decision["others"].as_array().into_iter().flatten() {
            say("not", format!("{}: {}", text(&other["backend"]), text(&other["because"])));
        }
    }
    lines.join("\n")
}

/// `why`.
pub fn why(answer: &Value) -> String {
    let mut lines = vec![format!("{}: {}", text(&answer["service"]), text(&answer["answer"]))];
    for step in answer["steps"].as_array().into_iter().flatten() {
        let sign = match step["state"].as_str() {
            Some("done") => "+",
            Some("doubtful") => "?",
            Some("wrong") => "!",
            _ => "-",
        };
        let mut name = text(&step["name"]);
        for fact in step["facts"].as_array().into_iter().flatten() {
            lines.push(format!("  {} {name:<13} {}", if name.is_empty() { " " } else { sign }, text(fact)));
            name.clear();
        }
    }
    lines.join("\n")
}

fn table(rows: &Value, columns: &[Column]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().map(|(heading, _)| *heading));
    for row in rows.as_array().into_iter().flatten() {
        table.add_row(columns.iter().map(|(_, cell)| cell(row)));
    }
    table.trim_fmt()
}

/// A value as a cell; what is missing is a dash.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn yes(value: &Value) -> String {
    if *value == Value::Bool(true) { "yes".to_owned() } else { "no".to_owned() }
}

fn list(values: &Value, cell: fn(&Value) -> String) -> String {
    let cells: Vec<_> = values.as_array().into_iter().flatten().map(cell).collect();
    if cells.is_empty() { "-".to_owned() } else { cells.join("\n") }
}

fn endpoint_state(row: &Value) -> String {
    let is = |field: &str| row[field] == Value::Bool(true);
    match (is("ready"), is("serving"), is("terminating")) {
        (true, _, false) => "ready",
        (true, _, true) => "ready, terminating",
        (false, true, true) => "terminating, serving",
        (false, false, true) => "terminating",
        (false, _, false) => "not ready",
    }
    .to_owned()
}

fn endpoint_lists(row: &Value) -> String {
    let lists = [("inClusterList", "cluster"), ("inLocalList", "local")];
    let held: Vec<_> =
        lists.iter().filter(|(field, _)| row[field] == Value::Bool(true)).map(|(_, name)| *name).collect();
    if held.is_empty() { "-".to_owned() } else { held.join(", ") }
}

fn named_port(row: &Value) -> String {
    match text(&row["portName"]).as_str() {
        "" => text(&row["protocol"]),
        name => format!("{name}/{}", text(&row["protocol"])),
    }
}

fn address(address: &Value) -> String {
    let at = match &address["address"] {
        Value::String(ip) if ip.contains(':') => format!("[{ip}]"),
        other => text(other),
    };
    match text(&address["kind"]).as_str() {
        "NodePort" => format!("NodePort {}", text(&address["port"])),
        kind => format!("{kind} {at}:{}", text(&address["port"])),
    }
}

/// Whether any traffic is for the local list.
fn uses_local(row: &Value) -> bool {
    ["internalPolicy", "externalPolicy"].iter().any(|policy| row[policy] == "Local")
}

fn new_flows(row: &Value) -> String {
    match (text(&row["cluster"]["newFlows"]), text(&row["local"]["newFlows"])) {
        (cluster, local) if cluster == local || !uses_local(row) => cluster,
        (cluster, local) => format!("{cluster}, local {local}"),
    }
}

fn both_ways(row: &Value, what: &str) -> String {
    format!("{} / {}", text(&row["forward"][what]), text(&row["reply"][what]))
}

fn masquerade(value: &Value) -> String {
    let known = match value.as_str() {
        Some("NoPodToClusterIp") => "no: a pod to a cluster IP",
        Some("NoDetector") => "no: no local detector is set (clusterCIDR), nor masqueradeAll",
        Some("NoExternalLocal") => "no: externalTrafficPolicy is Local",
        Some("YesNotLocal") => "yes: the client is no local pod",
        Some("YesAll") => "yes: masqueradeAll",
        Some("YesExternalCluster") => "yes: external traffic with policy Cluster",
        Some("YesHost") => "yes: external traffic of this node",
        Some("YesHairpin") => "yes: the client is the backend",
        _ => return text(value),
    };
    known.to_owned()
}

fn seconds(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |ms| format!("{}.{}s", ms / 1000, ms % 1000 / 100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_shows_its_addresses_and_what_new_flows_get() {
        let shown = services(&json!({"services": [{
            "namespace": "shop", "name": "web", "portName": "http", "protocol": "TCP", "family": "IPv6",
            "addresses": [
                {"kind": "ClusterIp", "address": "fd00::1", "port": 80},
                {"kind": "NodePort", "address": null, "port": 30080},
            ],
            "internalPolicy": "Cluster", "externalPolicy": "Local",
            "cluster": {"endpoints": 3, "newFlows": "serve"}, "local": {"endpoints": 0, "newFlows": "drop"},
        }]}));
        for part in ["shop/web", "http/TCP", "ClusterIp [fd00::1]:80", "NodePort 30080", "serve, local drop"]
        {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }

    #[test]
    fn a_worker_shows_what_its_sockets_lost() {
        let shown = workers(&json!({"generation": 3, "workers": [{
            "id": 1, "handoffsRefused": 11, "passesRefused": 12, "splitsRefused": 13,
            "ports": [{
                "interface": "eth7", "queue": 2, "attached": false, "xdpMode": "native", "bindMode": "copy",
                "txDropped": 21, "rxMissed": 22, "rxRingFull": 23, "fillRingEmpty": 24,
            }],
        }]}));
        assert!(shown.contains("11, 12, 13"), "{shown}");
        assert!(!shown.contains("Receive-side"), "a single worker has no use for it: {shown}");
        let rss = json!([
            {"interface": "eth1", "known": true},
            {"interface": "eth2", "known": false, "because": "nobody says"},
        ]);
        let both = workers(&json!({"generation": 3, "workers": [], "rss": rss}));
        assert!(both.contains("Receive-side scaling of eth1 is known"), "{both}");
        assert!(both.contains("eth2 is not known, so packets are handed over: nobody says"), "{both}");
        let line = shown.lines().find(|line| line.contains("eth7")).expect("a line for the socket");
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!(cells, ["1", "eth7", "2", "no", "native", "copy", "-", "-", "21", "22", "23", "24"]);
    }

    #[test]
    fn only_what_happened_is_listed() {
        let shown = drops(&json!({
            "drops": [{"reason": "martian", "packets": 0}, {"reason": "no_service", "packets": 7, "meaning": "why"}],
            "replies": [], "classifier": [], "handoffsRefused": 0, "relayed": 31,
        }));
        assert!(shown.contains("no_service") && shown.contains('7') && !shown.contains("martian"), "{shown}");
        assert!(shown.contains("Answered: nothing"), "{shown}");
        assert!(shown.contains("Relayed to former owners of addresses: 31"), "{shown}");
    }

    #[test]
    fn a_relay_and_a_lane_are_told() {
        let lane = json!({"fast": true, "because": "it is busy"});
        let answer = json!({
            "packet": "p", "outcome": "forward", "because": "b", "relayedTo": "02:00:00:00:00:01", "lane": lane,
        });
        let shown = explanation(&answer);
        assert!(shown.contains("fast: it is busy"), "{shown}");
        assert!(shown.contains("is relayed to former owner 02:00:00:00:00:01"), "{shown}");
    }
}
