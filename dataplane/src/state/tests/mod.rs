//! Properties of the worker's state.

mod flow_table;
mod affinity;
