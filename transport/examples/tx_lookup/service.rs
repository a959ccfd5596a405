//! The service: a question, an answer, who answers, and who asks.

use std::{collections::BTreeMap, time::Duration};
use zakura_transport::routine::Message;
use zakura_transport::wire::{Malformed, Writer};
use zakura_transport::{Capabilities, Exit, Frame, Mode, Opener, PayloadCap, PeerId, Request, RequestError};
use zakura_transport::{Service, StreamKind, StreamSpec, TransportHandle, Violation};

/// What one exchange may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Ids in one request at most: bounds what a few bytes make a server look up.
const MAX_IDS: usize = 16;

/// The question.
pub(crate) struct Ask(pub(crate) Vec<u64>);

/// One found transaction.
pub(crate) struct Found(pub(crate) u64, pub(crate) Vec<u8>);

impl Message for Ask {
    fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut from = frame.into_reader();
        let ids = from.list("Ask.ids", MAX_IDS, |from| from.u64("Ask.id"))?;
        from.end("Ask").map(|()| Self(ids))
    }

    fn encode(self) -> Frame {
        let mut out = Writer::with_capacity(2 + 8 * self.0.len());
        out.list(usize::MAX, &self.0, |out, id| out.u64(*id));
        Frame::new(1, out.finish())
    }
}

impl Message for Found {
    fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut from = frame.into_reader();
        let (id, left) = (from.u64("Found.id")?, from.left());
        Ok(Self(id, from.bytes("Found.raw", left)?.into()))
    }

    fn encode(self) -> Frame {
        Frame::with_body(2, self.0.to_le_bytes().to_vec().into(), self.1.into())
    }
}

/// Serves what it holds: raw transactions by id.
pub(crate) struct Lookup(pub(crate) BTreeMap<u64, Vec<u8>>);

pub(crate) const KIND: StreamKind = StreamKind(0x0101);

impl Service for Lookup {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![StreamSpec {
            name: "tx-lookup",
            kind: KIND,
            version: 1,
            capability: Capabilities::from_bits(1 << 41),
            mode: Mode::Request,
            max_frame: 100_016,
            payload_caps: &[
                PayloadCap { message_type: 1, bytes: 130 },
                PayloadCap { message_type: 2, bytes: 100_008 },
            ],
            opener: Opener::Initiator,
            frames_per_second: 200,
        }]
    }

    async fn answer(&self, mut request: Request) -> Exit {
        let ask = match Ask::decode(request.frame) {
            Ok(ask) => ask,
            Err(malformed) => return Exit::Violation(malformed.into()),
        };
        for id in ask.0 {
            let Some(raw) = self.0.get(&id) else { continue };
            if let Err(error) = request.responses.send(Found(id, raw.clone()).encode()).await {
                return error.into();
            }
        }
        Exit::Closed { reopen: false }
    }
}

/// Asks `peer` for `ids`. An answer to another question closes the connection, and says why.
pub(crate) async fn look_up(
    us: &TransportHandle,
    peer: PeerId,
    ids: &[u64],
) -> Result<Vec<Found>, RequestError> {
    let mut response = us.request(peer, KIND, Ask(ids.to_vec()).encode(), DEADLINE).await?;
    let mut all = Vec::new();
    while let Some(found) = response.next_message::<Found>().await? {
        if !ids.contains(&found.0) || all.len() == ids.len() {
            let evidence = format!("{} was not asked for", found.0);
            return Err(response.accuse(Violation::protocol("lookup.unsolicited", evidence)).await);
        }
        all.push(found);
    }
    Ok(all)
}
