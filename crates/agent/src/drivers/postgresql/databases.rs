//! SQL that makes a database of the manifest again: an empty one to load into, and afterwards its properties.

use std::fmt::Write;

use super::manifest::{Database, Server, Settings};
use super::names;
use super::programs::Programs;
use super::quote::{identifier, literal, setting};

/// `CREATE DATABASE` for the empty database to load into; it is the agent's, and ordinary roles cannot connect to it.
pub(super) fn create(database: &Database, target: &Server) -> String {
    let mut sql = format!(
        "CREATE DATABASE {} WITH TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {} CONNECTION LIMIT 0",
        identifier(&names::fresh(database.number)),
        literal(&database.encoding),
        literal(&database.collate),
        literal(&database.ctype),
    );
    if target.server_version_num >= 150_000 {
        sql.push_str(match database.provider.as_str() {
            "i" => " LOCALE_PROVIDER icu",
            "b" => " LOCALE_PROVIDER builtin",
            _ => " LOCALE_PROVIDER libc",
        });
        let option = if database.provider == "b" { "BUILTIN_LOCALE" } else { "ICU_LOCALE" };
        append(&mut sql, option, database.locale.as_deref().filter(|_| database.provider != "c"));
        append(&mut sql, "ICU_RULES", database.icu_rules.as_deref());
    }
    if target.tablespaces.contains(&database.tablespace) {
        sql.push_str(" TABLESPACE ");
        sql.push_str(&identifier(&database.tablespace));
    }
    sql.push_str(";\n");
    sql
}

fn append(sql: &mut String, option: &str, value: Option<&str>) {
    if let Some(value) = value {
        // Writing to a String cannot fail.
        let _ = write!(sql, " {option} {}", literal(value));
    }
}

/// Everything about a database that `pg_restore` leaves out, under its final name.
pub(super) fn properties(
    database: &Database,
    settings: &[Settings],
    known: &[String],
    programs: &Programs,
) -> String {
    let (name, owner) = (identifier(&database.name), identifier(&database.owner));
    let mut sql = format!(
        "ALTER DATABASE {name} OWNER TO {owner};\nALTER DATABASE {name} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT {} IS_TEMPLATE {};\n",
        database.connection_limit, database.is_template
    );
    if let Some(comment) = &database.comment {
        let _ = writeln!(sql, "COMMENT ON DATABASE {name} IS {};", literal(comment));
    }
    for set in settings.iter().filter(|set| set.database.as_ref() == Some(&database.name)) {
        let whose = match &set.role {
            None => format!("ALTER DATABASE {name}"),
            Some(role) if programs.keeps_role(role) || !known.contains(role) => continue,
            Some(role) => format!("ALTER ROLE {} IN DATABASE {name}", identifier(role)),
        };
        for stored in &set.config {
            let _ = writeln!(sql, "{whose} SET {};", setting(stored));
        }
    }
    let Some(access) = &database.access else {
        // No statement brings back the privileges a database has before any are granted.
        let text = literal(&database.name);
        let _ = writeln!(sql, "UPDATE pg_database SET datacl = NULL WHERE datname = {text};");
        return sql;
    };
    let _ = writeln!(sql, "REVOKE ALL ON DATABASE {name} FROM PUBLIC, {owner};");
    for grant in access {
        let grantee = match &grant.grantee {
            None => "PUBLIC".to_owned(),
            Some(role) if known.contains(role) => identifier(role),
            Some(_) => continue,
        };
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        let _ =
            writeln!(sql, "GRANT {} ON DATABASE {name} TO {grantee}{option};", privilege(&grant.privilege));
    }
    sql
}

/// Privileges are words of SQL; one we do not know is better left out than run.
fn privilege(name: &str) -> &'static str {
    match name {
        "CREATE" => "CREATE",
        "TEMPORARY" => "TEMPORARY",
        _ => "CONNECT",
    }
}
