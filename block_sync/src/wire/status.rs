//! Status: what a peer has, and what it is willing to carry.

use super::caps::{MAX_BLOCKS_PER_RESPONSE, MAX_IN_FLIGHT_REQUESTS, MAX_RESPONSE_BYTES};
use bytes::Buf;
use zakura_header_sync::{
    chain::{BlockRef, Height},
    wire::{ReadChain, WriteChain},
};
use zakura_transport::wire::{Malformed, Reader, Writer};

/// What one side serves at most. Always within the wire's bounds: values from a peer are clamped (wire 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    blocks_per_response: u32,
    in_flight_requests: u32,
    response_bytes: u32,
}

impl Limits {
    /// The limits, each clamped to 1..=its bound.
    #[must_use]
    pub fn clamped(blocks_per_response: u32, in_flight_requests: u32, response_bytes: u32) -> Self {
        Self {
            blocks_per_response: blocks_per_response.clamp(1, MAX_BLOCKS_PER_RESPONSE),
            in_flight_requests: in_flight_requests.clamp(1, MAX_IN_FLIGHT_REQUESTS),
            response_bytes: response_bytes.clamp(1, MAX_RESPONSE_BYTES),
        }
    }

    /// Blocks in one response, 1..=128.
    #[must_use]
    pub const fn blocks_per_response(self) -> u32 {
        self.blocks_per_response
    }

    /// Requests in flight, 1..=32,768.
    #[must_use]
    pub const fn in_flight_requests(self) -> u32 {
        self.in_flight_requests
    }

    /// Bytes in one response, 1..=32 MiB.
    #[must_use]
    pub const fn response_bytes(self) -> u32 {
        self.response_bytes
    }
}

/// A peer's range of bodies and its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The lowest body it serves.
    pub low: Height,
    /// The highest body it serves, with its hash. `low` above it is legal bytes and means nothing (wire 5.3).
    pub high: BlockRef,
    /// What it serves at most.
    pub limits: Limits,
}

impl Status {
    pub(super) fn read(mut body: Reader<impl Buf>) -> Result<Self, Malformed> {
        let (low, high) = (body.height("Status.low")?, body.block("Status.high")?);
        let (blocks, requests) = (body.u32("Status.blocks")?, body.u32("Status.requests")?);
        let limits = Limits::clamped(blocks, requests, body.u32("Status.bytes")?);
        body.end("Status")?;
        Ok(Self { low, high, limits })
    }

    pub(super) fn write(self, out: &mut Writer) {
        out.u32(self.low.get());
        out.block(self.high);
        out.u32(self.limits.blocks_per_response);
        out.u32(self.limits.in_flight_requests);
        out.u32(self.limits.response_bytes);
    }
}
