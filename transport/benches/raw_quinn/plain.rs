//! The other arm: quinn and nothing else, as somebody would write it who cares for speed.

use crate::{ANSWER, MESSAGE, QUESTION, raw, within};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::{Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use std::sync::Arc;
use tokio::sync::mpsc;
use zakura_transport::Spawner;

/// A frame's head: type, flags, length.
const HEAD: usize = 8;
/// Bytes that one write takes along.
const WRITE: usize = 16 * 1024;

/// The windows and limits of the transport's own connections.
pub fn settings() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(128))
        .stream_receive_window(VarInt::from_u32(2_900_000))
        .receive_window(VarInt::from_u32(6_000_000))
        .send_window(2 << 20)
        .keep_alive_interval(Some(std::time::Duration::from_secs(10)))
        .datagram_receive_buffer_size(None);
    Arc::new(config)
}

pub fn listen(seed: u8) -> Endpoint {
    let mut server = raw::server(seed);
    server.transport_config(settings());
    Endpoint::server(server, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Two ends of one connection.
async fn connect() -> (Connection, Connection, [Endpoint; 2]) {
    let (here, there) = (listen(11), listen(12));
    let mut client = raw::client(11, b"p2p-v2/1");
    client.transport_config(settings());
    let dial = here.connect_with(client, there.local_addr().unwrap(), "raw.invalid").unwrap();
    let (dialled, accepted) = within(async {
        tokio::join!(async { dial.await.unwrap() }, async { there.accept().await.unwrap().await.unwrap() })
    })
    .await;
    (dialled, accepted, [here, there])
}

/// Frames out, written when enough have gathered.
struct Out(SendStream, BytesMut);

impl Out {
    async fn push(&mut self, payload: &[u8]) {
        self.1.put_u16_le(1);
        self.1.put_u16_le(0);
        self.1.put_u32_le(u32::try_from(payload.len()).unwrap());
        self.1.put_slice(payload);
        if self.1.len() >= WRITE {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        if !self.1.is_empty() {
            self.0.write_chunk(self.1.split().freeze()).await.unwrap();
        }
    }
}

/// Frames in.
struct In(RecvStream, BytesMut);

impl In {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.ready() {
                return Some(frame);
            }
            let chunk = self.0.read_chunk(usize::MAX, true).await.ok()??;
            self.1.extend_from_slice(&chunk.bytes);
        }
    }

    /// A frame that is there whole.
    fn ready(&mut self) -> Option<Bytes> {
        let length = self.1.get(4..HEAD)?.get_u32_le() as usize;
        (self.1.len() >= HEAD + length).then(|| {
            self.1.advance(HEAD);
            self.1.split_to(length).freeze()
        })
    }
}

/// One-way messages.
pub struct Messages {
    goals: mpsc::Sender<u64>,
    reached: mpsc::Receiver<()>,
    _ends: [Endpoint; 2],
}

impl Messages {
    pub async fn new() -> Self {
        let ((dialled, accepted, ends), tasks) = (connect().await, Spawner::new());
        let (goals, mut goal) = mpsc::channel::<u64>(1);
        let (reach, reached) = mpsc::channel(1);
        tasks.spawn("raw", async move {
            let (send, _recv) = dialled.open_bi().await.unwrap();
            let mut out = Out(send, BytesMut::new());
            while let Some(count) = goal.recv().await {
                for _ in 0..count {
                    out.push(&[7; MESSAGE]).await;
                }
                out.flush().await;
            }
        });
        tasks.spawn("raw", async move {
            let (_send, recv) = accepted.accept_bi().await.unwrap();
            let (mut frames, mut heard) = (In(recv, BytesMut::new()), 0_u64);
            while let Some(frame) = frames.next().await {
                assert_eq!(frame.len(), MESSAGE);
                heard += 1;
                if heard.is_multiple_of(crate::ours::ROUND) {
                    reach.send(()).await.unwrap();
                }
            }
        });
        Self { goals, reached, _ends: ends }
    }

    pub async fn pass(&mut self, count: u64) {
        self.goals.send(count).await.unwrap();
        for _ in 0..count / crate::ours::ROUND {
            within(self.reached.recv()).await.unwrap();
        }
    }
}

/// Questions and answers on one stream for good.
pub struct Requests {
    goals: mpsc::Sender<(u64, u64)>,
    reached: mpsc::Receiver<()>,
    _ends: [Endpoint; 2],
}

impl Requests {
    pub async fn new() -> Self {
        let ((dialled, accepted, ends), tasks) = (connect().await, Spawner::new());
        let (goals, mut goal) = mpsc::channel::<(u64, u64)>(1);
        let (reach, reached) = mpsc::channel(1);
        tasks.spawn("raw", async move {
            let (send, recv) = dialled.open_bi().await.unwrap();
            let (mut out, mut answers) = (Out(send, BytesMut::new()), In(recv, BytesMut::new()));
            while let Some((count, depth)) = goal.recv().await {
                let (mut asked, mut heard) = (0, 0);
                while heard < count {
                    while asked < count && asked - heard < depth {
                        out.push(&[7; QUESTION]).await;
                        asked += 1;
                    }
                    out.flush().await;
                    let mut answer = answers.next().await;
                    while let Some(frame) = answer {
                        assert_eq!(frame.len(), ANSWER);
                        heard += 1;
                        answer = answers.ready();
                    }
                }
                reach.send(()).await.unwrap();
            }
        });
        tasks.spawn("raw", async move {
            let (send, recv) = accepted.accept_bi().await.unwrap();
            let (mut out, mut questions) = (Out(send, BytesMut::new()), In(recv, BytesMut::new()));
            while let Some(mut question) = questions.next().await {
                loop {
                    assert_eq!(question.len(), QUESTION);
                    out.push(&[9; ANSWER]).await;
                    let Some(next) = questions.ready() else { break };
                    question = next;
                }
                out.flush().await;
            }
        });
        Self { goals, reached, _ends: ends }
    }

    pub async fn pass(&mut self, count: u64, depth: u64) {
        self.goals.send((count, depth)).await.unwrap();
        within(self.reached.recv()).await.unwrap();
    }
}
