//! How much memory a process has in use, and had at most: Linux tells in `/proc`.

use anyhow::Context;

/// Forgets the largest figure so far, so that [`peak_mib`] speaks of the time from now on.
///
/// # Errors
/// When the process is not ours.
pub(crate) fn reset_peak(pid: u32) -> anyhow::Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak of memory cannot be reset")
}

/// The most resident memory since [`reset_peak`], in MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    figure(&std::fs::read_to_string(format!("/proc/{pid}/status"))?, "VmHWM:")
}

/// The resident memory now, in MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn now_mib(pid: u32) -> anyhow::Result<f64> {
    figure(&std::fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:")
}

fn figure(status: &str, name: &str) -> anyhow::Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("/proc tells no {name}"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn kibibytes_become_mebibytes() {
        let status = "Name:\tapi\nVmHWM:\t   65536 kB\nVmRSS:\t    2048 kB\n";
        assert!((figure(status, "VmHWM:").unwrap() - 64.0).abs() < 1e-9);
        assert!((figure(status, "VmRSS:").unwrap() - 2.0).abs() < 1e-9);
        assert!(figure(status, "VmSwap:").is_err());
    }
}
