//! Programs that are started, waited for, and ended when their time is over.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

/// How often a program is looked after.
const LOOK: Duration = Duration::from_millis(20);

/// What a program said.
#[derive(Debug)]
pub(super) struct Ended {
    /// How it ended; nothing if its time was over.
    pub(super) status: Option<ExitStatus>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ended {
    /// Whether it came to its own end, and a good one.
    pub(super) fn worked(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// The last lines of what it complained of.
    pub(super) fn tail(&self) -> String {
        let lines: Vec<_> = self.err.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n");
        if self.status.is_none() { format!("its time was over\n{last}") } else { last }
    }
}

/// Runs a program to its end, for `limit` at most. What it says goes through files in `scratch`: a pipe would fill.
///
/// # Errors
///
/// If it cannot be started or followed.
pub(super) fn run(command: &mut Command, limit: Duration, scratch: &Path) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let told = |error: std::io::Error| format!("{name}: {error}");
    let (out, err) = (scratch.join("out.txt"), scratch.join("err.txt"));
    command.stdin(Stdio::null());
    command.stdout(File::create(&out).map_err(told)?).stderr(File::create(&err).map_err(told)?);
    #[cfg(unix)]
    {
        // A group of its own: what cargo started ends with cargo.
        std::os::unix::process::CommandExt::process_group(command, 0);
    }
    let mut child = command.spawn().map_err(told)?;
    let status = wait(&mut child, limit).map_err(told)?;
    let read = |path: &Path| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok(Ended { status, out: read(&out).map_err(told)?, err: read(&err).map_err(told)? })
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = tokio::time::Instant::now();
    while began.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(LOOK);
    }
    end(child)?;
    Ok(None)
}

/// Ends a program and what it started.
fn end(child: &mut Child) -> std::io::Result<()> {
    if cfg!(unix) {
        // If there is no such program, the child itself still ends below.
        drop(Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status());
    }
    child.kill()?;
    child.wait().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str, limit: Duration) -> Ended {
        let scratch = tempfile::tempdir().unwrap();
        run(Command::new("sh").args(["-c", line]), limit, scratch.path()).unwrap()
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_told() {
        let good = shell("echo a; echo b >&2", Duration::from_secs(30));
        assert!(good.worked());
        assert_eq!((good.out.as_str(), good.err.as_str()), ("a\n", "b\n"));
        assert!(!shell("exit 3", Duration::from_secs(30)).worked());
    }

    #[test]
    fn a_program_whose_time_is_over_ends_with_all_that_it_started() {
        let scratch = tempfile::tempdir().unwrap();
        let alive = scratch.path().join("alive");
        let line = format!("(while :; do touch {}; sleep 0.05; done) & wait", alive.display());
        let ended = run(Command::new("sh").args(["-c", &line]), Duration::from_millis(500), scratch.path());
        let ended = ended.unwrap();
        assert!(ended.status.is_none() && !ended.worked());
        assert!(ended.tail().contains("time was over"));
        // A touch that was under way may still have been done; after it nobody is left to touch.
        thread::sleep(Duration::from_millis(300));
        fs::remove_file(&alive).unwrap();
        thread::sleep(Duration::from_millis(300));
        assert!(!alive.exists());
    }
}
