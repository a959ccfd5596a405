//! Which of two connections with one peer counts (wire 6). Pure.

use crate::PeerId;
use std::{net::IpAddr, time::Duration};

/// An incumbent this old yields to a newcomer from its own address: the peer has most likely restarted (wire 6).
const STALE_SAME_IP: Duration = Duration::from_secs(5);
/// An incumbent this old yields to a newcomer from any address (wire 6).
const STALE_ANY_IP: Duration = Duration::from_secs(300);

/// What the rule needs to know of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contender {
    /// Who dialled: the tie-break key.
    pub(super) initiator: PeerId,
    pub(super) ip: IpAddr,
}

/// What becomes of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The newcomer takes the place.
    Replace,
    /// The newcomer is closed.
    Refuse,
    /// The newcomer is closed, and so is the incumbent, which is old enough to be stale: the next dial succeeds.
    RefuseAndEvict,
}

/// Judges a newcomer against the registered connection, which is `age` old. Both ends come to the same survivor.
pub(super) fn judge(incumbent: Contender, age: Duration, newcomer: Contender) -> Verdict {
    let same_ip = incumbent.ip.to_canonical() == newcomer.ip.to_canonical();
    let stale = if same_ip { STALE_SAME_IP } else { STALE_ANY_IP };
    if newcomer.initiator < incumbent.initiator {
        Verdict::Replace
    } else if age >= stale {
        Verdict::RefuseAndEvict
    } else {
        Verdict::Refuse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(initiator: u8, ip: [u8; 4]) -> Contender {
        Contender { initiator: PeerId::new([initiator; 32]), ip: ip.into() }
    }

    #[test]
    fn of_a_simultaneous_open_the_smaller_dialler_survives_in_every_order() {
        let (small, large) = (contender(1, [127, 0, 0, 1]), contender(2, [127, 0, 0, 1]));
        assert_eq!(judge(large, Duration::ZERO, small), Verdict::Replace);
        assert_eq!(judge(small, Duration::ZERO, large), Verdict::Refuse);
    }

    #[test]
    fn a_second_dial_in_the_same_direction_loses_and_evicts_the_stale() {
        let (here, there) = (contender(1, [127, 0, 0, 1]), contender(1, [127, 0, 0, 2]));
        assert_eq!(judge(here, Duration::from_millis(4_999), here), Verdict::Refuse);
        assert_eq!(judge(here, Duration::from_secs(5), here), Verdict::RefuseAndEvict);
        assert_eq!(judge(here, Duration::from_secs(299), there), Verdict::Refuse);
        assert_eq!(judge(here, Duration::from_secs(300), there), Verdict::RefuseAndEvict);
    }

    #[test]
    fn a_mapped_address_is_the_same_address() {
        let mapped = Contender { ip: "::ffff:127.0.0.1".parse().unwrap(), ..contender(1, [0; 4]) };
        let plain = contender(1, [127, 0, 0, 1]);
        assert_eq!(judge(mapped, Duration::from_secs(5), plain), Verdict::RefuseAndEvict);
    }
}
