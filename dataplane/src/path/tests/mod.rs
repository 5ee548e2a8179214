//! Conversations through the whole path.

mod forwarding;
mod decisions;
mod affinity;
mod udp_repair;
mod passing;
mod answers;
mod sctp;
mod fragments;
mod malformed;
mod icmp;
mod links;
mod relay;
mod batches;
mod limits;
mod workers;
mod rss;
mod properties;
mod plain;
mod maglev;
mod lane;
mod lane_model;
mod lane_cost;
mod adopt;
