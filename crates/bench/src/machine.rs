//! What a reader must know of the machine and the programs to judge the figures.

use std::process::Command;

/// Lines of `name: value`.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: String, begin: &str, divider: char| {
        let line = text.lines().find(|line| line.starts_with(begin)).unwrap_or_default().to_owned();
        line.split_once(divider)
            .map(|(_, value)| value.trim().trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map(usize::from).unwrap_or_default();
    let cpu = after(file("/proc/cpuinfo"), "model name", ':');
    let memory: f64 = after(file("/proc/meminfo"), "MemTotal", ':')
        .split_whitespace()
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or_default();
    vec![
        ("machine", format!("{cores} cores ({cpu}), {:.0} GiB of memory", (memory / 1024.0 / 1024.0).ceil())),
        ("system", after(file("/etc/os-release"), "PRETTY_NAME", '=')),
        (
            "load average before the run",
            file("/proc/loadavg").split_whitespace().next().unwrap_or_default().to_owned(),
        ),
        ("rustc", output("rustc", &["--version"])),
        ("wrk", output("wrk", &["--version"]).split('[').next().unwrap_or_default().trim().to_owned()),
        ("commit", output("git", &["describe", "--always", "--dirty"])),
    ]
}

/// The first line a program prints; wrk prints its version with a failure.
fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .and_then(|output| String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned))
        .unwrap_or_default()
}
