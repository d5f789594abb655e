//! Starts agents and speaks the protocol.

mod agent;
mod client;
mod forge;
mod site;

pub(crate) use agent::{Agent, Process};
pub(crate) use client::{Client, KEY, merged};
pub(crate) use forge::{archive, forge};
pub(crate) use site::Site;
