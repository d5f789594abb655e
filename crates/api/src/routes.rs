//! Every URL of the API on one screen. `{instance_id}` is the platform's GUID, `{id}` a number.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, Responder, Route, guard, web};

use crate::auth::{self, Audience};
use crate::error::ApiError;
use crate::handlers::{backup_agent, health, instances, service_instances, v1, v2};
use crate::patience;

/// Health: no credentials needed.
pub fn open() -> Vec<Endpoint> {
    let all = vec![
        at("/livez").get(health::livez),
        at("/readyz").get(health::readyz),
        at("/v2/healthy").get(v2::healthy::show),
    ];
    all.into_iter().map(|endpoint| endpoint.open_to(Audience::Anyone)).collect()
}

/// What concerns the whole fleet, or names instances elsewhere than in the path: operators, and auditors who read.
pub fn of_the_fleet() -> Vec<Endpoint> {
    vec![
        at("/backup_agent/backup_all").post(backup_agent::backup_all::create),
        at("/backup_agent/backup").post(backup_agent::backup::create),
        at("/backup_agent/restores").post(backup_agent::restores::create),
        at("/v2/audit").get(v2::audit::list),
        at("/v2/queues").get(v2::queues::list),
        at("/v2/queues/jobs").get(v2::queues::jobs::list),
        at("/v2/retention").get(v2::retention::list),
    ]
}

/// What concerns the instance in the path, and the list of the instances that the caller may see: owners, too.
pub fn of_instances() -> Vec<Endpoint> {
    let mut all = vec![
        at("/instances").get(instances::list),
        at("/instances/{instance_id}").get(instances::show).put(instances::update),
        at("/instances/{instance_id}/config").get(instances::config::show),
        at("/v1/instances/{instance_id}/disaster-recovery/prepare")
            .post(v1::instances::disaster_recovery::prepare::create),
        at("/service-instances/{instance_id}/backups").get(instances::show).post(instances::backups::create),
        at("/service-instances/{instance_id}/backups/restore")
            .post(service_instances::backups::restore::create),
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
    use instances::{backups, restores};
    let below = |path: &str| at(&format!("{base}{path}"));
    vec![
        below("/backups").get(backups::list).post(backups::create),
        below("/backups/{id}").get(backups::show).delete(backups::delete),
        below("/backups/{id}/cancel").post(backups::cancel::create),
        below("/backups/{id}/download").get(backups::download::show),
        below("/backups/{id}/restore").post(backups::restore::create),
        below("/backups/{id}/undelete").post(backups::undelete::create),
        below("/restores").get(restores::list),
        below("/restores/{id}").get(restores::show),
        below("/restores/{id}/cancel").post(restores::cancel::create),
    ]
}

/// One path with its methods.
pub struct Endpoint {
    path: String,
    routes: Vec<(Method, Route)>,
    audience: Audience,
}

fn at(path: &str) -> Endpoint {
    Endpoint { path: path.to_owned(), routes: Vec::new(), audience: Audience::Operators }
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

    fn get<F: Handler<A, Output: Responder + 'static>, A: FromRequest + 'static>(self, handler: F) -> Self {
        let route = web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
        self.with(Method::GET, route.to(handler))
    }

    fn post<F: Handler<A, Output: Responder + 'static>, A: FromRequest + 'static>(self, handler: F) -> Self {
        self.with(Method::POST, web::post().to(handler))
    }

    fn put<F: Handler<A, Output: Responder + 'static>, A: FromRequest + 'static>(self, handler: F) -> Self {
        self.with(Method::PUT, web::put().to(handler))
    }

    fn delete<F: Handler<A, Output: Responder + 'static>, A: FromRequest + 'static>(
        self,
        handler: F,
    ) -> Self {
        self.with(Method::DELETE, web::delete().to(handler))
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
