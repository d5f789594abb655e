//! Every route, everybody, their own and a foreign instance: a new route is in here by being a route.

use backup_api::routes;
use backup_core::Policy;
use backup_testkit::SeededInstance;
use reqwest::{Method, RequestBuilder, Response};

use crate::app::{App, PASSWORD, auth, http};
use crate::oidc::TestIssuer;

/// How somebody proves who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anonymous,
    User(&'static str),
    OwnerToken,
    Jwt,
}

const EVERYBODY: [Who; 9] = [
    Who::Anonymous,
    Who::User("admin"),
    Who::User("eve"),
    Who::User("ann"),
    Who::User("bob"),
    Who::User("sam"),
    Who::User("olga"),
    Who::OwnerToken,
    Who::Jwt,
];

/// What is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Unauthorized,
    Forbidden,
    Unknown,
    Allowed,
}

struct World {
    app: App,
    issuer: TestIssuer,
    own: SeededInstance,
    foreign: SeededInstance,
}

async fn world() -> World {
    let issuer = TestIssuer::start();
    let auth = backup_config::AuthSettings { oidc: Some(issuer.settings()), ..auth() };
    let app = App::with_auth(Policy::default(), http(), auth).await;
    let (own, foreign) = (app.instance("g-own"), app.instance("g-foreign"));
    for name in ["own", "foreign"] {
        let sql = format!(
            "UPDATE service_instances SET space_guid = 'space-{name}', organization_guid = 'organization-{name}' \
             WHERE guid = 'g-{name}'"
        );
        app.database.execute(&sql).unwrap();
    }
    World { app, issuer, own, foreign }
}

impl World {
    fn request(&self, who: Who, method: Method, path: &str) -> RequestBuilder {
        let request = self.app.anonymous(method, path);
        match who {
            Who::Anonymous => request,
            Who::User(name) => request.basic_auth(name, Some(PASSWORD)),
            Who::OwnerToken => request.bearer_auth(format!("ann~{PASSWORD}")),
            Who::Jwt => request.bearer_auth(self.issuer.token_of("space-own")),
        }
    }

    /// Everything that a request could have written.
    fn written(&self) -> String {
        let sql = "SELECT concat_ws(' ', (SELECT count(*) FROM backups), (SELECT count(*) FROM restores), (SELECT count(*) FROM rehearsals), \
                   (SELECT count(*) FROM jobs), (SELECT count(*) FROM audit_events), \
                   (SELECT count(*) FROM encryption_keys), (SELECT count(*) FROM reconciliations), (SELECT max(updated_at) FROM service_instances), \
                   (SELECT max(updated_at) FROM backups), (SELECT count(cancel_requested_at) FROM backups), \
                   (SELECT count(cancel_requested_at) FROM restores), (SELECT count(cancel_requested_at) FROM rehearsals))";
        self.app.database.value(sql).unwrap().unwrap()
    }

    /// A backup and a restore that have one number each, so that every path exists.
    fn fill(&self, instance: &SeededInstance, path: &str) -> String {
        if path.contains("/reconciliations/") {
            let sql =
                "INSERT INTO reconciliations (requested_by, is_repair, is_deep) VALUES ('eve', false, false)";
            self.app.database.execute(sql).unwrap();
            let id = self.app.database.value("SELECT max(id) FROM reconciliations").unwrap().unwrap();
            return path.replace("{id}", &id);
        }
        let backup = self.app.database.seed_backup(instance, "done", 1).unwrap();
        if path.contains("/rebuilds/{id}") {
            let sql = "INSERT INTO catalogue_rebuilds (is_dry_run, requested_by) VALUES (true, 'admin')";
            self.app.database.execute(sql).unwrap();
            let id = self.app.database.value("SELECT max(id) FROM catalogue_rebuilds").unwrap().unwrap();
            return path.replace("{id}", &id);
        }
        if path.contains("/rehearsals/{id}") {
            let sql = format!(
                "INSERT INTO rehearsals (service_instance_id, backup_row_id, rehearsal_id, is_scheduled) \
                 VALUES ({}, {}, gen_random_uuid()::text, false)",
                instance.id, backup.id
            );
            self.app.database.execute(&sql).unwrap();
            let id = self.app.database.value("SELECT max(id) FROM rehearsals").unwrap().unwrap();
            return path.replace("{instance_id}", &instance.guid).replace("{id}", &id);
        }
        if path.ends_with("/pitr") {
            let sql = format!(
                "INSERT INTO pitr_windows (backup_row_id, start_at, end_at, last_segment, state) \
                 VALUES ({}, now(), now(), 's', 'open')",
                backup.id
            );
            self.app.database.execute(&sql).unwrap();
        }
        let id = match path.contains("/restores/{id}") {
            false => backup.id.to_string(),
            true => {
                // One restore at a time: the earlier ones are over.
                let sql = format!(
                    "SET session_replication_role = replica; \
                     UPDATE restores SET status = 'failed', reason_code = 'cancelled'; \
                     INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id) \
                     VALUES ({}, {}, '{}', now(), gen_random_uuid()::text)",
                    instance.id, backup.id, backup.backup_id
                );
                self.app.database.execute(&sql).unwrap();
                self.app.database.value("SELECT max(id) FROM restores").unwrap().unwrap()
            }
        };
        path.replace("{instance_id}", &instance.guid).replace("{id}", &id).replace("{store}", "local")
    }
}

fn expected(who: Who, method: &Method, path: &str, is_of_the_fleet: bool, is_foreign: bool) -> Expected {
    let is_owner = |sees_own: bool| match (is_of_the_fleet, path.contains("{instance_id}")) {
        (true, _) => Expected::Forbidden,
        (false, true) if is_foreign == sees_own => Expected::Unknown,
        (false, _) => Expected::Allowed,
    };
    match who {
        Who::Anonymous => Expected::Unauthorized,
        Who::User("admin") => Expected::Allowed,
        Who::User("eve") if *method == Method::GET => Expected::Allowed,
        Who::User("eve") => Expected::Forbidden,
        Who::User("bob") => is_owner(false),
        Who::Jwt if !path.starts_with("/v1/") => Expected::Unauthorized,
        Who::User(_) | Who::OwnerToken | Who::Jwt => is_owner(true),
    }
}

async fn found(answer: Response) -> (Expected, u16, String) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap_or_default();
    let kind = match status {
        401 => Expected::Unauthorized,
        403 if text.contains("\"Forbidden\"") => Expected::Forbidden,
        404 if text.contains("The instance") => Expected::Unknown,
        _ => Expected::Allowed,
    };
    (kind, status, text)
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_a_refusal_writes_nothing() {
    let world = world().await;
    let of_the_fleet: Vec<String> =
        routes::of_the_fleet().iter().map(|endpoint| endpoint.path().to_owned()).collect();
    let mut seen = 0;
    for endpoint in routes::protected() {
        let path = endpoint.path().to_owned();
        for method in endpoint.methods() {
            let method = Method::from_bytes(method.as_str().as_bytes()).unwrap();
            for (who, is_foreign) in EVERYBODY.into_iter().flat_map(|who| [(who, false), (who, true)]) {
                let instance = if is_foreign { &world.foreign } else { &world.own };
                let expected = expected(who, &method, &path, of_the_fleet.contains(&path), is_foreign);
                let filled = world.fill(instance, &path);
                let before = (expected != Expected::Allowed).then(|| world.written());
                let request = world.request(who, method.clone(), &filled);
                // What the routes with required fields need at least.
                let body = "{\"instance_guid\": \"g-own\", \"backup_id\": 1, \"instance_id\": 1}";
                let body = if path.starts_with("/backup_agent") { body } else { "{}" };
                let request = request.header("Content-Type", "application/json").body(body);
                let (kind, status, text) = found(request.send().await.unwrap()).await;
                let case = format!("{who:?} {method} {filled}: {status} {text}");
                assert_eq!(kind, expected, "{case}");
                match before {
                    Some(before) => assert_eq!(world.written(), before, "{case}"),
                    None => assert!(status < 500 && status != 404 && status != 405, "{case}"),
                }
                if kind == Expected::Unknown {
                    assert_eq!(text, unknown(&world, who, &method, &filled, instance).await, "{case}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 30 * EVERYBODY.len() * 2, "{seen}");
}

/// The answer for an instance that does not exist, with the name of one that does.
async fn unknown(world: &World, who: Who, method: &Method, path: &str, instance: &SeededInstance) -> String {
    let path = path.replace(&instance.guid, "g-nowhere");
    let answer = world.request(who, method.clone(), &path).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    answer.text().await.unwrap().replace("g-nowhere", &instance.guid)
}

#[test]
fn only_the_list_of_instances_is_open_to_owners_without_naming_one() {
    let without: Vec<String> = routes::of_instances()
        .iter()
        .map(|endpoint| endpoint.path().to_owned())
        .filter(|path| !path.contains("/{instance_id}"))
        .collect();
    assert_eq!(without, ["/instances"]);
}
