//! Fresh roles that stand in for the owners of a database while it is loaded. They can log in, because a session that a
//! superuser has begun can always become a superuser again; they are members of nothing, and gone afterwards.

use std::fmt::Write;

use super::names;
use super::plan::{By, Owner, Plan, Relation, Step};
use super::quote::{identifier, literal};

/// A role and how it logs in.
pub(super) struct Login {
    pub(super) role: String,
    pub(super) password: String,
}

impl Login {
    /// One for each owner.
    pub(super) fn all(owners: &[Owner]) -> Vec<Self> {
        let random = || uuid::Uuid::new_v4().simple().to_string();
        let each = (1..=owners.len()).map(|number| Self {
            role: names::stand_in(number),
            password: format!("{}{}", random(), random()),
        });
        each.collect()
    }
}

/// Refuses to touch roles of somebody else that have such a name.
pub(super) fn refuse_strangers() -> String {
    let pattern = names::IS_STAND_IN;
    format!(
        "DO $do$ DECLARE stranger text; BEGIN SELECT rolname INTO stranger FROM pg_roles WHERE {pattern};\n\
         IF stranger IS NOT NULL THEN RAISE EXCEPTION 'the role % has a name reserved for the agent, but is not one of \
         its own; rename or drop it first', stranger; END IF; END $do$;\n"
    )
}

/// Makes them, and lets them and nobody else into the new database.
pub(super) fn create(logins: &[Login], plan: &Plan, database: &str, tablespaces: &[String]) -> String {
    let mut sql = String::new();
    for login in logins {
        let role = identifier(&login.role);
        let _ = writeln!(
            sql,
            "CREATE ROLE {role} WITH LOGIN PASSWORD {};\nALTER ROLE {role} SET lc_messages TO 'C';",
            literal(&login.password)
        );
    }
    if logins.is_empty() {
        return sql;
    }
    let (roles, name) = (list(logins), identifier(database));
    let _ = writeln!(sql, "REVOKE ALL ON DATABASE {name} FROM PUBLIC;");
    let _ = writeln!(sql, "GRANT CONNECT ON DATABASE {name} TO {roles};");
    let _ = writeln!(sql, "ALTER DATABASE {name} WITH CONNECTION LIMIT -1;");
    for tablespace in plan.tablespaces.iter().filter(|name| tablespaces.contains(name)) {
        let _ = writeln!(sql, "GRANT CREATE ON TABLESPACE {} TO {roles};", identifier(tablespace));
    }
    sql
}

/// Lets them use what is in the schemas there are by now.
pub(super) fn open_schemas(logins: &[Login]) -> String {
    if logins.is_empty() {
        return String::new();
    }
    let grant = literal(&format!("GRANT USAGE ON SCHEMA %I TO {}", list(logins)));
    let body = literal(&format!(
        "DECLARE name text; BEGIN FOR name IN SELECT nspname FROM pg_namespace\n\
         WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP EXECUTE format({grant}, name); END LOOP; END"
    ));
    format!("DO {body};\n")
}

/// The rights a step needs beyond that, and what takes back those that must not last.
pub(super) fn rights(step: &Step, logins: &[Login], owners: &[Owner]) -> (String, String) {
    let (mut give, mut take) = (String::new(), String::new());
    let By::Owner(owner) = step.by else { return (give, take) };
    let role = name_of(logins, owner);
    for schema in &step.schemas {
        let _ = writeln!(give, "GRANT USAGE, CREATE ON SCHEMA {} TO {role};", identifier(schema));
    }
    for server in &step.servers {
        let _ = writeln!(give, "GRANT USAGE ON FOREIGN SERVER {} TO {role};", identifier(server));
    }
    for table in &step.references {
        let _ = writeln!(give, "GRANT REFERENCES ON TABLE {} TO {role};", relation(table));
    }
    for table in &step.fills {
        let _ = writeln!(give, "GRANT INSERT ON TABLE {} TO {role};", relation(table));
    }
    for table in &step.borrows {
        let lender = match owners.get(table.owner) {
            Some(owner) if owner.is_superuser => identifier(&owner.name),
            _ => name_of(logins, table.owner),
        };
        let _ = writeln!(give, "ALTER TABLE {} OWNER TO {role};", relation(table));
        let _ = writeln!(take, "ALTER TABLE {} OWNER TO {lender};", relation(table));
    }
    if let Some(owner) = owners.get(owner).filter(|_| step.hands_over) {
        let _ = writeln!(take, "REASSIGN OWNED BY {role} TO {};", identifier(&owner.name));
    }
    (give, take)
}

/// Gives everything to its owners, and takes away all rights the roles were given. Access lists that only say what holds
/// anyway are as absent as before.
pub(super) fn hand_over(logins: &[Login], owners: &[Owner]) -> String {
    if logins.is_empty() {
        return String::new();
    }
    let mut sql = String::new();
    for (login, owner) in logins.iter().zip(owners) {
        let _ = writeln!(
            sql,
            "REASSIGN OWNED BY {} TO {};",
            identifier(&login.role),
            identifier(&owner.name)
        );
    }
    let _ = writeln!(sql, "DROP OWNED BY {};", list(logins));
    for (catalogue, list, kind, owner) in [
        ("pg_namespace", "nspacl", "'n'", "nspowner"),
        ("pg_class", "relacl", "CASE relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END", "relowner"),
        ("pg_foreign_server", "srvacl", "'S'", "srvowner"),
    ] {
        let _ = writeln!(
            sql,
            "UPDATE {catalogue} SET {list} = NULL WHERE {list} = acldefault({kind}, {owner}) AND NOT EXISTS (SELECT \
             FROM pg_init_privs p WHERE p.objoid = {catalogue}.oid AND p.classoid = '{catalogue}'::regclass);"
        );
    }
    sql
}

/// Before materialized views are filled, which happens with the rights of their owner: who stands in for an ordinary owner
/// may be it, and who stands in for a superuser may read everything; and what ends this.
pub(super) fn refreshing(plan: &Plan, logins: &[Login], database: &str) -> (String, String) {
    let (mut before, mut after) = (String::new(), String::new());
    if logins.is_empty() {
        return (before, after);
    }
    let _ = writeln!(before, "GRANT CONNECT ON DATABASE {} TO {};", identifier(database), list(logins));
    for (login, owner) in logins.iter().zip(&plan.owners) {
        let (role, name) = (identifier(&login.role), identifier(&owner.name));
        if !owner.is_superuser {
            let _ = writeln!(before, "GRANT {name} TO {role};");
            let _ = writeln!(after, "REVOKE {name} FROM {role};");
            continue;
        }
        let _ = writeln!(before, "GRANT pg_read_all_data TO {role}; ALTER ROLE {role} BYPASSRLS;");
    }
    (before, after)
}

/// Drops them with whatever rights they have on the server and in this database.
pub(super) fn drop_all(roles: &[String]) -> String {
    let mut sql = String::new();
    for role in roles {
        let name = literal(role);
        let body = literal(&format!(
            "BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN\n\
             EXECUTE format('DROP OWNED BY %I', {name}); EXECUTE format('DROP ROLE %I', {name}); END IF; END"
        ));
        let _ = writeln!(sql, "DO {body};");
    }
    sql
}

fn list(logins: &[Login]) -> String {
    logins.iter().map(|login| identifier(&login.role)).collect::<Vec<_>>().join(", ")
}

fn name_of(logins: &[Login], owner: usize) -> String {
    logins.get(owner).map(|login| identifier(&login.role)).unwrap_or_default()
}

fn relation(relation: &Relation) -> String {
    format!("{}.{}", identifier(&relation.schema), identifier(&relation.name))
}
