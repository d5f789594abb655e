//! Every URL of the API on one screen, each method with its handler and its description in the OpenAPI document.
//! `{instance_id}` is the platform's GUID, `{id}` a number.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, Responder, Route, guard, web};

use crate::auth::{self, Audience};
use crate::error::ApiError;
use crate::handlers::{backup_agent, docs, health, instances, metrics, openapi, service_instances, v1, v2};
use crate::openapi::{Description, operations as describe};
use crate::patience;

/// Health, and the description of the API: no credentials needed.
pub fn open() -> Vec<Endpoint> {
    let all = vec![
        at("/livez").get(health::livez, describe::health::livez),
        at("/readyz").get(health::readyz, describe::health::readyz),
        at("/v2/healthy").get(v2::healthy::show, describe::health::healthy),
        at("/openapi.json").get(openapi::show, describe::health::openapi),
    ];
    all.into_iter().map(|endpoint| endpoint.open_to(Audience::Anyone)).collect()
}

/// The documentation page: for people, and not in the document. No credentials needed.
pub fn pages() -> Vec<Endpoint> {
    let all = [at("/docs").page(docs::redirect), at("/docs/{file:.*}").page(docs::show)];
    all.into_iter().map(|endpoint| endpoint.open_to(Audience::Anyone)).collect()
}

/// What concerns the whole fleet, or names instances elsewhere than in the path: operators, and auditors who read.
pub fn of_the_fleet() -> Vec<Endpoint> {
    vec![
        at("/backup_agent/backup_all")
            .post(backup_agent::backup_all::create, describe::backup_agent::backup_all),
        at("/backup_agent/backup").post(backup_agent::backup::create, describe::backup_agent::backup),
        at("/backup_agent/restores").post(backup_agent::restores::create, describe::backup_agent::restores),
        at("/v2/audit").get(v2::audit::list, describe::v2::audit),
        at("/v2/catalogue/rebuild").post(v2::catalogue::rebuild::create, describe::catalogue::rebuild),
        at("/v2/catalogue/rebuilds/{id}").get(v2::catalogue::rebuilds::show, describe::catalogue::show),
        at("/v2/catalogue/rebuilds/{id}/findings")
            .get(v2::catalogue::rebuilds::findings::list, describe::catalogue::findings),
        at("/v2/queues").get(v2::queues::list, describe::v2::queues),
        at("/v2/queues/jobs").get(v2::queues::jobs::list, describe::v2::jobs),
        at("/metrics").get(metrics::show, describe::v2::metrics),
        at("/v2/reconciliations").post(v2::reconciliations::create, describe::v2::request_reconciliation),
        // Before the numbers, which it would be taken for.
        at("/v2/reconciliations/latest")
            .get(v2::reconciliations::latest::show, describe::v2::latest_reconciliation),
        at("/v2/reconciliations/{id}").get(v2::reconciliations::show, describe::v2::reconciliation),
        at("/v2/retention").get(v2::retention::list, describe::v2::retention),
        at("/v2/stores").get(v2::stores::list, describe::v2::stores),
        at("/v2/stores/{store}/check").post(v2::stores::check::create, describe::v2::check_store),
    ]
}

/// What concerns the instance in the path, and the list of the instances that the caller may see: owners, too.
pub fn of_instances() -> Vec<Endpoint> {
    let mut all = vec![
        at("/instances").get(instances::list, describe::instances::list),
        at("/instances/{instance_id}")
            .get(instances::show, describe::instances::show)
            .put(instances::update, describe::instances::update),
        at("/instances/{instance_id}/config").get(instances::config::show, describe::instances::config),
        at("/v1/instances/{instance_id}/disaster-recovery/prepare")
            .post(v1::instances::disaster_recovery::prepare::create, describe::v1::prepare_disaster_recovery),
        at("/v1/instances/{instance_id}/pitr").get(v1::instances::pitr::show, describe::v1::pitr),
        at("/service-instances/{instance_id}/backups")
            .get(instances::show, describe::service_instances::list)
            .post(instances::backups::create, describe::service_instances::create),
        at("/service-instances/{instance_id}/backups/restore")
            .post(service_instances::backups::restore::create, describe::service_instances::restore),
    ];
    all.extend(below_an_instance("/instances/{instance_id}"));
    all.extend(below_an_instance("/v1/instances/{instance_id}"));
    all.into_iter().map(|endpoint| endpoint.open_to(Audience::Owners)).collect()
}

/// Everything that needs credentials.
pub fn protected() -> Vec<Endpoint> {
    of_the_fleet().into_iter().chain(of_instances()).collect()
}

fn below_an_instance(base: &str) -> Vec<Endpoint> {
    use instances::{backups, rehearsals, restores};
    let below = |path: &str| at(&format!("{base}{path}"));
    vec![
        below("/backups")
            .get(backups::list, describe::backups::list)
            .post(backups::create, describe::backups::create),
        below("/backups/{id}")
            .get(backups::show, describe::backups::show)
            .delete(backups::delete, describe::backups::delete),
        below("/backups/{id}/cancel").post(backups::cancel::create, describe::backups::cancel),
        below("/backups/{id}/download").get(backups::download::show, describe::backups::download),
        below("/backups/{id}/hold")
            .put(backups::hold::update, describe::backups::hold)
            .delete(backups::hold::delete, describe::backups::release),
        below("/backups/{id}/rehearse").post(backups::rehearse::create, describe::rehearsals::create),
        below("/backups/{id}/restore").post(backups::restore::create, describe::backups::restore),
        below("/backups/{id}/undelete").post(backups::undelete::create, describe::backups::undelete),
        below("/explain").get(instances::explain::show, describe::instances::explain),
        below("/rehearsals").get(rehearsals::list, describe::rehearsals::list),
        below("/rehearsals/{id}").get(rehearsals::show, describe::rehearsals::show),
        below("/rehearsals/{id}/cancel").post(rehearsals::cancel::create, describe::rehearsals::cancel),
        below("/restores")
            .get(restores::list, describe::restores::list)
            .post(restores::create, describe::restores::create),
        below("/restores/{id}").get(restores::show, describe::restores::show),
        below("/restores/{id}/cancel").post(restores::cancel::create, describe::restores::cancel),
    ]
}

/// How a method's description is made, for the document.
type Describe = fn() -> Description;

/// One path with its methods.
pub struct Endpoint {
    path: String,
    routes: Vec<(Method, Route)>,
    descriptions: Vec<(Method, Describe)>,
    audience: Audience,
}

fn at(path: &str) -> Endpoint {
    Endpoint {
        path: path.to_owned(),
        routes: Vec::new(),
        descriptions: Vec::new(),
        audience: Audience::Operators,
    }
}

impl Endpoint {
    /// The path, with names in braces.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The methods; `HEAD` goes with `GET`.
    pub fn methods(&self) -> Vec<Method> {
        self.routes.iter().map(|(method, _)| method.clone()).collect()
    }

    pub(crate) fn descriptions(&self) -> impl Iterator<Item = (&Method, Describe)> {
        self.descriptions.iter().map(|(method, describe)| (method, *describe))
    }

    fn get<F, A>(self, handler: F, describe: Describe) -> Self
    where
        F: Handler<A, Output: Responder + 'static>,
        A: FromRequest + 'static,
    {
        self.with(Method::GET, reading().to(handler)).described(Method::GET, describe)
    }

    fn post<F, A>(self, handler: F, describe: Describe) -> Self
    where
        F: Handler<A, Output: Responder + 'static>,
        A: FromRequest + 'static,
    {
        self.with(Method::POST, web::post().to(handler)).described(Method::POST, describe)
    }

    fn put<F, A>(self, handler: F, describe: Describe) -> Self
    where
        F: Handler<A, Output: Responder + 'static>,
        A: FromRequest + 'static,
    {
        self.with(Method::PUT, web::put().to(handler)).described(Method::PUT, describe)
    }

    fn delete<F, A>(self, handler: F, describe: Describe) -> Self
    where
        F: Handler<A, Output: Responder + 'static>,
        A: FromRequest + 'static,
    {
        self.with(Method::DELETE, web::delete().to(handler)).described(Method::DELETE, describe)
    }

    fn page<F, A>(self, handler: F) -> Self
    where
        F: Handler<A, Output: Responder + 'static>,
        A: FromRequest + 'static,
    {
        self.with(Method::GET, reading().to(handler))
    }

    fn described(mut self, method: Method, describe: Describe) -> Self {
        self.descriptions.push((method, describe));
        self
    }

    fn open_to(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    fn with(mut self, method: Method, route: Route) -> Self {
        self.routes.push((method, route));
        self
    }

    /// The actix resource; other methods are answered with 405 and `Allow`.
    pub(crate) fn into_resource(self) -> impl HttpServiceFactory + 'static {
        let methods: Vec<String> = self.routes.iter().map(|(method, _)| method.to_string()).collect();
        let allow = HeaderValue::from_str(&methods.join(", ")).ok();
        let resource = self
            .routes
            .into_iter()
            .fold(web::resource(self.path), |resource, (_, route)| resource.route(route));
        let resource = resource.default_service(web::to(move || {
            let error = ApiError::for_status(actix_web::http::StatusCode::METHOD_NOT_ALLOWED);
            let error =
                allow.clone().into_iter().fold(error, |error, allow| error.with_header(header::ALLOW, allow));
            async move { error.answer() }
        }));
        let audience = self.audience;
        let admit = from_fn(move |request, next| auth::admit(audience, request, next));
        resource.wrap(admit).wrap(from_fn(patience::bound))
    }
}

/// `GET`, and `HEAD` with it.
fn reading() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
