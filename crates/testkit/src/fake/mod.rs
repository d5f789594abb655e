//! Parties the manager talks to, as real HTTP servers on 127.0.0.1 that do what the test tells them.

pub(crate) mod agent;
pub(crate) mod answer;
pub(crate) mod broker;
pub(crate) mod server;
