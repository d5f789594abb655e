//! Every URL of the agent.

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

use crate::error::Error;
use crate::handlers::{backups, info, operations, pitr, rehearsals, restores};

/// Adds all routes; every one, unknown paths included, demands the credential.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(
        web::scope("")
            .wrap(from_fn(crate::auth::require))
            .route("/v1/info", web::get().to(info::get))
            .route("/v1/operations", web::get().to(operations::get))
            .route("/v1/pitr", web::get().to(pitr::get))
            .route("/v1/backups/{backup_id}", web::put().to(backups::put))
            .route("/v1/backups/{backup_id}", web::get().to(backups::get))
            .route("/v1/backups/{backup_id}", web::delete().to(backups::delete))
            .route("/v1/restores/{restore_id}", web::put().to(restores::put))
            .route("/v1/restores/{restore_id}", web::get().to(restores::get))
            .route("/v1/restores/{restore_id}", web::delete().to(restores::delete))
            .route("/v1/rehearsals/{rehearsal_id}", web::put().to(rehearsals::put))
            .route("/v1/rehearsals/{rehearsal_id}", web::get().to(rehearsals::get))
            .route("/v1/rehearsals/{rehearsal_id}", web::delete().to(rehearsals::delete))
            .default_service(web::to(|| async { Err::<String, Error>(Error::NoSuchPath) })),
    );
}
