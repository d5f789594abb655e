//! From parsed paths and bodies to an action and from its outcome to a view. A file's path is its URL's path.

pub(crate) mod backup_agent;
pub(crate) mod docs;
pub(crate) mod health;
pub(crate) mod instances;
pub(crate) mod json_array;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod query;
pub(crate) mod service_instances;
pub(crate) mod v1;
pub(crate) mod v2;

use actix_web::web::Data;
use backup_core::Manager;

use crate::error::ApiError;

/// The core, as handlers get it.
pub(crate) type Core = Data<Manager>;

/// What handlers return.
pub(crate) type Answer = Result<actix_web::HttpResponse, ApiError>;
