//! The five messages behind one frame type.

use super::{
    caps::{FRAME_TYPE, MAX_EXCLUDED, MAX_LIMIT, MAX_MESSAGE_BYTES, MAX_RECORDS, tag},
    point,
    sealed::Sealed,
    service_id::ServiceId,
    summary::Services,
};
use bytes::Buf;
use zakura_transport::{
    Frame, PeerId, routine,
    wire::{Malformed, Reader, Writer},
};

/// What two peers say to each other about peers. There are no request ids: answers need not have been asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The sender's own record.
    Hello(Sealed),
    /// A request for records.
    GetPeers {
        /// Records at most, not above 32.
        limit: u16,
        /// Only nodes that serve all of these; empty: any.
        services: Vec<ServiceId>,
        /// Nodes the sender knows already. Each is a curve point.
        exclude: Vec<PeerId>,
    },
    /// Records of other nodes, unopened. Those that do not open are skipped, and nobody is blamed.
    Peers(Vec<Sealed>),
    /// A request for summaries of these services; empty: of all.
    GetServices(Vec<ServiceId>),
    /// The summaries.
    Services(Services),
}

impl routine::Message for Message {
    fn decode(frame: Frame) -> Result<Self, Malformed> {
        if frame.message_type != FRAME_TYPE {
            let why = format!("frame type {} is not {FRAME_TYPE}", frame.message_type);
            return Err(Malformed::new("discovery message", why));
        }
        let bytes = frame.payload_len();
        if bytes > MAX_MESSAGE_BYTES {
            let why = format!("{bytes} bytes, {MAX_MESSAGE_BYTES} at most");
            return Err(Malformed::new("discovery message", why));
        }
        let mut from = frame.into_reader();
        match from.u8("discovery message")? {
            tag::HELLO => hello(from),
            tag::GET_PEERS => get_peers(from),
            tag::PEERS => peers(from),
            tag::GET_SERVICES => get_services(from),
            tag::SERVICES => Services::read(from).map(Self::Services),
            other => Err(Malformed::new("discovery message", format!("tag {other} is not 1 to 5"))),
        }
    }

    /// The message within its bounds: a list longer than the wire allows is cut, and Peers carries as many records as fit.
    fn encode(self) -> Frame {
        let mut out = Writer::with_capacity(256);
        match self {
            Self::Hello(record) => {
                out.u8(tag::HELLO);
                record.write(&mut out);
            }
            Self::GetPeers { limit, services, exclude } => {
                out.u8(tag::GET_PEERS);
                out.u16(limit.min(MAX_LIMIT));
                ServiceId::write_list(&services, &mut out);
                out.list(MAX_EXCLUDED, &exclude, |out, id| out.raw(id.as_bytes()));
            }
            Self::Peers(records) => {
                out.u8(tag::PEERS);
                out.list(MAX_RECORDS, fitting(&records), |out, record| record.write(out));
            }
            Self::GetServices(services) => {
                out.u8(tag::GET_SERVICES);
                ServiceId::write_list(&services, &mut out);
            }
            Self::Services(services) => {
                out.u8(tag::SERVICES);
                services.write(&mut out);
            }
        }
        Frame::new(FRAME_TYPE, out.finish())
    }
}

fn hello(mut from: Reader<impl Buf>) -> Result<Message, Malformed> {
    let record = Sealed::read(&mut from)?;
    from.end("Hello")?;
    Ok(Message::Hello(record))
}

fn get_peers(mut from: Reader<impl Buf>) -> Result<Message, Malformed> {
    let limit = from.u16("GetPeers.limit")?;
    if limit > MAX_LIMIT {
        return Err(Malformed::new("GetPeers.limit", format!("{limit} is above {MAX_LIMIT}")));
    }
    let services = ServiceId::read_list("GetPeers.services", &mut from)?;
    let exclude = from.list("GetPeers.exclude", MAX_EXCLUDED, |from| from.array("GetPeers.exclude"))?;
    from.end("GetPeers")?;
    // The layout is whole: only now is the price of looking at up to 256 points paid.
    let exclude = exclude.into_iter().map(|id| point::identity("GetPeers.exclude", id));
    Ok(Message::GetPeers { limit, services, exclude: exclude.collect::<Result<_, _>>()? })
}

fn peers(mut from: Reader<impl Buf>) -> Result<Message, Malformed> {
    let records = from.list("Peers.records", MAX_RECORDS, Sealed::read)?;
    from.end("Peers")?;
    Ok(Message::Peers(records))
}

fn get_services(mut from: Reader<impl Buf>) -> Result<Message, Malformed> {
    let services = ServiceId::read_list("GetServices.services", &mut from)?;
    from.end("GetServices")?;
    Ok(Message::GetServices(services))
}

/// The records that fit one message behind its tag and count, from the first on.
fn fitting(records: &[Sealed]) -> &[Sealed] {
    let mut room = MAX_MESSAGE_BYTES.saturating_sub(3);
    let fits = |record: &&Sealed| room.checked_sub(record.wire_len()).map(|left| room = left).is_some();
    let count = records.iter().take_while(fits).count();
    records.get(..count).unwrap_or(records)
}
