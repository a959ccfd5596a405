//! The two small pattern languages the rule tables are written in: file patterns and path patterns.

/// Whether `path` (folders separated by `/`) fits `pattern`, where `**` stands for any number of parts, `*` for exactly
/// one, and `*` inside a part is not special.
pub(super) fn file_fits(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    parts_fit(&pattern, &path)
}

/// Whether `path` fits one of `patterns`.
pub(super) fn file_fits_any(patterns: &[&str], path: &str) -> bool {
    patterns.iter().any(|pattern| file_fits(pattern, path))
}

fn parts_fit(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            parts_fit(rest, path) || path.split_first().is_some_and(|(_, tail)| parts_fit(pattern, tail))
        }
        ([wanted, rest @ ..], [part, tail @ ..]) => {
            (wanted == part || *wanted == "*") && parts_fit(rest, tail)
        }
        _ => false,
    }
}

/// Whether a Rust path names what `pattern` bans.
///
/// `tokio::spawn` fits everything that starts with it, `*::HashMap` fits the segment sequence anywhere. A glob import
/// (`std::sync::*`) names everything below it.
pub(super) fn path_names(pattern: &str, path: &[String]) -> bool {
    let wanted: Vec<&str> = pattern.split("::").collect();
    if let ["*", anywhere @ ..] = wanted.as_slice() {
        return path.windows(anywhere.len()).any(|window| window == anywhere);
    }
    match path {
        [parents @ .., last] if last == "*" => {
            wanted.starts_with(&borrowed(parents)) || starts(path, &wanted)
        }
        _ => starts(path, &wanted),
    }
}

fn starts(path: &[String], wanted: &[&str]) -> bool {
    path.len() >= wanted.len() && path.iter().zip(wanted).all(|(segment, want)| segment == want)
}

fn borrowed(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split("::").map(str::to_owned).collect()
    }

    #[test]
    fn file_patterns_fit_folders_and_names() {
        assert!(file_fits("transport/src/quic/**", "transport/src/quic/tls/verify.rs"));
        assert!(file_fits("**/snapshot.rs", "snapshot.rs"));
        assert!(file_fits("**/src/**/wire/**", "block_sync/src/wire/codec.rs"));
        assert!(!file_fits("transport/src/quic/**", "transport/src/quick.rs"));
        assert!(!file_fits("*/src/wire.rs", "zakura/src/zcash/wire.rs"));
    }

    #[test]
    fn path_patterns_fit_prefixes_anywhere_and_globs() {
        assert!(path_names("tokio::spawn", &path("tokio::spawn")));
        assert!(!path_names("tokio::spawn", &path("tokio::spawn_blocking")));
        assert!(path_names("*::HashMap", &path("std::collections::HashMap::new")));
        assert!(path_names("std::sync::Mutex", &path("std::sync::*")));
        assert!(path_names("parking_lot", &path("parking_lot::*")));
        assert!(!path_names("std::sync::Mutex", &path("std::sync::Arc")));
    }
}
