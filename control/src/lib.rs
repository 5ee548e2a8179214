//! The control plane and the command line of Penstock.

pub mod netns;
pub mod demo;
