//! Writes a JSON value as YAML that a person likes to read; only what our configuration files need.

use serde_json::Value;

/// The value as a YAML document.
pub(crate) fn document(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

fn block(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                text.push_str(&format!("{indent}{key}:"));
                after_marker(text, inner, depth.saturating_add(1));
            }
        }
        Value::Array(items) => {
            for inner in items {
                let mut item = String::new();
                block(&mut item, inner, depth.saturating_add(1));
                let body = item.trim_start();
                text.push_str(&format!("{indent}- {}", if body.is_empty() { "{}\n" } else { body }));
            }
        }
        scalar => text.push_str(&format!("{indent}{scalar}\n")),
    }
}

fn after_marker(text: &mut String, value: &Value, depth: usize) {
    let is_nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_nested {
        text.push('\n');
        block(text, value, depth);
    } else {
        // An empty list or map and every scalar of JSON is YAML as it is.
        text.push_str(&format!(" {value}\n"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::document;

    #[test]
    fn nested_values_are_laid_out_for_people() {
        let value = json!({
            "auth": {"users": [{"name": "admin", "role": "operator"}]},
            "empty": {}, "text": "say \"hi\": now", "workers": [{"queues": "a, b"}, {}], "none": null
        });
        let expected = "auth:\n  users:\n    - name: \"admin\"\n      role: \"operator\"\nempty: {}\nnone: null\n\
                        text: \"say \\\"hi\\\": now\"\nworkers:\n  - queues: \"a, b\"\n  - {}\n";
        assert_eq!(document(&value), expected);
    }
}
