//! A node of a world: the services that ship, stepped, over a store in memory.

use super::{
    habits::{self, BODIES, HEADERS, Habit},
    store::ToyStore,
    wires::WireId,
};
use crate::sim::NodeIndex;
use bytes::{Buf, Bytes};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use zakura_block_sync::{BlockSyncConfig, BlockSyncHandle, SteppedBlockSync};
use zakura_header_sync::{HeaderSyncConfig, HeaderSyncHandle, SteppedHeaderSync, ports::HeaderChain};
use zakura_transport::{
    Exit, Fence, Frame, PeerId, PeerInfo,
    routine::{SteppedJob, SteppedRoutine, SteppedService},
    wire::FrameAssembler,
};

/// A session's place: the connection and the service.
pub type Seat = (WireId, usize);

/// One side of one stream.
struct Live {
    peer: NodeIndex,
    routine: Box<dyn SteppedRoutine>,
    frames: FrameAssembler,
    /// Bytes that leave once the gate opens.
    gated: VecDeque<Bytes>,
    gate: u64,
    /// Whether it may have more to say than it has said.
    has_more: bool,
}

/// What a session said in a turn.
#[derive(Default)]
struct Spoken {
    bytes: Vec<Bytes>,
    acts: u32,
}

impl Live {
    /// Takes what the routine says, lets the habit have its way, and lets go what no gate holds.
    fn speak(
        &mut self,
        at: u64,
        mut room: impl FnMut() -> bool,
        mut send: impl FnMut(Frame) -> habits::Sent,
    ) -> Spoken {
        let mut spoken = Spoken::default();
        self.has_more = false;
        while room()
            && let Some(frame) = self.routine.take_frame()
        {
            self.has_more = true;
            let sent = send(frame);
            spoken.acts = spoken.acts.saturating_add(u32::from(sent.acted));
            if sent.delay > 0 {
                self.gate = self.gate.max(at.saturating_add(sent.delay));
            }
            self.gated.extend(sent.frames.iter().map(encode));
        }
        if self.gate <= at {
            spoken.bytes.extend(self.gated.drain(..));
        }
        spoken
    }
}

/// What a node that runs consists of.
struct Running {
    services: [Box<dyn SteppedService>; 2],
    live: BTreeMap<Seat, Live>,
}

/// One node.
pub struct Node {
    /// Its number.
    pub index: NodeIndex,
    /// Its identity.
    pub id: PeerId,
    /// What it does to others.
    pub habit: Habit,
    /// Its store: what stays when it crashes.
    pub store: ToyStore,
    /// How often it has started.
    pub epoch: u32,
    /// How often its habit showed.
    pub acts: u64,
    /// What it says of its headers and bodies, while it runs.
    pub handles: Option<(HeaderSyncHandle, BlockSyncHandle)>,
    config: (HeaderSyncConfig, BlockSyncConfig),
    rng: ChaCha8Rng,
    running: Option<Running>,
    /// The earliest wake that is entered into the agenda.
    pub wake_entered: Option<u64>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("index", &self.index).field("habit", &self.habit).finish_non_exhaustive()
    }
}

/// What came out of a node's turn.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Bytes for the wire.
    pub bytes: Vec<(Seat, Bytes)>,
    /// Sessions in which the node has done what its habit is.
    pub acts: Vec<Seat>,
    /// Sessions that ended, with whom and why.
    pub exits: Vec<(Seat, NodeIndex, Exit)>,
    /// Work for the pool, by service.
    pub jobs: Vec<(usize, SteppedJob)>,
    /// When to look again, as an offset.
    pub wake: Option<u64>,
}

impl Node {
    /// A node that does not run yet.
    #[must_use]
    pub fn new(
        (index, id, habit): (NodeIndex, PeerId, Habit),
        store: ToyStore,
        config: (HeaderSyncConfig, BlockSyncConfig),
        rng: ChaCha8Rng,
    ) -> Self {
        let (handles, running, wake_entered) = (None, None, None);
        Self { index, id, habit, store, epoch: 0, acts: 0, handles, config, rng, running, wake_entered }
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Starts it over what its store holds.
    pub fn start(&mut self, now: Instant) {
        let chain: Arc<dyn HeaderChain> = Arc::new(self.store.clone());
        let (headers, header_handle) = SteppedHeaderSync::new(chain, &self.config.0);
        let store = Arc::new(self.store.clone());
        let (bodies, body_handle) =
            SteppedBlockSync::new(now, store, header_handle.views(), self.config.1.clone());
        self.handles = Some((header_handle, body_handle));
        self.epoch = self.epoch.saturating_add(1);
        self.wake_entered = None;
        self.running =
            Some(Running { services: [Box::new(headers), Box::new(bodies)], live: BTreeMap::new() });
    }

    /// Stops it as a power cut would: nothing is said to anybody.
    pub fn crash(&mut self) {
        self.handles = None;
        self.running = None;
    }

    /// Begins a session.
    pub fn open(&mut self, now: Instant, seat: Seat, peer: NodeIndex, info: &PeerInfo) {
        let Some(running) = &mut self.running else { return };
        let Some(service) = running.services.get_mut(seat.1) else { return };
        let routine = service.open(now, info, Fence::mint());
        let spec = service.stream();
        let max_frame = spec.max_frame;
        let frames = FrameAssembler::new(spec, max_frame);
        running
            .live
            .insert(seat, Live { peer, routine, frames, gated: VecDeque::new(), gate: 0, has_more: true });
    }

    /// Ends a session from outside, as the end of its connection would. Whether there was one.
    pub fn cut(&mut self, seat: Seat) -> bool {
        self.running.as_mut().is_some_and(|running| running.live.remove(&seat).is_some())
    }

    /// Whether there is such a session.
    #[must_use]
    pub fn sits(&self, seat: Seat) -> bool {
        self.running.as_ref().is_some_and(|running| running.live.contains_key(&seat))
    }

    /// The peer has ended the stream.
    pub fn finish(&mut self, seat: Seat) {
        if let Some(live) = self.running.as_mut().and_then(|running| running.live.get_mut(&seat)) {
            live.routine.finish();
        }
    }

    /// Bytes have come. A fault of the frames themselves comes back.
    pub fn receive(&mut self, seat: Seat, bytes: Vec<Bytes>) -> Option<(NodeIndex, Exit)> {
        let live = self.running.as_mut()?.live.get_mut(&seat)?;
        for mut piece in bytes {
            while piece.has_remaining() {
                match live.frames.feed(&mut piece) {
                    Ok(Some(frame)) => live.routine.frame(frame),
                    Ok(None) => {}
                    Err(violation) => return Some((live.peer, Exit::Violation(violation))),
                }
            }
        }
        None
    }

    /// A job is done.
    pub fn done(&mut self, now: Instant, service: usize, job: SteppedJob) {
        let result = job.run();
        if let Some(service) = self.running.as_mut().and_then(|running| running.services.get_mut(service)) {
            service.done(now, result);
        }
    }

    /// Lets everything that is due happen. `room` says whether a seat's wire takes more.
    pub fn turn(&mut self, start: Instant, at: u64, mut room: impl FnMut(Seat) -> bool) -> Outcome {
        let now = start + Duration::from_nanos(at);
        let mut outcome = Outcome::default();
        let Some(running) = &mut self.running else { return outcome };
        loop {
            let mut moved = false;
            for service in [HEADERS, BODIES] {
                let Some(desk) = running.services.get_mut(service) else { continue };
                let jobs = desk.advance(now);
                moved |= !jobs.is_empty();
                outcome.jobs.extend(jobs.into_iter().map(|job| (service, job)));
            }
            let mut ended = Vec::new();
            for (seat, live) in &mut running.live {
                if !live.has_more && !live.routine.is_due(now) && live.gated.is_empty() {
                    continue;
                }
                let exit = live.routine.turn(now).cloned();
                let sent = live.speak(
                    at,
                    || room(*seat),
                    |frame| habits::send(self.habit, seat.1, frame, &mut self.rng),
                );
                moved |= live.has_more;
                self.acts = self.acts.saturating_add(u64::from(sent.acts));
                outcome.acts.extend((0..sent.acts).map(|_| *seat));
                outcome.bytes.extend(sent.bytes.into_iter().map(|bytes| (*seat, bytes)));
                if let Some(exit) = exit {
                    ended.push((*seat, live.peer, exit));
                }
            }
            moved |= !ended.is_empty();
            for (seat, ..) in &ended {
                running.live.remove(seat);
            }
            outcome.exits.extend(ended);
            if !moved {
                break;
            }
        }
        outcome.wake = running.wake(now).map(|wake| nanos(wake.saturating_duration_since(start)));
        let gates = running.live.values().filter(|live| !live.gated.is_empty()).map(|live| live.gate);
        outcome.wake = outcome.wake.into_iter().chain(gates).min();
        outcome
    }

    /// The services, for those who check.
    pub fn services(&self) -> impl Iterator<Item = &dyn SteppedService> {
        self.running.iter().flat_map(|running| running.services.iter().map(AsRef::as_ref))
    }

    /// How many sessions it has.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.live.len())
    }
}

impl Running {
    fn wake(&self, now: Instant) -> Option<Instant> {
        let services = self.services.iter().filter_map(|service| service.wake(now));
        services.chain(self.live.values().filter_map(|live| live.routine.deadline())).min()
    }
}

fn encode(frame: &Frame) -> Bytes {
    let mut bytes = frame.encode_front().to_vec();
    bytes.extend_from_slice(&frame.body);
    bytes.into()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
