//! Parameters in paths, queries and headers.

use std::ops::RangeInclusive;

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr, Required, Schema};

use crate::views::schema::{EXAMPLE_GUID, words};

/// The parameters of a path, by the names in its braces; all are components.
pub(super) fn of_path(path: &str) -> Vec<Ref> {
    let mut found = Vec::new();
    if path.contains("{instance_id}") {
        found.push("InstanceId");
    }
    if path.contains("{store}") {
        found.push("StoreName");
    }
    if path.contains("/restores/{id}") {
        found.push("RestoreId");
    } else if path.contains("/reconciliations/{id}") {
        found.push("ReconciliationId");
    } else if path.contains("/rebuilds/{id}") {
        found.push("RebuildId");
    } else if path.contains("{id}") {
        found.push("BackupId");
    }
    found.into_iter().map(|name| Ref::new(format!("#/components/parameters/{name}"))).collect()
}

/// The components that [`of_path`] refers to.
pub(super) fn components() -> [(&'static str, Parameter); 6] {
    let number = |of: &str| {
        let text = format!("The number of the {of}.");
        in_path("id", &text, id(), json!(1))
    };
    let guid = in_path(
        "instance_id",
        "The platform's GUID of the service instance.",
        guid_schema().into(),
        json!(EXAMPLE_GUID),
    );
    [
        ("InstanceId", guid),
        (
            "StoreName",
            in_path(
                "store",
                "The name of a store in the configuration.",
                guid_schema().into(),
                json!("main"),
            ),
        ),
        ("BackupId", number("backup")),
        ("RestoreId", number("restore")),
        ("ReconciliationId", number("reconciliation")),
        ("RebuildId", number("rebuild")),
    ]
}

fn guid_schema() -> ObjectBuilder {
    bounded(255).pattern(Some(r"^[^/\\\x00-\x1f\x7f-\x9f]+$"))
}

/// A text of 1 to so many characters.
fn bounded(longest: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(longest))
}

fn id() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(1))
        .maximum(Some(i64::MAX))
        .into()
}

fn in_path(name: &str, description: &str, schema: RefOr<Schema>, example: Value) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example))
        .build()
}

/// A number in the query.
pub(super) fn number(
    name: &str,
    allowed: RangeInclusive<i64>,
    usual: Option<i64>,
    description: &str,
) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(*allowed.start()))
        .maximum(Some(*allowed.end()))
        .default(usual.map(Value::from));
    optional(name, ParameterIn::Query, description, schema)
}

/// One of some words in the query.
pub(super) fn word(name: &str, allowed: &[&str], description: &str) -> Parameter {
    optional(name, ParameterIn::Query, description, words(allowed))
}

/// A text in the query.
pub(super) fn text(name: &str, description: &str) -> Parameter {
    optional(name, ParameterIn::Query, description, ObjectBuilder::new().schema_type(Type::String))
}

/// The GUID of an instance in the query.
pub(super) fn guid(name: &str, description: &str) -> Parameter {
    optional(name, ParameterIn::Query, description, guid_schema())
}

/// A text in the query, on one line and not longer than this.
pub(super) fn bounded_text(name: &str, longest: usize, description: &str) -> Parameter {
    let schema = bounded(longest).pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]+$"));
    optional(name, ParameterIn::Query, description, schema)
}

/// A time in the query, or a date.
pub(super) fn time(name: &str, description: &str) -> Parameter {
    let schema = |format| {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
    };
    let schema = AnyOfBuilder::new().item(schema(KnownFormat::DateTime)).item(schema(KnownFormat::Date));
    optional(name, ParameterIn::Query, description, schema)
}

/// A header of the request.
pub(super) fn header(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    optional(name, ParameterIn::Header, description, schema.schema_type(Type::String))
}

fn optional(
    name: &str,
    place: ParameterIn,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    // An empty value in the query counts as absent; utoipa has no field for it.
    let is_in_query = matches!(place, ParameterIn::Query);
    let empty = is_in_query.then(|| [("allowEmptyValue", true)].into_iter().collect());
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .extensions(empty)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
