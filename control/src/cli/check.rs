use super::args::CheckArgs;
pub(super) fn run(_args: &CheckArgs) -> anyhow::Result<bool> {
    anyhow::bail!("not yet")
}
