//! Who we are: an Ed25519 key, and the file it lives in.

use crate::{PeerId, quic::fresh_bytes};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Bytes of an Ed25519 seed.
const SEED_BYTES: usize = 32;

/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;

/// What stands before the 32 key bytes in a `SubjectPublicKeyInfo` (wire 1.2).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What stands before the 32 seed bytes in a PKCS#8 version 1 private key (RFC 8410).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The longest key file we read: 64 digits and a line end, with room for an editor's blanks (stops reading a huge
/// file that was put in the key's place).
const MAX_KEY_FILE_BYTES: u64 = 256;

/// A node's Ed25519 identity. Its public half is the [`PeerId`] (wire 1.2).
#[derive(Clone)]
pub struct Identity {
    seed: [u8; SEED_BYTES],
    pair: Arc<Ed25519KeyPair>,
    id: PeerId,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.id).finish()
    }
}

/// An identity that could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The operating system gave no randomness, or the key library refused the seed.
    #[error("no new identity: {0}")]
    Generate(&'static str),
    /// The file could not be read or written.
    #[error("identity file {path}: {source}; check that the directory exists and belongs to this user")]
    File {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the key.
    #[error(
        "identity file {path} has mode {mode:o}, so others can use this identity: run `chmod 600 {path}`"
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key belongs to another user.
    #[error(
        "identity file {path} belongs to user {owner}, we run as {us}: run as that user or `chown` the file"
    )]
    Foreign {
        /// The key file.
        path: PathBuf,
        /// The file's owner.
        owner: u32,
        /// Our user.
        us: u32,
    },
    /// The contents are no key.
    #[error(
        "identity file {path} is not 64 hexadecimal digits: restore it from a backup, or move it away to get a new identity"
    )]
    Contents {
        /// The key file.
        path: PathBuf,
    },
}

impl Identity {
    /// The identity that grows from these 32 bytes: same seed, same identity.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Generate`] if the key library refuses the seed; no seed is known that it refuses.
    pub fn from_seed(seed: [u8; SEED_BYTES]) -> Result<Self, IdentityError> {
        let refused = IdentityError::Generate("the key library refused the seed");
        let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(&seed) else { return Err(refused) };
        let Ok(key) = <[u8; 32]>::try_from(pair.public_key().as_ref()) else { return Err(refused) };
        Ok(Self { seed, pair: Arc::new(pair), id: PeerId::new(key) })
    }

    /// A new identity from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Generate`] if the system gives none.
    pub fn generate() -> Result<Self, IdentityError> {
        let seed =
            fresh_bytes().map_err(|_| IdentityError::Generate("the operating system gave no randomness"))?;
        Self::from_seed(seed)
    }

    /// Reads `DATA_DIR/identity/NETWORK.key`, or creates it with a new identity. The file is readable by its owner
    /// only, and is complete or absent, whatever crashes.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the file, what is wrong with it, and the remedy.
    pub fn load_or_create(data_dir: &Path, network: &str) -> Result<Self, IdentityError> {
        let dir = data_dir.join("identity");
        let path = dir.join(format!("{network}.key"));
        let failed = |source| IdentityError::File { path: path.clone(), source };
        match read(&path)? {
            Some(identity) => Ok(identity),
            None => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
                let fresh = Self::generate()?;
                if publish(&dir, &path, &fresh).map_err(failed)? {
                    return Ok(fresh);
                }
                // Another process created it between our look and our write: theirs counts.
                read(&path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
            }
        }
    }

    /// The public half.
    #[must_use]
    pub const fn peer_id(&self) -> PeerId {
        self.id
    }

    /// Signs `message`: Ed25519, the same signature for the same message (RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }

    /// The 32 secret bytes, for the layers that sign or derive keys with this identity. Never log them.
    #[must_use]
    pub const fn seed(&self) -> &[u8; SEED_BYTES] {
        &self.seed
    }

    /// The private key as PKCS#8 version 1.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        [&PKCS8_PREFIX[..], &self.seed].concat()
    }
}

/// The 44-byte `SubjectPublicKeyInfo` of an identity: all that travels as its "certificate" (wire 1.2).
pub(crate) fn spki(id: PeerId) -> Vec<u8> {
    [&SPKI_PREFIX[..], id.as_bytes()].concat()
}

/// The identity in a `SubjectPublicKeyInfo`, if it is an Ed25519 one.
pub(crate) fn from_spki(der: &[u8]) -> Option<PeerId> {
    let key = der.strip_prefix(&SPKI_PREFIX)?;
    <[u8; 32]>::try_from(key).ok().map(PeerId::new)
}

fn read(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let failed = |source| IdentityError::File { path: path.to_owned(), source };
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if let Some(us) = process_owner().filter(|us| *us != meta.uid()) {
        return Err(IdentityError::Foreign { path: path.to_owned(), owner: meta.uid(), us });
    }
    if meta.is_file() && meta.mode() & 0o077 != 0 {
        return Err(IdentityError::Exposed { path: path.to_owned(), mode: meta.mode() & 0o777 });
    }
    let contents = || IdentityError::Contents { path: path.to_owned() };
    if !meta.is_file() || meta.len() > MAX_KEY_FILE_BYTES {
        return Err(contents());
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let seed = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).map_err(|_| contents())?;
    let seed = seed.try_into().map_err(|_| contents())?;
    Identity::from_seed(seed).map(Some)
}

/// Writes the key under a name of its own, then gives it its name unless that is taken. `false` if it is.
fn publish(dir: &Path, path: &Path, identity: &Identity) -> io::Result<bool> {
    let draft = dir.join(format!(".{}.draft", identity.id.short()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = writeln!(file, "{}", data_encoding::HEXLOWER.encode(&identity.seed))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match written {
        Ok(()) => fs::File::open(dir)?.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The user we run as, where the system tells without unsafe code.
fn process_owner() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|meta| meta.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("zakura-identity-{name}-{}", std::process::id()));
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn the_same_seed_gives_the_same_identity_and_its_spki_reads_back() {
        let identity = Identity::from_seed([7; 32]).unwrap();
        assert_eq!(identity.peer_id(), Identity::from_seed([7; 32]).unwrap().peer_id());
        let der = spki(identity.peer_id());
        assert_eq!(der.len(), 44);
        assert_eq!(from_spki(&der), Some(identity.peer_id()));
        assert_eq!(from_spki(&der[..43]), None);
        assert_eq!(from_spki(&[&der[..], &[0]].concat()), None);
    }

    #[test]
    fn a_signature_is_the_standards() {
        // RFC 8032, 7.1, test 2: one byte.
        let hex = |digits: &str| data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let identity = Identity::from_seed(seed.try_into().unwrap()).unwrap();
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(identity.sign(&[0x72]).to_vec(), hex(signature));
    }

    #[test]
    fn a_created_identity_is_found_again_and_is_for_its_owner_only() {
        let dir = scratch("create");
        let first = Identity::load_or_create(&dir, "regtest").unwrap();
        let second = Identity::load_or_create(&dir, "regtest").unwrap();
        assert_eq!(first.peer_id(), second.peer_id());
        let path = dir.join("identity/regtest.key");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.join("identity")).unwrap().count(), 1, "no draft is left behind");
        let other = Identity::load_or_create(&dir, "mainnet").unwrap();
        assert_ne!(first.peer_id(), other.peer_id(), "one identity a network");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_exposed_or_broken_key_file_is_refused_with_its_remedy() {
        let dir = scratch("broken");
        Identity::load_or_create(&dir, "regtest").unwrap();
        let path = dir.join("identity/regtest.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Identity::load_or_create(&dir, "regtest").unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        let error = Identity::load_or_create(&dir, "regtest").unwrap_err();
        assert!(matches!(error, IdentityError::Contents { .. }), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }
}
