//! The control plane of Penstock and its command line.
//!
//! Read the modules in this order to follow a change: [`config`] says where things are, [`manifests`] or [`watch`] brings in
//! Kubernetes objects, [`model`] turns them into plain validated types joined by Service, [`compile`] makes of them
//! what the packet path reads, with what the kernel knows of reaching backends from [`routes`]
//! and of spreading packets over queues from [`rss`]; [`ipam`] chooses the
//! addresses of LoadBalancer Services, [`l2`] who announces them, [`gateways`] knows which are alive, and [`reports`] writes
//! all that, and what is wrong with objects, to the objects themselves;
//! [`runtime`] publishes it to the workers and keeps everything going, [`http`] tells
//! load balancers and monitoring how it does, and [`api`] answers questions about it. What is wrong on the way is a
//! [`fault`] of one field of one object, reported there, and never empties the tables. [`cli`] is the command line over
//! all of it; [`replay`] runs the same tables over a capture, and [`demo`] shows everything at work in a network of
//! namespaces, which [`netns`] builds; [`doctor`] says what keeps a machine from being a gateway, and [`allocator`] is where
//! the program has its memory from.

pub mod fault;
pub mod config;
pub mod selector;
pub mod metallb;
pub mod objects;
pub mod manifests;
pub mod watch;
pub mod model;
pub mod routes;
mod genl;
pub mod rss;
pub mod lane;
pub mod compile;
pub mod ipam;
pub mod reports;
pub mod l2;
pub mod gateways;
pub mod runtime;
pub mod http;
pub mod api;
pub mod replay;
pub mod netns;
pub mod demo;
pub mod doctor;
pub mod cli;
pub mod allocator;
