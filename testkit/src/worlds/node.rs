//! A node of a world: the services that ship, stepped, over a store in memory.

use super::{
    habits::{self, BODIES, HEADERS, Habit},
    judge::Watch,
    store::NodeStore,
    wires::WireId,
};
use crate::sim::NodeIndex;
use bytes::{Buf, Bytes};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
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
    session: Fence,
    /// Since when it has nothing to do though it could be asked.
    idle_since: Option<u64>,
    routine: Box<dyn SteppedRoutine>,
    frames: FrameAssembler,
    /// Bytes that leave once the gate opens.
    gated: VecDeque<Bytes>,
    gate: u64,
    /// When it is to be looked at although nothing has come, as it is filed.
    alarm: Option<Instant>,
}

/// One session, for those who check.
pub struct Seated<'n> {
    /// With whom.
    pub peer: NodeIndex,
    /// Its generation.
    pub session: Fence,
    /// Since when it has nothing to do though it could be asked, in nanoseconds.
    pub idle_since: Option<u64>,
    /// Its routine.
    pub routine: &'n dyn SteppedRoutine,
}

impl std::fmt::Debug for Seated<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seated").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// What a session said in a turn.
#[derive(Default)]
struct Spoken {
    bytes: Vec<Bytes>,
    acts: u32,
    /// Whether it said anything: then it may have more to say.
    is_talking: bool,
    /// Whether its wire took no more.
    is_held: bool,
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
        loop {
            if !room() {
                spoken.is_held = true;
                break;
            }
            let Some(frame) = self.routine.take_frame() else { break };
            spoken.is_talking = true;
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

    /// When it is to be looked at although nothing has come.
    fn next_alarm(&self, start: Instant) -> Option<Instant> {
        let gate = (!self.gated.is_empty()).then(|| start + Duration::from_nanos(self.gate));
        self.routine.deadline().into_iter().chain(gate).min()
    }
}

/// What a node that runs consists of.
struct Running {
    services: [Box<dyn SteppedService>; 2],
    live: BTreeMap<Seat, Live>,
    /// Sessions to look at in the next turn: something has come for them, or their wire took no more.
    stirred: BTreeSet<Seat>,
    /// When which session is due.
    alarms: BTreeSet<(Instant, Seat)>,
    /// Each service's pulse when all its sessions were last looked at.
    pulses: [Option<u64>; 2],
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
    pub store: NodeStore,
    /// Seconds that its wall clock is ahead of the true time.
    pub ahead: i64,
    /// How often it has started.
    pub epoch: u32,
    /// How often its habit showed.
    pub acts: u64,
    /// What it counts, for the judge.
    pub watch: Watch,
    /// The time of its last turn.
    pub now: Option<Instant>,
    /// The same in virtual nanoseconds.
    pub turned_at: u64,
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
        store: NodeStore,
        config: (HeaderSyncConfig, BlockSyncConfig),
        rng: ChaCha8Rng,
    ) -> Self {
        let (handles, running, wake_entered) = (None, None, None);
        Self {
            index,
            id,
            habit,
            store,
            ahead: 0,
            epoch: 0,
            acts: 0,
            watch: Watch::default(),
            now: None,
            turned_at: 0,
            handles,
            config,
            rng,
            running,
            wake_entered,
        }
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
        self.watch.begin();
        self.wake_entered = None;
        self.running = Some(Running::new([Box::new(headers), Box::new(bodies)]));
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
        let session = Fence::mint();
        let routine = service.open(now, info, session);
        let spec = service.stream();
        let max_frame = spec.max_frame;
        let frames = FrameAssembler::new(spec, max_frame);
        let (gated, gate) = (VecDeque::new(), 0);
        let live = Live { peer, session, idle_since: None, routine, frames, gated, gate, alarm: None };
        running.remove(seat);
        running.live.insert(seat, live);
        running.stirred.insert(seat);
    }

    /// Ends a session from outside, as the end of its connection would. Whether there was one.
    pub fn cut(&mut self, seat: Seat) -> bool {
        self.running.as_mut().is_some_and(|running| running.remove(seat))
    }

    /// Whether there is such a session.
    #[must_use]
    pub fn sits(&self, seat: Seat) -> bool {
        self.running.as_ref().is_some_and(|running| running.live.contains_key(&seat))
    }

    /// The peer has ended the stream.
    pub fn finish(&mut self, seat: Seat) {
        if let Some(live) = self.running.as_mut().and_then(|running| running.stir(seat)) {
            live.routine.finish();
        }
    }

    /// Bytes have come. A fault of the frames themselves comes back.
    pub fn receive(&mut self, seat: Seat, bytes: Vec<Bytes>) -> Option<(NodeIndex, Exit)> {
        let live = self.running.as_mut()?.stir(seat)?;
        for mut piece in bytes {
            while piece.has_remaining() {
                match live.frames.feed(&mut piece) {
                    Ok(Some(frame)) => {
                        self.watch.frame(&frame);
                        live.routine.frame(frame);
                    }
                    Ok(None) => {}
                    Err(violation) => return Some((live.peer, Exit::Violation(violation))),
                }
            }
        }
        None
    }

    /// A job is done.
    pub fn done(&mut self, now: Instant, place: usize, job: SteppedJob) {
        if let Some(service) = self.running.as_mut().and_then(|running| running.services.get_mut(place)) {
            self.watch.take_back(now, (place, service.as_mut()), job, || self.store.faults());
        }
    }

    /// Lets everything that is due happen. `room` says whether a seat's wire takes more.
    pub fn turn(&mut self, start: Instant, at: u64, mut room: impl FnMut(Seat) -> bool) -> Outcome {
        let now = start + Duration::from_nanos(at);
        let mut outcome = Outcome::default();
        (self.now, self.turned_at) = (Some(now), at);
        let Some(running) = &mut self.running else { return outcome };
        let mut held = BTreeSet::new();
        loop {
            for service in [HEADERS, BODIES] {
                let Some(desk) = running.services.get_mut(service) else { continue };
                let jobs = desk.advance(now);
                jobs.iter().for_each(|job| self.watch.gave(service, job));
                outcome.jobs.extend(jobs.into_iter().map(|job| (service, job)));
            }
            let seats = running.take_due(now);
            if seats.is_empty() {
                break;
            }
            for seat in seats {
                let Some(live) = running.live.get_mut(&seat) else { continue };
                let exit = live.routine.turn(now).cloned();
                let is_idle = live.routine.duty().is_idle();
                live.idle_since = is_idle.then(|| live.idle_since.unwrap_or(at));
                let spoken = live.speak(
                    at,
                    || room(seat),
                    |frame| habits::send(self.habit, seat.1, frame, &self.store, &mut self.rng),
                );
                if spoken.is_held {
                    held.insert(seat);
                } else if spoken.is_talking {
                    running.stirred.insert(seat);
                }
                self.acts = self.acts.saturating_add(u64::from(spoken.acts));
                outcome.acts.extend((0..spoken.acts).map(|_| seat));
                outcome.bytes.extend(spoken.bytes.into_iter().map(|bytes| (seat, bytes)));
                if let Some(exit) = exit {
                    outcome.exits.push((seat, live.peer, exit));
                    running.remove(seat);
                } else {
                    running.file(start, seat);
                }
            }
        }
        running.stirred.extend(held);
        outcome.wake = running.wake(now).map(|wake| nanos(wake.saturating_duration_since(start)));
        outcome
    }

    /// The services, for those who check.
    pub fn services(&self) -> impl Iterator<Item = &dyn SteppedService> {
        self.running.iter().flat_map(|running| running.services.iter().map(AsRef::as_ref))
    }

    /// The sessions of one service, for those who check.
    pub fn seated(&self, place: usize) -> impl Iterator<Item = Seated<'_>> {
        let live = self.running.iter().flat_map(|running| &running.live);
        live.filter(move |((_, service), _)| *service == place).map(|(_, live)| Seated {
            peer: live.peer,
            session: live.session,
            idle_since: live.idle_since,
            routine: live.routine.as_ref(),
        })
    }

    /// How many sessions it has.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.live.len())
    }
}

impl Running {
    fn new(services: [Box<dyn SteppedService>; 2]) -> Self {
        let (live, stirred, alarms) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { services, live, stirred, alarms, pulses: [None; 2] }
    }

    /// A session for which something has come.
    fn stir(&mut self, seat: Seat) -> Option<&mut Live> {
        let live = self.live.get_mut(&seat)?;
        self.stirred.insert(seat);
        Some(live)
    }

    fn remove(&mut self, seat: Seat) -> bool {
        self.stirred.remove(&seat);
        let Some(live) = self.live.remove(&seat) else { return false };
        if let Some(alarm) = live.alarm {
            self.alarms.remove(&(alarm, seat));
        }
        true
    }

    /// Files a session under the time at which it is to be looked at again.
    fn file(&mut self, start: Instant, seat: Seat) {
        let Some(live) = self.live.get_mut(&seat) else { return };
        let next = live.next_alarm(start);
        if next == live.alarm {
            return;
        }
        if let Some(alarm) = std::mem::replace(&mut live.alarm, next) {
            self.alarms.remove(&(alarm, seat));
        }
        self.alarms.extend(next.map(|alarm| (alarm, seat)));
    }

    /// The sessions that have something to do now. A service's pulse is looked at by all of its sessions.
    fn take_due(&mut self, now: Instant) -> BTreeSet<Seat> {
        let mut seats = std::mem::take(&mut self.stirred);
        let late = self.alarms.iter().take_while(|(at, _)| *at <= now);
        seats.extend(late.map(|(_, seat)| *seat));
        for (service, desk) in self.services.iter().enumerate() {
            let Some(pulse) = self.pulses.get_mut(service) else { continue };
            if pulse.replace(desk.pulse()) != Some(desk.pulse()) {
                let all =
                    self.live.iter().filter(|((_, of), live)| *of == service && live.routine.is_due(now));
                seats.extend(all.map(|(seat, _)| *seat));
            }
        }
        seats
    }

    fn wake(&self, now: Instant) -> Option<Instant> {
        let services = self.services.iter().filter_map(|service| service.wake(now));
        services.chain(self.alarms.first().map(|(at, _)| *at)).min()
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
