//! SQL that makes the roles of the manifest again. Roles the agent must leave alone (its own, PostgreSQL's, and those
//! the operator named) are skipped everywhere.

use std::fmt::Write;

use super::manifest::{Manifest, Membership, Role, Server};
use super::programs::Programs;
use super::quote::{identifier, literal, setting};

/// Names of roles to be created before loading, because objects belong to them.
pub(super) fn missing<'a>(manifest: &'a Manifest, target: &Server, programs: &Programs) -> Vec<&'a Role> {
    let exists = |role: &Role| target.roles.iter().any(|r| r.name == role.name);
    manifest.server.roles.iter().filter(|role| !exists(role) && !programs.keeps_role(&role.name)).collect()
}

/// Creates a role that nobody can use yet. Some objects may belong to superusers only.
pub(super) fn create(role: &Role) -> String {
    let superuser = if role.superuser { "SUPERUSER" } else { "NOSUPERUSER" };
    format!("CREATE ROLE {} WITH NOLOGIN {superuser};\n", identifier(&role.name))
}

/// Gives all roles their attributes, settings and memberships.
pub(super) fn restore(manifest: &Manifest, target: &Server, programs: &Programs) -> String {
    let mut sql = "ALTER ROLE ALL RESET ALL;\n".to_owned();
    settings(&mut sql, "ALL", manifest, None);
    for role in manifest.server.roles.iter().filter(|role| !programs.keeps_role(&role.name)) {
        let now = target.roles.iter().find(|r| r.name == role.name);
        attributes(&mut sql, role, now);
        let name = identifier(&role.name);
        let _ = writeln!(sql, "ALTER ROLE {name} RESET ALL;");
        settings(&mut sql, &name, manifest, Some(&role.name));
    }
    memberships(&mut sql, manifest, target, programs);
    sql
}

/// Settings that hold in all databases.
fn settings(sql: &mut String, name: &str, manifest: &Manifest, role: Option<&str>) {
    let sets =
        manifest.server.settings.iter().filter(|set| set.database.is_none() && set.role.as_deref() == role);
    for stored in sets.flat_map(|set| &set.config) {
        let _ = writeln!(sql, "ALTER ROLE {name} SET {};", setting(stored));
    }
}

fn attributes(sql: &mut String, role: &Role, now: Option<&Role>) {
    let word = |yes: bool, word: &str| if yes { word.to_owned() } else { format!("NO{word}") };
    let name = identifier(&role.name);
    let _ = writeln!(
        sql,
        "ALTER ROLE {name} WITH {} {} {} {} {} {} {} CONNECTION LIMIT {} PASSWORD {};",
        word(role.superuser, "SUPERUSER"),
        word(role.inherit, "INHERIT"),
        word(role.create_role, "CREATEROLE"),
        word(role.create_database, "CREATEDB"),
        word(role.login, "LOGIN"),
        word(role.replication, "REPLICATION"),
        word(role.bypass_rls, "BYPASSRLS"),
        role.connection_limit,
        role.password.as_deref().map_or("NULL".to_owned(), literal),
    );
    // A time once set cannot be taken away, only put off for ever.
    let was_set = now.is_some_and(|now| now.valid_until.is_some());
    if let Some(until) = role.valid_until.as_deref().or(was_set.then_some("infinity")) {
        let _ = writeln!(sql, "ALTER ROLE {name} VALID UNTIL {};", literal(until));
    }
    let comment = role.comment.as_deref().map_or("NULL".to_owned(), literal);
    let _ = writeln!(sql, "COMMENT ON ROLE {name} IS {comment};");
}

fn memberships(sql: &mut String, manifest: &Manifest, target: &Server, programs: &Programs) {
    let ours = |m: &&Membership| {
        manifest.server.roles.iter().any(|r| r.name == m.member) && !programs.keeps_role(&m.member)
    };
    let same = |a: &Membership, b: &Membership| {
        a.role == b.role
            && a.member == b.member
            && a.admin == b.admin
            && a.inherit == b.inherit
            && a.set == b.set
    };
    let options = target.server_version_num >= 160_000;
    for old in target.memberships.iter().filter(ours) {
        if !manifest.server.memberships.iter().any(|new| same(new, old)) {
            let by = old.grantor.as_deref().filter(|_| options);
            let by = by.map_or(String::new(), |grantor| format!(" GRANTED BY {}", identifier(grantor)));
            let (role, member) = (identifier(&old.role), identifier(&old.member));
            let _ = writeln!(sql, "REVOKE {role} FROM {member}{by} CASCADE;");
        }
    }
    let exists = |name: &str| name.starts_with("pg_") || target.roles.iter().any(|role| role.name == name);
    for new in manifest.server.memberships.iter().filter(ours).filter(|m| exists(&m.role)) {
        let with = match (options, new.inherit, new.set) {
            (true, Some(inherit), Some(set)) => {
                format!(" WITH ADMIN {}, INHERIT {inherit}, SET {set}", new.admin)
            }
            _ if new.admin => " WITH ADMIN OPTION".to_owned(),
            _ => String::new(),
        };
        let _ = writeln!(sql, "GRANT {} TO {}{with};", identifier(&new.role), identifier(&new.member));
    }
}

/// Drops roles the backup does not have, unless something still depends on them.
pub(super) fn drop_others(names: &[String]) -> String {
    names.iter().map(|name| drop_if_unused(name)).collect()
}

fn drop_if_unused(name: &str) -> String {
    // Each layer is quoted by itself; a role may be named like a closing quote.
    let drop = literal(&format!("DROP ROLE IF EXISTS {}", identifier(name)));
    let body = format!("BEGIN EXECUTE {drop}; EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'kept'; END");
    format!("DO {};\n", literal(&body))
}
