//! The simulated side: a process that answers as the backup agents of a whole fleet and as its service brokers. Agents speak
//! HTTPS on one port and tell each other apart by the address they are asked at; brokers and the control of the measurement
//! speak HTTP on another. Reads top to bottom in [`run`].
//!
//! What the agents do is realistic in time and in trouble, not in work: they back up nothing, but leave real (small) objects
//! in the store, because the manager looks.

mod agent;
mod broker;
mod control;
mod dice;
mod objects;
mod operations;
mod recording;
mod tls;
mod world;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::web::{self, Data, JsonConfig};
use actix_web::{App, HttpServer};
use anyhow::Context;
use clap::Args;

use super::shape::Shape;
pub(super) use control::{Behaviour, Look, Start};
use world::World;

/// Answers as a fleet until it is killed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many instances
    #[arg(long)]
    instances: u32,
    /// The port of the agents, on all of 127.0.0.0/8
    #[arg(long)]
    agents: u16,
    /// The port of brokers and control, on 127.0.0.1
    #[arg(long)]
    control: u16,
    /// The directory of the store
    #[arg(long)]
    store: PathBuf,
    /// PEM of the agents' certificate
    #[arg(long)]
    certificate: PathBuf,
    /// PEM of its key
    #[arg(long)]
    key: PathBuf,
}

/// The hidden subcommand.
///
/// # Errors
/// When a port is taken or the certificate cannot be read.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let world = Data::new(World::new(Shape { instances: options.instances }, options.store.clone()));
    let tls = tls::config(&options.certificate, &options.key)?;
    let (for_agents, for_control) = (world.clone(), world);
    actix_web::rt::System::new().block_on(async move {
        let agents = HttpServer::new(move || {
            App::new()
                .app_data(for_agents.clone())
                .app_data(JsonConfig::default().limit(1 << 20))
                .route("/v1/backups/{id}", web::put().to(agent::start))
                .route("/v1/backups/{id}", web::get().to(agent::status))
                .route("/v1/backups/{id}", web::delete().to(agent::stop))
        })
        .workers(1)
        .disable_signals()
        .backlog(4096)
        .max_connections(50_000)
        .max_connection_rate(10_000)
        .client_request_timeout(Duration::ZERO)
        .keep_alive(Duration::from_secs(75))
        .tcp_nodelay(true)
        .bind_rustls_0_23((Ipv4Addr::UNSPECIFIED, options.agents), tls)
        .context("the agents' port is taken")?;
        let control = HttpServer::new(move || {
            App::new()
                .app_data(for_control.clone())
                .route("/broker/{broker}/instances", web::get().to(broker::instances))
                .route("/behaviour", web::put().to(control::behave))
                .route("/starts", web::get().to(control::starts))
                .route("/looks", web::get().to(control::looks))
        })
        .workers(1)
        .disable_signals()
        .bind((Ipv4Addr::LOCALHOST, options.control))
        .context("the brokers' port is taken")?;
        println!("ready");
        futures_util::try_join!(agents.run(), control.run())?;
        Ok(())
    })
}
