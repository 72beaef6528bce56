//! Escaped names: names from files in a form that is safe to print.
//!
//! A name can hold what a terminal takes for commands, a line break, or marks that reorder the letters around them.
//! Whatever prints a name prints it through [`Escaped`].

use std::fmt::{self, Write};

/// Display adapter that escapes invisible characters that affect the text around them (control characters, line
/// separators, direction marks). The result is one line.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\n' | '\r' | '\t' => write!(f, "{}", c.escape_default())?,
                c if acts(c) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Returns whether a character changes how other characters are shown instead of being shown itself.
pub fn acts(c: char) -> bool {
    let marks_direction = matches!(
        c,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || marks_direction || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped_and_what_is_seen_is_not() {
        let shown = |name| Escaped(name).to_string();
        for name in ["conv1/weights_0", "größe · 卷积", "a b", "\\u{1b}"] {
            assert_eq!(shown(name), name);
        }
        assert_eq!(shown("\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(shown("a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(shown("\u{9b}2J\u{202e}cba\u{2069}"), "\\u{9b}2J\\u{202e}cba\\u{2069}");
    }
}
