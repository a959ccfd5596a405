//! Which addresses count as one neighbourhood.

use crate::wire::AddressPolicy;
use std::net::IpAddr;

/// A network neighbourhood, of which one operator has many addresses cheaply: IPv4 by /24, IPv6 by /56.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    V4([u8; 3]),
    V6([u8; 7]),
}

impl Group {
    /// The neighbourhood of the address that is judged: an IPv4 address in an IPv6 one counts as itself (wire 5.1).
    pub(crate) fn of(ip: IpAddr) -> Self {
        match AddressPolicy::canonical(ip) {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(ip: &str) -> Group {
        Group::of(ip.parse().unwrap())
    }

    #[test]
    fn neighbours_share_a_group_in_any_disguise() {
        assert_eq!(group("8.8.8.8"), group("8.8.8.255"));
        assert_ne!(group("8.8.8.8"), group("8.8.9.8"));
        assert_eq!(group("::ffff:8.8.8.1"), group("8.8.8.8"));
        assert_eq!(group("2606:1:2:00ff::1"), group("2606:1:2:0001:9::"));
        assert_ne!(group("2606:1:2:0100::1"), group("2606:1:2:0001::1"));
    }
}
