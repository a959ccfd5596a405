//! Which bugs have their turn: a few on every commit, and in time all of them.

use std::{path::Path, process::Command};

/// The places of `count` of the names, chosen by `word`: the same for the same word.
#[must_use]
pub fn rotation(names: &[&str], count: usize, word: &str) -> Vec<usize> {
    let rank = |name: &str| {
        let mut hash = blake2b_simd::Params::new().hash_length(16).to_state();
        hash.update(word.as_bytes()).update(&[0]).update(name.as_bytes());
        hash.finalize().as_bytes().to_vec()
    };
    let mut places: Vec<usize> = (0..names.len()).collect();
    places.sort_by_key(|place| names.get(*place).map(|name| rank(name)));
    places.truncate(count);
    places
}

/// The commit that a house stands at.
///
/// # Errors
///
/// If git does not say.
pub fn head(house: &Path) -> Result<String, String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(house).output();
    let output = output.map_err(|error| format!("git: {error}"))?;
    if !output.status.success() {
        return Err(format!("git names no commit: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NAMES: [&str; 20] =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];

    #[test]
    fn a_word_chooses_the_same_and_every_name_has_its_turn() {
        assert_eq!(rotation(&NAMES, 3, "commit"), rotation(&NAMES, 3, "commit"));
        let chosen = |word: u32| rotation(&NAMES, 3, &word.to_string());
        let all: BTreeSet<usize> = (0..60).flat_map(chosen).collect();
        assert_eq!(all.len(), NAMES.len());
        assert!((0..60).all(|word| chosen(word).into_iter().collect::<BTreeSet<_>>().len() == 3));
        assert_eq!(rotation(&NAMES, 99, "commit").len(), NAMES.len());
    }
}
