//! Quoting for SQL. Everything that comes from a catalogue or a manifest passes through here.

/// `name` → `"name"`.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` → `'text'`, also when the text has backslashes.
pub(super) fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match doubled.contains('\\') {
        true => format!(" E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
}

/// Settings whose stored value is a list of quoted identifiers.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `name=value` as PostgreSQL stores it → `"name" TO 'value'`, for `ALTER … SET`.
pub(super) fn setting(stored: &str) -> String {
    let (name, value) = stored.split_once('=').unwrap_or((stored, ""));
    let quoted_name: Vec<String> = name.split('.').map(identifier).collect();
    let value = match LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        true => elements(value).iter().map(|e| literal(e)).collect::<Vec<_>>().join(", "),
        false => literal(value),
    };
    format!("{} TO {value}", quoted_name.join("."))
}

/// `"$user", public` → `$user` and `public`. An empty list is one empty element, as in `SET search_path TO ''`.
fn elements(list: &str) -> Vec<String> {
    let mut elements = vec![String::new()];
    let mut quoted = false;
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                push(&mut elements, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(String::new()),
            c if c.is_whitespace() && !quoted => {}
            c => push(&mut elements, c),
        }
    }
    elements
}

fn push(elements: &mut [String], character: char) {
    if let Some(last) = elements.last_mut() {
        last.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_escaped_from() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'; DROP"), " E'\\\\''; DROP'");
    }

    #[test]
    fn settings_are_written_as_postgresql_reads_them() {
        assert_eq!(setting("work_mem=64MB"), "\"work_mem\" TO '64MB'");
        assert_eq!(setting("my.option=a=b"), "\"my\".\"option\" TO 'a=b'");
        assert_eq!(setting("search_path=\"$user\", public"), "\"search_path\" TO '$user', 'public'");
        assert_eq!(setting("search_path=\"a \"\"b, c\", d"), "\"search_path\" TO 'a \"b, c', 'd'");
        assert_eq!(setting("search_path=\"\""), "\"search_path\" TO ''");
    }
}
