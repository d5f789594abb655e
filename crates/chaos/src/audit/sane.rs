//! Facts of a small world in which all went well, to be doctored by the tests of the checks.

use serde_json::json;

use crate::facts::{
    AgentFacts, Change, Event, Facts, Folder, Inflicted, Instance, Line, Millis, Request, Row, Sample, Sort,
};
use crate::schedule::{Fault, Kind, Parameter, Target};

/// One instance with two good backups and a restore of the first.
pub(super) fn world() -> Facts {
    let mut facts = Facts { min_backups: 2, timeout: 60_000, ..Facts::default() };
    facts.instances.push(Instance { guid: "g".into(), row: 1 });
    let recorded = |sort, id: &str| (sort, id.to_owned(), "done".to_owned());
    let journal =
        vec![recorded(Sort::Backup, "b-1"), recorded(Sort::Backup, "b-2"), recorded(Sort::Restore, "r-1")];
    let mut agent = AgentFacts { lines: vec![Line::Serving], journal: Some(journal) };
    for id in [1, 2] {
        let name = format!("b-{id}");
        agent.lines.push(Line::Began(Sort::Backup, name.clone()));
        agent.lines.push(Line::Ended(Sort::Backup, name.clone()));
        let row = Row {
            id,
            service_instance_id: 1,
            backup_id: name.clone(),
            status: "done".into(),
            size: 10,
            checksum: Some("c".into()),
            object_prefix: "p".into(),
            ..Row::default()
        };
        let queued = Row { status: "queued".into(), ..row.clone() };
        let running = Row { status: "running".into(), ..row.clone() };
        facts.changes.push(change(id * 10, None, Some(queued)));
        facts.changes.push(change(id * 10 + 1, Some(running), Some(row.clone())));
        facts.backups.push(row);
        facts.requests.push(Request { id, guid: "g".into(), ..Request::default() });
        let metadata = Some(json!({"backup_id": name, "checksum": "c"}));
        let names = vec!["data.00001".into(), "metadata.json".into()];
        facts.folders.insert(format!("p/b-{id}"), Folder { size: 10, checksum: "c".into(), metadata, names });
    }
    facts.restores.push(Row {
        id: 1,
        service_instance_id: 1,
        restore_id: Some("r-1".into()),
        status: "done".into(),
        ..Row::default()
    });
    agent.lines.push(Line::Began(Sort::Restore, "r-1".into()));
    agent.lines.push(Line::Ended(Sort::Restore, "r-1".into()));
    facts.requests.push(Request { id: 1, guid: "g".into(), is_restore: true, ..Request::default() });
    facts.agents.push(agent);
    facts.samples.push(Sample { instance: 0, backup: 2, expected: "x".into(), found: Ok("x".into()) });
    facts
}

/// A change in a transaction of the same number.
pub(super) fn change(number: i64, old: Option<Row>, new: Option<Row>) -> Change {
    Change { number, transaction: number, sort: Sort::Backup, old, new, seen: 5_000 }
}

/// The event of a removal.
pub(super) fn removal(id: i64) -> Event {
    let subject = Some(format!("backup {id}: its removal was requested"));
    Event { action: "remove_backup".into(), subject, ..Event::default() }
}

/// The folder of a backup.
pub(super) fn folder(facts: &mut Facts, id: i64) -> &mut Folder {
    facts.folders.get_mut(&format!("p/b-{id}")).unwrap()
}

/// A fault.
pub(super) fn inflicted(kind: Kind, target: Target, begun: Millis, ended: Millis) -> Inflicted {
    let fault =
        Fault { number: 1, at_ms: begun, kind, target, lasts_ms: ended - begun, parameter: Parameter::None };
    Inflicted { fault, begun, ended, requests: None }
}
