//! The least of a server: actix-web, as many workers as the API, an answer that is already there.

use std::sync::mpsc;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, anyhow};

use super::Options;
use super::requests::{Fleet, GET_ONE};
use super::stage::Stage;
use crate::samples::Sample;

/// Loads a server that answers `body` to everything with the requests for one backup.
pub(super) fn constant(
    stage: &Stage,
    fleet: &Fleet,
    body: String,
    options: &Options,
) -> anyhow::Result<Sample> {
    let (sender, receiver) = mpsc::channel();
    let serving = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                let body = body.clone();
                App::new().default_service(web::to(move || {
                    let body = body.clone();
                    async move { HttpResponse::Ok().content_type("application/json").body(body) }
                }))
            });
            let server = server.disable_signals().bind(("127.0.0.1", 0))?;
            let address = server.addrs().first().copied();
            let server = server.run();
            // The receiver is gone only when nobody is interested any more.
            let _ = sender.send((address, server.handle()));
            server.await
        })
    });
    let (address, handle) = receiver.recv().context("the server of the floor did not start")?;
    let url = format!("http://{}", address.context("the server of the floor has no address")?);
    let sample = stage.load_at(&url, fleet, &GET_ONE, options);
    actix_web::rt::System::new().block_on(handle.stop(false));
    serving.join().map_err(|_| anyhow!("the server of the floor panicked"))??;
    sample
}
