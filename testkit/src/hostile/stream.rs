//! One stream, from either end.

use super::{Seen, Trouble, soon, wire::frame};
use quinn::{Connection, ReadError, RecvStream, SendStream, VarInt};
use std::time::Duration;
use tokio::time::timeout;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// A victim that has taken nothing for so long does not take more.
const MOMENT: Duration = Duration::from_millis(500);

/// A stream that a script writes and reads as it likes. Dropped, it is finished in order.
#[derive(Debug)]
pub struct Stream {
    send: SendStream,
    recv: RecvStream,
    read: Vec<u8>,
    /// The connection must outlive its streams.
    _connection: Connection,
}

impl Stream {
    pub(super) fn new(connection: Connection, (send, recv): (SendStream, RecvStream)) -> Self {
        Self { send, recv, read: Vec::new(), _connection: connection }
    }

    /// Writes these bytes. A victim that has closed meanwhile takes no more of them: that shows at the act's end.
    ///
    /// # Errors
    ///
    /// The victim takes nothing, and does not close either.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        soon("the victim to take bytes", self.send.write_all(bytes)).await.map(drop)
    }

    /// Writes as much of this as the victim takes, until it has taken nothing for a moment.
    pub async fn pour(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Ok(Ok(taken)) = timeout(MOMENT, self.send.write(bytes)).await else { return };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Sends a message as its frame: the frame's type is the payload's first byte (wire 4.3).
    ///
    /// # Errors
    ///
    /// As [`raw`](Self::raw).
    pub async fn say(&mut self, payload: &[u8]) -> Result<(), Trouble> {
        let kind = payload.first().copied().unwrap_or(0);
        self.frame(kind.into(), 0, payload).await
    }

    /// Sends a frame of any type and flags.
    ///
    /// # Errors
    ///
    /// As [`raw`](Self::raw).
    pub async fn frame(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<(), Trouble> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.raw(&frame(kind, flags, length, payload)).await
    }

    /// Ends our half.
    pub fn finish(&mut self) {
        // A victim that has stopped it already does not hear this.
        drop(self.send.finish());
    }

    /// The next message. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The stream ended first.
    pub async fn hear(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            if let Some(payload) = self.take_frame() {
                return Ok(payload);
            }
            match self.recv.read_chunk(CHUNK, true).await {
                Ok(Some(chunk)) => self.read.extend_from_slice(&chunk.bytes),
                Ok(None) => return Err(Trouble::of("the victim ended the stream")),
                Err(error) => return Err(Trouble::of(format!("the victim broke the stream: {error}"))),
            }
        }
    }

    /// The next message of this type; others are passed over.
    ///
    /// # Errors
    ///
    /// The stream ended first, or nothing of the kind came.
    pub async fn hear_a(&mut self, kind: u8) -> Result<Vec<u8>, Trouble> {
        let heard = async {
            loop {
                let payload = self.hear().await?;
                if payload.first() == Some(&kind) {
                    return Ok(payload);
                }
            }
        };
        soon(&format!("a message of type {kind}"), heard).await?
    }

    /// Everything up to the end, as far as there are so many bytes.
    ///
    /// # Errors
    ///
    /// The stream broke off.
    pub async fn rest(&mut self, most: usize) -> Result<Vec<u8>, Trouble> {
        soon("the stream's end", self.recv.read_to_end(most)).await?.map_err(Trouble::of)
    }

    /// Exactly so many bytes.
    ///
    /// # Errors
    ///
    /// The stream ended first.
    pub async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Trouble> {
        let mut bytes = vec![0; count];
        soon("the stream's beginning", self.recv.read_exact(&mut bytes)).await?.map_err(Trouble::of)?;
        Ok(bytes)
    }

    /// What becomes of the stream: reset, or parked (FIN and STOP_SENDING 0).
    ///
    /// # Errors
    ///
    /// Neither.
    pub async fn fate(&mut self) -> Result<Seen, Trouble> {
        let end = async {
            loop {
                match self.recv.read_chunk(CHUNK, true).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(None),
                    Err(ReadError::Reset(code)) => return Ok(Some(code.into_inner())),
                    Err(error) => return Err(Trouble::of(format!("the stream broke off: {error}"))),
                }
            }
        };
        if let Some(code) = soon("the stream's end", end).await?? {
            return Ok(Seen::Reset(code));
        }
        match soon("the victim to stop the stream", self.send.stopped()).await? {
            Ok(Some(code)) if code == VarInt::from_u32(0) => Ok(Seen::Parked),
            Ok(Some(code)) => Err(Trouble::of(format!("finished, and stopped with {code}"))),
            Ok(None) => Err(Trouble::of("taken to its end, and finished")),
            Err(error) => Err(Trouble::of(error)),
        }
    }

    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let length = self.read.get(4..8).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes)?;
        let end = usize::try_from(length).ok()?.checked_add(8)?;
        (self.read.len() >= end).then(|| self.read.drain(..end).skip(8).collect())
    }
}
