//! What a run cost, as the kernel counts it.

use std::{fs, path::PathBuf, time::Duration};

/// The processor time of one thread.
#[derive(Debug, Clone)]
pub struct ThreadTime(PathBuf);

impl ThreadTime {
    /// Of the calling thread; any thread may read it. None where the kernel does not tell.
    #[must_use]
    pub fn of_this_thread() -> Option<Self> {
        let thread = fs::read_link("/proc/thread-self").ok()?;
        Some(Self(PathBuf::from("/proc").join(thread).join("schedstat")))
    }

    /// Processor time since the thread began. None once it has ended.
    #[must_use]
    pub fn spent(&self) -> Option<Duration> {
        let text = fs::read_to_string(&self.0).ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}

/// Memory that the process has in RAM now, in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        let time = ThreadTime::of_this_thread().unwrap();
        let before = time.spent().unwrap();
        while time.spent().unwrap() == before {
            std::hint::spin_loop();
        }
        assert!(resident_bytes().unwrap() > 100_000);
    }
}
