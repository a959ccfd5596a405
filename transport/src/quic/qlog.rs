//! QUIC's own trace of single connections, in files (the qlog drafts of the IETF's QUIC group, JSON text sequences).

use crate::observe::{rationed, target};
use quinn::{QlogConfig, QlogStream};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::time::Instant;

/// Connections that are traced at once: stops many peers from keeping the disk busy.
const AT_ONCE: usize = 8;
/// Traces begun in an endpoint's life: stops a peer that comes and goes from filling the disk.
const IN_ALL: usize = 256;
/// Bytes of one trace, after which it ends at a whole line: stops one long connection from filling the disk.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that are gathered before they are written.
const GATHERED: usize = 64 * 1024;

/// Where traces go. Clones are the same place.
#[derive(Debug, Clone)]
pub(super) struct Traces(Arc<Place>);

#[derive(Debug)]
struct Place {
    dir: PathBuf,
    begun: AtomicUsize,
    live: AtomicUsize,
}

impl Traces {
    pub(super) fn into_dir(dir: PathBuf) -> Self {
        Self(Arc::new(Place { dir, begun: AtomicUsize::new(0), live: AtomicUsize::new(0) }))
    }

    /// A trace for a connection that begins now, unless there are enough.
    pub(super) fn open(&self, way: &'static str, with: SocketAddr) -> Option<QlogStream> {
        let seat = self.seat()?;
        let begun = &self.0.begun;
        let file = loop {
            let take = |begun: usize| (begun < IN_ALL).then_some(begun.saturating_add(1));
            let number = begun.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
            let path = self.0.dir.join(format!("{number:03}-{way}-{}-{}.sqlog", with.ip(), with.port()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => break file,
                // From a life before this one: it stays as it is.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    rationed!(warn, target::ENDPOINT, path = %path.display(), %error, "no trace can be written");
                    return None;
                }
            }
        };
        let mut config = QlogConfig::default();
        config.start_time(Instant::now().into_std());
        config.writer(Box::new(Trace { file, line: Vec::new(), whole: 0, left: MOST_BYTES, _seat: seat }));
        config.into_stream()
    }

    fn seat(&self) -> Option<Seat> {
        let take = |live: usize| (live < AT_ONCE).then_some(live.saturating_add(1));
        self.0.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Seat(Arc::clone(&self.0)))
    }
}

/// One of the traces that may be written at once.
#[derive(Debug)]
struct Seat(Arc<Place>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One trace. It never fails: when its bytes are used up or the disk refuses, the rest is left out, for QUIC would log every
/// event that it cannot write.
#[derive(Debug)]
struct Trace<W: Write = File> {
    file: W,
    /// What is not written yet; its first `whole` bytes are whole lines.
    line: Vec<u8>,
    whole: usize,
    left: usize,
    _seat: Seat,
}

impl<W: Write> Trace<W> {
    fn write_out(&mut self) {
        let whole = self.line.get(..self.whole).unwrap_or_default();
        match self.left.checked_sub(whole.len()) {
            Some(left) if self.file.write_all(whole).is_ok() => self.left = left,
            Some(_) | None => self.left = 0,
        }
        self.line.drain(..self.whole);
        self.whole = 0;
    }
}

impl<W: Write> Write for Trace<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(bytes.len());
        }
        self.line.extend_from_slice(bytes);
        if bytes.ends_with(b"\n") {
            if self.line.len() > self.left {
                self.write_out();
                self.left = 0;
                self.line = Vec::new();
                return Ok(bytes.len());
            }
            self.whole = self.line.len();
        }
        if self.whole >= GATHERED {
            self.write_out();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out();
        Ok(())
    }
}

impl<W: Write> Drop for Trace<W> {
    fn drop(&mut self) {
        self.write_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces() -> Traces {
        Traces::into_dir(PathBuf::from("nowhere-at-all"))
    }

    fn seat() -> Seat {
        traces().seat().unwrap()
    }

    #[test]
    fn so_many_are_traced_at_once_and_no_more() {
        let traces = traces();
        let seats: Vec<_> = (0..AT_ONCE).map(|_| traces.seat().unwrap()).collect();
        assert!(traces.seat().is_none());
        drop(seats);
        assert!(traces.seat().is_some(), "an end gives the place back");
    }

    #[test]
    fn a_directory_that_is_not_there_costs_only_the_trace() {
        let traces = traces();
        let with = "127.0.0.1:9".parse().unwrap();
        assert!(traces.open("in", with).is_none());
        assert_eq!(traces.0.live.load(Ordering::Relaxed), 0);
        let numbers = traces.0.begun.load(Ordering::Relaxed);
        traces.0.begun.store(IN_ALL, Ordering::Relaxed);
        assert!(traces.open("in", with).is_none());
        assert_eq!((numbers, traces.0.begun.load(Ordering::Relaxed)), (1, IN_ALL));
    }

    #[test]
    fn a_trace_ends_at_a_whole_line_within_its_bytes() {
        let mut out = Vec::new();
        let mut trace = Trace { file: &mut out, line: Vec::new(), whole: 0, left: 20, _seat: seat() };
        for line in [&b"{\"a\":1}\n"[..], b"{\"b\":2}\n", b"{\"c\":3}\n", b"{}\n"] {
            for half in line.chunks(5) {
                trace.write_all(half).unwrap();
            }
        }
        drop(trace);
        assert_eq!(out, b"{\"a\":1}\n{\"b\":2}\n", "what does not fit, and all behind it, is left out");
    }
}
