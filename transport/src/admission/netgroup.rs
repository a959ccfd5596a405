//! Which addresses count as one neighbourhood. Pure.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A network neighbourhood, of which one operator has many addresses cheaply: IPv4 by /24, IPv6 by /56.
///
/// Caps are counted by it, never by socket address or identity, of which an attacker has as many as he likes
/// (threats T03). An IPv4 address inside an IPv6 one counts as itself.
///
/// ```
/// use zakura_transport::Netgroup;
/// let group = |ip: &str| Netgroup::of(ip.parse().unwrap());
/// assert_eq!(group("198.51.100.7"), group("::ffff:198.51.100.9"));
/// assert_eq!(group("2001:db8:0:42::1").to_string(), "2001:db8::/56");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Netgroup {
    /// The first 24 bits of an IPv4 address.
    V4([u8; 3]),
    /// The first 56 bits of an IPv6 address: what a site is commonly given (RFC 6177).
    V6([u8; 7]),
}

impl Netgroup {
    /// The neighbourhood of an address, however the address is written.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match Self::canonical(ip) {
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

    /// The address that is judged and counted: the IPv4 one inside a mapped or compatible (RFC 4291 2.5.5), 6to4
    /// (RFC 3056 2), Teredo (RFC 4380 4) or well-known NAT64 (RFC 6052 2.1) address, else the address itself (wire 5.1).
    /// One host has one canonical address.
    #[must_use]
    pub const fn canonical(ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(v6) => match embedded(v6) {
                Some(v4) => IpAddr::V4(v4),
                None => ip,
            },
        }
    }
}

/// The IPv4 address inside an IPv6 one.
const fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match ip.segments() {
        // The unspecified address and loopback look compatible, and are not.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => (high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        [0x2002, high, low, ..] => (high, low),
        // Teredo writes the client's address with every bit turned.
        [0x2001, 0, .., high, low] => (!high, !low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

impl fmt::Display for Netgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(f, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6(start) => {
                let mut octets = [0; 16];
                octets[..7].copy_from_slice(&start);
                write!(f, "{}/56", Ipv6Addr::from(octets))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(ip: &str) -> Netgroup {
        Netgroup::of(ip.parse().unwrap())
    }

    #[test]
    fn every_disguise_of_an_ipv4_host_is_its_own_neighbourhood() {
        for disguise in [
            "198.51.100.1",
            "::ffff:198.51.100.2",                  // mapped
            "::198.51.100.3",                       // compatible
            "2002:c633:6404::1",                    // 6to4
            "2002:c633:6404:ffff:1:2:3:4",          // 6to4, elsewhere in the site
            "64:ff9b::198.51.100.5",                // NAT64
            "2001:0:4136:e378:8000:63bf:39cc:9bf9", // Teredo: !39cc9bf9 = c633:6406
        ] {
            assert_eq!(group(disguise).to_string(), "198.51.100.0/24", "{disguise}");
        }
    }

    #[test]
    fn what_only_looks_like_a_disguise_is_an_ipv6_address() {
        for plain in [
            "::",
            "::1",
            "64:ff9b:1::198.51.100.5", // RFC 8215: local NAT64, the prefix's owner chooses the rest
            "2001:1::198.51.100.5",
            "2001:db8::198.51.100.5",
            "fe80::198.51.100.5",
        ] {
            assert!(matches!(group(plain), Netgroup::V6(_)), "{plain}");
        }
    }

    #[test]
    fn groups_end_at_24_and_at_56_bits() {
        assert_eq!(group("8.8.8.0"), group("8.8.8.255"));
        assert_ne!(group("8.8.8.8"), group("8.8.9.8"));
        assert_eq!(group("2606:1:2:00ff::1"), group("2606:1:2:0001:9::"));
        assert_ne!(group("2606:1:2:0100::1"), group("2606:1:2:0001::1"));
        assert_eq!(group("2606:1:2:01ff::1").to_string(), "2606:1:2:100::/56");
    }

    /// The six ways to write an IPv4 address, `noise` in the bits that do not count.
    fn disguises(v4: Ipv4Addr, noise: u64) -> [IpAddr; 6] {
        let v4_bits = u128::from(v4.to_bits());
        let ip = |bits: u128| IpAddr::V6(Ipv6Addr::from_bits(bits));
        [
            IpAddr::V4(v4),
            ip(0xffff << 32 | v4_bits),
            ip(v4_bits),
            ip(0x2002 << 112 | v4_bits << 80 | u128::from(noise)),
            ip(0x0064_ff9b << 96 | v4_bits),
            ip(0x2001_0000 << 96 | u128::from(noise) << 32 | u128::from(!v4.to_bits())),
        ]
    }

    proptest! {
        #[test]
        fn a_host_has_one_canonical_address_and_it_stays(bits in 2_u32.., noise: u64) {
            let v4 = Ipv4Addr::from_bits(bits);
            for disguise in disguises(v4, noise) {
                prop_assert_eq!(Netgroup::canonical(disguise), IpAddr::V4(v4));
                prop_assert_eq!(Netgroup::of(disguise), Netgroup::of(v4.into()));
            }
        }

        #[test]
        fn canonical_is_idempotent_and_groups_are_prefixes(bits: u128, other: u128) {
            let ip = IpAddr::V6(Ipv6Addr::from_bits(bits));
            let canonical = Netgroup::canonical(ip);
            prop_assert_eq!(Netgroup::canonical(canonical), canonical);
            if canonical == ip {
                let neighbour = IpAddr::V6(Ipv6Addr::from_bits(bits >> 72 << 72 | other & ((1 << 72) - 1)));
                if Netgroup::canonical(neighbour) == neighbour {
                    prop_assert_eq!(Netgroup::of(neighbour), Netgroup::of(ip));
                }
            }
        }
    }
}
