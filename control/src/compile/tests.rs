//! Compilations of small worlds written as YAML, and the property that compiling step by step comes to the same
//! as compiling afresh.

mod world;
mod endpoints;
mod capture;
mod steps;
mod incremental;
mod relays;
mod bad_objects;
