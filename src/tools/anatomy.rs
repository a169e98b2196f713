//! The parts of one policy's text: annotations, effect, the three scopes, and of each `when` and `unless` the parts that
//! `&&` joins, each with the bytes of the file that it is.
//!
//! Cedar's own reading of a policy keeps no positions, so the text is cut here. A cut is never taken on trust: a policy that
//! is put together again of its parts, each conjunct in brackets of its own, has to be the same policy to Cedar. Where it
//! is not, there is an error and no span.

use std::ops::Range;

use cedar_policy as cedar;
use serde::Serialize;

use crate::bundle::nesting;
use crate::bundle::policies::PolicyVersion;
use crate::bundle::source::SourceFiles;

/// The parts of one policy, as bytes of the file it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anatomy {
    /// All of it, from the first annotation to the semicolon.
    pub span: Range<usize>,
    /// The annotations, in the order of the text.
    pub annotations: Vec<Annotation>,
    /// The word `permit` or `forbid`.
    pub effect: Range<usize>,
    /// The principal's scope: `principal in Role::"clerk"`.
    pub principal: Range<usize>,
    /// The action's scope.
    pub action: Range<usize>,
    /// The resource's scope.
    pub resource: Range<usize>,
    /// The `when`s and `unless`es, in the order of the text.
    pub clauses: Vec<AnatomyClause>,
}

/// An annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its name, without the `@`.
    pub name: String,
    /// All of it: `@id("clerks-read")`.
    pub span: Range<usize>,
}

/// A `when` or an `unless`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnatomyClause {
    /// Which of the two.
    pub kind: ClauseKind,
    /// All of it, from the word to the closing bracket.
    pub span: Range<usize>,
    /// What `&&` joins at its top; never empty. A clause whose top is an `||` or an `if` is one conjunct.
    pub conjuncts: Vec<Conjunct>,
}

/// Which kind of clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClauseKind {
    /// The policy applies only where the clause is true.
    When,
    /// The policy applies only where it is false.
    Unless,
}

/// One of the parts that `&&` joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conjunct {
    /// Its bytes, without comments and blanks around it.
    pub span: Range<usize>,
    /// Its text as it stands there: a Cedar expression.
    pub text: String,
}

/// Why the parts of a policy are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnatomyError {
    /// The version has no such policy, or its file is not among the files.
    #[error("the text of policy `{id}` is not there")]
    NoText {
        /// The policy's id.
        id: String,
    },
    /// The span is not the text of one policy.
    #[error("the text at byte {at} is not a policy: expected {expected}")]
    NotAPolicy {
        /// The byte of the file.
        at: usize,
        /// What would have to stand there.
        expected: &'static str,
    },
    /// The parts put together are not what Cedar reads: a defect of ours.
    #[error("the policy at byte {at} is not the sum of its parts: {detail}")]
    Differs {
        /// The byte of the file where the policy begins.
        at: usize,
        /// Cedar's words, or the policy that the parts make.
        detail: String,
    },
}

impl ClauseKind {
    /// As Cedar spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::When => "when",
            Self::Unless => "unless",
        }
    }
}

impl Anatomy {
    /// The parts of the policy that stands at `span` of a file.
    ///
    /// # Errors
    /// [`AnatomyError`]
    pub fn of(file: &str, span: Range<usize>) -> Result<Self, AnatomyError> {
        let anatomy = Reader::new(file, span.clone())?.policy(span)?;
        anatomy.verify(file)?;
        Ok(anatomy)
    }

    /// The parts of a policy of a version, with its file's path and text.
    ///
    /// # Errors
    /// [`AnatomyError`]
    pub fn of_policy<'f>(
        id: &str,
        version: &'f PolicyVersion,
        files: &'f SourceFiles,
    ) -> Result<(Self, &'f str, &'f str), AnatomyError> {
        let no_text = || AnatomyError::NoText { id: id.to_owned() };
        let note = version.note(id).ok_or_else(no_text)?;
        let text = files.text(&note.file).ok_or_else(no_text)?;
        Ok((Self::of(text, note.span.clone())?, &note.file, text))
    }

    /// Every conjunct with its clause, in the order in which Cedar comes to them.
    pub fn conjuncts(&self) -> impl Iterator<Item = (&AnatomyClause, &Conjunct)> {
        self.clauses.iter().flat_map(|clause| clause.conjuncts.iter().map(move |conjunct| (clause, conjunct)))
    }

    /// The policy's text made of its parts alone, each conjunct in brackets.
    fn rebuilt(&self, file: &str) -> Option<String> {
        let mut text = String::new();
        for annotation in &self.annotations {
            text += &format!("{}\n", file.get(annotation.span.clone())?);
        }
        let part = |span: &Range<usize>| file.get(span.clone());
        text += &format!(
            "{} ({}, {}, {})",
            part(&self.effect)?,
            part(&self.principal)?,
            part(&self.action)?,
            part(&self.resource)?
        );
        for clause in &self.clauses {
            let conjuncts: Vec<String> =
                clause.conjuncts.iter().map(|conjunct| format!("({})", conjunct.text)).collect();
            text += &format!(" {} {{ {} }}", clause.kind.as_str(), conjuncts.join(" && "));
        }
        Some(text + ";")
    }

    /// Asks Cedar whether the parts are the policy. A conjunct that is no whole expression does not parse in its brackets,
    /// and one that is cut at the wrong place changes what the brackets hold together.
    fn verify(&self, file: &str) -> Result<(), AnatomyError> {
        let differs = |detail: String| AnatomyError::Differs { at: self.span.start, detail };
        let read = |text: &str| {
            let policy = cedar::Policy::parse(None, text).map_err(|error| differs(error.to_string()))?;
            policy.to_json().map_err(|error| differs(error.to_string()))
        };
        let written = file.get(self.span.clone()).unwrap_or_default();
        let rebuilt = self.rebuilt(file).unwrap_or_default();
        match read(written)? == read(&rebuilt)? {
            true => Ok(()),
            false => Err(differs(rebuilt)),
        }
    }
}

/// The line and the column of a byte of a text, both from 1; columns count characters.
#[must_use]
pub fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).map_or(0, |line| line.chars().count());
    (before.matches('\n').count() + 1, column + 1)
}

/// A word, a string, or one character of punctuation.
#[derive(Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    /// The byte of the file where it begins.
    pub(super) start: usize,
}

impl Token<'_> {
    pub(super) const fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of a part of a file, without blanks and comments.
pub(super) fn tokens(file: &str, span: Range<usize>) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = file.get(span.clone()).unwrap_or_default();
    let end = span.start + rest.len();
    while let Some((text, after)) = nesting::next_token(rest) {
        let token = Token { text, start: end - rest.len() };
        rest = after;
        if !nesting::is_trivia(text) {
            tokens.push(token);
        }
    }
    tokens
}

/// The bytes from the first to the last of some tokens.
fn span_of(tokens: &[Token<'_>]) -> Option<Range<usize>> {
    Some(tokens.first()?.start..tokens.last()?.end())
}

/// The tokens cut at those that are `separator` and stand in no bracket; empty pieces are left out.
fn split<'s, 't>(tokens: &'s [Token<'t>], separator: &str) -> Vec<&'s [Token<'t>]> {
    let mut depth = 0_usize;
    let pieces = tokens.split(|token| {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.text == separator
    });
    pieces.filter(|piece| !piece.is_empty()).collect()
}

/// Reads the tokens of a policy from front to back.
struct Reader<'t> {
    file: &'t str,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token<'t>>>,
    end: usize,
}

impl<'t> Reader<'t> {
    fn new(file: &'t str, span: Range<usize>) -> Result<Self, AnatomyError> {
        if file.get(span.clone()).is_none() {
            return Err(AnatomyError::NotAPolicy { at: span.start, expected: "text of the file" });
        }
        Ok(Self { file, tokens: tokens(file, span.clone()).into_iter().peekable(), end: span.end })
    }

    fn policy(mut self, span: Range<usize>) -> Result<Anatomy, AnatomyError> {
        let mut annotations = Vec::new();
        while let Some(at) = self.tokens.next_if(|token| token.text == "@") {
            annotations.push(self.annotation(&at)?);
        }
        let effect = self.take("`permit` or `forbid`", |token| matches!(token.text, "permit" | "forbid"))?;
        self.take("`(`", |token| token.text == "(")?;
        let (scope, _) = self.group()?;
        let parts: Vec<Range<usize>> = split(&scope, ",").into_iter().filter_map(span_of).collect();
        let Ok([principal, action, resource]) = <[Range<usize>; 3]>::try_from(parts) else {
            return Err(self.expected("three scopes"));
        };
        let mut clauses = Vec::new();
        while let Some(word) = self.tokens.next_if(|token| matches!(token.text, "when" | "unless")) {
            clauses.push(self.clause(&word)?);
        }
        self.take("`;`", |token| token.text == ";")?;
        match self.tokens.peek() {
            Some(_) => Err(self.expected("the end of the policy")),
            None => Ok(Anatomy {
                span,
                annotations,
                effect: effect.start..effect.end(),
                principal,
                action,
                resource,
                clauses,
            }),
        }
    }

    fn annotation(&mut self, at: &Token<'t>) -> Result<Annotation, AnatomyError> {
        let name = self.take("the name of an annotation", |_| true)?;
        let mut end = name.end();
        if self.tokens.next_if(|token| token.text == "(").is_some() {
            self.take("the text of an annotation", |token| token.text.starts_with('"'))?;
            end = self.take("`)`", |token| token.text == ")")?.end();
        }
        Ok(Annotation { name: name.text.to_owned(), span: at.start..end })
    }

    fn clause(&mut self, word: &Token<'t>) -> Result<AnatomyClause, AnatomyError> {
        let kind = match word.text {
            "when" => ClauseKind::When,
            _ => ClauseKind::Unless,
        };
        self.take("`{`", |token| token.text == "{")?;
        let (body, end) = self.group()?;
        // `||` binds weaker than `&&`, and `if` weaker still; it can only be the first word.
        let is_one = split(&body, "|").len() > 1 || body.first().is_some_and(|first| first.text == "if");
        let pieces = if is_one { vec![body.as_slice()] } else { split(&body, "&") };
        let conjunct = |piece: &[Token<'t>]| {
            let span = span_of(piece)?;
            let text = self.file.get(span.clone())?.to_owned();
            Some(Conjunct { span, text })
        };
        let conjuncts: Vec<Conjunct> = pieces.into_iter().filter_map(conjunct).collect();
        match conjuncts.is_empty() {
            true => Err(self.expected("a condition")),
            false => Ok(AnatomyClause { kind, span: word.start..end, conjuncts }),
        }
    }

    /// What stands in the bracket that was just opened, and the byte behind its end.
    fn group(&mut self) -> Result<(Vec<Token<'t>>, usize), AnatomyError> {
        let mut depth = 0_usize;
        let mut inner = Vec::new();
        for token in self.tokens.by_ref() {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 0 => return Ok((inner, token.end())),
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            inner.push(token);
        }
        Err(self.expected("the end of a bracket"))
    }

    fn take(
        &mut self,
        expected: &'static str,
        fits: impl Fn(&Token<'t>) -> bool,
    ) -> Result<Token<'t>, AnatomyError> {
        self.tokens.next_if(fits).ok_or_else(|| self.expected(expected))
    }

    fn expected(&mut self, expected: &'static str) -> AnatomyError {
        let at = self.tokens.peek().map_or(self.end, |token| token.start);
        AnatomyError::NotAPolicy { at, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anatomy(text: &str) -> Result<Anatomy, AnatomyError> {
        Anatomy::of(text, 0..text.len())
    }

    /// The conjuncts of the conditions of `permit (principal, action, resource) …`.
    fn conjuncts(conditions: &str) -> Vec<(&'static str, Vec<String>)> {
        let text = format!("permit (principal, action, resource) {conditions};");
        let clauses = anatomy(&text).unwrap_or_else(|error| panic!("{error}\n{text}")).clauses;
        for conjunct in clauses.iter().flat_map(|clause| &clause.conjuncts) {
            assert_eq!(text.get(conjunct.span.clone()), Some(conjunct.text.as_str()));
        }
        let texts = |clause: AnatomyClause| clause.conjuncts.into_iter().map(|c| c.text).collect();
        clauses.into_iter().map(|clause| (clause.kind.as_str(), texts(clause))).collect()
    }

    #[test]
    fn every_part_is_where_it_says() {
        let file = "// permit (principal, action, resource);\n\
            @id(\"a;b\") // which\n@mark\nforbid (principal is User in Role::\"x, y\", // who\n  action in [Action::\"a\", \
            Action::\"b\"], resource,)\nunless { context.a && // not\n b() }\nwhen { true };\nrest";
        let file = file.replace("b()", "ip(\"::1\").isLoopback()");
        let start = file.find("@id").unwrap();
        let end = file.find("\nrest").unwrap();
        let anatomy = Anatomy::of(&file, start..end).unwrap();
        let texts = |span: &Range<usize>| file.get(span.clone()).unwrap().to_owned();
        let names: Vec<&str> = anatomy.annotations.iter().map(|known| known.name.as_str()).collect();
        assert_eq!(names, ["id", "mark"]);
        assert_eq!(texts(&anatomy.annotations[0].span), "@id(\"a;b\")");
        assert_eq!(texts(&anatomy.annotations[1].span), "@mark");
        assert_eq!(texts(&anatomy.effect), "forbid");
        assert_eq!(texts(&anatomy.principal), "principal is User in Role::\"x, y\"");
        assert_eq!(texts(&anatomy.action), "action in [Action::\"a\", Action::\"b\"]");
        assert_eq!(texts(&anatomy.resource), "resource");
        assert_eq!(texts(&anatomy.clauses[1].span), "when { true }");
        let all: Vec<&str> = anatomy.conjuncts().map(|(_, conjunct)| conjunct.text.as_str()).collect();
        assert_eq!(all, ["context.a", "ip(\"::1\").isLoopback()", "true"]);
        assert_eq!(position(&file, anatomy.clauses[0].conjuncts[1].span.start), (7, 2));
        assert_eq!(position("aä\nböc", "aä\nbö".len()), (2, 3));
    }

    #[test]
    fn a_clause_is_cut_at_the_ands_of_its_top_alone() {
        for (conditions, expected) in [
            ("", vec![]),
            ("when { true }", vec![("when", vec!["true"])]),
            ("when { context.a&&context.b }", vec![("when", vec!["context.a", "context.b"])]),
            (
                "when { (context.a && context.b) && context.c }",
                vec![("when", vec!["(context.a && context.b)", "context.c"])],
            ),
            (
                "when { context.a && context.b || context.c }",
                vec![("when", vec!["context.a && context.b || context.c"])],
            ),
            (
                "unless { if context.a && true then context.b else context.c && context.d }",
                vec![("unless", vec!["if context.a && true then context.b else context.c && context.d"])],
            ),
            (
                "when { context.a } unless { context.b && !context.c }",
                vec![("when", vec!["context.a"]), ("unless", vec!["context.b", "!context.c"])],
            ),
            (
                "when { \"&&\" == context.a && context.b like \"\\\"} && {*\" }",
                vec![("when", vec!["\"&&\" == context.a", "context.b like \"\\\"} && {*\""])],
            ),
            ("when { // a && b }\r context.a }", vec![("when", vec!["context.a"])]),
            (
                "when { // a && b }\n context.a // c\n && // ;\n context.b // }\n}",
                vec![("when", vec!["context.a", "context.b"])],
            ),
            (
                "when { principal.permit && context.when }",
                vec![("when", vec!["principal.permit", "context.when"])],
            ),
            (
                "when { {a: context.a && true}.a && [context.b || false].contains(true) }",
                vec![("when", vec!["{a: context.a && true}.a", "[context.b || false].contains(true)"])],
            ),
        ] {
            let expected: Vec<(&str, Vec<String>)> = expected
                .into_iter()
                .map(|(kind, texts)| (kind, texts.into_iter().map(str::to_owned).collect()))
                .collect();
            assert_eq!(conjuncts(conditions), expected, "{conditions}");
        }
    }

    #[test]
    fn what_is_not_one_policy_has_no_parts() {
        for (text, expected) in [
            ("", "the text at byte 0 is not a policy: expected `permit` or `forbid`"),
            ("permit (principal, action);", "the text at byte 26 is not a policy: expected three scopes"),
            ("permit (principal, action, resource)", "the text at byte 36 is not a policy: expected `;`"),
            (
                "permit (principal, action, resource) when {};",
                "the text at byte 44 is not a policy: expected a condition",
            ),
            (
                "permit (principal, action, resource); permit",
                "the text at byte 38 is not a policy: expected the end of the policy",
            ),
            (
                "permit (principal, action, resource) when { (true };",
                "the text at byte 52 is not a policy: expected the end of a bracket",
            ),
        ] {
            let error = anatomy(text).unwrap_err().to_string();
            assert_eq!(error, expected, "{text}");
        }
        assert!(Anatomy::of("permit", 3..9).is_err());
        // What looks like one is left to Cedar.
        for condition in ["true && ", "true /* Cedar has no such comments */", "1 +"] {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            let error = anatomy(&text).unwrap_err();
            assert!(matches!(error, AnatomyError::Differs { at: 0, .. }), "{error}");
        }
    }
}
