//! The demo's comparison: blind to what a faithful restore may change, and to nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::process::Stdio;

use private_postgres::Server;
use xtask::demo::dataset;
use xtask::demo::fingerprint::Fingerprint;

#[test]
fn a_dump_loaded_elsewhere_has_the_same_fingerprint_and_every_damage_changes_it() {
    let original = Server::start().unwrap();
    let filled = dataset::fill(&original, 3000).unwrap();
    assert!(filled.big_table_bytes > 1_000_000);
    let before = Fingerprint::take(&original).unwrap();
    assert!(before.len() > 200);
    assert_eq!(Fingerprint::take(&original).unwrap(), before);

    let copy = Server::start().unwrap();
    let mut dump = original.client("pg_dumpall", "postgres").stdout(Stdio::piped()).spawn().unwrap();
    let loaded = copy
        .client("psql", "postgres")
        .args(["--no-psqlrc", "--quiet", "--output=/dev/null"])
        .stdin(dump.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(dump.wait().unwrap().success() && loaded.status.success());
    assert_eq!(before.differences(&Fingerprint::take(&copy).unwrap()), Vec::<String>::new());

    dataset::damage(&copy).unwrap();
    let differences = before.differences(&Fingerprint::take(&copy).unwrap()).join("\n");
    for damaged in [
        "- shop: relation sales.orders",
        "! shop: rows public.events",
        "! shop: rows sales.customers",
        "+ shop: column sales.products.intruder",
        "- shop: column public.empty_one.\"select\"",
        "- shop: function sales.total",
        "- shop: relation sales.revenue",
        "- shop: policy sales.customers.visible",
        "+ shop: relation public.intruder",
        "! shop: sequence value sales.invoice_number",
        "- shop: large object 50001",
        "! shop: large object 50002",
        "+ shop: large object 59999",
        "! shop: relation public.events",
        "- shop: comment table sales.customers",
        "+ server: database intruder",
        "- server: database größe_测试",
        "+ server: database analytics_moved",
        "- server: setting shop / every role",
        "! server: role shop_app",
        "- server: setting every database / shop_auditor",
        "- server: membership shop_app in shop_writer",
        "! server: role shop_auditor",
        "- server: role shop_temporary",
        "+ server: role intruder",
    ] {
        assert!(differences.contains(damaged), "{damaged} is not among\n{differences}");
    }
}
