//! Addresses in records, and which of them we would ever dial.

use bytes::Buf;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use zakura_transport::{
    Netgroup,
    wire::{Malformed, Reader, Writer},
};

/// Family byte of an IPv4 address.
const V4: u8 = 4;

/// Family byte of an IPv6 address.
const V6: u8 = 6;

/// An address as a record states it. IPv6 keeps the flow label and scope of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordAddr(pub SocketAddr);

impl RecordAddr {
    /// Bytes of the longest form: family, address, port, flow label, scope.
    pub(super) const MAX_BYTES: usize = 1 + 16 + 2 + 4 + 4;

    pub(super) fn read(from: &mut Reader<impl Buf>) -> Result<Self, Malformed> {
        match from.u8("Record.address.family")? {
            V4 => {
                let ip = from.array::<4>("Record.address.ip")?;
                let port = from.u16("Record.address.port")?;
                Ok(Self(SocketAddrV4::new(ip.into(), port).into()))
            }
            V6 => {
                let ip = from.array::<16>("Record.address.ip")?;
                let port = from.u16("Record.address.port")?;
                let (flow, scope) = (from.u32("Record.address.flow")?, from.u32("Record.address.scope")?);
                Ok(Self(SocketAddrV6::new(ip.into(), port, flow, scope).into()))
            }
            other => Err(Malformed::new("Record.address.family", format!("{other} is neither 4 nor 6"))),
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        match self.0 {
            SocketAddr::V4(address) => {
                out.u8(V4);
                out.raw(&address.ip().octets());
                out.u16(address.port());
            }
            SocketAddr::V6(address) => {
                out.u8(V6);
                out.raw(&address.ip().octets());
                out.u16(address.port());
                out.u32(address.flowinfo());
                out.u32(address.scope_id());
            }
        }
    }
}

/// Which addresses we believe from peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressPolicy {
    /// Only what the whole internet can reach. Stops peers from making us dial into our operator's own network.
    Public,
    /// Anything that names one host, for Regtest and simulation.
    Any,
}

/// IPv4 that is not globally routable (wire 5.1): network and prefix length.
const REFUSED_V4: [(Ipv4Addr, u32); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// IPv6 that is not globally routable (wire 5.1): network and prefix length.
const REFUSED_V6: [(Ipv6Addr, u32); 9] = [
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

impl AddressPolicy {
    /// Whether a peer may tell us this address.
    #[must_use]
    pub fn admits(self, address: SocketAddr) -> bool {
        let names_a_port = address.port() != 0;
        names_a_port
            && match self {
                Self::Public => is_public(address.ip()),
                Self::Any => names_a_host(Self::canonical(address.ip())),
            }
    }

    /// The address that is judged and counted: the IPv4 inside a mapped, compatible, 6to4, Teredo or well-known NAT64
    /// address, else the address itself (wire 5.1). One host has one canonical address, however it is written.
    #[must_use]
    pub fn canonical(ip: IpAddr) -> IpAddr {
        Netgroup::canonical(ip)
    }
}

/// Neither the address as it is written nor the one it stands for is refused.
fn is_public(ip: IpAddr) -> bool {
    let refused = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => REFUSED_V4
            .iter()
            .any(|(network, prefix)| (network.to_bits() ^ ip.to_bits()).leading_zeros() >= *prefix),
        IpAddr::V6(ip) => REFUSED_V6
            .iter()
            .any(|(network, prefix)| (network.to_bits() ^ ip.to_bits()).leading_zeros() >= *prefix),
    };
    !refused(ip) && !refused(AddressPolicy::canonical(ip))
}

fn names_a_host(ip: IpAddr) -> bool {
    let everybody = IpAddr::V4(Ipv4Addr::BROADCAST);
    !ip.is_unspecified() && !ip.is_multicast() && ip != everybody
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(policy: AddressPolicy, ip: &str) -> bool {
        policy.admits(SocketAddr::new(ip.parse().unwrap(), 8234))
    }

    #[test]
    fn what_the_internet_cannot_reach_is_refused_up_to_its_edges() {
        for refused in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.1",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.255",
            "192.0.2.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "febf:ffff::1",
            "fc00::1",
            "fdff:ffff::1",
            "fec0::1",
            "feff::1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:1:ffff::1",
            "2001:db8::1",
            "2001:db8:ffff::1",
        ] {
            assert!(!admits(AddressPolicy::Public, refused), "{refused}");
        }
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "93.184.216.34",
            "2606:2800:220:1::1",
            "2001:db7::1",
            "2001:db9::1",
            "64:ff9b:2::1",
        ] {
            assert!(admits(AddressPolicy::Public, public), "{public}");
        }
    }

    #[test]
    fn an_ipv4_address_in_disguise_is_judged_and_counted_as_itself() {
        let inside = |ip: &str| AddressPolicy::canonical(ip.parse().unwrap()).to_string();
        for (disguise, plain, public) in [
            ("::ffff:8.8.8.8", "8.8.8.8", true),
            ("::ffff:10.0.0.1", "10.0.0.1", false),
            ("::8.8.8.8", "8.8.8.8", true),
            ("::127.0.0.1", "127.0.0.1", false),
            ("2002:808:808::1", "8.8.8.8", true),
            ("2002:c0a8:101::1", "192.168.1.1", false),
            ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", "8.8.8.8", true),
            ("2001:0:4136:e378:8000:63bf:3f57:fefe", "192.168.1.1", false),
            ("64:ff9b::808:808", "8.8.8.8", false),
            ("64:ff9b::a00:1", "10.0.0.1", false),
        ] {
            assert_eq!(
                (inside(disguise).as_str(), admits(AddressPolicy::Public, disguise)),
                (plain, public),
                "{disguise}"
            );
        }
        for itself in ["8.8.8.8", "::", "::1", "2606::1", "2001:1::1", "64:ff9b:1::808:808"] {
            assert_eq!(inside(itself), itself);
        }
    }

    #[test]
    fn any_admits_a_host_on_a_port_and_nothing_else() {
        for host in ["127.0.0.1", "10.0.0.1", "::1", "fe80::1", "8.8.8.8", "2001:db8::1"] {
            assert!(admits(AddressPolicy::Any, host), "{host}");
        }
        for nobody in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"] {
            assert!(!admits(AddressPolicy::Any, nobody), "{nobody}");
        }
        for policy in [AddressPolicy::Public, AddressPolicy::Any] {
            assert!(!policy.admits("8.8.8.8:0".parse().unwrap()), "port zero");
        }
    }
}
