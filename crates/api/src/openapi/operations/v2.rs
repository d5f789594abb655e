//! `/v2/…`: what an operator wants to see.

use actix_web::http::StatusCode;
use backup_core::domain::audit::AuditAction;
use backup_core::jobs::QUEUES;
use backup_queue::overview::JobState;
use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use crate::handlers::v2::queues::jobs::{LARGEST_LIMIT, USUAL_LIMIT};
use crate::handlers::v2::{audit, reconciliations};
use crate::openapi::description::{Answer, Description, Tag};
use crate::openapi::{body, headers, parameters};
use crate::views::audit::AuditEventView;
use crate::views::queue::{JobView, QueueView};
use crate::views::reconciliation::{ReconciliationRequested, ReconciliationView};
use crate::views::retention::RetentionView;
use crate::views::store::{StoreCheckView, StoreView};
use crate::word::Word;

const TAG: Tag = Tag::Operators;

pub(crate) fn audit() -> Description {
    let text = "Who did what, newest first. Only what was done has an event; what was refused is in the log. `Link` leads to older events.";
    let actions: Vec<_> = AuditAction::ALL.iter().map(|action| action.as_str()).collect();
    let link = headers::sometimes(
        "`next`: older events, when there are any.",
        None,
        "</v2/audit?before_id=7>; rel=\"next\"",
    );
    Description::new("listAuditEvents", TAG, "List events of the audit trail", text)
        .parameter(parameters::guid("instance_id", "Only what concerns the instance with this GUID."))
        .parameter(parameters::bounded_text(
            "actor",
            audit::LONGEST_ACTOR,
            "Only what this user did, or `worker`.",
        ))
        .parameter(parameters::word("action", &actions, "Only this."))
        .parameter(parameters::time(
            "since",
            "Only what was done from then on; a date is its first moment in UTC.",
        ))
        .parameter(parameters::time(
            "before",
            "Only what was done earlier; a date is its first moment in UTC.",
        ))
        .parameter(parameters::number("before_id", 1..=i64::MAX, None, "Only events with smaller numbers."))
        .parameter(parameters::number(
            "limit",
            1..=audit::LARGEST_LIMIT,
            Some(audit::USUAL_LIMIT),
            "At most so many.",
        ))
        .answers(StatusCode::OK, Answer::list::<AuditEventView>("The events.").header("Link", link))
}

pub(crate) fn queues() -> Description {
    let text = "What waits, what runs, what failed, and who serves it.";
    Description::new("listQueues", TAG, "List the queues", text)
        .answers(StatusCode::OK, Answer::list::<QueueView>("The queues."))
}

pub(crate) fn jobs() -> Description {
    let text = "Without `state` all are listed: running, ready and scheduled ones longest due first, then failed ones latest first.";
    Description::new("listJobs", TAG, "List jobs", text)
        .parameter(parameters::word("queue", &QUEUES, "Only those of this queue."))
        .parameter(parameters::word(
            "state",
            &JobState::ALL.map(JobState::as_str),
            "Only those in this state.",
        ))
        .parameter(parameters::number(
            "limit",
            1..=LARGEST_LIMIT,
            Some(USUAL_LIMIT),
            "At most so many in all.",
        ))
        .answers(StatusCode::OK, Answer::list::<JobView>("The jobs."))
}

pub(crate) fn retention() -> Description {
    let text = "What the next deletion would do with every backup, and why. Changes nothing.";
    Description::new("previewRetention", TAG, "Preview the retention", text)
        .parameter(parameters::text("instance_id", "Only the backups of the instance with this GUID."))
        .answers(StatusCode::OK, Answer::list::<RetentionView>("The decisions."))
        .words([Word::NotFound])
}

pub(crate) fn stores() -> Description {
    let text = "The stores of the manager's configuration.";
    Description::new("listStores", TAG, "List the stores", text)
        .answers(StatusCode::OK, Answer::list::<StoreView>("The stores."))
}

pub(crate) fn check_store() -> Description {
    let text = "Writes, reads, lists and deletes in a folder of its own, and says in words what does not work. Takes up to 35 seconds at a store that hangs. It is the manager's view: agents have credentials of their own, see `backup-agent check`.";
    Description::new("checkStore", TAG, "Try everything with a store", text)
        .answers(StatusCode::OK, Answer::one::<StoreCheckView>("What was found, also when it is bad."))
        .words([Word::NotFound])
}

pub(crate) fn request_reconciliation() -> Description {
    let text = "Compares the database with the stores and with the journals of the agents, and reports every difference. Changes nothing, unless `repair` is asked for; and then nothing that could lose a whole backup. While one of the same kind is unfinished, that is the answer.";
    let body = body::Fields::only()
        .optional("repair", body::boolean("Remove the differences that can be removed without loss."))
        .optional("deep", body::boolean("Read and hash all stored bytes."))
        .optional("instance_id", body::guid("Only this instance."))
        .named("ReconciliationRequest", json!({"repair": false, "deep": false}));
    Description::new("requestReconciliation", TAG, "Compare the ledgers", text)
        .body(body)
        .answers(StatusCode::ACCEPTED, Answer::one::<ReconciliationRequested>("It was recorded."))
        .words([Word::NotFound])
}

pub(crate) fn reconciliation() -> Description {
    let text = "How a reconciliation stands, and a page of what it has found.";
    with_page(Description::new("showReconciliation", TAG, "Show a reconciliation", text))
}

pub(crate) fn latest_reconciliation() -> Description {
    let text = "The reconciliation that was asked for last, by a user or by the schedule.";
    with_page(Description::new("showLatestReconciliation", TAG, "Show the latest reconciliation", text))
}

fn with_page(description: Description) -> Description {
    let limit = reconciliations::LARGEST_LIMIT;
    let usual = Some(reconciliations::USUAL_LIMIT);
    description
        .parameter(parameters::number("after", 0..=i64::MAX, None, "Findings behind this one: `next_after`."))
        .parameter(parameters::number("limit", 1..=limit, usual, "At most so many findings."))
        .answers(StatusCode::OK, Answer::one::<ReconciliationView>("The reconciliation."))
        .words([Word::NotFound])
}

pub(crate) fn metrics() -> Description {
    let text = "For Prometheus, which has to log in as an operator or auditor. From the database, at the moment of the request.";
    let content = ContentBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!("# TYPE backup_manager_queue_workers gauge\nbackup_manager_queue_workers{queue=\"backup_all_job\"} 1\n")))
        .build();
    let response = ResponseBuilder::new().description("The metrics.").content("text/plain", content);
    Description::new("metrics", TAG, "Metrics", text).answers(StatusCode::OK, Answer::other(response))
}
