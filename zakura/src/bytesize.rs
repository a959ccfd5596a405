//! Sizes as people write them: `"64 MiB"`.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};
use std::{fmt, str::FromStr};

/// A number of bytes, written with a binary unit (`B`, `KiB`, `MiB`, `GiB`) or without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Units from large to small, for printing and parsing.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    /// `n` mebibytes.
    #[must_use]
    pub const fn mib(n: u32) -> Self {
        Self((n as u64) << 20)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = exact.unwrap_or(&("B", 1));
        write!(f, "{} {name}", self.0 / unit)
    }
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size: write a whole number with B, KiB, MiB or GiB, such as \"64 MiB\"")]
pub struct ByteSizeError(String);

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ByteSizeError(text.chars().take(40).collect());
        let trimmed = text.trim();
        let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
        let suffix = trimmed.get(digits.len()..).unwrap_or_default().trim();
        let unit = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(suffix)) {
            Some((_, unit)) => *unit,
            None if suffix.is_empty() => 1,
            None => return Err(refuse()),
        };
        let number: u64 = digits.parse().map_err(|_| refuse())?;
        number.checked_mul(unit).map(Self).ok_or_else(refuse)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a size from a number of bytes or a text.
struct Written;

impl Visitor<'_> for Written {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"64 MiB\"")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
        let refused = |_| E::invalid_value(Unexpected::Signed(bytes), &self);
        u64::try_from(bytes).map(ByteSize).map_err(refused)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!("64 MiB".parse(), Ok(ByteSize::mib(64)));
        assert_eq!("64mib".parse(), Ok(ByteSize::mib(64)));
        assert_eq!("1500".parse(), Ok(ByteSize(1500)));
        assert_eq!(ByteSize(1500).to_string(), "1500 B");
        assert_eq!(ByteSize(0).to_string(), "0 B");
        for bad in ["", "MiB", "1 MB", "-1", "1.5 GiB", "99999999999 GiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }
}
