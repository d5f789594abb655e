//! Refusals in the document: one component for each word, and one answer for each status of an operation.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::Header;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::headers;
use crate::views::schema::words as one_of;
use crate::word::Word;

/// The shape of every error.
pub(super) fn shape() -> RefOr<Schema> {
    let all: Vec<_> = Word::ALL.iter().map(|word| word.as_str()).collect();
    ObjectBuilder::new()
        .description(Some("Every refusal has this shape."))
        .property("error", one_of(&all))
        .required("error")
        .property(
            "description",
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .description(Some("A sentence for a person.")),
        )
        .required("description")
        .additional_properties(Some(utoipa::openapi::schema::AdditionalProperties::FreeForm(false)))
        .into()
}

/// The answers to what is refused, by status; a status with one word is a component.
pub(super) fn answers(words: impl IntoIterator<Item = Word>) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<Word>> = BTreeMap::new();
    for word in words {
        let of_status = by_status.entry(word.status().as_str().to_owned()).or_default();
        if !of_status.contains(&word) {
            of_status.push(word);
        }
    }
    let answer = |words: Vec<Word>| match words.as_slice() {
        [word] => RefOr::Ref(Ref::from_response_name(word.as_str())),
        words => RefOr::T(response(words)),
    };
    by_status.into_iter().map(|(status, words)| (status, answer(words))).collect()
}

/// The components that [`answers`] refers to.
pub(super) fn components() -> impl Iterator<Item = (&'static str, Response)> {
    Word::ALL.iter().map(|word| (word.as_str(), response(&[*word])))
}

fn response(words: &[Word]) -> Response {
    let allowed: Vec<_> = words.iter().map(|word| word.as_str()).collect();
    let narrowed = ObjectBuilder::new().property("error", one_of(&allowed));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Error")).item(narrowed);
    let examples = words.iter().map(|word| {
        let value = json!({"error": word.as_str(), "description": word.example()});
        (word.as_str(), ExampleBuilder::new().summary(word.meaning()).value(Some(value)).build())
    });
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let meaning: Vec<_> =
        words.iter().map(|word| format!("`{}`: {}", word.as_str(), word.meaning())).collect();
    let response = ResponseBuilder::new()
        .description(meaning.join(" "))
        .header_ref("X-Request-Id", headers::request_id_ref())
        .content("application/json", content);
    let found = words.iter().filter_map(|word| header(*word)).map(|(name, mut header)| {
        if words.len() > 1 {
            // The other words come without it.
            header.extensions = None;
        }
        (name, header)
    });
    found.fold(response, |response, (name, header)| response.header(name, header)).build()
}

fn header(word: Word) -> Option<(&'static str, Header)> {
    match word {
        Word::Unauthorized => Some(("WWW-Authenticate", headers::challenge())),
        Word::TooManyRequests | Word::ServiceUnavailable => Some(("Retry-After", headers::retry_after())),
        Word::RangeNotSatisfiable => Some(("Content-Range", headers::unsatisfied_range())),
        _ => None,
    }
}
