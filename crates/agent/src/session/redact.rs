//! Takes secrets out of texts that programs print.

const MASK: &str = "[redacted]";
const WORDS: [&str; 3] = ["password", "passwd", "secret"];

/// Replaces known secrets, the password of an address (`amqp://user:x@host`), and what follows the word "password" as a value (`password=x`, `PASSWORD 'x'`).
pub(crate) fn redact(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), MASK);
    }
    WORDS.iter().fold(redact_addresses(&text), |text, word| redact_after(&text, word))
}

/// The password stands between the first colon and the last `@` before the address goes on with its path or ends.
fn redact_addresses(text: &str) -> String {
    const SCHEME: &str = "://";
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(SCHEME) {
        result.push_str(before);
        result.push_str(SCHEME);
        rest = after;
        let end = after.find(['/', '"', '\'', ' ', '<', '>', ',', '?', '\\']).unwrap_or(after.len());
        let place = after.get(..end).unwrap_or_default();
        let Some((user, host)) = place.rsplit_once('@') else { continue };
        let Some((user, _)) = user.split_once(':') else { continue };
        result.push_str(user);
        result.push(':');
        result.push_str(MASK);
        rest = after.get(end.saturating_sub(host.len()).saturating_sub(1)..).unwrap_or_default();
    }
    result.push_str(rest);
    result
}

/// A value is announced by `=`, a colon or a quote; "password authentication failed" stays as it is.
fn redact_after(text: &str, word: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut result = String::new();
    let mut done = 0;
    while let Some(found) = lower.get(done..).and_then(|rest| rest.find(word)) {
        let after = done.saturating_add(found).saturating_add(word.len());
        let rest = text.get(after..).unwrap_or_default();
        let lead = rest.len().saturating_sub(rest.trim_start_matches([' ', '=', ':', '\'', '"', '(']).len());
        let value_at = after.saturating_add(lead);
        result.push_str(text.get(done..value_at).unwrap_or_default());
        let lead = rest.get(..lead).unwrap_or_default();
        let announced = lead.contains(['=', ':', '\'']);
        let value = text.get(value_at..).unwrap_or_default();
        let end = match lead.contains('\'') {
            true => value.find('\''),
            false => value.find(['"', ' ', ',', ')', ';']),
        };
        let end = end.unwrap_or(value.len());
        match announced && end > 0 {
            true => {
                result.push_str(MASK);
                done = value_at.saturating_add(end);
            }
            false => done = value_at,
        }
    }
    result.push_str(text.get(done..).unwrap_or_default());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_after_the_word_password_are_masked() {
        assert_eq!(
            redact("ALTER ROLE x PASSWORD 'SCRAM-SHA-256$1:abc';", &[]),
            "ALTER ROLE x PASSWORD '[redacted]';"
        );
        assert_eq!(redact("host=a password=geheim user=b", &[]), "host=a password=[redacted] user=b");
        assert_eq!(redact("(password 'x y, z')", &[]), "(password '[redacted]')");
    }

    #[test]
    fn passwords_in_addresses_are_masked() {
        let text = "{\"uri\":\"amqp://a:b@c@host/v\",\"x\":\"http://host:1/a@b\"} amqps://u:p@h";
        let masked =
            "{\"uri\":\"amqp://a:[redacted]@host/v\",\"x\":\"http://host:1/a@b\"} amqps://u:[redacted]@h";
        assert_eq!(redact(text, &[]), masked);
    }

    #[test]
    fn sentences_about_passwords_stay() {
        let text = "FATAL: password authentication failed for user \"postgres\"";
        assert_eq!(redact(text, &[]), text);
    }

    #[test]
    fn known_secrets_are_masked_wherever_they_are() {
        assert_eq!(redact("tried geheim!", &["geheim".to_owned(), String::new()]), "tried [redacted]!");
    }
}
