//! What the documentation says of an answer: `docs/agent-openapi.json`, compiled into validators.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context, bail};
use jsonschema::Validator;
use serde_json::{Value, json};

const DOCUMENT: &str = include_str!("../../../docs/agent-openapi.json");

/// The documented answers.
pub(crate) struct Documented {
    document: Value,
    validators: Mutex<BTreeMap<String, Validator>>,
}

impl Documented {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let document = serde_json::from_str(DOCUMENT).context("docs/agent-openapi.json")?;
        Ok(Self { document, validators: Mutex::default() })
    }

    /// Compares an answer with what is documented for it. Paths that are not documented have the answers of a refusal.
    pub(crate) fn check(&self, method: &str, path: &str, status: u16, body: &Value) -> anyhow::Result<()> {
        let schema = self.schema(method, path, status)?;
        let mut validators = self.validators.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !validators.contains_key(&schema) {
            let components = self.document.get("components").cloned().unwrap_or_default();
            let whole = json!({"$ref": schema, "components": components});
            let validator =
                jsonschema::options().should_validate_formats(true).build(&whole).map_err(|error| {
                    anyhow::anyhow!("docs/agent-openapi.json: {schema} is no JSON schema: {error}")
                })?;
            validators.insert(schema.clone(), validator);
        }
        let errors: Vec<String> = validators
            .get(&schema)
            .into_iter()
            .flat_map(|validator| validator.iter_errors(body))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        if !errors.is_empty() {
            bail!(
                "{method} {path} answered {status} with a body unlike the documented one: {}",
                errors.join("; ")
            );
        }
        Ok(())
    }

    /// The reference of the schema, for example `#/components/schemas/OperationStatus`.
    fn schema(&self, method: &str, path: &str, status: u16) -> anyhow::Result<String> {
        let template =
            match path.split('?').next().unwrap_or_default().split('/').collect::<Vec<_>>().as_slice() {
                ["", "v1", "backups", _] => "/v1/backups/{backup_id}",
                ["", "v1", "restores", _] => "/v1/restores/{restore_id}",
                ["", "v1", "info"] => "/v1/info",
                ["", "v1", "operations"] => "/v1/operations",
                _ => return Ok("#/components/schemas/Refusal".to_owned()),
            };
        let pointer = |keys: &[&str]| {
            keys.iter()
                .try_fold(&self.document, |value, key| value.get(*key))
                .filter(|found| !found.is_null())
        };
        let status = status.to_string();
        let answer = pointer(&["paths", template, &method.to_lowercase(), "responses", &status]);
        let answer =
            answer.with_context(|| format!("{method} {path} answered {status}, which is not documented"))?;
        let answer = match answer.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
        {
            Some(name) => pointer(&["components", "responses", name]).context("a dangling reference")?,
            None => answer,
        };
        let schema = answer.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
        Ok(schema.context("an answer without a schema")?.to_owned())
    }
}
