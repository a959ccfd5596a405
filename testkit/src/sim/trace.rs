//! What happened, as one hash, and as lines that can be compared.

use super::link::{DropReason, NodeIndex};
use blake2b_simd::{Params, State};
use std::{collections::VecDeque, fmt};

/// Events kept for the report of a failure.
const TAIL: usize = 200;

/// The most events that a full list holds: stops a long run with `record` on from filling the memory.
const RECORD: usize = 2_000_000;

/// Bytes of a payload's digest.
const DIGEST: usize = 16;

/// A datagram's number in the order in which all datagrams were sent.
pub type DatagramNumber = u64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A node sent a datagram.
    Sent {
        /// Its number.
        datagram: DatagramNumber,
        /// By this node.
        from: NodeIndex,
        /// To this one.
        to: NodeIndex,
        /// Bytes.
        length: usize,
        /// Of its bytes.
        digest: [u8; DIGEST],
    },
    /// A datagram is gone.
    Dropped {
        /// Its number.
        datagram: DatagramNumber,
        /// For whom it was.
        to: NodeIndex,
        /// Why.
        reason: DropReason,
    },
    /// A datagram goes on with a wrong byte.
    Spoiled {
        /// Its number.
        datagram: DatagramNumber,
        /// For whom it is.
        to: NodeIndex,
    },
    /// A node can read a datagram.
    Delivered {
        /// Its number.
        datagram: DatagramNumber,
        /// Where.
        to: NodeIndex,
    },
    /// A node, or the world, has something to say.
    Said {
        /// Who; none is the world itself.
        node: Option<NodeIndex>,
        /// What.
        text: String,
    },
}

/// What happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the trace.
    pub number: u64,
    /// Virtual nanoseconds since the world began.
    pub at: u64,
    /// What.
    pub what: What,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.at / 1_000_000_000, self.at % 1_000_000_000);
        write!(f, "{:>7} {seconds:>6}.{rest:09} ", self.number)?;
        match &self.what {
            What::Sent { datagram, from, to, length, digest } => {
                write!(f, "{from} > {to} sent #{datagram} {length} B ")?;
                digest.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            What::Dropped { datagram, to, reason } => write!(f, "  > {to} dropped #{datagram} {reason:?}"),
            What::Spoiled { datagram, to } => write!(f, "  > {to} spoiled #{datagram}"),
            What::Delivered { datagram, to } => write!(f, "  > {to} delivered #{datagram}"),
            What::Said { node: Some(node), text } => write!(f, "{node} : {text}"),
            What::Said { node: None, text } => write!(f, "world: {text}"),
        }
    }
}

/// Collects events.
#[derive(Debug)]
pub struct Trace {
    state: State,
    count: u64,
    tail: VecDeque<Event>,
    words: VecDeque<(u64, String)>,
    record: Option<Vec<Event>>,
}

/// A finished trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceReport {
    /// BLAKE2b-256 over every event, payloads included, in hexadecimal digits.
    pub hash: String,
    /// How many events.
    pub count: u64,
    /// The last ones.
    pub tail: Vec<String>,
    /// The last ones that are no datagrams, and when they were, in nanoseconds.
    pub words: Vec<(u64, String)>,
    /// All of them, if they were recorded.
    pub record: Vec<String>,
}

impl Trace {
    /// Nothing happened yet. `record` keeps every event, for a comparison.
    #[must_use]
    pub fn new(record: bool) -> Self {
        let state = Params::new().hash_length(32).to_state();
        let (tail, words) = (VecDeque::new(), VecDeque::new());
        Self { state, count: 0, tail, words, record: record.then(Vec::new) }
    }

    /// A node sent these bytes.
    pub fn sent(
        &mut self,
        at: u64,
        datagram: DatagramNumber,
        (from, to): (NodeIndex, NodeIndex),
        bytes: &[u8],
    ) {
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(Params::new().hash_length(DIGEST).hash(bytes).as_bytes());
        self.push(at, What::Sent { datagram, from, to, length: bytes.len(), digest });
    }

    /// Anything else.
    pub fn push(&mut self, at: u64, what: What) {
        absorb(&mut self.state, at, &what);
        let event = Event { number: self.count, at, what };
        self.count = self.count.saturating_add(1);
        if let Some(record) = self.record.as_mut().filter(|record| record.len() < RECORD) {
            record.push(event.clone());
        }
        if let What::Said { node, text } = &event.what {
            let who = node.map_or_else(|| "world".to_owned(), |node| node.to_string());
            keep(&mut self.words, (at, format!("{who}: {text}")));
        }
        keep(&mut self.tail, event);
    }

    /// How many events there were.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What happened so far.
    #[must_use]
    pub fn report(&self) -> TraceReport {
        TraceReport {
            hash: self.state.finalize().to_hex().to_string(),
            count: self.count,
            tail: self.tail.iter().map(Event::to_string).collect(),
            words: self.words.iter().cloned().collect(),
            record: self.record.iter().flatten().map(Event::to_string).collect(),
        }
    }
}

/// Keeps the last [`TAIL`] of what is put in.
fn keep<T>(last: &mut VecDeque<T>, newest: T) {
    if last.len() == TAIL {
        last.pop_front();
    }
    last.push_back(newest);
}

fn absorb(state: &mut State, at: u64, what: &What) {
    let node = |node: &NodeIndex| node.0.to_le_bytes();
    state.update(&at.to_le_bytes());
    match what {
        What::Sent { datagram, from, to, length, digest } => {
            let length = u64::try_from(*length).unwrap_or(u64::MAX);
            state.update(b"S").update(&datagram.to_le_bytes()).update(&node(from)).update(&node(to));
            state.update(&length.to_le_bytes()).update(digest);
        }
        What::Dropped { datagram, to, reason } => {
            state.update(b"X").update(&datagram.to_le_bytes()).update(&node(to));
            state.update(format!("{reason:?}").as_bytes());
        }
        What::Spoiled { datagram, to } => {
            state.update(b"P").update(&datagram.to_le_bytes()).update(&node(to));
        }
        What::Delivered { datagram, to } => {
            state.update(b"D").update(&datagram.to_le_bytes()).update(&node(to));
        }
        What::Said { node: who, text } => {
            let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
            state.update(b"A").update(&who.as_ref().map_or([0xff; 2], node));
            state.update(&length.to_le_bytes()).update(text.as_bytes());
        }
    }
}

/// Where two recorded traces part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The lines before, which agree.
    pub before: Vec<String>,
    /// The first line of one that the other has not.
    pub left: Option<String>,
    /// The first line of the other.
    pub right: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = || "(the end)".to_owned();
        for line in &self.before {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "- {}", self.left.clone().unwrap_or_else(end))?;
        write!(f, "+ {}", self.right.clone().unwrap_or_else(end))
    }
}

/// The first event in which two traces differ, with the few before it.
#[must_use]
pub fn first_difference(left: &[String], right: &[String]) -> Option<Difference> {
    let length = left.len().max(right.len());
    let at = (0..length).find(|at| left.get(*at) != right.get(*at))?;
    let before = left.get(at.saturating_sub(8)..at).unwrap_or_default().to_vec();
    Some(Difference { before, left: left.get(at).cloned(), right: right.get(at).cloned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(payload: &[u8], text: &str) -> TraceReport {
        let mut trace = Trace::new(true);
        trace.sent(1_500_000_000, 0, (NodeIndex(1), NodeIndex(2)), payload);
        trace.push(2, What::Dropped { datagram: 0, to: NodeIndex(2), reason: DropReason::Lost });
        trace.push(3, What::Said { node: None, text: text.to_owned() });
        trace.report()
    }

    #[test]
    fn every_byte_counts_and_the_first_difference_is_found() {
        let (a, same, other) = (trace(b"one", "x"), trace(b"one", "x"), trace(b"two", "x"));
        assert_eq!(a, same);
        assert_ne!(a.hash, other.hash);
        assert_ne!(a.hash, trace(b"one", "y").hash);
        assert_eq!(first_difference(&a.record, &same.record), None);
        let found = first_difference(&a.record, &trace(b"one", "y").record).unwrap();
        assert_eq!(found.before, a.record[..2]);
        assert!(found.to_string().ends_with("world: y"), "{found}");
        let short = first_difference(&a.record, &a.record[..1]).unwrap();
        assert_eq!(short.right, None);
    }

    #[test]
    fn the_tail_is_bounded() {
        let mut trace = Trace::new(false);
        for n in 0..1000 {
            trace.push(n, What::Said { node: None, text: n.to_string() });
        }
        let report = trace.report();
        assert_eq!((report.count, report.tail.len(), report.record.len()), (1000, TAIL, 0));
        assert!(report.tail[TAIL - 1].ends_with("world: 999"));
        assert_eq!((report.words.len(), &report.words[TAIL - 1]), (TAIL, &(999, "world: 999".to_owned())));
    }
}
