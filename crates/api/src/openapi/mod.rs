//! The OpenAPI document, made from the routes: `operations` describes what the handlers take and answer,
//! `description` is the form of such a description, `document` puts all together with what every route of a group
//! has in common. Served by `handlers/openapi.rs`; the copy in `docs/openapi.json` is compared by a test.

mod body;
mod description;
mod document;
mod errors;
mod headers;
pub(crate) mod operations;
mod parameters;

pub(crate) use description::Description;
pub use document::text;
