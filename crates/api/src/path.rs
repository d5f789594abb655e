//! Names in paths, parsed: past the handler there are no raw strings and numbers.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use backup_core::domain::identifiers::{BackupId, RebuildId, RehearsalId, RestoreId, ServiceInstanceGuid};
use serde::Deserialize;

use crate::error::ApiError;

/// `/…/{instance_id}/…`
pub(crate) struct OfInstance {
    pub(crate) guid: ServiceInstanceGuid,
}

/// `/…/{instance_id}/backups/{id}/…`
pub(crate) struct OfBackup {
    pub(crate) guid: ServiceInstanceGuid,
    pub(crate) id: BackupId,
}

/// `/…/{instance_id}/restores/{id}/…`
pub(crate) struct OfRestore {
    pub(crate) guid: ServiceInstanceGuid,
    pub(crate) id: RestoreId,
}

/// `/…/{instance_id}/rehearsals/{id}/…`
pub(crate) struct OfRehearsal {
    pub(crate) guid: ServiceInstanceGuid,
    pub(crate) id: RehearsalId,
}

/// `/v2/catalogue/rebuilds/{id}/…`
pub(crate) struct OfRebuild {
    pub(crate) id: RebuildId,
}

/// `/v2/stores/{store}/…`
pub(crate) struct OfStore {
    pub(crate) name: String,
}

/// How routes name the instance in their path.
pub(crate) const INSTANCE_ID: &str = "instance_id";

#[derive(Deserialize)]
struct Parts {
    instance_id: String,
    #[serde(default)]
    id: String,
}

impl FromRequest for OfInstance {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(instance_of(request).map(|guid| Self { guid }))
    }
}

impl FromRequest for OfBackup {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(parts(request).and_then(|parts| {
            Ok(Self { guid: guid(&parts.instance_id)?, id: BackupId(number("backup", &parts.id)?) })
        }))
    }
}

impl FromRequest for OfRestore {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(parts(request).and_then(|parts| {
            Ok(Self { guid: guid(&parts.instance_id)?, id: RestoreId(number("restore", &parts.id)?) })
        }))
    }
}

impl FromRequest for OfRehearsal {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(parts(request).and_then(|parts| {
            Ok(Self { guid: guid(&parts.instance_id)?, id: RehearsalId(number("rehearsal", &parts.id)?) })
        }))
    }
}

impl FromRequest for OfRebuild {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").unwrap_or_default();
        ready(number("rebuild", id).map(|id| Self { id: RebuildId(id) }))
    }
}

impl FromRequest for OfStore {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let name = web::Path::<(String,)>::extract(request).into_inner();
        let name = name.map(|path| Self { name: path.into_inner().0 });
        ready(name.map_err(|_| ApiError::bad_request("The path cannot be understood.")))
    }
}

/// A name no instance can have is the name of no instance.
pub(crate) fn guid(text: &str) -> Result<ServiceInstanceGuid, ApiError> {
    ServiceInstanceGuid::parse(text).ok_or_else(|| {
        let shown: String =
            text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        ApiError::not_found(format!("The instance {shown} was not found."))
    })
}

/// Reads digits; a number beyond 64 bits is fine as such, but nothing has it.
pub(crate) fn number(what: &str, text: &str) -> Result<i64, ApiError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::bad_request(format!("The id of a {what} is a whole number.")));
    }
    let shown: String = text.chars().take(40).collect();
    text.parse().map_err(|_| ApiError::not_found(format!("The {what} {shown} was not found.")))
}

/// The instance in the path.
pub(crate) fn instance_of(request: &HttpRequest) -> Result<ServiceInstanceGuid, ApiError> {
    guid(&parts(request)?.instance_id)
}

fn parts(request: &HttpRequest) -> Result<Parts, ApiError> {
    web::Path::<Parts>::extract(request)
        .into_inner()
        .map(web::Path::into_inner)
        .map_err(|_| ApiError::bad_request("The path cannot be understood."))
}
