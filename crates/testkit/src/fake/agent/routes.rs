//! The fake agent's side of the protocol.

use backup_protocol::{AgentInfo, ListedKind, OperationStatus, POSTGRESQL_WAL, PROTOCOL_VERSION, Refusal};
use serde::Serialize;
use serde_json::{Value, json};

use super::operations::Start;
use super::{AgentFault, State, refusals};
use crate::fake::answer::{Answer, Request};

impl State {
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        if request.basic_auth() != Some((self.user.clone(), self.password.clone())) {
            return refuse(401, "Unauthorized", "missing or wrong credentials", None);
        }
        let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        let fault = match (request.method.as_str(), segments.len()) {
            ("PUT", _) => self.start_faults.pop_front(),
            ("GET", 3) => self.status_faults.pop_front(),
            ("GET", 2) if segments.ends_with(&["operations"]) => self.list_faults.pop_front(),
            ("DELETE", _) => self.cancel_faults.pop_front(),
            _ => None,
        };
        if let Some(AgentFault::Instead(answer)) = fault {
            return answer;
        }
        let answer = self.proper(request, &segments);
        match (fault, answer) {
            (Some(AgentFault::After(other)), _) => other,
            (Some(AgentFault::WrongId), answer) => altered(answer, "id", "somebody-else"),
            (Some(AgentFault::UnknownState), answer) => altered(answer, "state", "levitating"),
            (_, answer) => answer,
        }
    }

    fn proper(&mut self, request: &Request, segments: &[&str]) -> Answer {
        if refusals::too_large(&request.body) {
            return refuse(413, "BadRequest", "the body is too large", None);
        }
        match (request.method.as_str(), segments) {
            ("GET", ["v1", "info"]) => Answer::Json(200, to_json(&self.info())),
            ("GET", ["v1", "operations"]) if self.lists_operations => {
                match self.operations.list(request.parameter("after"), request.parameter("limit")) {
                    Ok(list) => Answer::Json(200, to_json(&list)),
                    Err(what) => refuse(400, "BadRequest", what, None),
                }
            }
            ("GET", ["v1", "pitr"]) => match &self.windows {
                Some(report) => Answer::Json(200, to_json(report)),
                None => refuse(404, "NotFound", "no such path", None),
            },
            ("PUT", ["v1", "backups", id]) => match refusals::body(&request.body) {
                Ok(start) => self.start(ListedKind::Backup, id, Start::Backup(start)),
                Err(reason) => refuse(400, "BadRequest", &reason, None),
            },
            ("PUT", ["v1", "restores", id]) => match refusals::body(&request.body) {
                Ok(start) => self.start(ListedKind::Restore, id, Start::Restore(start)),
                Err(reason) => refuse(400, "BadRequest", &reason, None),
            },
            ("PUT", ["v1", "rehearsals", id]) if self.rehearses => match refusals::body(&request.body) {
                Ok(start) => self.start(ListedKind::Rehearsal, id, Start::Rehearsal(start)),
                Err(reason) => refuse(400, "BadRequest", &reason, None),
            },
            ("GET", ["v1", "rehearsals", id]) if self.rehearses => {
                found(200, self.operations.ask(ListedKind::Rehearsal, id))
            }
            ("DELETE", ["v1", "rehearsals", id]) if self.rehearses => {
                self.stop(ListedKind::Rehearsal, id, request)
            }
            ("GET", ["v1", "backups", id]) => found(200, self.operations.ask(ListedKind::Backup, id)),
            ("GET", ["v1", "restores", id]) => found(200, self.operations.ask(ListedKind::Restore, id)),
            ("DELETE", ["v1", "backups", id]) => self.stop(ListedKind::Backup, id, request),
            ("DELETE", ["v1", "restores", id]) => self.stop(ListedKind::Restore, id, request),
            _ => refuse(404, "NotFound", "no such path", None),
        }
    }

    fn start(&mut self, kind: ListedKind, id: &str, start: Start) -> Answer {
        let epoch = start.epoch();
        if let Some(known) = self.operations.status(kind, id) {
            if epoch < known.epoch {
                return stale(known.epoch);
            }
            self.operations.see_epoch(kind, id, epoch);
            return found(200, self.operations.status(kind, id).cloned());
        }
        if let Some(reason) = refusals::reason(id, &start, &self.stores) {
            return refuse(400, "BadRequest", &reason, None);
        }
        if let Some(running) = self.operations.in_the_way(&start) {
            return refuse(409, "OperationRunning", "one operation at a time", Some(running.to_owned()));
        }
        found(202, Some(self.operations.start(id, start)))
    }

    fn stop(&mut self, kind: ListedKind, id: &str, request: &Request) -> Answer {
        let epoch = request.parameter("epoch").and_then(|text| text.parse::<i64>().ok());
        if let (Some(asked), Some(known)) = (epoch, self.operations.status(kind, id).map(|known| known.epoch))
        {
            if asked < known {
                return stale(known);
            }
            self.operations.see_epoch(kind, id, asked);
        }
        if request.parameter("unless_begun").as_deref() == Some("true")
            && let Some(known) = self.operations.status(kind, id)
        {
            return found(200, Some(known.clone()));
        }
        found(200, Some(self.operations.cancel(kind, id, epoch.unwrap_or(0))))
    }

    fn info(&self) -> AgentInfo {
        AgentInfo {
            agent_version: "fake".into(),
            protocol_versions: vec![PROTOCOL_VERSION],
            data_service: self.data_service.clone(),
            data_service_version: None,
            drivers: vec!["fake".into()],
            capabilities: std::iter::once("cancel")
                .chain(self.rehearses.then_some("rehearse"))
                .chain(self.windows.as_ref().map(|_| POSTGRESQL_WAL))
                .map(str::to_owned)
                .collect(),
            free_scratch_bytes: None,
        }
    }
}

fn found(status: u16, operation: Option<OperationStatus>) -> Answer {
    match operation {
        Some(operation) => Answer::Json(status, to_json(&operation)),
        None => refuse(404, "NotFound", "never heard of it", None),
    }
}

fn refuse(status: u16, error: &str, description: &str, running_id: Option<String>) -> Answer {
    let (error, description) = (error.to_owned(), description.to_owned());
    Answer::Json(status, to_json(&Refusal { error, description, running_id, newest_epoch: None }))
}

fn stale(newest: i64) -> Answer {
    let (error, description) = ("StaleEpoch".to_owned(), "a newer dispatch was seen".to_owned());
    Answer::Json(409, to_json(&Refusal { error, description, running_id: None, newest_epoch: Some(newest) }))
}

fn altered(answer: Answer, field: &str, value: &str) -> Answer {
    match answer {
        Answer::Json(status, mut body) => {
            body[field] = json!(value);
            Answer::Json(status, body)
        }
        other => other,
    }
}

fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("the protocol's types are JSON")
}
