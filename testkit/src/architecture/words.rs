//! What things are called, and what the project may speak of.

use super::{House, Offence};

/// Words that say nothing about what a thing owns or promises.
const EMPTY_WORDS: [&str; 6] = ["handler", "manager", "driver", "context", "util", "helper"];

/// Paths and names of the places and tools a text was written with. Written in halves, so that this file passes.
const WORKPLACE: [&str; 9] = [
    concat!("/wo", "rk"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/tmp/", "bash"),
    concat!("cla", "ude"),
    concat!("anth", "ropic"),
    concat!("open", "ai"),
    concat!("language ", "model"),
    concat!("session ", "transcript"),
];

pub(super) fn plain_words(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in &house.sources {
        let file = source.file_name().trim_end_matches(".rs");
        let named = source.facts.names.iter().map(|name| (name.line, name.text.as_str()));
        for (line, name) in named.chain([(1, file)]) {
            if let Some(word) = empty_word(name) {
                let what = format!("`{name}` is called a {word}");
                offences.push(Offence::new(
                    &source.path,
                    line,
                    what,
                    "name it by the glossary: what it owns or does",
                ));
            }
        }
    }
    offences
}

fn empty_word(name: &str) -> Option<&'static str> {
    let segments = segments(name);
    EMPTY_WORDS.into_iter().find(|word| segments.iter().any(|segment| segment.trim_end_matches('s') == *word))
}

/// The words of a name in snake or camel case, in lower case.
fn segments(name: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut after_lower = false;
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let before_lower = letters.peek().is_some_and(|next| next.is_lowercase());
        if letter == '_' || letter.is_uppercase() && (after_lower || before_lower) {
            segments.push(String::new());
        }
        if letter != '_'
            && let Some(last) = segments.last_mut()
        {
            last.extend(letter.to_lowercase());
        }
        after_lower = letter.is_lowercase();
    }
    segments
}

pub(super) fn speaks_of_itself(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, text) in &house.texts {
        for (index, line) in text.lines().enumerate() {
            if let Some(word) = WORKPLACE.into_iter().find(|word| mentions(line, word)) {
                let what = format!("`{word}` speaks of a workplace");
                offences.push(Offence::new(path, index + 1, what, "say it in the project's own terms"));
            }
        }
    }
    offences
}

/// Whether `line` holds `word` on its own; a path counts only from its root (`a/b/` is inside the project).
fn mentions(line: &str, word: &str) -> bool {
    let line = line.to_lowercase();
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let part_of_path = |letter: char| letter.is_alphanumeric() || "_-./*~}".contains(letter);
        let starts = if word.starts_with('/') {
            !before.is_some_and(part_of_path)
        } else {
            !before.is_some_and(char::is_alphanumeric)
        };
        starts && (word.ends_with('/') || !after.is_some_and(char::is_alphanumeric))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_words_are_seen_as_whole_words_only() {
        assert_eq!(empty_word("PeerManager"), Some("manager"));
        assert_eq!(empty_word("HTTPHandler"), Some("handler"));
        assert_eq!(empty_word("io_utils"), Some("util"));
        assert_eq!(empty_word("Contextual"), None);
        assert_eq!(empty_word("utility"), None);
    }

    #[test]
    fn paths_inside_the_project_are_not_the_workplace() {
        assert!(mentions(concat!("see /wo", "rk/x"), concat!("/wo", "rk")));
        assert!(mentions(concat!("cp `/wo", "rk`"), concat!("/wo", "rk")));
        assert!(!mentions("transport/src/routine/work/mod.rs", concat!("/wo", "rk")));
        assert!(!mentions("a/workspace", concat!("/wo", "rk")));
    }
}
