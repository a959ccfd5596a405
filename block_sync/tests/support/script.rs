//! Peers that follow a script, speaking frames.

use super::toy::{Chain, forged};
use bytes::Bytes;
use zakura_block_sync::wire::{Limits, Message, Span, Status};
use zakura_header_sync::chain::{BlockRef, Height};
use zakura_transport::{Session, routine::Message as _};

/// How a scripted peer answers a request.
pub enum Answer {
    /// These bodies, then their number.
    Bodies(Vec<Bytes>),
    /// Not at all.
    Silence,
    /// Not served.
    Unavailable,
    /// These bodies, then the end of the stream.
    HangUp(Vec<Bytes>),
}

pub fn status(tip: BlockRef, blocks: u32, requests: u32) -> Message {
    let limits = Limits::clamped(blocks, requests, 1 << 25);
    Message::Status(Status { low: Height::GENESIS, high: tip, limits })
}

/// The bodies of a span, as an honest peer has them.
pub fn honest(chain: &Chain, span: Span) -> Vec<Bytes> {
    span.heights().map_while(|at| chain.0.get(at.get() as usize)).map(|(_, raw)| raw.clone()).collect()
}

/// The same, with the content of one changed.
pub fn forge_one(chain: &Chain, span: Span, bad: usize) -> Vec<Bytes> {
    let bodies = honest(chain, span).into_iter().zip(span.heights());
    bodies.map(|(raw, at)| if at.get() as usize == bad { forged(&raw) } else { raw }).collect()
}

pub async fn say(session: &mut Session, message: Message) -> bool {
    session.frames_out.send(message.encode()).await.is_ok()
}

/// The next message that is no Status.
pub async fn hear(session: &mut Session) -> Option<Message> {
    loop {
        match Message::decode(session.frames_in.recv().await.ok()??).unwrap() {
            Message::Status(_) => {}
            other => return Some(other),
        }
    }
}

/// Says `first`, then answers every request by the script, until the other side ends; the requests it got.
pub async fn follow(
    mut session: Session,
    first: Message,
    mut script: impl FnMut(Span) -> Answer,
) -> Vec<Span> {
    let mut asked = Vec::new();
    let mut is_open = say(&mut session, first).await;
    while is_open && let Some(message) = hear(&mut session).await {
        let Message::GetBlocks(span) = message else { continue };
        asked.push(span);
        let (bodies, ends) = match script(span) {
            Answer::Bodies(bodies) => (bodies, false),
            Answer::HangUp(bodies) => (bodies, true),
            Answer::Silence => continue,
            Answer::Unavailable => {
                is_open = say(&mut session, Message::RangeUnavailable(span)).await;
                continue;
            }
        };
        let sent = u32::try_from(bodies.len()).unwrap();
        for body in bodies {
            is_open = say(&mut session, Message::Block(body)).await;
        }
        if ends {
            let Session { mut frames_in, frames_out, .. } = session;
            drop(frames_out);
            while let Ok(Some(_)) = frames_in.recv().await {}
            return asked;
        }
        if let Some(done) = Span::new(span.start(), sent) {
            is_open = say(&mut session, Message::BlocksDone(done)).await;
        }
    }
    asked
}
