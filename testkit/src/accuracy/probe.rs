//! A service that sends as many bytes as it is asked for, and how long that takes.

use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use zakura_transport::{
    Capabilities, Exit, Frame, Identity, Mode, Opener, PayloadCap, PeerAddr, PeerEvent, PeerId, Registry,
    Request, RequestError, Service, Spawner, StreamKind, StreamSpec, Transport, TransportConfig,
    TransportHandle, Violation,
};

/// The probe's stream kind: an extension, never on a public network.
const KIND: StreamKind = StreamKind(0x7e01);

/// Its question: how many frames are wanted.
const ASK: u16 = 1;

/// Its answer: filling.
const FILLING: u16 = 2;

/// Bytes of one frame of filling.
const FRAME: u32 = 60_000;

/// What one exchange may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long two nodes may take to meet.
const MEETING: Duration = Duration::from_secs(20);

/// Round trips that are measured; the median counts.
const TRIPS: usize = 21;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No node, with the cause.
    #[error("the node does not start: {0}")]
    Start(String),
    /// The other end was not reached.
    #[error("no connection with the other end within {0:?}: is it there, and does the relay run?")]
    NotReached(Duration),
    /// The exchange broke off.
    #[error("the exchange broke off: {0}")]
    Broken(#[from] RequestError),
    /// Fewer bytes came than were asked for.
    #[error("{came} of {wanted} bytes came")]
    Short {
        /// Bytes that came.
        came: u64,
        /// Bytes that were asked for.
        wanted: u64,
    },
}

/// Sends filling to whoever asks.
#[derive(Debug)]
pub struct Probe;

impl Service for Probe {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![StreamSpec {
            name: "probe",
            kind: KIND,
            version: 1,
            capability: Capabilities::from_bits(1 << 40),
            mode: Mode::Request,
            max_frame: FRAME + 64,
            payload_caps: &[
                PayloadCap { message_type: ASK, bytes: 4 },
                PayloadCap { message_type: FILLING, bytes: FRAME },
            ],
            opener: Opener::Initiator,
            frames_per_second: 100_000,
        }]
    }

    async fn answer(&self, mut request: Request) -> Exit {
        let Some(count) = request.frame.body.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
        else {
            let evidence = format!("{} bytes are no count", request.frame.body.len());
            return Exit::Violation(Violation::protocol("probe.ask", evidence));
        };
        let filling = Bytes::from(vec![0x5a; usize::try_from(FRAME).unwrap_or_default()]);
        for _ in 0..count {
            if let Err(error) = request.responses.send(Frame::new(FILLING, filling.clone())).await {
                return error.into();
            }
        }
        Exit::Closed { reopen: false }
    }
}

/// What a line was measured to do.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Measured {
    /// A question and its empty answer over an idle line: the median, in milliseconds.
    pub round_trip_ms: f64,
    /// Payload bits a second of one long answer, in millions, from its first frame to its last.
    pub goodput_mbit: f64,
}

/// Starts a node that speaks nothing but the probe.
///
/// # Errors
///
/// [`ProbeError::Start`].
pub async fn serve(
    config: TransportConfig,
    seed: u8,
    spawner: Spawner,
) -> Result<TransportHandle, ProbeError> {
    let failed = |error: &dyn std::fmt::Display| ProbeError::Start(error.to_string());
    let mut registry = Registry::new();
    registry.register(Probe).map_err(|error| failed(&error))?;
    let identity = Identity::from_seed([seed; 32]).map_err(|error| failed(&error))?;
    Transport::start(config, identity, registry, spawner).await.map_err(|error| failed(&error))
}

/// Measures the line to `peer`: first idle, then with an answer of so many megabytes.
///
/// # Errors
///
/// [`ProbeError`].
pub async fn measure(us: &TransportHandle, peer: PeerAddr, megabytes: u32) -> Result<Measured, ProbeError> {
    let mut events = us.events();
    let id = peer.id;
    us.add_peer(peer).await.map_err(|error| ProbeError::Start(error.to_string()))?;
    let met = async {
        loop {
            match events.recv().await {
                Ok(PeerEvent::Connected(info)) if info.id == id => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    };
    if !timeout(MEETING, met).await.unwrap_or(false) {
        return Err(ProbeError::NotReached(MEETING));
    }
    let mut trips = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        let asked = Instant::now();
        fetch(us, id, 0).await?;
        trips.push(asked.elapsed());
    }
    trips.sort();
    let frames = megabytes.saturating_mul(1_000_000).div_ceil(FRAME);
    let (bytes, took) = fetch(us, id, frames).await?;
    let wanted = u64::from(frames).saturating_mul(FRAME.into());
    if bytes != wanted {
        return Err(ProbeError::Short { came: bytes, wanted });
    }
    let round_trip = trips.get(TRIPS / 2).copied().unwrap_or_default();
    // What came with the first frame took the trip there, not the line.
    let bits = bytes.saturating_sub(FRAME.into()).saturating_mul(8);
    let goodput_mbit = millions(bits) / took.as_secs_f64().max(f64::MIN_POSITIVE);
    Ok(Measured { round_trip_ms: round_trip.as_secs_f64() * 1e3, goodput_mbit })
}

#[expect(clippy::cast_precision_loss, reason = "a count of bits below 2^53")]
fn millions(bits: u64) -> f64 {
    bits as f64 / 1e6
}

/// Asks for frames. The bytes that came, and the time from the first frame to the last.
async fn fetch(us: &TransportHandle, peer: PeerId, frames: u32) -> Result<(u64, Duration), ProbeError> {
    let ask = Frame::new(ASK, frames.to_le_bytes().to_vec().into());
    let mut answer = us.request(peer, KIND, ask, DEADLINE).await?;
    let (mut bytes, mut first) = (0_u64, None);
    while let Some(frame) = answer.next().await? {
        first.get_or_insert_with(Instant::now);
        bytes = bytes.saturating_add(u64::try_from(frame.payload_len()).unwrap_or(u64::MAX));
    }
    Ok((bytes, first.map_or(Duration::ZERO, |first| first.elapsed())))
}
