//! How a failed command is shown: what failed, why, and what to do about it.
//!
//! Libraries return precise errors; a code and advice are added here, for people.

use std::error::Error;
use std::{fmt, io};

use miette::Diagnostic;
use serde::Serialize;

use super::input::InputError;

/// A failed command, ready to be shown.
#[derive(Debug, Serialize)]
pub struct Failure {
    code: String,
    message: String,
    help: Option<String>,
}

impl Failure {
    /// A failure with an error's message and those of its causes.
    pub fn new(code: &str, error: &dyn Error, help: impl Into<Option<&'static str>>) -> Self {
        Self { code: code.into(), message: message(error), help: help.into().map(String::from) }
    }

    /// Shows it on stderr.
    pub fn show(self, json: bool) {
        if json {
            let value = serde_json::json!({ "error": self });
            eprintln!("{value}");
        } else {
            eprintln!("{:?}", miette::Report::new(self));
        }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        let code = error.code().map(|c| c.to_string()).unwrap_or_default();
        let help = error.help().map(|h| h.to_string());
        Self { code, message: message(&error), help }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new("pic::io", &error, None)
    }
}

impl From<rayon::ThreadPoolBuildError> for Failure {
    fn from(error: rayon::ThreadPoolBuildError) -> Self {
        Self::new("pic::threads", &error, "ask for fewer with --threads")
    }
}

impl From<pic_ckks::Error> for Failure {
    fn from(error: pic_ckks::Error) -> Self {
        Self::new("pic::ckks", &error, None)
    }
}

/// The message of an error, followed by those of its causes that it does not quote itself.
fn message(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }
}
