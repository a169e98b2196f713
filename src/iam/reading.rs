//! What the tests of a grant mean for the texts that a document can tell apart.
//!
//! A request that is refused for its path can still meet a document that an earlier request has left in the cache. So
//! a literal that no accepted path holds is not ignored: the document must not allow what Cedar denies for that text.

use std::collections::BTreeSet;

use super::alphabet::is_normal;
use super::pattern::{Pattern, Token};
use crate::grants::{Glob, GlobPart, Subject, Test};
use crate::path::PathEncoding;
use crate::route::{PathTemplate, Segment};

/// One test of an operation's grant, as patterns over whole paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// The paths in normal form for which it is true; `None` if there are none.
    pub(super) accepted: Option<Pattern>,
    /// Its literal has characters that no pattern can be written for, here replaced by a sign for any: some text of this
    /// form makes it true, and the document cannot tell which.
    pub(super) unwritable: Vec<Pattern>,
    /// Characters of its literal that no accepted path holds: a document must deny every path that does.
    pub(super) guarded: BTreeSet<char>,
    /// The values it speaks of as IAM writes them, for parameters; whole paths for `context.path`.
    pub(super) globs: Vec<Pattern>,
}

/// A test asks for a parameter that the template has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoSuchParameter;

/// What a document does about a character of a literal.
enum Writing {
    /// Paths hold it.
    Normal,
    /// No document can name it.
    Unwritable,
    /// No accepted path holds it, and a document can say so.
    Guarded,
    /// `%`: every document denies it.
    Denied,
}

impl Reading {
    pub(super) fn new(
        test: &Test,
        template: &PathTemplate,
        encoding: PathEncoding,
        escapes: bool,
    ) -> Result<Self, NoSuchParameter> {
        let mut reading = Self::default();
        reading.read(&test.glob, &test.subject, template, (encoding, escapes), false)?;
        // What an encoding stands for is another spelling of the same path.
        if let Some(decoded) = decoded(&test.glob) {
            reading.read(&decoded, &test.subject, template, (encoding, escapes), true)?;
        }
        Ok(reading)
    }

    fn read(
        &mut self,
        glob: &Glob,
        subject: &Subject,
        template: &PathTemplate,
        (encoding, escapes): (PathEncoding, bool),
        is_decoded: bool,
    ) -> Result<(), NoSuchParameter> {
        let mut guarded = BTreeSet::new();
        let (mut unwritable, mut denied) = (false, false);
        let tokens: Vec<GlobOrOne> = glob
            .parts()
            .iter()
            .map(|part| match part {
                GlobPart::Any => GlobOrOne::Any,
                GlobPart::Char(char) => {
                    match writing(*char, encoding, escapes) {
                        Writing::Normal => return GlobOrOne::Char(*char),
                        Writing::Unwritable => unwritable = true,
                        Writing::Guarded => _ = guarded.insert(*char),
                        Writing::Denied => denied = true,
                    }
                    GlobOrOne::One
                }
            })
            .collect();
        if denied {
            return Ok(());
        }
        if !guarded.is_empty() {
            self.guarded.append(&mut guarded);
            return Ok(());
        }
        // A decoded literal of normal characters only is the normal spelling of what the policy spells otherwise: its
        // test is false for it, as Cedar has it.
        if is_decoded && !unwritable {
            return Ok(());
        }
        let Some((pattern, value)) = over_path(&tokens, subject, template)? else { return Ok(()) };
        self.globs.push(value);
        if unwritable {
            self.unwritable.push(pattern);
        } else {
            self.accepted = Some(pattern);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum GlobOrOne {
    Char(char),
    One,
    Any,
}

fn writing(char: char, encoding: PathEncoding, escapes: bool) -> Writing {
    match char {
        '%' => Writing::Denied,
        _ if is_normal(char, encoding) => Writing::Normal,
        '*' | '?' if !escapes => Writing::Unwritable,
        _ if char.is_control() => Writing::Unwritable,
        _ => Writing::Guarded,
    }
}

/// The pattern over the whole path, and the one of the value alone; `None` if no path can make the test true.
fn over_path(
    tokens: &[GlobOrOne],
    subject: &Subject,
    template: &PathTemplate,
) -> Result<Option<(Pattern, Pattern)>, NoSuchParameter> {
    let pattern = |one: Token, any: Token| {
        Pattern::new(tokens.iter().map(|token| match token {
            GlobOrOne::Char(char) => Token::Char(*char),
            GlobOrOne::One => one,
            GlobOrOne::Any => any,
        }))
    };
    let value = pattern(Token::One, Token::Any);
    let Subject::Param(name) = subject else { return Ok(Some((value.clone(), value))) };
    let segment = template.segments().iter().find(|segment| segment.param_name() == Some(name));
    let in_path = match segment {
        None | Some(Segment::Literal(_)) => return Err(NoSuchParameter),
        Some(Segment::Greedy(_)) => value.clone(),
        // A segment has no `/`.
        Some(Segment::Parameter(_)) if value.tokens().contains(&Token::Char('/')) => return Ok(None),
        Some(Segment::Parameter(_)) => pattern(Token::OneInSegment, Token::AnyInSegment),
    };
    let whole = Pattern::of_template_with(template, |other| (other == name).then_some(&in_path));
    Ok(Some((whole, value)))
}

/// The glob with its percent-encodings decoded, if it has any that stand for characters.
fn decoded(glob: &Glob) -> Option<Glob> {
    let mut parts = Vec::new();
    let mut run = String::new();
    let mut any_decoded = false;
    for part in glob.parts().iter().map(Some).chain([None]) {
        if let Some(GlobPart::Char(char)) = part {
            run.push(*char);
            continue;
        }
        let text = decoded_text(&run);
        any_decoded |= text != run;
        parts.extend(text.chars().map(GlobPart::Char));
        run.clear();
        parts.extend(part.copied());
    }
    any_decoded.then(|| Glob::new(parts))
}

/// What cannot be decoded to characters stays as it is.
fn decoded_text(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let escaped = match tail {
            [high, low, tail @ ..] if *first == b'%' => {
                digit(*high).zip(digit(*low)).map(|pair| (pair, tail))
            }
            _ => None,
        };
        match escaped {
            Some(((high, low), tail)) => {
                bytes.push(high * 16 + low);
                rest = tail;
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
