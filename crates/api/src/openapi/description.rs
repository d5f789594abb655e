//! What is to be said of an operation, apart from what its path and its group say already.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::header::Header;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ArrayBuilder, Schema};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

use crate::views::View;
use crate::word::Word;

/// Schemas of the document by name.
pub(super) type Schemas = BTreeMap<String, RefOr<Schema>>;

/// The sections of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Backups,
    Rehearsals,
    Restores,
    Instances,
    Operators,
    Health,
    Version1,
    Version0,
}

impl Tag {
    pub(super) const ALL: [Self; 8] = [
        Self::Backups,
        Self::Rehearsals,
        Self::Restores,
        Self::Instances,
        Self::Operators,
        Self::Health,
        Self::Version1,
        Self::Version0,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backups => "Backups",
            Self::Rehearsals => "Rehearsals",
            Self::Restores => "Restores",
            Self::Instances => "Instances",
            Self::Operators => "Operators",
            Self::Health => "Health",
            Self::Version1 => "Version 1",
            Self::Version0 => "Version 0",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Backups => "Backups of one service instance.",
            Self::Rehearsals => "Backups restored for a trial, beside the instance.",
            Self::Restores => "Restores into one service instance.",
            Self::Instances => "Service instances and their configuration.",
            Self::Operators => "What concerns the whole fleet.",
            Self::Health => "For load balancers and monitoring; no credentials needed.",
            Self::Version1 => "The public API: the same resources below `/v1`.",
            Self::Version0 => "Deprecated; kept for clients that are still there.",
        }
    }
}

/// An operation; [`super::document`] adds parameters of the path, what the group has in common, and security.
pub(crate) struct Description {
    pub(super) id: &'static str,
    pub(super) tag: Tag,
    pub(super) summary: &'static str,
    pub(super) text: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) answers: Vec<(StatusCode, Answer)>,
    pub(super) words: Vec<Word>,
    pub(super) schemas: Schemas,
}

impl Description {
    pub(crate) fn new(id: &'static str, tag: Tag, summary: &'static str, text: &'static str) -> Self {
        Self {
            id,
            tag,
            summary,
            text,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            words: Vec::new(),
            schemas: Schemas::new(),
        }
    }

    /// A parameter of the query or a header. Anything that can be wrong makes a bad request possible.
    pub(super) fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// What the request's body holds.
    pub(super) fn body(mut self, body: super::body::Body) -> Self {
        use Word::{BadRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType};
        self.schemas.insert(body.name.to_owned(), body.schema.into());
        self.body = Some(body.request);
        self.words([BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType])
    }

    /// What is answered when all goes well.
    pub(super) fn answers(mut self, status: StatusCode, answer: Answer) -> Self {
        self.schemas.extend(answer.schemas.clone());
        self.answers.push((status, answer));
        self
    }

    /// The refusals that this operation alone knows.
    pub(super) fn words(mut self, words: impl IntoIterator<Item = Word>) -> Self {
        self.words.extend(words);
        self
    }

    /// The same operation under a path of the deprecated version.
    pub(crate) fn version_0(mut self, id: &'static str) -> Self {
        self.id = id;
        self.tag = Tag::Version0;
        self
    }
}

/// An answer to a request that succeeded.
pub(super) struct Answer {
    pub(super) response: ResponseBuilder,
    pub(super) links: Vec<(&'static str, &'static str, &'static str)>,
    schemas: Schemas,
}

impl Answer {
    /// A JSON object.
    pub(super) fn one<T: View>(description: &'static str) -> Self {
        Self::like(description, T::example())
    }

    /// A JSON object like this one.
    pub(super) fn like<T: View>(description: &'static str, example: T) -> Self {
        let schema = Ref::from_schema_name(T::name()).into();
        Self::json::<T>(description, schema, serde_json::to_value(example).unwrap_or_default())
    }

    /// An array of such objects.
    pub(super) fn list<T: View>(description: &'static str) -> Self {
        let example = serde_json::to_value([T::example()]).unwrap_or_default();
        let array = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
        Self::json::<T>(description, array.into(), example)
    }

    /// Something else.
    pub(super) fn other(response: ResponseBuilder) -> Self {
        Self { response, links: Vec::new(), schemas: Schemas::new() }
    }

    fn json<T: View>(description: &'static str, schema: RefOr<Schema>, example: Value) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
        let response = ResponseBuilder::new().description(description).content("application/json", content);
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        let schemas = found.into_iter().map(|(name, schema)| (name, with_all_fields(schema))).collect();
        Self { schemas, ..Self::other(response) }
    }

    pub(super) fn header(mut self, name: &'static str, header: Header) -> Self {
        self.response = self.response.header(name, header);
        self
    }

    /// The `id` of the answer is that of the path of another operation of the same instance; `from` is where it stands.
    pub(super) fn link(mut self, operation: &'static str, from: &'static str, text: &'static str) -> Self {
        self.links.push((operation, from, text));
        self
    }
}

/// A link to another operation on the same instance.
pub(super) fn link(operation: &str, from: &str, text: &str) -> Link {
    Link::builder()
        .operation_id(operation)
        .parameter("instance_id", "$request.path.instance_id")
        .parameter("id", from)
        .description(text)
        .build()
}

/// Views leave no field out: what can be absent is null.
fn with_all_fields(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.required = object.properties.keys().cloned().collect();
            object.properties =
                object.properties.into_iter().map(|(name, field)| (name, with_all_fields(field))).collect();
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}
