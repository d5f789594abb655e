//! Headers of answers, as components of the document.

use utoipa::openapi::Ref;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// A header that the answer always has.
pub(super) fn always(description: &str, pattern: Option<&str>, example: &str) -> Header {
    // utoipa has no field for it; an extension's name is taken as it is.
    let required: Extensions = [("required", true)].into_iter().collect();
    let mut header = sometimes(description, pattern, example);
    header.extensions = Some(required);
    header
}

/// A header that the answer may have.
pub(super) fn sometimes(description: &str, pattern: Option<&str>, example: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(pattern);
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(description))
        .example(Some(example.into()))
        .build()
}

/// The header of every answer.
pub(super) fn request_id() -> Header {
    always(
        "The id of the request in the manager's log: the caller's, if it sent one of at most 128 characters of `A-Za-z0-9-_.:/+=@`.",
        Some("^[A-Za-z0-9_.:/+=@-]{1,128}$"),
        "0a6c2f5e-3d61-4d70-a6de-3b5c27d3c4f0",
    )
}

/// Where [`request_id`] is in the document.
pub(super) fn request_id_ref() -> Ref {
    Ref::new("#/components/headers/X-Request-Id")
}

/// How to authenticate.
pub(super) fn challenge() -> Header {
    always("How to authenticate.", None, "Basic realm=\"a9s Backup Manager\", charset=\"UTF-8\"")
}

/// When to try again.
pub(super) fn retry_after() -> Header {
    always("Seconds after which to try again.", Some("^[0-9]+$"), "5")
}

/// The length, when a range cannot be had.
pub(super) fn unsatisfied_range() -> Header {
    always("The length of the backup.", Some("^bytes \\*/[0-9]+$"), "bytes */1048576")
}
