//! The command line of `backup-chaos`.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("there is no schedule of faults yet")
}
