//! The benchmark of queues, small, with our queue alone: peers are not installed in tests.

use std::process::Command;

#[test]
fn a_small_run_measures_our_queue_in_every_scenario_and_writes_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_backup-bench"))
        .args(["queue", "--only", "ours", "--measure", "drain,latency,enqueue,floor", "--rounds", "1"])
        .args(["--jobs", "200", "--history", "1000", "--bulk", "500", "--samples", "5", "--write"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("MISSING"), "{text}");

    let written =
        |name: &str| std::fs::read_to_string(folder.path().join("docs/benchmarks").join(name)).unwrap();
    let csv = written("queue.csv");
    for scenario in ["plain", "history", "open"] {
        assert!(csv.contains(&format!("drain_jobs,{scenario},\"ours\",1,200.000\n")), "{csv}");
        let latencies = csv
            .lines()
            .find_map(|line| line.strip_prefix(&format!("latency_ms_after_commit,{scenario},\"ours\",1,")));
        assert_eq!(latencies.map(|values| values.split(' ').count()), Some(5), "{csv}");
    }
    for floor in ["our statements, batch 100", "least table, batch 1"] {
        assert!(csv.contains(&format!("floor_jobs_per_second,plain,\"{floor}\",1,")), "{csv}");
    }
    assert!(written("queue.md").contains("| ours |"));
    assert!(written("queue.svg").ends_with("</svg>\n"));
}
