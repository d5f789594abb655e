//! Whether `database.url` is a connection string that libpq can read. Checked at load, because libpq quotes what it
//! cannot read, password included, and because its two forms differ in one letter. The reasons given here are fixed
//! texts, so none can show a part of the value. Source: libpq's documentation, "Connection Strings".

/// Every keyword of libpq 18, and `ssl`, which its URLs know.
const KEYWORDS: [&str; 53] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "options",
    "passfile",
    "password",
    "port",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "scram_client_key",
    "scram_server_key",
    "service",
    "servicefile",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
    "ssl",
];

type Checked = Result<(), &'static str>;

/// Checks a connection string in either form; the error says what is wrong without showing any of it.
pub(crate) fn check(text: &str) -> Checked {
    if text.trim().is_empty() {
        return Err("nothing");
    }
    if text.contains('\0') {
        return Err("a text with a NUL");
    }
    match text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")) {
        Some(rest) => url(rest),
        None if text.split('=').next().is_some_and(|first| first.contains("://")) => {
            Err("a URL of another scheme (not shown)")
        }
        None => words(text),
    }
}

/// `[user[:password]@][host[:port]][,…][/dbname][?key=value[&…]]`
fn url(rest: &str) -> Checked {
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("a URL with a space or control character (not shown)");
    }
    // The first `@` before any `/` ends the credentials, exactly as libpq has it.
    let before_path = rest.split('/').next().unwrap_or_default();
    let rest = match before_path.split_once('@') {
        Some((credentials, _)) => {
            if credentials.contains('?') || !is_encoded(credentials) {
                return Err("a URL whose user or password is not percent-encoded (not shown)");
            }
            rest.split_once('@').map_or(rest, |(_, rest)| rest)
        }
        None => rest,
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
    if !hosts.split(',').all(is_host) {
        return Err(
            "a URL with a malformed host or port, or a password that is not percent-encoded (not shown)",
        );
    }
    if database.contains('@') || !is_encoded(database) {
        return Err(
            "a URL with a malformed database name, or a password that is not percent-encoded (not shown)",
        );
    }
    let pairs = query.into_iter().filter(|query| !query.is_empty()).flat_map(|query| query.split('&'));
    for pair in pairs {
        let is_pair = pair
            .split_once('=')
            .is_some_and(|(key, value)| KEYWORDS.contains(&key) && !value.contains('=') && is_encoded(value));
        if !is_pair {
            return Err("a URL with an unknown or malformed parameter after the ? (not shown)");
        }
    }
    Ok(())
}

/// `host`, `host:port`, `[address]:port`, or nothing for libpq's default.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.is_empty() {
                return false;
            }
            match port.strip_prefix(':') {
                Some(port) => (address, port),
                None if port.is_empty() => (address, port),
                None => return false,
            }
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let is_port = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
    is_port && !host.contains(['@', '[', ']']) && is_encoded(host)
}

/// Whether every `%` stands before two hexadecimal digits that are not 00.
fn is_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|piece| {
        let code = piece.get(..2).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        code.is_some_and(|code| code != "00")
    })
}

/// `key=value` words; values may be in single quotes, and a backslash takes the next character as it stands.
fn words(text: &str) -> Checked {
    let mut letters = text.trim_start();
    while !letters.is_empty() {
        let (key, value) = letters.split_once('=').ok_or("a text with a word without = (not shown)")?;
        if key.trim_end().contains(char::is_whitespace) {
            return Err("a text with a word without = (not shown)");
        }
        // `ssl` is known in URLs only.
        if key.trim_end() == "ssl" || !KEYWORDS.contains(&key.trim_end()) {
            return Err("a text with an unknown keyword before an = (not shown)");
        }
        letters = after_value(value.trim_start())?.trim_start();
    }
    Ok(())
}

/// What follows a value.
fn after_value(text: &str) -> Result<&str, &'static str> {
    let quoted = text.strip_prefix('\'');
    let value = quoted.unwrap_or(text);
    let mut is_escaped = false;
    for (at, letter) in value.char_indices() {
        let is_end = if quoted.is_some() { letter == '\'' } else { letter.is_ascii_whitespace() };
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if is_end => return Ok(value.get(at.saturating_add(1)..).unwrap_or_default()),
            _ => {}
        }
    }
    match quoted {
        Some(_) => Err("a text with an unterminated quote (not shown)"),
        None => Ok(""),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn both_forms_of_libpq_are_accepted() {
        for text in [
            "postgres://",
            "postgres://h",
            "postgresql://h/d",
            "postgres://u:p%40ss@h:5432/d",
            "postgres://u@h1,h2:6432/d?target_session_attrs=read-write&connect_timeout=5",
            "postgres://u:p:q#r@[::1]:5432,127.0.0.1/d?sslmode=require",
            "postgres:///d?host=/run/postgresql&ssl=true",
            "postgres://%2Frun%2Fpostgresql/d?",
            "postgres://postgres@127.0.0.1:40123/x",
            "host=h",
            "host = h  port= 5432 dbname =d",
            "host=h password='a b\\'c' target_session_attrs=read-write\n",
            "host=h password=a\\ b=c://d user=''",
            "service=manager",
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_without_showing_a_part_of_it() {
        for text in [
            "",
            " \n",
            "x",
            "hunter2",
            "hunter2@host/hunter2",
            "postgress://u:hunter2@h/d",
            "postgress://u:hunter2@h/d?sslmode=require",
            "postgres:/u:hunter2@h/d",
            "postgres:u=hunter2",
            "POSTGRES://u:hunter2@h/d",
            " postgres://u:hunter2@h/d",
            "postgres://u:hunter2@h/d\n",
            "mysql://u:hunter2@h/d",
            "https://hunter2",
            "postgres://u:hunter2%@h/d",
            "postgres://u:hunter2%zz@h/d",
            "postgres://u:hunter2%00@h/d",
            "postgres://u:hun%é@h/d",
            "postgres://u:hunter2@hunter2@h/d",
            "postgres://u:hunter2/hunter2@h/d",
            "postgres://u:12/hunter2@h/d",
            "postgres://u:hunter2?hunter2@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:hunter2@h:0/d",
            "postgres://u:hunter2@h:65536/d",
            "postgres://u:hunter2@[::1/d",
            "postgres://u:hunter2@[::1]x/d",
            "postgres://u:hunter2@h/d%4",
            "postgres://u:hunter2@h/d?hunter2",
            "postgres://u:hunter2@h/d?pasword=hunter2",
            "postgres://u:hunter2@h/d?password=hunter2=",
            "postgres://u:hunter2@h/d?sslmode=%4",
            "host=h password=hunter2 hunter2",
            "host=h hunter2 password=hunter2",
            "host=h pasword=hunter2",
            "host=h password='hunter2",
            "host=h ssl=true",
            "host=h password='hunter''2'",
            "host=h\0",
        ] {
            let said = check(text).unwrap_err();
            assert!(!said.contains("hunter2"), "{text:?} said {said:?}");
        }
    }
}
