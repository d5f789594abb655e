//! `/v1/info`.

use std::path::PathBuf;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use backup_protocol::{AgentInfo, POSTGRESQL_WAL, PROTOCOL_VERSION};

use crate::drivers::{self, Driver};
use crate::error::Error;
use crate::operations::Operations;
use crate::scratch::free_bytes;
use crate::session::LimitedSession;

const CAPABILITIES: [&str; 5] = ["backup", "restore", "cancel", "rate_limit", "list_operations"];
/// Of agents whose driver can.
const REHEARSE: &str = "rehearse";
const PATIENCE: Duration = Duration::from_secs(5);

/// The scratch directory, whose free space is reported.
pub(crate) struct Scratch(pub(crate) PathBuf);

/// Who this agent is. The data service's version is left out while it cannot be asked.
pub(crate) async fn get(operations: Data<Operations>, scratch: Data<Scratch>) -> Result<HttpResponse, Error> {
    let driver = operations.driver();
    let physical = operations.archive().map(|_| POSTGRESQL_WAL);
    let info = web::block(move || AgentInfo {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_versions: vec![PROTOCOL_VERSION],
        data_service: driver.name().to_owned(),
        data_service_version: driver.version(&LimitedSession::new(PATIENCE)).ok().flatten(),
        drivers: drivers::NAMES.iter().map(|name| (*name).to_owned()).collect(),
        capabilities: capabilities(&*driver).into_iter().chain(physical.map(str::to_owned)).collect(),
        free_scratch_bytes: free_bytes(&scratch.0),
    });
    let info = info.await.map_err(|_| Error::Internal("a thread of the agent ended"))?;
    Ok(HttpResponse::Ok().json(info))
}

fn capabilities(driver: &dyn Driver) -> Vec<String> {
    let all = CAPABILITIES.into_iter().chain(driver.can_rehearse().then_some(REHEARSE));
    all.map(str::to_owned).collect()
}
