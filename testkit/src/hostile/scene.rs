//! What an act finds: a victim, an endpoint of its own, and the victim's chain.

use super::{Book, Peer, Raw, Trouble, wire::Hello};
use std::{fmt, net::SocketAddr, str::FromStr};

/// A node by id and address: `HEX@IP:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// The 32 bytes of its key.
    pub id: [u8; 32],
    /// Where it listens.
    pub addr: SocketAddr,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "@{}", self.addr)
    }
}

impl FromStr for Name {
    type Err = Trouble;

    fn from_str(text: &str) -> Result<Self, Trouble> {
        let wrong = || Trouble::of(format!("{text:?} is no ID@IP:PORT with 64 hexadecimal digits"));
        let (id, addr) = text.split_once('@').ok_or_else(wrong)?;
        let byte = |at: usize| u8::from_str_radix(id.get(at * 2..at * 2 + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..id.len() / 2).map(byte).collect();
        let id =
            bytes.filter(|_| id.len() == 64).and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?;
        Ok(Self { id, addr: addr.parse().map_err(|_| wrong())? })
    }
}

/// The node under test.
#[derive(Debug, Clone, Copy)]
pub struct Victim {
    /// Which.
    pub name: Name,
    /// Its network (wire 2.2).
    pub network: u32,
    /// Its genesis block.
    pub genesis: [u8; 32],
}

impl Victim {
    /// Bytes of every header of its chain (wire 5.2).
    #[must_use]
    pub const fn header_bytes(&self) -> usize {
        if self.network == 3 { 177 } else { 1_487 }
    }
}

/// What an act is given.
#[derive(Debug)]
pub struct Scene {
    /// The node under test.
    pub victim: Victim,
    /// Our endpoint.
    pub raw: Raw,
    /// Who we are.
    pub id: [u8; 32],
    /// The victim's chain from its finalized block up; longer than the victim's own if the act needs that.
    pub book: Book,
}

impl Scene {
    /// The Hello that an honest peer would say.
    #[must_use]
    pub fn hello(&self) -> Hello {
        Hello::honest(self.victim.network, self.victim.genesis, self.id)
    }

    /// Meets the victim in order: by dialling it.
    ///
    /// # Errors
    ///
    /// It does not answer in order.
    pub async fn meet(&self) -> Result<Peer, Trouble> {
        self.raw.dial(self.victim, &self.hello()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let text = format!("{}@127.0.0.1:8234", "0a".repeat(32));
        let name: Name = text.parse().unwrap();
        assert_eq!((name.id, name.to_string()), ([10; 32], text));
        assert!("0a@127.0.0.1:1".parse::<Name>().is_err());
        assert!(format!("{}@nowhere", "0a".repeat(32)).parse::<Name>().is_err());
    }
}
