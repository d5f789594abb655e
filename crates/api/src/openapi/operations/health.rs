//! Health, and the document itself.

use actix_web::http::StatusCode;
use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use crate::openapi::description::{Answer, Description, Tag};
use crate::views::health::{Alive, Healthy, Ready};
use crate::word::Word;

const TAG: Tag = Tag::Health;

pub(crate) fn livez() -> Description {
    Description::new("livez", TAG, "Is the process alive?", "Asks nobody else.")
        .answers(StatusCode::OK, Answer::one::<Alive>("It is."))
}

pub(crate) fn readyz() -> Description {
    let text = "Ready means that the database answers and has the schema of this program.";
    Description::new("readyz", TAG, "Can the process serve requests?", text)
        .answers(StatusCode::OK, Answer::one::<Ready>("It can."))
        .words([Word::Unhealthy])
}

pub(crate) fn healthy() -> Description {
    let text = "Healthy means that the database answers and every queue is served by a worker.";
    Description::new("healthy", TAG, "Is the whole manager healthy?", text)
        .answers(StatusCode::OK, Answer::one::<Healthy>("It is."))
        .words([Word::Unhealthy])
}

pub(crate) fn openapi() -> Description {
    let schema = ObjectBuilder::new().schema_type(Type::Object).required("openapi").required("paths");
    let content = ContentBuilder::new()
        .schema(Some(schema))
        .example(Some(json!({"openapi": "3.1.0", "info": {"title": "a9s Backup Manager"}, "paths": {}})))
        .build();
    let response = ResponseBuilder::new().description("The document.").content("application/json", content);
    Description::new("openapi", TAG, "This document", "OpenAPI 3.1, made from the code. For people: `/docs`.")
        .answers(StatusCode::OK, Answer::other(response))
}
