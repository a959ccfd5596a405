//! The two halves of a stream.
//!
//! Dropping both halves parks a stream as wire 1.5 wants it: FIN on the sending half, STOP_SENDING 0 on the
//! receiving one.

use bytes::Bytes;
use quinn::{ReadError, VarInt, WriteError};

/// Why a stream is reset (wire 1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResetCode {
    /// No permit is left, or the request could not be served.
    Resource,
    /// Bad or late prelude, or a request stream misused.
    BadPrelude,
    /// Streams are opened too fast.
    RateLimit,
    /// Unknown kind, other version, or a capability that was not negotiated.
    UnknownStream,
}

impl ResetCode {
    /// The code on the wire.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Resource => 1,
            Self::BadPrelude => 2,
            Self::RateLimit => 3,
            Self::UnknownStream => 5,
        }
    }

    const fn wire(self) -> VarInt {
        VarInt::from_u32(self.number())
    }
}

/// The stream broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The peer knows no such stream: it will not on this connection (wire 1.5).
    Unknown,
    /// Reset or stopped for another reason, or the connection is gone.
    Off,
}

/// Pieces taken from QUIC in one go: one lock for many datagrams.
const PIECES: usize = 32;

/// The receiving half. Dropping it asks the peer to stop (STOP_SENDING 0).
#[derive(Debug)]
pub(crate) struct RecvHalf {
    quic: quinn::RecvStream,
}

/// Received pieces in order. Empty ones are used up.
pub(crate) type Pieces = [Bytes; PIECES];

impl RecvHalf {
    pub(super) const fn new(quic: quinn::RecvStream) -> Self {
        Self { quic }
    }

    /// Overwrites `pieces` with the next bytes; how many pieces, or `None` at the end of the stream. Cancel-safe.
    pub(crate) async fn read(&mut self, pieces: &mut Pieces) -> Result<Option<usize>, Broken> {
        self.quic.read_chunks(pieces).await.map_err(broken_read)
    }

    /// Exactly `N` bytes, or `None` if the stream ends first. Not cancel-safe.
    pub(crate) async fn read_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Broken> {
        let mut array = [0; N];
        let got = self.read_exact(&mut array).await?;
        Ok(got.then_some(array))
    }

    /// Fills `buffer`; `false` if the stream ends first. Not cancel-safe.
    pub(crate) async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<bool, Broken> {
        let mut rest = buffer;
        while !rest.is_empty() {
            match self.quic.read(rest).await.map_err(broken_read)? {
                Some(count) => rest = rest.get_mut(count..).unwrap_or_default(),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The sending half. Dropping it finishes the stream (FIN).
#[derive(Debug)]
pub(crate) struct SendHalf {
    quic: quinn::SendStream,
}

impl SendHalf {
    pub(super) const fn new(quic: quinn::SendStream) -> Self {
        Self { quic }
    }

    /// Hands over as much as the peer's credit allows, at least one byte; what is handed over leaves `pieces`.
    /// Cancel-safe: if it does not return, nothing was handed over.
    pub(crate) async fn write(&mut self, pieces: &mut [Bytes]) -> Result<usize, Broken> {
        self.quic.write_chunks(pieces).await.map(|written| written.bytes).map_err(broken_write)
    }

    /// Hands over all of it. Not cancel-safe.
    pub(crate) async fn write_all(&mut self, bytes: Bytes) -> Result<(), Broken> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.quic.write_chunk(bytes).await.map_err(broken_write)
    }

    /// No more will be sent.
    pub(crate) fn finish(&mut self) {
        // An error says that the stream is finished or reset already.
        drop(self.quic.finish());
    }

    /// Waits until the peer has everything that was sent before the finish, or has stopped the stream.
    pub(crate) async fn taken(&mut self) {
        drop(self.quic.stopped().await);
    }

    /// Drops what is unsent and tells the peer why.
    pub(crate) fn reset(&mut self, code: ResetCode) {
        // An error says that the stream is finished or reset already.
        drop(self.quic.reset(code.wire()));
    }
}

/// Ends both halves of a stream that we refuse.
pub(crate) fn refuse(mut send: SendHalf, mut recv: RecvHalf, code: ResetCode) {
    send.reset(code);
    drop(recv.quic.stop(code.wire()));
}

fn broken_read(error: ReadError) -> Broken {
    match error {
        ReadError::Reset(code) if code == ResetCode::UnknownStream.wire() => Broken::Unknown,
        ReadError::Reset(_)
        | ReadError::ConnectionLost(_)
        | ReadError::ClosedStream
        | ReadError::IllegalOrderedRead
        | ReadError::ZeroRttRejected => Broken::Off,
    }
}

fn broken_write(error: WriteError) -> Broken {
    match error {
        WriteError::Stopped(code) if code == ResetCode::UnknownStream.wire() => Broken::Unknown,
        WriteError::Stopped(_)
        | WriteError::ConnectionLost(_)
        | WriteError::ClosedStream
        | WriteError::ZeroRttRejected => Broken::Off,
    }
}
