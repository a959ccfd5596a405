//! One Rust file of the house.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use super::collector::collect;
use super::facts::{Facts, Mention};

/// A Rust file, read and understood.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the house's root, with `/` between folders.
    pub(super) path: String,
    /// Lines above the closing `mod tests` that hold code: neither blank nor comment.
    pub(super) code_lines: usize,
    pub(super) facts: Facts,
}

impl Source {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What `syn` says about a text that is not Rust.
    pub(super) fn parse(path: String, text: &str) -> Result<Self, syn::Error> {
        let tokens: TokenStream = text.parse()?;
        let file: syn::File = syn::parse2(tokens.clone())?;
        let facts = collect(&file, is_test(&path));
        let code_lines = code_lines(tokens, text, facts.tests_begin);
        Ok(Self { path, code_lines, facts })
    }

    /// Whether the whole file is a test or a bench.
    pub(super) fn is_test(&self) -> bool {
        is_test(&self.path)
    }

    /// Whether the file stands in a `src` folder.
    pub(super) fn is_in_src(&self) -> bool {
        self.path.split('/').any(|part| part == "src")
    }

    /// The file's name without its folders.
    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The paths named outside tests.
    pub(super) fn production_mentions(&self) -> impl Iterator<Item = &Mention> {
        self.facts.mentions.iter().filter(|mention| !mention.test)
    }
}

fn is_test(path: &str) -> bool {
    path.split('/').take_while(|part| *part != "src").any(|part| part == "tests" || part == "benches")
}

/// Counts the lines a token touches, above `end`, that are not comments. (Doc comments are tokens too.)
fn code_lines(tokens: TokenStream, text: &str, end: Option<usize>) -> usize {
    let mut touched = BTreeSet::new();
    touch(tokens, &mut touched);
    let lines: Vec<&str> = text.lines().collect();
    touched
        .into_iter()
        .filter(|line| end.is_none_or(|end| *line < end))
        .filter(|line| lines.get(line.saturating_sub(1)).is_some_and(|text| !is_comment(text)))
        .count()
}

fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with("//")
}

fn touch(tokens: TokenStream, touched: &mut BTreeSet<usize>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                touched.extend([group.span_open().start().line, group.span_close().end().line]);
                touch(group.stream(), touched);
            }
            TokenTree::Literal(literal) => {
                touched.extend(literal.span().start().line..=literal.span().end().line);
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {
                touched.insert(token.span().start().line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path.to_owned(), text).unwrap()
    }

    #[test]
    fn comments_blanks_docs_and_tests_are_not_code() {
        let text = "//! Doc.\n\n// why\n/// Doc.\nfn a() {\n    // why\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n    use x;\n}\n";
        assert_eq!(source("transport/src/a.rs", text).code_lines, 3);
    }

    #[test]
    fn names_are_followed_through_imports_and_into_macros() {
        let text = "use tokio::time;\nuse time::Instant as Clock;\nfn a() { assert!(x(Clock::now())); }\n";
        let source = source("transport/src/a.rs", text);
        let named = |path: &str| source.facts.mentions.iter().any(|mention| mention.path.join("::") == path);
        assert!(named("tokio::time::Instant::now"));
    }

    #[test]
    fn only_folders_outside_src_make_a_test() {
        assert!(source("transport/tests/a.rs", "").is_test());
        assert!(source("transport/benches/a.rs", "").is_test());
        assert!(!source("transport/src/tests/a.rs", "").is_test());
    }
}
