//! Tables for each rule of the plan, and what holds for every plan.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

/// An entry of the schema `public`, with its number in its name.
fn entry(id: u32, kind: &str, owner: &str, needs: &[u32]) -> Entry {
    let section = match kind {
        "ENCODING" => Section::Session,
        "TABLE DATA" | "SEQUENCE SET" | "BLOBS" => Section::Data,
        "INDEX" | "FK CONSTRAINT" | "TRIGGER" | EVENT_TRIGGER | REFRESH => Section::PostData,
        _ => Section::PreData,
    };
    // Rows are named like their table, foreign keys begin with it.
    let name = match (kind, needs.first()) {
        ("TABLE DATA" | REFRESH | "SEQUENCE SET", Some(table)) => format!("x{table}"),
        ("FK CONSTRAINT", Some(table)) => format!("x{table} fk"),
        _ => format!("x{id}"),
    };
    Entry {
        id,
        kind: kind.to_owned(),
        name,
        schema: Some("public".to_owned()),
        tablespace: None,
        owner: owner.to_owned(),
        section,
        needs: needs.to_vec(),
    }
}

fn plan(entries: &[Entry]) -> Plan {
    Plan::of(entries, &HashSet::from(["admin", "root"])).unwrap()
}

/// Who restores which entries, step by step.
fn who(plan: &Plan, steps: &[Step]) -> Vec<(String, Vec<u32>)> {
    let name = |by| match by {
        By::Agent => "agent".to_owned(),
        By::Owner(owner) => plan.owners[owner].name.clone(),
    };
    steps.iter().map(|step| (name(step.by), step.entries.clone())).collect()
}

fn steps(of: &[(&str, &[u32])]) -> Vec<(String, Vec<u32>)> {
    of.iter().map(|(name, entries)| ((*name).to_owned(), entries.to_vec())).collect()
}

#[test]
fn what_only_superusers_own_is_restored_by_the_agent() {
    let plan = plan(&[
        entry(1, "ENCODING", "", &[]),
        entry(2, "FUNCTION", "admin", &[]),
        entry(3, "TABLE", "root", &[2]),
        entry(4, "TABLE DATA", "root", &[3]),
        entry(5, "INDEX", "root", &[3]),
        entry(6, "ACL", "root", &[3]),
    ]);
    assert_eq!(who(&plan, &plan.before), steps(&[("agent", &[2, 3])]));
    assert_eq!(who(&plan, &plan.data), steps(&[("agent", &[4])]));
    assert_eq!(who(&plan, &plan.after), steps(&[("agent", &[5])]));
    assert_eq!((plan.closing, plan.owners), (vec![6], vec![]));
}

#[test]
fn what_an_ordinary_role_owns_is_restored_by_its_stand_in() {
    let plan = plan(&[
        entry(1, "SCHEMA", "mallory", &[]),
        entry(2, "TABLE", "mallory", &[1]),
        entry(3, "TABLE", "alice", &[1]),
        entry(4, "FUNCTION", "mallory", &[]),
        entry(5, "TABLE DATA", "mallory", &[2]),
        entry(6, "TABLE DATA", "alice", &[3]),
        entry(7, "SEQUENCE SET", "mallory", &[2]),
        entry(8, "BLOBS", "", &[]),
        entry(9, "INDEX", "mallory", &[2, 4]),
        entry(10, "MATERIALIZED VIEW", "alice", &[2]),
        entry(11, REFRESH, "alice", &[10]),
    ]);
    let before = steps(&[("agent", &[1]), ("mallory", &[2]), ("alice", &[3]), ("mallory", &[4]), ("alice", &[10])]);
    assert_eq!(who(&plan, &plan.before), before);
    assert_eq!(who(&plan, &plan.data), steps(&[("mallory", &[5, 7]), ("alice", &[6]), ("agent", &[8])]));
    assert_eq!(who(&plan, &plan.after), steps(&[("mallory", &[9])]));
    assert_eq!(who(&plan, &plan.refresh), steps(&[("alice", &[11])]));
    assert!(plan.before.iter().all(|step| !step.hands_over && step.borrows.is_empty()));
}

#[test]
fn what_a_superuser_owns_and_calls_code_of_others_is_restored_alone_and_handed_over() {
    let plan = plan(&[
        entry(1, "FUNCTION", "mallory", &[]),
        entry(2, "TABLE", "admin", &[1]),
        entry(3, "TABLE", "admin", &[1]),
        entry(4, "TABLE", "admin", &[]),
        entry(5, "TABLE DATA", "admin", &[2]),
        entry(6, "TABLE DATA", "admin", &[4]),
        entry(7, "INDEX", "admin", &[4, 1]),
    ]);
    let before = steps(&[("mallory", &[1]), ("admin", &[2]), ("admin", &[3]), ("agent", &[4])]);
    assert_eq!(who(&plan, &plan.before), before);
    assert_eq!(plan.before.iter().map(|step| step.hands_over).collect::<Vec<_>>(), [false, true, true, false]);
    assert_eq!(who(&plan, &plan.data), steps(&[("admin", &[5]), ("agent", &[6])]));
    assert_eq!(plan.data[0].fills.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["x2"]);
    // To index a table one must own it.
    let index = &plan.after[0];
    assert_eq!((index.hands_over, index.borrows[0].name.as_str()), (true, "x4"));
}

#[test]
fn rights_across_owners_are_lent_for_one_step() {
    let table = |owner: usize| Relation { schema: "public".to_owned(), name: "x1".to_owned(), owner };
    for (kind, needs, references, borrows) in [
        ("FK CONSTRAINT", [2, 1], vec![table(0)], vec![]),
        ("TABLE", [1, 1], vec![], vec![table(0), table(0)]),
        ("TABLE ATTACH", [2, 1], vec![], vec![table(0)]),
        ("STATISTICS", [1, 2], vec![], vec![table(0)]),
        ("VIEW", [1, 2], vec![], vec![]),
        ("INDEX", [2, 1], vec![], vec![]),
    ] {
        let entries =
            [entry(1, "TABLE", "alice", &[]), entry(2, "TABLE", "mallory", &[]), entry(3, kind, "mallory", &needs)];
        let plan = plan(&entries);
        let of = plan.before.iter().chain(&plan.after).find(|step| step.entries.contains(&3)).unwrap();
        assert_eq!((&of.references, &of.borrows), (&references, &borrows), "{kind}");
        assert_eq!(of.entries == [3], !borrows.is_empty() || kind == "FK CONSTRAINT" || kind == "INDEX", "{kind}");
    }
}

#[test]
fn event_triggers_and_what_needs_them_come_last() {
    let plan = plan(&[
        entry(1, EVENT_TRIGGER, "admin", &[]),
        entry(2, "COMMENT", "admin", &[1]),
        entry(3, "COMMENT", "admin", &[]),
        entry(4, "PUBLICATION", "admin", &[]),
    ]);
    assert_eq!((plan.last, plan.closing, plan.before), (vec![1, 2], vec![3, 4], vec![]));
}

#[test]
fn an_unknown_kind_without_an_owner_is_refused() {
    let refused = Plan::of(&[entry(1, "NOVELTY", "", &[])], &HashSet::new()).unwrap_err();
    assert!(refused.contains("NOVELTY"), "{refused}");
}

const KINDS: [&str; 14] = [
    "ENCODING", "SCHEMA", "TABLE", "TABLE DATA", "TABLE ATTACH", "FUNCTION", "SEQUENCE", "SEQUENCE SET", "INDEX",
    "FK CONSTRAINT", "ACL", REFRESH, EVENT_TRIGGER, "NOVELTY",
];

prop_compose! {
    fn any_entry()(
        kind in proptest::sample::select(KINDS.to_vec()),
        owner in proptest::sample::select(vec!["", "admin", "root", "mallory", "alice"]),
        needs in proptest::collection::vec(0_u32..14, 0..4),
    ) -> Entry {
        entry(0, kind, owner, &needs)
    }
}

proptest! {
    #[test]
    fn every_entry_is_restored_once_and_nothing_of_others_by_the_agent(
        mut entries in proptest::collection::vec(any_entry(), 0..12),
    ) {
        for (id, entry) in (1..).zip(&mut entries) {
            entry.id = id;
        }
        let superusers = HashSet::from(["admin", "root"]);
        let Ok(plan) = Plan::of(&entries, &superusers) else {
            prop_assert!(entries.iter().any(|entry| entry.owner.is_empty()));
            return Ok(());
        };
        let steps = || [&plan.before, &plan.data, &plan.after, &plan.refresh].into_iter().flatten();
        let mut restored: Vec<u32> =
            steps().flat_map(|step| &step.entries).chain(&plan.closing).chain(&plan.last).copied().collect();
        restored.sort_unstable();
        let expected: Vec<u32> =
            entries.iter().filter(|entry| entry.section != Section::Session).map(|entry| entry.id).collect();
        prop_assert_eq!(restored, expected);

        let tainted = taint::tainted(&entries, &superusers);
        for step in steps() {
            let own = entries.iter().filter(|entry| step.entries.contains(&entry.id));
            for entry in own.filter(|entry| !PLAIN.contains(&entry.kind.as_str())) {
                match step.by {
                    By::Owner(owner) => prop_assert_eq!(&plan.owners[owner].name, &entry.owner),
                    // Rows without a table are of an extension's.
                    By::Agent if entry.section == Section::Data => {}
                    By::Agent => {
                        prop_assert!(superusers.contains(entry.owner.as_str()));
                        let calls = entry.needs.iter().any(|needed| tainted.contains(needed));
                        prop_assert!(!calls || SIMPLE.contains(&entry.kind.as_str()));
                    }
                }
            }
        }
    }
}
