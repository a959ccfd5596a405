//! Words that a peer may have chosen, made fit for people's eyes. Pure.

use std::fmt;

/// Bytes of a peer's words that are kept: stops a peer from filling records and logs (threat F06).
pub const MAX_TEXT: usize = 256;

/// A short printable text: control characters, line ends, quotes and whatever turns text around are escaped, and beyond
/// [`MAX_TEXT`] bytes it is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Box<str>);

impl Text {
    /// What may be shown of these words.
    #[must_use]
    pub fn of(words: &str) -> Self {
        const CUT: &str = "...";
        let (mut text, mut fits) = (String::new(), 0);
        for letter in words.chars() {
            text.extend(letter.escape_debug());
            if text.len() > MAX_TEXT {
                text.truncate(fits);
                text.push_str(CUT);
                break;
            }
            if text.len() <= MAX_TEXT - CUT.len() {
                fits = text.len();
            }
        }
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_and_turned_text_are_escaped() {
        let text = Text::of("bad\n\u{1b}[31mred\u{202e}\"\\\0");
        assert_eq!(text.as_str(), r#"bad\n\u{1b}[31mred\u{202e}\"\\\0"#);
    }

    #[test]
    fn long_words_are_cut_and_say_so() {
        let text = Text::of(&"x".repeat(10_000));
        assert_eq!(text.as_str(), format!("{}...", "x".repeat(MAX_TEXT - 3)));
        assert_eq!(Text::of(&"x".repeat(MAX_TEXT)).as_str(), "x".repeat(MAX_TEXT), "what fits is whole");
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_short_and_printable(words in "\\PC*|(?s:.{0,400})") {
            let text = Text::of(&words);
            prop_assert!(text.as_str().len() <= MAX_TEXT);
            prop_assert!(!text.as_str().chars().any(char::is_control));
        }
    }
}
