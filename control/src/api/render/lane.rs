//! The fast lane in listings.

use super::text;
use serde_json::Value;

/// The fast lane, as `show workers` tells of it.
pub(super) fn all(lane: &Value) -> String {
    let on = if lane["on"] == true { "on" } else { "off" };
    let mut lines = vec![format!("\nFast lane: {on}: {}", text(&lane["because"]))];
    if lane["on"] == true {
        let (by_lane, by_worker) = (count(&lane["byLane"]), count(&lane["byWorker"]));
        let share = by_lane as f64 * 100.0 / (by_lane + by_worker).max(1) as f64;
        lines.push(format!("  {by_lane} packets by the lane ({share:.1} %), {by_worker} by workers"));
    }
    for port in lane["interfaces"].as_array().into_iter().flatten() {
        let works = if port["works"] == true { "works" } else { "no" };
        let because = match &port["because"] {
            Value::String(why) => format!(": {why}"),
            _ => String::new(),
        };
        lines.push(format!(
            "  {} {works}{because}; {} packets redirected, {} lost",
            text(&port["interface"]),
            text(&port["sent"]),
            text(&port["dropped"])
        ));
        if let Value::String(remedy) = &port["remedy"] {
            lines.push(format!("    -> {remedy}"));
        }
    }
    lines.join("\n")
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// The lane of a flow, with how many of its packets took it.
pub(super) fn of_flow(row: &Value) -> String {
    match row["lane"].as_str() {
        Some("fast") => {
            format!("fast, {}/{}", text(&row["fastForward"]["packets"]), text(&row["fastReply"]["packets"]))
        }
        _ => text(&row["lane"]),
    }
}

#[cfg(test)]
mod tests {
    use crate::api::render::{flows, workers};
    use serde_json::json;

    #[test]
    fn the_lane_and_its_interfaces_are_told() {
        let off = workers(&json!({"lane": {"on": false, "because": "fastLane is off"}}));
        assert!(off.contains("Fast lane: off: fastLane is off"), "{off}");
        let shown = workers(&json!({"lane": {
            "on": true, "because": "AF_XDP copies", "byLane": 750, "byWorker": 250,
            "interfaces": [
                {"interface": "eth0", "works": true, "sent": 750, "dropped": 1},
                {"interface": "eth1", "works": false, "because": "why", "remedy": "do this", "sent": 0, "dropped": 9},
            ],
        }}));
        for part in [
            "Fast lane: on: AF_XDP copies",
            "750 packets by the lane (75.0 %), 250 by workers",
            "eth0 works; 750 packets redirected, 1 lost",
            "eth1 no: why; 0 packets redirected, 9 lost",
            "-> do this",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        let flows = flows(&json!({"flows": [
            {"client": "a", "lane": "fast", "fastForward": {"packets": 7}, "fastReply": {"packets": 8}},
            {"client": "b", "lane": "user"},
        ]}));
        assert!(flows.contains("fast, 7/8") && flows.contains("user"), "{flows}");
    }
}
