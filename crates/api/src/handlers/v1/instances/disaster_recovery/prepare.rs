//! `POST /v1/instances/{instance_id}/disaster-recovery/prepare`

use actix_web::HttpResponse;
use backup_core::actions::configure_instance::configure_instance;
use backup_core::actions::inspect;
use backup_core::domain::instance::InstanceChanges;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::path::OfInstance;
use crate::views::message::BackupGuid;

/// Tells the name of the instance's folder in the store, and sets its encryption key if one is given.
pub(crate) async fn create(core: Core, caller: Caller, of: OfInstance, fields: Fields) -> Answer {
    fields.only(&["encryption_key"])?;
    let instance = match fields.secret("encryption_key")? {
        None => inspect::instance(&core, &of.guid).await?,
        Some(key) => {
            let changes = InstanceChanges { encryption_key: Some(key), ..InstanceChanges::default() };
            configure_instance(&core, &caller.0, &of.guid, changes).await?
        }
    };
    Ok(HttpResponse::Ok().json(BackupGuid { backup_guid: instance.backup_guid }))
}
