//! Secrets in files: `password_file: /run/secrets/broker` stands for `password: <content of that file>`.

use serde_json::Value;

use super::error::Mistake;
use super::tree::Place;

/// Replaces every text key `x_file` of the tree by the trimmed content of that file as `x`.
pub(super) fn replace(tree: &mut Value, mistakes: &mut Vec<Mistake>) {
    walk(tree, &Place::default(), mistakes);
}

fn walk(value: &mut Value, place: &Place, mistakes: &mut Vec<Mistake>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &place.index(index), mistakes);
            }
        }
        Value::Object(map) => {
            let named: Vec<(String, String, String)> = map
                .iter()
                .filter_map(|(key, value)| {
                    let plain = key.strip_suffix("_file").filter(|plain| !plain.is_empty())?;
                    Some((key.clone(), plain.to_owned(), value.as_str()?.to_owned()))
                })
                .collect();
            for (key, plain, path) in named {
                map.remove(&key);
                let here = place.key(&key).to_string();
                if map.get(&plain).is_some_and(|value| !value.is_null()) {
                    mistakes.push(Mistake::new(here, format!("also {plain}"), "one of the two"));
                    continue;
                }
                match std::fs::read_to_string(&path) {
                    Ok(content) => {
                        map.insert(plain, Value::String(content.trim().to_owned()));
                    }
                    Err(error) => {
                        // A stand-in, so that the key is not reported as missing as well.
                        map.insert(plain, Value::String(String::new()));
                        mistakes.push(Mistake::new(
                            here,
                            format!("{path} ({error})"),
                            "a readable text file",
                        ));
                    }
                }
            }
            for (key, item) in map.iter_mut() {
                walk(item, &place.key(key), mistakes);
            }
        }
        _ => {}
    }
}
