//! Many addresses at once that want nothing but the victim's places and time.

use super::{Raw, Trouble, Victim, fill::Filler, identity, peer::measured, wire::Hello};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

/// What every source of a flood does, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Flood {
    /// Begins a connection and lets go of it before it stands.
    Knock,
    /// Finishes TLS and says nothing.
    Mute,
    /// Finishes TLS and says its Hello a byte a second.
    Dribble,
    /// Connects in order and keeps the place.
    Sit,
    /// Connects in order, says half of everything, asks for everything and hears nothing more.
    Fill,
    /// Each source another of the first three.
    All,
}

impl Flood {
    const fn of(self, source: u16) -> Self {
        match (self, source % 3) {
            (Self::All, 0) => Self::Knock,
            (Self::All, 1) => Self::Mute,
            (Self::All, _) => Self::Dribble,
            (one, _) => one,
        }
    }
}

/// Attempts of each source at once.
const AT_ONCE: usize = 4;
/// How long a knock lasts, and the pause behind every attempt: what a source can do is bounded by its machine, which is the
/// victim's too on loopback.
const KNOCK: Duration = Duration::from_millis(20);
const PAUSE: Duration = Duration::from_millis(100);

/// What came of a flood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Flooded {
    /// Connections begun.
    pub begun: u64,
    /// Of them, those whose TLS was finished.
    pub secured: u64,
    /// Of those, those that got an Ack.
    pub admitted: u64,
}

impl fmt::Display for Flooded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} begun, {} behind TLS, {} admitted", self.begun, self.secured, self.admitted)
    }
}

impl Flooded {
    const fn and(self, other: Self) -> Self {
        Self {
            begun: self.begun + other.begun,
            secured: self.secured + other.secured,
            admitted: self.admitted + other.admitted,
        }
    }
}

/// The address of a source: its own group of 256 for each of the first 256, loopback all of them.
const fn address(source: u16) -> SocketAddr {
    let [high, low] = source.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 1, low, high + 1)), 0)
}

/// Floods a victim on this machine from so many loopback addresses for so long.
///
/// # Errors
///
/// The victim is not on IPv4 loopback, where such addresses reach nobody; or an address cannot be bound.
pub async fn flood(victim: Victim, kind: Flood, sources: u16, during: Duration) -> Result<Flooded, Trouble> {
    let to = victim.name.addr.ip();
    if !matches!(to, IpAddr::V4(ip) if ip.is_loopback()) {
        let why = format!(
            "a flood comes from 127.1.0.1 and on, and {to} is not on IPv4 loopback: name a node on 127.0.0.1"
        );
        return Err(Trouble(why));
    }
    let until = Instant::now() + during;
    let mut running = FuturesUnordered::new();
    for source in 0..sources {
        for attempt in 0..AT_ONCE {
            let (number, role) = (u64::from(source), attempt.to_string());
            if kind == Flood::Fill {
                let filler = Filler::bind(number, &role, address(source))?;
                running.push(fill(filler, victim, until).boxed());
                continue;
            }
            let raw = Raw::bind_to(&identity(number, "flood", &role), address(source))?;
            running.push(persist(raw, victim, kind.of(source), until).boxed());
        }
    }
    let mut all = Flooded::default();
    while let Some(one) = running.next().await {
        all = all.and(one);
    }
    Ok(all)
}

/// One attempt: who has filled a connection stays with it.
async fn fill(filler: Filler, victim: Victim, until: Instant) -> Flooded {
    let mut admitted = 0;
    drop(timeout_at(until, filler.fill(victim, &mut admitted)).await);
    // Until the end, whatever came of it: a socket that is gone would be told of.
    sleep_until(until).await;
    Flooded { begun: 1, secured: admitted, admitted }
}

/// One attempt after another until the time is up.
async fn persist(raw: Raw, victim: Victim, kind: Flood, until: Instant) -> Flooded {
    let mut so_far = Flooded::default();
    while Instant::now() < until {
        so_far.begun += 1;
        // Whatever the victim does about it is what a flood is for.
        drop(timeout_at(until, attempt(&raw, victim, kind, &mut so_far)).await);
        sleep(PAUSE).await;
    }
    so_far
}

async fn attempt(raw: &Raw, victim: Victim, kind: Flood, so_far: &mut Flooded) -> Result<(), Trouble> {
    if kind == Flood::Knock {
        drop(timeout(KNOCK, raw.tls(victim.name.addr)).await);
        return Ok(());
    }
    let hello = Hello::honest(victim.network, victim.genesis, raw.name()?.id);
    if kind == Flood::Sit {
        let peer = raw.dial(victim, &hello).await?;
        (so_far.secured, so_far.admitted) = (so_far.secured + 1, so_far.admitted + 1);
        peer.connection.closed().await;
        return Ok(());
    }
    let connection = raw.tls(victim.name.addr).await?;
    so_far.secured += 1;
    let (mut send, _answers) = connection.open_bi().await.map_err(Trouble::of)?;
    if kind == Flood::Dribble {
        for byte in measured(&hello.bytes()) {
            send.write_all(&[byte]).await.map_err(Trouble::of)?;
            sleep(Duration::from_secs(1)).await;
        }
    }
    connection.closed().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::Name;

    #[tokio::test(start_paused = true)]
    async fn a_target_elsewhere_is_refused_before_anything_is_sent() {
        for addr in ["192.0.2.1:8234", "[::1]:8234", "[::ffff:127.0.0.1]:8234"] {
            let name = Name { id: [0; 32], addr: addr.parse().unwrap() };
            let victim = Victim { name, network: 3, genesis: [0; 32] };
            let trouble = flood(victim, Flood::Knock, 1, Duration::ZERO).await.unwrap_err();
            assert!(trouble.to_string().contains("not on IPv4 loopback"), "{trouble}");
        }
    }
}
