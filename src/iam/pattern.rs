//! Patterns over the text that follows the verb in an ARN: `/orders/17`, `/` for the root.
//!
//! One type for both sides: what a template or a test asks (with signs that stop at a `/`), and what IAM can write (with
//! signs that do not).

use std::fmt;

use super::{Sign, signs};
use crate::route::{PathTemplate, Segment, TemplateKind};

/// A piece of a [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Token {
    /// This character.
    Char(char),
    /// Any one character: `?` of IAM.
    One,
    /// Any one character but `/`.
    OneInSegment,
    /// Any text: `*` of IAM.
    Any,
    /// Any text without `/`.
    AnyInSegment,
}

/// A pattern for whole texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    /// Of several signs for any text in a row the widest is kept.
    pub(super) fn new(tokens: impl IntoIterator<Item = Token>) -> Self {
        let mut pattern = Self::default();
        pattern.extend(tokens);
        pattern
    }

    /// What a template stands for.
    pub(super) fn of_template(template: &PathTemplate) -> Self {
        Self::of_template_with(template, |_| None)
    }

    /// What a template stands for, where the texts of some parameters are those of a pattern.
    pub(super) fn of_template_with<'p>(
        template: &PathTemplate,
        of_param: impl Fn(&str) -> Option<&'p Pattern>,
    ) -> Self {
        let pieces = |segment: &Segment| match (segment, segment.param_name().and_then(&of_param)) {
            (_, Some(pattern)) => pattern.clone(),
            (Segment::Literal(text), None) => Self::text(text),
            (Segment::Parameter(_), None) => Self(vec![Token::OneInSegment, Token::AnyInSegment]),
            // `$default` matches the root too.
            (Segment::Greedy(_), None) if template.kind() == TemplateKind::Default => Self(vec![Token::Any]),
            (Segment::Greedy(_), None) => Self(vec![Token::One, Token::Any]),
        };
        Self::path(template.segments().iter().map(pieces))
    }

    /// `/` and the segments with `/` between them.
    pub(super) fn path(segments: impl IntoIterator<Item = Self>) -> Self {
        let mut path = Self::text("/");
        for (index, segment) in segments.into_iter().enumerate() {
            if index > 0 {
                path.extend([Token::Char('/')]);
            }
            path.extend(segment.0);
        }
        path
    }

    /// This text and nothing else.
    pub(super) fn text(text: &str) -> Self {
        Self(text.chars().map(Token::Char).collect())
    }

    /// The pattern that IAM reads in a text.
    pub(super) fn of_iam(text: &str) -> Self {
        Self::new(signs(text).map(|sign| match sign {
            Sign::Any => Token::Any,
            Sign::One => Token::One,
            Sign::Char(char) => Token::Char(char),
        }))
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// Whether it matches more than one text.
    pub(super) fn is_wild(&self) -> bool {
        !self.0.iter().all(|token| matches!(token, Token::Char(_)))
    }

    fn extend(&mut self, tokens: impl IntoIterator<Item = Token>) {
        for token in tokens {
            match (self.0.last_mut(), token) {
                (Some(Token::Any), Token::Any | Token::AnyInSegment) => {}
                (Some(Token::AnyInSegment), Token::AnyInSegment) => {}
                (Some(last @ Token::AnyInSegment), Token::Any) => *last = Token::Any,
                (_, token) => self.0.push(token),
            }
        }
    }
}

/// As IAM writes it.
///
/// INVARIANT: only patterns without the two signs that stop at a `/` are written, and their characters are those of request paths in
/// normal form, which hold no `*`, no `?` and no `$`: nothing has to be escaped, and [`Pattern::of_iam`] reads it back.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|token| match token {
            Token::Char(char) => write!(f, "{char}"),
            Token::One | Token::OneInSegment => f.write_str("?"),
            Token::Any | Token::AnyInSegment => f.write_str("*"),
        })
    }
}

/// The texts that both patterns stand for, as a union of patterns. `None` if it takes more than `steps` steps to find.
///
/// Neither has signs that stop at a `/`. Two `*` that meet can take what the other leaves in either order, so the
/// intersection of two patterns is a union of several.
pub(super) fn intersection(left: &Pattern, right: &Pattern, steps: usize) -> Option<Vec<Pattern>> {
    let mut search = Intersection { prefix: Vec::new(), found: Vec::new(), steps };
    search.run(&left.0, &right.0)?;
    search.found.sort();
    search.found.dedup();
    Some(search.found)
}

struct Intersection {
    prefix: Vec<Token>,
    found: Vec<Pattern>,
    steps: usize,
}

impl Intersection {
    fn run(&mut self, left: &[Token], right: &[Token]) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        match (left.split_first(), right.split_first()) {
            (None, None) => self.found.push(Pattern::new(self.prefix.iter().copied())),
            (Some((Token::Any, left_rest)), Some((Token::Any, right_rest))) => {
                self.with(Token::Any, left_rest, right)?;
                self.with(Token::Any, left, right_rest)?;
            }
            (Some((Token::Any, rest)), None) => self.run(rest, right)?,
            (None, Some((Token::Any, rest))) => self.run(left, rest)?,
            (Some((Token::Any, rest)), Some((token, right_rest))) => {
                self.run(rest, right)?;
                self.with(*token, left, right_rest)?;
            }
            (Some((token, left_rest)), Some((Token::Any, rest))) => {
                self.run(left, rest)?;
                self.with(*token, left_rest, right)?;
            }
            (Some((token, left_rest)), Some((other, right_rest))) => {
                let common = match (token, other) {
                    (Token::One, common) | (common, Token::One) => *common,
                    (common, other) if common == other => *common,
                    (_, _) => return Some(()),
                };
                self.with(common, left_rest, right_rest)?;
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        Some(())
    }

    fn with(&mut self, token: Token, left: &[Token], right: &[Token]) -> Option<()> {
        self.prefix.push(token);
        let result = self.run(left, right);
        self.prefix.pop();
        result
    }
}
