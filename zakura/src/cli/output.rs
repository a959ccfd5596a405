//! What a command prints: its result on standard output, its progress on standard error.

use std::{
    fmt,
    io::{self, Write},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;
use zakura_header_sync::chain::BlockRef;

use super::Failure;

/// How a command answers.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For a reader of JSON, or of text.
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the reader expects JSON.
    #[must_use]
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a line on standard output now: the result, or an event on the way to it. `value` is what a reader of
    /// JSON gets, `text` what anyone else gets.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written, or the value is no JSON.
    pub fn line(self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let printed = if self.json {
            serde_json::to_string(value).map_err(io::Error::from).and_then(|json| writeln!(out, "{json}"))
        } else {
            writeln!(out, "{text}")
        };
        printed
            .and_then(|()| out.flush())
            .map_err(|error| Failure::work(format!("standard output: {error}: is its reader gone?")))
    }

    /// Prints a failure: one line on standard error, and an object for a reader of JSON who has no result.
    pub fn failure(self, failure: &Failure) {
        // Where standard error is gone too, the exit code still says it.
        let _ = writeln!(io::stderr().lock(), "error: {failure}");
        if self.json && !failure.is_result_out() {
            let _ = self.line(&serde_json::json!({ "error": failure.to_string() }), "");
        }
    }

    /// A progress bar on standard error; invisible unless that is a terminal.
    #[must_use]
    pub fn bar(self, what: &'static str, total: u64) -> Bar {
        let template = "{msg:>10} [{wide_bar}] {human_pos}/{human_len} {rate} eta {eta}";
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
                // A text in memory takes every word.
                let _ = write!(text, "{:.0}/s", state.per_sec());
            });
        Bar(ProgressBar::new(total).with_style(style).with_message(what))
    }
}

/// The end of a chain, as results name it.
#[derive(Debug, Clone, Serialize)]
pub struct Tip {
    /// Its height.
    pub tip_height: u32,
    /// Its hash in display order.
    pub tip_hash: String,
}

impl From<BlockRef> for Tip {
    fn from(block: BlockRef) -> Self {
        Self { tip_height: block.height.get(), tip_hash: block.hash.to_string() }
    }
}

/// A progress bar, removed when dropped.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Sets how much is done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Sets how much there is to do.
    pub fn aim(&self, total: u64) {
        self.0.set_length(total);
    }

    /// Prints a line on standard error, above the bar where that is shown.
    pub fn say(&self, line: &str) {
        self.0.suspend(|| {
            // Where standard error is gone, nobody is there to be told.
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }

    /// Adds one.
    pub fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
