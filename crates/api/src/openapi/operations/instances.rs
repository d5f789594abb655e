//! `/instances` and `/instances/{instance_id}`

use actix_web::http::StatusCode;
use serde_json::json;

use crate::handlers::instances::{LARGEST_PAGE, LARGEST_PER_PAGE};
use crate::openapi::body::{Fields, boolean, integer, name, secret};
use crate::openapi::description::{Answer, Description, Tag};
use crate::openapi::{headers, parameters};
use crate::views::explanation::ExplanationView;
use crate::views::instance::InstanceView;
use crate::views::instance_config::InstanceConfigView;
use crate::views::message::Message;
use crate::word::Word;

const TAG: Tag = Tag::Instances;

pub(crate) fn list() -> Description {
    let text = "Every instance with its backups and restores, as a stream; or one page, when `page` or `per_page` is given.";
    let link = headers::sometimes(
        "`first`, `prev`, `next` and `last` page, when a page was asked for.",
        None,
        "</instances?page=2&per_page=100>; rel=\"next\"",
    );
    Description::new("listInstances", TAG, "List the instances", text)
        .parameter(parameters::number("page", 1..=LARGEST_PAGE, None, "The number of the page, from 1 on."))
        .parameter(parameters::number(
            "per_page",
            1..=LARGEST_PER_PAGE,
            None,
            "Instances on a page; 100 when only `page` is given.",
        ))
        .answers(StatusCode::OK, Answer::list::<InstanceView>("The instances.").header("Link", link))
}

pub(crate) fn show() -> Description {
    Description::new("showInstance", TAG, "Show an instance", "The instance with its backups and restores.")
        .answers(StatusCode::OK, Answer::one::<InstanceView>("The instance."))
}

pub(crate) fn update() -> Description {
    let text = "Changes any of the fields. A new encryption key counts for the backups that follow.";
    let body = Fields::only()
        .not_empty()
        .optional("encryption_key", secret("The owner's own key, of one line; `min_encryption_key_length` of the configuration says how long it must be."))
        .optional("exclude_from_auto_backup", boolean("Leave the instance out of the scheduled backups."))
        .optional("credentials_updated_by_user", boolean("Whether the owner changed the credentials of the data service."))
        .optional("min_backup_count", integer("Keep so many good backups, however old.", 0..=36_500))
        .optional("retention_time", integer("Keep backups for so many days.", 0..=36_500))
        .optional("backup_type", name("`postgresql_wal`: base backups and an archive of the log, if the instance's agent is set up for it; null: the usual backups."))
        .named("InstanceChanges", json!({"retention_time": 14, "exclude_from_auto_backup": false}));
    Description::new("updateInstance", TAG, "Configure an instance", text)
        .body(body)
        .answers(StatusCode::OK, Answer::one::<Message>("It is changed."))
        .words([Word::Gone, Word::InvalidValue, Word::EncryptionKeyTooShort, Word::NothingToChange])
}

pub(crate) fn config() -> Description {
    let text = "The values in force: the owner's, or the operator's where the owner has none.";
    Description::new("showInstanceConfig", TAG, "Show the configuration of an instance", text)
        .answers(StatusCode::OK, Answer::one::<InstanceConfigView>("The configuration."))
}

pub(crate) fn explain() -> Description {
    let text = "Whether it waits for a limit, behind another operation, for its next attempt, for a worker or for the schedule.";
    Description::new("explainInstance", TAG, "Say why the next backup of an instance has not started", text)
        .answers(StatusCode::OK, Answer::one::<ExplanationView>("Why."))
}
