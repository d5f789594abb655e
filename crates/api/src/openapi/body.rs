//! Bodies of requests: the same fields as JSON and as a form. A form knows only text, so numbers and truth values are
//! taken as text in JSON, too, and null is as good as absent: see `crate::body`.

use serde_json::{Value, json};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{
    AdditionalProperties, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required};

/// The body of a request, and its schema.
pub(super) struct Body {
    pub(super) name: &'static str,
    pub(super) schema: Schema,
    pub(super) request: RequestBody,
}

/// A body of these fields; unknown ones are refused or ignored.
pub(super) struct Fields {
    object: ObjectBuilder,
    fields: Vec<(&'static str, Object)>,
    is_required: Required,
}

impl Fields {
    /// Unknown fields are ignored.
    pub(super) fn any() -> Self {
        let object = ObjectBuilder::new().schema_type(Type::Object);
        Self { object, fields: Vec::new(), is_required: Required::False }
    }

    /// Unknown fields are refused.
    pub(super) fn only() -> Self {
        let mut fields = Self::any();
        fields.object = fields.object.additional_properties(Some(AdditionalProperties::FreeForm(false)));
        fields
    }

    pub(super) fn required(mut self, name: &'static str, field: Object) -> Self {
        self.object = self.object.required(name);
        self.is_required = Required::True;
        self.optional(name, without_null(field))
    }

    pub(super) fn optional(mut self, name: &'static str, field: Object) -> Self {
        self.fields.push((name, field));
        self
    }

    /// At least one field.
    pub(super) fn not_empty(mut self) -> Self {
        self.object = self.object.min_properties(Some(1));
        self.is_required = Required::True;
        self
    }

    pub(super) fn named(self, name: &'static str, example: Value) -> Body {
        let content = |schema: RefOr<Schema>, example: Value| {
            ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
        };
        let mut json = self.object.build();
        let mut form = json.clone();
        if form.additional_properties.is_none() {
            // A list would be a field that stands there twice, which is refused.
            form.additional_properties = Some(Box::new(Schema::Object(form_text()).into()));
        }
        form.property_names = Some(Box::new(Schema::Object(form_text())));
        for (name, field) in self.fields {
            form.properties.insert(name.to_owned(), in_form(field.clone()).into());
            json.properties.insert(name.to_owned(), field.into());
        }
        let request = RequestBodyBuilder::new()
            .content("application/json", content(Ref::from_schema_name(name).into(), example.clone()))
            .content("application/x-www-form-urlencoded", content(form.into(), example))
            .required(Some(self.is_required))
            .build();
        Body { name, schema: Schema::Object(json), request }
    }
}

/// The names and values of a form are text without NUL and the replacement character, which stands for what is no UTF-8.
fn form_text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(WITHOUT_NUL)).build()
}

fn in_form(field: Object) -> Object {
    let mut field = without_null(field);
    if field.pattern.is_none() && field.enum_values.is_none() {
        field.pattern = Some(WITHOUT_NUL.to_owned());
    }
    field
}

const WITHOUT_NUL: &str = r"^[^\x00\uFFFD]*$";

/// A field that a form may have: it has no null. Nor may a required field be null.
fn without_null(mut field: Object) -> Object {
    if let SchemaType::Array(kinds) = &field.schema_type {
        let kinds: Vec<_> = kinds.iter().filter(|kind| **kind != Type::Null).cloned().collect();
        field.schema_type = match kinds.as_slice() {
            [kind] => SchemaType::Type(kind.clone()),
            _ => SchemaType::Array(kinds),
        };
    }
    if let Some(values) = &mut field.enum_values {
        values.retain(|value| !value.is_null());
    }
    field
}

/// A body that may be left out, and in which nothing is read.
pub(super) fn ignored() -> Body {
    Fields::any().named("Ignored", json!({}))
}

/// A text.
fn text(description: &str) -> ObjectBuilder {
    field([Type::String, Type::Null], description)
}

/// A secret text.
pub(super) fn secret(description: &str) -> Object {
    use utoipa::openapi::KnownFormat::Password;
    text(description).format(Some(SchemaFormat::KnownFormat(Password))).write_only(true).build()
}

/// The name of something in the configuration.
pub(super) fn name(description: &str) -> Object {
    text(description).build()
}

/// The GUID of an instance; one that no instance can have is that of no instance.
pub(super) fn guid(description: &str) -> Object {
    text(description).build()
}

/// A whole number, also as text.
pub(super) fn integer(description: &str, allowed: std::ops::RangeInclusive<i64>) -> Object {
    use utoipa::openapi::KnownFormat::Int64;
    field([Type::Integer, Type::String, Type::Null], description)
        .format(Some(SchemaFormat::KnownFormat(Int64)))
        .minimum(Some(*allowed.start()))
        .maximum(Some(*allowed.end()))
        .pattern(Some(r"^[+-]?[0-9]{1,18}$"))
        .build()
}

/// The name of an instance in the first generation.
pub(super) fn number_or_text(description: &str) -> Object {
    field([Type::Integer, Type::String, Type::Null], description).build()
}

/// True or false, also as text.
pub(super) fn boolean(description: &str) -> Object {
    field([Type::Boolean, Type::String, Type::Null], description)
        .enum_values(Some([
            json!(true),
            json!(false),
            json!("true"),
            json!("false"),
            json!("1"),
            json!("0"),
            Value::Null,
        ]))
        .build()
}

fn field(kinds: impl IntoIterator<Item = Type>, description: &str) -> ObjectBuilder {
    let kinds: SchemaType = kinds.into_iter().collect();
    ObjectBuilder::new().schema_type(kinds).description(Some(description))
}
