//! The characters that tell texts apart.

use crate::path::PathEncoding;

use super::pattern::{Pattern, Token};

/// The characters that patterns mention, `/`, and one that stands for all others.
///
/// Two characters that no pattern mentions lead every pattern to the same place, so one of them speaks for all.
#[derive(Clone, Debug)]
pub(super) struct Alphabet {
    /// Sorted.
    mentioned: Vec<char>,
    other: char,
}

/// The number of a character in an [`Alphabet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class(pub(super) usize);

impl Alphabet {
    /// Of all characters of paths that the patterns mention; `None` if no character is left to stand for the others.
    pub(super) fn of<'p>(
        patterns: impl IntoIterator<Item = &'p Pattern>,
        encoding: PathEncoding,
    ) -> Option<Self> {
        let mut mentioned = vec!['/'];
        for token in patterns.into_iter().flat_map(Pattern::tokens) {
            match token {
                Token::Char(char) if is_normal(*char, encoding) => mentioned.push(*char),
                // No path has it.
                Token::Char(_) => {}
                Token::One | Token::OneInSegment | Token::Any | Token::AnyInSegment => {}
            }
        }
        mentioned.sort_unstable();
        mentioned.dedup();
        // A letter reads best in a witness. `.` and `;` would make segments that are refused. Where all that a path can
        // hold is mentioned, a private character stands for what it cannot hold, which is denied or allowed like it.
        let letters = ('a'..='z').rev().chain('0'..='9').chain('A'..='Z').chain("-_~!&'()+,=:@".chars());
        let preferred = letters.filter(|char| is_normal(*char, encoding));
        let other =
            preferred.chain('\u{e000}'..='\u{f8ff}').find(|char| mentioned.binary_search(char).is_err())?;
        Some(Self { mentioned, other })
    }

    /// The number of classes; the last one is that of all other characters.
    pub(super) fn len(&self) -> usize {
        self.mentioned.len() + 1
    }

    pub(super) fn other(&self) -> Class {
        Class(self.mentioned.len())
    }

    pub(super) fn slash(&self) -> Class {
        self.class_of('/')
    }

    /// The class of any character.
    pub(super) fn class_of(&self, char: char) -> Class {
        self.mentioned(char).unwrap_or(self.other())
    }

    /// The class of a character that patterns mention.
    pub(super) fn mentioned(&self, char: char) -> Option<Class> {
        self.mentioned.binary_search(&char).ok().map(Class)
    }

    /// The character that stands for the class.
    pub(super) fn char(&self, class: Class) -> char {
        self.mentioned.get(class.0).copied().unwrap_or(self.other)
    }
}

/// Whether a request path can hold the character unencoded: see [`path`](crate::path). `%` never counts: the guards of a
/// document deny every path that has one.
pub(super) fn is_normal(char: char, encoding: PathEncoding) -> bool {
    char != '%' && crate::path::is_unencoded(char, encoding)
}
