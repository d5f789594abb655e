//! Judges an agent's successful answers: what is impossible is refused here, before any decision rests on it.

use backup_protocol::{ListedOperation, OperationList, OperationState, OperationStatus, Refusal};
use serde::de::DeserializeOwned;

use super::AgentError;
use crate::clients::http::tame;

/// Parses a body; unknown fields are ignored.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AgentError> {
    serde_json::from_slice(body).map_err(|error| AgentError::protocol(tame(&error.to_string())))
}

/// Accepts a 404 only when the agent itself says that it does not know the operation.
pub(super) fn never_heard(body: &[u8]) -> Result<(), AgentError> {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) if refusal.error == "NotFound" => Ok(()),
        _ => Err(AgentError::protocol("a 404 that does not come from a backup agent")),
    }
}

/// Parses and judges the status of operation `id`.
pub(super) fn operation(id: &str, body: &[u8]) -> Result<OperationStatus, AgentError> {
    let mut status: OperationStatus = parse(body)?;
    if let Some(error) = &mut status.error {
        error.code = tame(&error.code);
        error.message = tame(&error.message);
    }
    match fault(id, &status) {
        Some(detail) => Err(AgentError::protocol(detail)),
        None => Ok(status),
    }
}

/// Most operations on a page.
const LARGEST_PAGE: usize = 1000;

/// Parses and judges the page of a journal behind a cursor.
pub(super) fn operations(after: Option<&str>, body: &[u8]) -> Result<OperationList, AgentError> {
    let list: OperationList = parse(body)?;
    if list.operations.len() > LARGEST_PAGE {
        return Err(AgentError::protocol("a page of the journal has more operations than allowed"));
    }
    let is_cursor = |next: &str| (1..=300).contains(&next.len()) && Some(next) != after;
    if list.next.as_deref().is_some_and(|next| !is_cursor(next) || list.operations.is_empty()) {
        return Err(AgentError::protocol("the journal's next page is not one"));
    }
    match list.operations.iter().find_map(fault_of_listed) {
        Some(detail) => Err(AgentError::protocol(detail)),
        None => Ok(list),
    }
}

fn fault_of_listed(operation: &ListedOperation) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-=+@/".contains(c);
    let is_name = |name: &str| (1..=1000).contains(&name.len()) && name.chars().all(plain);
    let objects = operation.objects.iter().flat_map(|objects| [&objects.store, &objects.object_prefix]);
    if !is_name(&operation.id) || !objects.into_iter().all(|name| is_name(name)) {
        return Some("the journal holds an impossible name".to_owned());
    }
    if operation.epoch < 0 {
        return Some("the journal holds a negative epoch".to_owned());
    }
    let is_running = operation.state == OperationState::Running;
    (is_running == operation.finished_at.is_some())
        .then(|| "the journal contradicts itself about what has ended".to_owned())
}

fn fault(id: &str, status: &OperationStatus) -> Option<String> {
    if status.id != id {
        return Some(format!("asked for {id}, answered for {:?}", tame(&status.id)));
    }
    if status.epoch < 0 {
        return Some("the epoch is negative".to_owned());
    }
    if status.filter_plugins.len() > 16 || !status.filter_plugins.iter().all(|name| is_word(name)) {
        return Some("the filter_plugins are no list of short words".to_owned());
    }
    match status.state {
        OperationState::Running if status.finished_at.is_some() => {
            return Some("running, but finished_at is set".to_owned());
        }
        OperationState::Done | OperationState::Failed | OperationState::Cancelled
            if status.finished_at.is_none() =>
        {
            return Some("ended, but finished_at is missing".to_owned());
        }
        OperationState::Done if status.error.is_some() => {
            return Some("done, but an error is reported".to_owned());
        }
        _ => {}
    }
    None
}

fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn done() -> Value {
        json!({"id": "b-1", "epoch": 1, "state": "done", "bytes_read": 9, "bytes_stored": 7,
            "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:00Z", "checksum": SHA, "filter_plugins": ["zstd", "age"],
            "parts": [{"name": "data.00001", "size": 7, "sha256": SHA}], "of_tomorrow": true})
    }

    fn judge(status: &Value) -> Result<OperationStatus, AgentError> {
        operation("b-1", status.to_string().as_bytes())
    }

    #[test]
    fn a_finished_operation_with_fields_of_tomorrow_is_accepted() {
        assert!(judge(&done()).is_ok());
    }

    #[test]
    fn impossible_states_are_refused() {
        let cases = [
            ("/id", json!("b-2")),
            ("/epoch", json!(-1)),
            ("/state", json!("running")),
            ("/state", json!("finished")),
            ("/finished_at", Value::Null),
            ("/filter_plugins", json!(["\u{0}"])),
            ("/parts/0/size", json!(-1)),
        ];
        for (path, value) in cases {
            let mut status = done();
            *status.pointer_mut(path).unwrap() = value.clone();
            let judged = judge(&status);
            assert!(matches!(judged, Err(AgentError::Protocol { .. })), "{path} = {value}: {judged:?}");
        }
    }

    #[test]
    fn a_failure_reported_together_with_success_is_refused() {
        let mut status = done();
        status["error"] = json!({"code": "internal", "message": "?"});
        assert!(judge(&status).is_err());
    }

    #[test]
    fn control_characters_in_a_failures_words_are_taken_out() {
        let mut status = done();
        status["state"] = json!("failed");
        status["error"] = json!({"code": "internal", "message": "a\u{0}b\nc"});
        assert_eq!(judge(&status).unwrap().error.unwrap().message, "a b c");
    }

    #[test]
    fn impossible_journals_are_refused() {
        let list = |change: fn(&mut Value)| {
            let mut list = json!({"next": "backup-b-1", "operations": [{"kind": "backup", "id": "b-1", "epoch": 1,
                "state": "running", "started_at": "2026-01-01T00:00:00Z", "of_tomorrow": true}]});
            change(&mut list);
            operations(Some("backup-a"), list.to_string().as_bytes())
        };
        assert!(list(|_| {}).is_ok());
        let wrong: [fn(&mut Value); 8] = [
            |list| list["operations"][0]["id"] = json!("b\u{1b}[2J"),
            |list| list["operations"][0]["epoch"] = json!(-1),
            |list| list["operations"][0]["state"] = json!("done"),
            |list| list["operations"][0]["kind"] = json!("dream"),
            |list| list["operations"][0]["objects"] = json!({"store": "", "object_prefix": "x"}),
            |list| list["operations"] = json!([]),
            |list| list["next"] = json!("backup-a"),
            |list| list["next"] = json!(""),
        ];
        for (number, change) in wrong.into_iter().enumerate() {
            assert!(list(change).is_err(), "{number}");
        }
    }

    #[test]
    fn only_an_agents_own_404_means_never_heard_of_it() {
        assert!(never_heard(br#"{"error":"NotFound","description":"no such backup"}"#).is_ok());
        assert!(never_heard(b"<html>404</html>").is_err());
        assert!(never_heard(b"").is_err());
    }
}
