//! The whole document: every route with its description, and what the routes of a group have in common.

use std::sync::LazyLock;

use actix_web::http::Method;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Paths};
use utoipa::openapi::response::ResponsesBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, ComponentsBuilder, Deprecated, OpenApi, OpenApiBuilder, RefOr};

use super::description::{Answer, Description, Schemas, Tag, link};
use super::{errors, headers, parameters};
use crate::routes::{self, Endpoint};
use crate::word::Word;

/// What every client has to know.
const ABOUT: &str = "\
Backs up and restores the data of service instances.

- A refusal always has the shape `Error`; its `error` is a word for programs, its `description` a sentence for people.
- Every answer carries `X-Request-Id`: the caller's, or a new one. It stands in the manager's log.
- Every `GET` can be asked as `HEAD`. A method that a path does not have is answered with 405 and `Allow`.
- 503 means that the same request may be sent again; after a long wait it may have been done all the same.
- Times are ISO 8601 in UTC with milliseconds. Objects in answers may get new fields; ignore those you do not know.
- Bodies are JSON or `application/x-www-form-urlencoded`, up to 64 KiB.";

/// Who may use the routes of a group.
#[derive(Clone, Copy)]
enum Group {
    /// Everybody.
    Open,
    /// Whoever has credentials, as far as the role goes.
    Protected,
}

impl Group {
    /// What every route of the group may answer.
    fn words(self) -> &'static [Word] {
        use Word::{Forbidden, InternalServerError, ServiceUnavailable, TooManyRequests, Unauthorized};
        match self {
            Self::Open => &[InternalServerError, ServiceUnavailable],
            Self::Protected => {
                &[Unauthorized, Forbidden, TooManyRequests, InternalServerError, ServiceUnavailable]
            }
        }
    }

    fn security(self) -> Vec<SecurityRequirement> {
        let none: [&str; 0] = [];
        match self {
            Self::Open => Vec::new(),
            Self::Protected => ["basic", "bearer"].map(|name| SecurityRequirement::new(name, none)).into(),
        }
    }
}

static TEXT: LazyLock<Result<String, String>> =
    LazyLock::new(|| document().to_pretty_json().map(|text| text + "\n").map_err(|error| error.to_string()));

/// The document as JSON.
///
/// # Errors
/// When it cannot be written, which is a defect.
pub fn text() -> Result<&'static str, &'static str> {
    TEXT.as_deref().map_err(String::as_str)
}

fn document() -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas = Schemas::from([("Error".to_owned(), errors::shape())]);
    let groups = [(Group::Open, routes::open()), (Group::Protected, routes::protected())];
    for (group, endpoints) in groups {
        for endpoint in endpoints {
            for (method, describe) in endpoint.descriptions() {
                let description = describe();
                schemas.extend(description.schemas.clone());
                let operation = operation(group, &endpoint, method, description);
                paths.add_path_operation(endpoint.path(), http(method).into_iter().collect(), operation);
            }
        }
    }
    let info = InfoBuilder::new()
        .title("a9s Backup Manager")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name("Apache 2.0").identifier(Some("Apache-2.0")).build()));
    let tags = Tag::ALL.map(|tag| TagBuilder::new().name(tag.name()).description(Some(tag.about())).build());
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components(schemas)))
        .tags(Some(tags))
        .build()
}

fn operation(group: Group, endpoint: &Endpoint, method: &Method, description: Description) -> Operation {
    let path = endpoint.path();
    let is_version_1 = path.starts_with("/v1/");
    let id = |id: &str| if is_version_1 { format!("{id}V1") } else { id.to_owned() };
    let tag = if is_version_1 { Tag::Version1 } else { description.tag };
    let mut words = description.words;
    words.extend(group.words());
    if path.contains("{instance_id}") {
        words.push(Word::NotFound);
    }
    if path.contains("{id}") || !description.parameters.is_empty() {
        words.push(Word::BadRequest);
    }
    let mut responses = errors::answers(words);
    for (status, Answer { response, links, .. }) in description.answers {
        let response = response.header_ref("X-Request-Id", headers::request_id_ref());
        let response = links
            .into_iter()
            .fold(response, |response, (to, from, text)| response.link(id(to), link(&id(to), from, text)));
        responses.insert(status.as_str().to_owned(), RefOr::T(response.build()));
    }
    let operation = OperationBuilder::new()
        .operation_id(Some(id(description.id)))
        .tag(tag.name())
        .summary(Some(description.summary))
        .description(Some(description.text))
        .deprecated((tag == Tag::Version0).then_some(Deprecated::True))
        .request_body(description.body.filter(|_| *method != Method::GET))
        .responses(ResponsesBuilder::new().responses_from_iter(responses))
        .securities(Some(group.security()));
    let operation = parameters::of_path(path).into_iter().fold(operation, OperationBuilder::parameter_ref);
    description.parameters.into_iter().fold(operation, OperationBuilder::parameter).build()
}

fn http(method: &Method) -> Option<HttpMethod> {
    [
        (Method::GET, HttpMethod::Get),
        (Method::POST, HttpMethod::Post),
        (Method::PUT, HttpMethod::Put),
        (Method::PATCH, HttpMethod::Patch),
        (Method::DELETE, HttpMethod::Delete),
    ]
    .into_iter()
    .find_map(|(known, http)| (known == *method).then_some(http))
}

fn components(schemas: Schemas) -> Components {
    let basic: Http = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some("A user of the configuration."))
        .build();
    let bearer: Http = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token of the configured identity provider, or of an owner."))
        .build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .header("X-Request-Id", headers::request_id())
        .security_scheme("basic", SecurityScheme::Http(basic))
        .security_scheme("bearer", SecurityScheme::Http(bearer));
    let components = parameters::components()
        .into_iter()
        .fold(components, |components, (name, parameter)| components.parameter(name, parameter));
    errors::components()
        .fold(components, |components, (name, response)| components.response(name, response))
        .build()
}
