//! A position in a text, from which tokens are read. It knows nothing of networks.

use std::str::FromStr;

use pic_ir::escape::Escaped;

/// Largest number of characters of the text that an error shows.
const MOST_SHOWN: usize = 24;

/// A text does not follow the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {}", Escaped(found))]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Description of what the grammar allows at this place.
    pub expected: String,
    /// Beginning of the text at this place.
    pub found: String,
}

/// The rest of a text. White space and comments before it are skipped.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first token of a text.
    pub fn new(text: &'a str) -> Self {
        let mut cursor = Self { text, position: 0 };
        cursor.advance(0);
        cursor
    }

    /// Returns whether `token` is next.
    pub fn starts_with(&self, token: &str) -> bool {
        self.rest().starts_with(token)
    }

    /// Reads `token` if it is next.
    pub fn eat(&mut self, token: &str) -> bool {
        let is_next = self.starts_with(token);
        if is_next {
            self.advance(token.len());
        }
        is_next
    }

    /// Reads `token`.
    ///
    /// # Errors
    /// [`ParseError`] if something else is next.
    pub fn expect(&mut self, token: &str) -> Result<(), ParseError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(format!("`{token}`"))) }
    }

    /// Checks that nothing is left of the text.
    ///
    /// # Errors
    /// [`ParseError`] if something is.
    pub fn end(&self) -> Result<(), ParseError> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.error("the end of the text")) }
    }

    /// Reads lower-case letters and underscores, perhaps none.
    pub fn word(&mut self) -> &'a str {
        self.run(|c| c.is_ascii_lowercase() || c == '_')
    }

    /// Reads an unsigned decimal integer.
    ///
    /// # Errors
    /// [`ParseError`] if there is none, or `T` cannot hold it.
    pub fn integer<T: FromStr>(&mut self) -> Result<T, ParseError> {
        let start = self.clone();
        let digits = self.run(|c| c.is_ascii_digit());
        let bits = 8 * size_of::<T>();
        digits.parse().map_err(|_| start.error(format!("an unsigned integer of {bits} bits")))
    }

    /// Reads a real number, or what `T` reads as one, such as `inf`.
    ///
    /// # Errors
    /// [`ParseError`] if there is none.
    pub fn real<T: FromStr>(&mut self) -> Result<T, ParseError> {
        let start = self.clone();
        let number = self.run(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        number.parse().map_err(|_| start.error("a number"))
    }

    /// Reads a string literal.
    pub fn string(&mut self) -> Result<String, ParseError> {
        if !self.starts_with("\"") {
            return Err(self.error("a name in double quotes"));
        }
        let mut value = String::new();
        let mut rest = self.clone();
        rest.position += 1;
        loop {
            let next = rest.clone();
            match rest.next() {
                Some('"') => break,
                Some('\\') => {
                    let escaped = rest.escaped();
                    value.push(escaped.ok_or_else(|| next.error("an escape sequence"))?);
                }
                Some(c) => value.push(c),
                None => return Err(next.error("the end of a name, `\"`")),
            }
        }
        self.advance(rest.position - self.position);
        Ok(value)
    }

    /// Reads items between `open` and `close`, with commas between them.
    pub fn list<T>(
        &mut self,
        [open, close]: [&str; 2],
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.eat(close) {
            if !items.is_empty() && !self.eat(",") {
                return Err(self.error(format!("`,` or `{close}`")));
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Error at this place: `expected` was not found.
    pub fn error(&self, expected: impl Into<String>) -> ParseError {
        let is_delimiter = |c: char| c.is_whitespace() || ",;:·()[]{}".contains(c);
        let mut token: String =
            self.rest().chars().take_while(|&c| !is_delimiter(c)).take(MOST_SHOWN).collect();
        if token.is_empty() {
            token.extend(self.rest().chars().next());
        }
        let found = if token.is_empty() { "the end".into() } else { format!("`{token}`") };
        self.mismatch(expected, found)
    }

    /// Error at this place about something other than the next token, such as the length of a list.
    pub fn mismatch(&self, expected: impl Into<String>, found: impl Into<String>) -> ParseError {
        let before = &self.text[..self.position];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ParseError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    /// Passes over `bytes`, then over white space and comments.
    fn advance(&mut self, bytes: usize) {
        self.position += bytes;
        loop {
            let rest = self.rest();
            let line =
                if rest.starts_with("//") { rest.find('\n').unwrap_or(rest.len()) } else { 0 };
            let space = rest[line..].len() - rest[line..].trim_start().len();
            if line + space == 0 {
                return;
            }
            self.position += line + space;
        }
    }

    fn run(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let run = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        self.advance(run.len());
        run
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.position += next.len_utf8();
        Some(next)
    }

    /// The character of an escape sequence behind its backslash.
    fn escaped(&mut self) -> Option<char> {
        match self.next()? {
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            '0' => Some('\0'),
            c @ ('\\' | '"' | '\'') => Some(c),
            'u' => {
                let (code, _) = self.rest().strip_prefix('{')?.split_once('}')?;
                self.position += code.len() + 2;
                u32::from_str_radix(code, 16).ok().and_then(char::from_u32)
            }
            _ => None,
        }
    }
}
