//! The OpenAPI document is the routes, the checked-in copy is the document, and the page shows it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use backup_api::{openapi, routes};
use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::app::{App, error, json as read};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(openapi::text().unwrap()).unwrap());

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What a `$ref` refers to, or the value itself.
fn resolved(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        Some(place) => DOCUMENT.pointer(place.trim_start_matches('#')).unwrap_or_else(|| panic!("{place}")),
        None => value,
    }
}

/// Path, method and operation.
fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    DOCUMENT["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// A schema of the document, with the components it refers to.
fn validator(schema: &Value) -> jsonschema::Validator {
    let schemas = &DOCUMENT["components"]["schemas"];
    let schema = json!({"allOf": [schema], "components": {"schemas": schemas}});
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

fn complaints(schema: &Value, instance: &Value) -> Vec<String> {
    validator(schema)
        .iter_errors(instance)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// Asserts that some operation of a path may answer this. Used for every answer that the tests look at.
pub(crate) fn assert_documented(path: &str, status: u16, body: &Value) {
    let segments = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let asked = segments(path);
    let fits = |template: &str| {
        let template = segments(template);
        template.len() == asked.len()
            && template.iter().zip(&asked).all(|(known, asked)| known.starts_with('{') || known == asked)
    };
    let of_path: Vec<_> = operations().filter(|(template, ..)| fits(template)).collect();
    // What is not in the document, and methods that a path does not have.
    if of_path.is_empty() || status == 405 {
        return;
    }
    let status = status.to_string();
    let wrong: Vec<String> = of_path
        .iter()
        .map(|(.., operation)| {
            let answer = resolved(&operation["responses"][&status]);
            let schema = &answer["content"]["application/json"]["schema"];
            let complaints =
                if schema.is_null() { vec!["none".to_owned()] } else { complaints(schema, body) };
            complaints.join("; ")
        })
        .collect();
    assert!(wrong.iter().any(String::is_empty), "{path} {status} {body} is not in the document: {wrong:?}");
}

#[test]
fn the_checked_in_copy_is_the_document() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let copy = std::fs::read_to_string(&place).unwrap_or_default();
    let is_same = copy == openapi::text().unwrap();
    assert!(
        is_same,
        "docs/openapi.json is not what the code says; renew it and look at what changed:\n\n    cargo run --bin backup-manager-api -- openapi > docs/openapi.json\n"
    );
}

#[test]
fn the_document_has_every_route_and_nothing_else() {
    let endpoints = || routes::open().into_iter().chain(routes::protected());
    let registered: BTreeSet<(String, String)> = endpoints()
        .flat_map(|endpoint| {
            let path = endpoint.path().to_owned();
            let methods = endpoint.methods().into_iter();
            methods.map(move |method| (path.clone(), method.as_str().to_lowercase()))
        })
        .collect();
    let described: BTreeSet<_> =
        operations().map(|(path, method, _)| (path.to_owned(), method.to_owned())).collect();
    assert_eq!(described, registered);
    assert!(described.iter().all(|(_, method)| METHODS.contains(&method.as_str())));
    assert!(described.len() > 35, "{}", described.len());
}

#[test]
fn every_operation_says_all_that_a_client_needs() {
    let open: Vec<_> = routes::open().iter().map(|endpoint| endpoint.path().to_owned()).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations() {
        let what = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{what}");
        for field in ["summary", "description"] {
            assert!(!operation[field].as_str().unwrap().is_empty(), "{what}");
        }
        let is_open = open.iter().any(|known| known == path);
        assert_eq!(operation["security"].as_array().unwrap().is_empty(), is_open, "{what}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in parameters.iter().map(resolved) {
            let schema = &parameter["schema"];
            assert!(schema["type"].is_string() || schema["anyOf"].is_array(), "{what}: {parameter}");
            let name = parameter["name"].as_str().unwrap();
            assert_eq!(parameter["in"] == "path", path.contains(&format!("{{{name}}}")), "{what}: {name}");
        }
        let responses = operation["responses"].as_object().unwrap();
        let common: &[&str] = if is_open { &["500", "503"] } else { &["401", "403", "429", "500", "503"] };
        for status in common {
            assert!(responses.contains_key(*status), "{what}: {status}");
        }
        assert!(responses.keys().any(|status| status.starts_with('2')), "{what}");
        let is_deprecated = path.starts_with("/service-instances/");
        assert_eq!(operation["deprecated"] == true, is_deprecated, "{what}");
    }
}

#[test]
fn every_example_is_as_its_schema_says() {
    let mut seen = 0;
    let mut check = |what: &str, content: &Value| {
        let mut examples: Vec<&Value> = content.get("example").into_iter().collect();
        examples
            .extend(content["examples"].as_object().into_iter().flatten().map(|(_, named)| &named["value"]));
        assert!(!examples.is_empty(), "{what} has no example");
        for example in examples {
            let complaints = complaints(&content["schema"], example);
            assert!(complaints.is_empty(), "{what}: {example}: {complaints:?}");
            seen += 1;
        }
    };
    for (path, method, operation) in operations() {
        for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            check(&format!("{method} {path}, body as {kind}"), content);
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(response);
            assert_eq!(resolved(&response["headers"]["X-Request-Id"])["required"], true, "{path} {status}");
            for (kind, content) in response["content"].as_object().unwrap() {
                check(&format!("{method} {path}, {status} as {kind}"), content);
            }
        }
    }
    for (name, parameter) in DOCUMENT["components"]["parameters"].as_object().unwrap() {
        check(name, parameter);
    }
    assert!(seen > 300, "{seen}");
}

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let app = App::start().await;
    let answer = app.anonymous(Method::GET, "/openapi.json").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let served = read(answer, 200).await;
    assert_eq!(served, *DOCUMENT);
    assert_eq!(served["openapi"], "3.1.0");
}

#[tokio::test]
async fn the_page_comes_with_everything_it_needs_and_may_load_nothing_else() {
    let app = App::start().await;
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = client.get(app.url("/docs")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (308, &"docs/".parse().unwrap()));
    let page = app.anonymous(Method::GET, "/docs/").send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html");
    assert!(page.headers().contains_key("x-request-id"));
    for (name, words) in [
        ("content-security-policy", "default-src 'none'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert!(page.headers()[name].to_str().unwrap().contains(words), "{name}: {page:?}");
    }
    let html = page.text().await.unwrap();
    let files: Vec<&str> = html
        .split(['"', '\''])
        .filter(|text| [".css", ".js", ".png"].iter().any(|ending| text.ends_with(ending)))
        .collect();
    assert!(files.len() > 3, "{html}");
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    for file in files {
        let path = format!("/docs/{}", file.trim_start_matches("./"));
        assert_eq!(app.anonymous(Method::GET, &path).send().await.unwrap().status(), 200, "{path}");
    }
    let start = app.anonymous(Method::GET, "/docs/swagger-initializer.js").send().await.unwrap();
    assert!(start.text().await.unwrap().contains("../openapi.json"));
    for nowhere in ["/docs/nowhere.js", "/docs/a/b"] {
        error(app.anonymous(Method::GET, nowhere).send().await.unwrap(), 404, "NotFound").await;
    }
}
