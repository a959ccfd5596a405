//! What peers do beside or against the protocol. Every peer of a world runs the code that ships; a habit changes what
//! leaves it, and its store what it says.

use super::store::NodeStore;
use bytes::{BufMut, Bytes, BytesMut};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::fmt;
use zakura_header_sync::{chain::Height, ports::HeaderChain as _};
use zakura_transport::Frame;

/// What a peer does to others, as the world knows and they do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// Nothing odd.
    Honest,
    /// Honest behind a thin line.
    Slow,
    /// Honest, with a line that loses much.
    Lossy,
    /// Honest, without the bodies of old blocks.
    Pruned,
    /// Honest, on a branch with less work.
    Forked,
    /// Honest, and goes away and comes back.
    Restarting,
    /// Honest, and answers long after it was asked.
    Late,
    /// Honest, and its own disk fails now and then.
    Ailing,
    /// Honest, and comes and goes.
    Churning,
    /// Honest by a clock that is hours ahead, on blocks that are too.
    Early,
    /// Serves bodies that do not match their headers.
    Forger,
    /// Serves headers without proof that claim much work.
    Braggart,
    /// Serves headers that are proven and break a rule of the chain.
    Trespasser,
    /// Alters a header in a page.
    Tamperer,
    /// Says what it has and then answers nothing.
    Mute,
    /// Invents tips that nobody has.
    Inventor,
    /// Invents another tip with each word.
    Flapper,
    /// Sends frames that no codec takes.
    Babbler,
    /// Sends answers nobody asked for.
    Pusher,
    /// Cuts its pages of headers short.
    Cutter,
    /// Asks and asks.
    Beggar,
}

impl fmt::Display for Habit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Habit {
    /// Peers whom nobody may blame.
    pub const ODD: [Self; 9] = [
        Self::Slow,
        Self::Lossy,
        Self::Pruned,
        Self::Forked,
        Self::Restarting,
        Self::Late,
        Self::Ailing,
        Self::Churning,
        Self::Early,
    ];

    /// Peers who want harm.
    pub const HOSTILE: [Self; 11] = [
        Self::Forger,
        Self::Braggart,
        Self::Trespasser,
        Self::Tamperer,
        Self::Mute,
        Self::Inventor,
        Self::Flapper,
        Self::Babbler,
        Self::Pusher,
        Self::Cutter,
        Self::Beggar,
    ];

    /// Whether nobody may ever blame this peer.
    #[must_use]
    pub fn is_honest(self) -> bool {
        !Self::HOSTILE.contains(&self)
    }

    /// Whether it shows in what its node is and has, and not in single acts.
    #[must_use]
    pub fn is_of_nature(self) -> bool {
        let acts = self == Self::Late;
        matches!(self, Self::Braggart | Self::Trespasser) || (Self::ODD.contains(&self) && !acts)
    }

    /// Whether each of its acts proves itself to whoever receives it, whatever it was asked.
    #[must_use]
    pub const fn proves_itself(self) -> bool {
        matches!(self, Self::Babbler | Self::Cutter)
    }

    /// Whether this peer has to arrive where all should, when nothing goes wrong any more.
    #[must_use]
    pub const fn has_to_arrive(self) -> bool {
        matches!(self, Self::Honest | Self::Restarting | Self::Churning)
    }

    /// Sets up the store of a peer with this habit.
    pub fn prepare(self, store: &NodeStore, tip: Height) {
        let half = Height::new(tip.get() / 2).unwrap_or(Height::GENESIS);
        match self {
            Self::Forger => store.set_faults(|faults| faults.forges_from = Some(half)),
            Self::Pruned => store.set_faults(|faults| faults.pruned_below = half),
            _ => {}
        }
    }
}

/// The service a frame belongs to, by its place in a node.
pub const HEADERS: usize = 0;
/// The other one.
pub const BODIES: usize = 1;

/// First payload byte of header messages (wire 5.2).
mod header_tag {
    pub(super) const STATUS: u8 = 1;
    pub(super) const GET_HEADERS: u8 = 2;
    pub(super) const HEADERS: u8 = 3;
}

/// First payload byte of body messages (wire 5.3).
mod body_tag {
    pub(super) const STATUS: u8 = 1;
    pub(super) const GET_BLOCKS: u8 = 2;
    pub(super) const BLOCK: u8 = 3;
}

/// What becomes of one frame.
#[derive(Debug, Default)]
pub struct Sent {
    /// What goes out, in order.
    pub frames: Vec<Frame>,
    /// Whether the peer did what it is here for.
    pub acted: bool,
    /// How long it is held back, in nanoseconds.
    pub delay: u64,
}

impl Sent {
    fn plain(frame: Frame) -> Self {
        Self { frames: vec![frame], ..Self::default() }
    }

    fn acted(frames: Vec<Frame>) -> Self {
        Self { frames, acted: true, delay: 0 }
    }
}

/// Lets a habit have its way with a frame that is about to leave a node with this store.
#[must_use]
pub fn send(habit: Habit, service: usize, frame: Frame, store: &NodeStore, rng: &mut ChaCha8Rng) -> Sent {
    let payload = payload(&frame);
    let tag = payload.first().copied().unwrap_or_default();
    let is_header = |wanted: u8| service == HEADERS && tag == wanted;
    let is_body = |wanted: u8| service == BODIES && tag == wanted;
    let is_status = is_header(header_tag::STATUS) || is_body(body_tag::STATUS);
    let is_answer = is_header(header_tag::HEADERS) || is_body(body_tag::BLOCK);
    let again = |frame: &Frame| vec![frame.clone(), frame.clone()];
    match habit {
        Habit::Forger if is_body(body_tag::BLOCK) => {
            let acted = payload.len() > 1 && store.is_forged(&payload.slice(1..));
            Sent { acted, ..Sent::plain(frame) }
        }
        Habit::Late if is_answer && one_in(4, rng) => {
            Sent { delay: 20_000_000_000 + u64::from(rng.next_u32()) * 5, acted: true, frames: vec![frame] }
        }
        Habit::Mute if !is_status => Sent::acted(Vec::new()),
        Habit::Tamperer if is_header(header_tag::HEADERS) => {
            let place = (store.header_bytes(), store.parent_at());
            unlinked(&frame, &payload, place, rng)
                .map_or_else(|| Sent::plain(frame), |bad| Sent::acted(vec![bad]))
        }
        Habit::Inventor if is_header(header_tag::STATUS) => {
            Sent::acted(vec![invented(&frame, &payload, rng)])
        }
        Habit::Flapper if is_header(header_tag::STATUS) => {
            Sent::acted((0..20).map(|_| invented(&frame, &payload, rng)).collect())
        }
        Habit::Babbler if one_in(3, rng) => Sent::acted(vec![frame, babble(rng)]),
        Habit::Pusher if is_answer => Sent::acted(again(&frame)),
        Habit::Cutter if is_header(header_tag::HEADERS) => {
            let keep = payload.len() / 2;
            Sent::acted(vec![Frame::new(frame.message_type, payload.slice(..keep))])
        }
        Habit::Beggar if is_header(header_tag::GET_HEADERS) || is_body(body_tag::GET_BLOCKS) => {
            Sent::acted(vec![frame; 40])
        }
        _ => Sent::plain(frame),
    }
}

fn payload(frame: &Frame) -> Bytes {
    if frame.head.is_empty() {
        return frame.body.clone();
    }
    let mut whole = BytesMut::with_capacity(frame.payload_len());
    whole.put_slice(&frame.head);
    whole.put_slice(&frame.body);
    whole.freeze()
}

/// The page with a header that continues another block (wire 5.2: the count stands at 77, headers begin at 83).
fn unlinked(
    frame: &Frame,
    payload: &Bytes,
    (header_bytes, parent_at): (usize, usize),
    rng: &mut ChaCha8Rng,
) -> Option<Frame> {
    const COUNT: usize = 77;
    const FIRST: usize = 83;
    let count = u32::from_le_bytes(*payload.get(COUNT..)?.first_chunk::<4>()?);
    let chosen = usize::try_from(rng.next_u32().checked_rem(count)?).ok()?;
    let of_parent = parent_at.checked_add(usize::try_from(rng.next_u32() % 32).ok()?)?;
    let mut bytes = payload.to_vec();
    let at = FIRST.checked_add(chosen.checked_mul(header_bytes)?)?.checked_add(of_parent)?;
    *bytes.get_mut(at)? ^= 0x55;
    Some(Frame::new(frame.message_type, bytes.into()))
}

/// The Status with a tip that does not exist (wire 5.2: anchor height and hash, then tip height and hash).
fn invented(frame: &Frame, payload: &Bytes, rng: &mut ChaCha8Rng) -> Frame {
    const TIP_HEIGHT: usize = 1 + 4 + 32;
    const TIP_HASH: usize = TIP_HEIGHT + 4;
    let mut bytes = payload.to_vec();
    if let Some(height) = bytes.get_mut(TIP_HEIGHT..).and_then(<[u8]>::first_chunk_mut::<4>) {
        let higher = u32::from_le_bytes(*height).saturating_add(rng.next_u32() % 5_000);
        *height = higher.min(Height::MAX.get()).to_le_bytes();
    }
    if let Some(hash) = bytes.get_mut(TIP_HASH..).and_then(<[u8]>::first_chunk_mut::<32>) {
        rng.fill_bytes(hash);
    }
    Frame::new(frame.message_type, bytes.into())
}

fn babble(rng: &mut ChaCha8Rng) -> Frame {
    let mut bytes = vec![0; usize::try_from(rng.next_u32() % 200).unwrap_or_default()];
    rng.fill_bytes(&mut bytes);
    Frame::new(1, bytes.into())
}

fn one_in(count: u32, rng: &mut ChaCha8Rng) -> bool {
    rng.next_u32().is_multiple_of(count)
}
