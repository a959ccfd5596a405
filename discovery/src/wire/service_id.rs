//! Names of services in records and summaries.

use super::caps::{MAX_SERVICE_ID_BYTES, MAX_SERVICES};
use bytes::Buf;
use std::{borrow::Cow, fmt};
use zakura_transport::wire::{Malformed, Reader, Writer};

/// A service's name: 1 to 64 ASCII bytes (wire 5.1). Printed with everything that is not printable escaped, because peers
/// choose them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceId(Cow<'static, str>);

impl ServiceId {
    /// Discovery itself.
    pub const DISCOVERY: Self = Self(Cow::Borrowed("zakura.discovery.v1"));
    /// Header sync.
    pub const HEADER_SYNC: Self = Self(Cow::Borrowed("zakura.header_sync.v2"));
    /// Header sync as it was called before; read, never written.
    pub const HEADER_SYNC_V1: Self = Self(Cow::Borrowed("zakura.header_sync.v1"));
    /// Block sync.
    pub const BLOCK_SYNC: Self = Self(Cow::Borrowed("zakura.block_sync.v1"));
    /// Gossip of blocks and transactions.
    pub const LEGACY_GOSSIP: Self = Self(Cow::Borrowed("zakura.legacy_gossip.v1"));
    /// Single requests.
    pub const LEGACY_REQUESTS: Self = Self(Cow::Borrowed("zakura.legacy_requests.v1"));
    /// Answers to GetServices.
    pub const SERVICE_DISCOVERY: Self = Self(Cow::Borrowed("zakura.service_discovery.v1"));

    /// The name, if it is one.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=MAX_SERVICE_ID_BYTES).contains(&name.len()) && name.is_ascii();
        fits.then(|| Self(Cow::Owned(name.to_owned())))
    }

    /// The name as it travels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn read(what: &'static str, from: &mut Reader<impl Buf>) -> Result<Self, Malformed> {
        let bytes = from.b16(what, MAX_SERVICE_ID_BYTES)?;
        std::str::from_utf8(&bytes)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| Malformed::new(what, "is not 1 to 64 ASCII bytes"))
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.b16(self.0.as_bytes());
    }

    /// A service list of any message.
    pub(super) fn read_list(what: &'static str, from: &mut Reader<impl Buf>) -> Result<Vec<Self>, Malformed> {
        from.list(what, MAX_SERVICES, |from| Self::read(what, from))
    }

    /// The same list as bytes.
    pub(super) fn write_list(services: &[Self], out: &mut Writer) {
        out.list(MAX_SERVICES, services, |out, service| service.write(out));
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_default().fmt(f)
    }
}
