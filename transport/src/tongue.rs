//! Peers with a tongue of their own: where a simulation has its way with what a routine says.
//!
//! A hostile or odd node runs the code that ships; its tongue changes the frames between its routines and their ordered
//! streams. Nothing of ours holds a tongue back: its frames count neither against the pace nor against the size that the
//! peer takes. Without the feature `simulation` nothing of this is compiled but two empty values.

#[cfg(not(feature = "simulation"))]
pub(crate) use absent::{Mouth, Voice};
#[cfg(feature = "simulation")]
pub(crate) use present::{Mouth, Voice};
#[cfg(feature = "simulation")]
pub use present::{Spoken, Tongue};

#[cfg(not(feature = "simulation"))]
mod absent {
    use crate::{Frame, PeerInfo, StreamKind, TransportConfig};

    /// What would change a node's frames.
    #[derive(Debug, Clone)]
    pub(crate) struct Voice;

    /// What would change the frames of one stream.
    #[derive(Debug)]
    pub(crate) struct Mouth;

    impl Voice {
        pub(crate) const fn of(_config: &TransportConfig) -> Self {
            Self
        }

        pub(crate) const fn mouth(&self, _peer: &PeerInfo, _kind: StreamKind) -> Mouth {
            Mouth
        }
    }

    impl Mouth {
        #[inline]
        pub(crate) fn say(&mut self, frame: Frame, _bytes: &mut usize, mut word: impl FnMut(Frame)) {
            word(frame);
        }

        #[inline]
        pub(crate) async fn opens(&self) {}
    }
}

#[cfg(feature = "simulation")]
mod present {
    use crate::{Frame, PeerInfo, StreamKind, TransportConfig};
    use std::{fmt, sync::Arc, time::Duration};
    use tokio::time::{Instant, sleep_until};

    /// What a node does to its own words.
    pub trait Tongue: fmt::Debug + Send + Sync + 'static {
        /// What goes out in place of a frame that a routine says to this peer on an ordered stream of this kind.
        fn speak(&self, peer: &PeerInfo, kind: StreamKind, frame: Frame) -> Spoken;
    }

    /// What a tongue made of a frame.
    #[derive(Debug, Clone, Default)]
    pub struct Spoken {
        /// What goes out, in order.
        pub frames: Vec<Frame>,
        /// How long these, and all behind them on the stream, are held back.
        pub delay: Duration,
    }

    /// What a node's connections speak with.
    #[derive(Debug, Clone)]
    pub(crate) struct Voice(Option<Arc<dyn Tongue>>);

    /// What one stream speaks with.
    #[derive(Debug)]
    pub(crate) struct Mouth {
        tongue: Option<(Arc<dyn Tongue>, PeerInfo, StreamKind)>,
        opens_at: Instant,
    }

    impl Voice {
        pub(crate) fn of(config: &TransportConfig) -> Self {
            Self(config.tongue.clone())
        }

        pub(crate) fn mouth(&self, peer: &PeerInfo, kind: StreamKind) -> Mouth {
            let tongue = self.0.clone().map(|tongue| (tongue, peer.clone(), kind));
            Mouth { tongue, opens_at: Instant::now() }
        }
    }

    impl Mouth {
        /// Says a frame, or what the tongue makes of it. `bytes` counted the frame as waiting, and counts afterwards what
        /// waits in its place: a routine is held back by what is really unsent.
        pub(crate) fn say(&mut self, frame: Frame, bytes: &mut usize, mut word: impl FnMut(Frame)) {
            let Some((tongue, peer, kind)) = &self.tongue else { return word(frame) };
            *bytes = bytes.saturating_sub(frame.wire_len());
            let Spoken { frames, delay } = tongue.speak(peer, *kind, frame);
            if !delay.is_zero() {
                self.opens_at = self.opens_at.max(Instant::now() + delay);
            }
            for frame in frames {
                *bytes = bytes.saturating_add(frame.wire_len());
                word(frame);
            }
        }

        /// Waits until nothing is held back. Cancel-safe.
        pub(crate) async fn opens(&self) {
            if self.opens_at > Instant::now() {
                sleep_until(self.opens_at).await;
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "simulation")]
mod tests {
    use super::*;
    use crate::{Capabilities, Direction, Fence, Frame, PeerId, PeerInfo, Role, StreamKind, TransportConfig};
    use bytes::Bytes;
    use std::{net::SocketAddr, sync::Arc, time::Duration};
    use tokio::time::Instant;

    /// Swallows empty frames, says short ones three times, and says long ones late.
    #[derive(Debug)]
    struct Odd;

    impl Tongue for Odd {
        fn speak(&self, _: &PeerInfo, kind: StreamKind, frame: Frame) -> Spoken {
            assert_eq!(kind, StreamKind(5));
            match frame.body.len() {
                0 => Spoken::default(),
                1..10 => Spoken { frames: vec![frame; 3], ..Spoken::default() },
                _ => Spoken { frames: vec![frame], delay: Duration::from_secs(20) },
            }
        }
    }

    fn mouth(tongue: Option<Arc<dyn Tongue>>) -> Mouth {
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let config = TransportConfig { tongue, ..TransportConfig::local(addr, 3, [0; 32], 1) };
        let (direction, role) = (Direction::Inbound, Role::Inbound);
        let (id, connection, capabilities) = (PeerId::new([1; 32]), Fence::mint(), Capabilities::NONE);
        let peer = PeerInfo { id, addr, direction, role, connection, capabilities };
        Voice::of(&config).mouth(&peer, StreamKind(5))
    }

    /// How many frames come of one, and how many bytes wait then.
    fn said(mouth: &mut Mouth, body: &'static [u8]) -> (usize, usize) {
        let frame = Frame::new(1, Bytes::from_static(body));
        let (mut bytes, mut count) = (frame.wire_len(), 0);
        mouth.say(frame, &mut bytes, |_| count += 1);
        (count, bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_what_the_tongue_says_and_no_more() {
        let mut odd = mouth(Some(Arc::new(Odd)));
        let short = Frame::new(1, Bytes::from_static(b"short")).wire_len();
        assert_eq!(said(&mut odd, b""), (0, 0), "what is swallowed holds no routine back");
        assert_eq!(said(&mut odd, b"short"), (3, 3 * short));
        assert_eq!(said(&mut mouth(None), b"short"), (1, short));
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_holds_back_all_that_is_behind_it() {
        let (mut odd, begun) = (mouth(Some(Arc::new(Odd))), Instant::now());
        said(&mut odd, b"short");
        odd.opens().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        said(&mut odd, b"long enough to be late");
        said(&mut odd, b"short");
        odd.opens().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(20));
    }
}
