//! Conversations through the whole path.

mod forwarding;
