//! Tests of a path: what a policy can ask of it that an IAM pattern can ask too.

/// One question about a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Test {
    /// What is looked at.
    pub subject: Subject,
    /// What it must look like.
    pub glob: Glob,
}

/// What a [`Test`] looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `context.path`: the whole path, with its leading slash.
    Path,
    /// `context.params.<name>`: a parameter of the operation's template, as the path spells it.
    Param(String),
}

/// A text, or a pattern of Cedar's `like`: `*` stands for any text, also none, and for slashes too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Glob(Vec<GlobPart>);

/// A part of a [`Glob`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GlobPart {
    /// This character, whichever it is.
    Char(char),
    /// Any text.
    Any,
}

impl Glob {
    /// This text and nothing else.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(text.chars().map(GlobPart::Char).collect())
    }

    /// A pattern; of several [`GlobPart::Any`] in a row one is kept.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = GlobPart>) -> Self {
        let mut parts: Vec<GlobPart> = parts.into_iter().collect();
        parts.dedup_by(|next, first| *next == GlobPart::Any && *first == GlobPart::Any);
        Self(parts)
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[GlobPart] {
        &self.0
    }

    /// Whether a text is of this form. Takes at most `pattern × text` steps.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut parts, mut text) = (self.0.as_slice(), text.chars());
        let mut widened: Option<(&[GlobPart], std::str::Chars<'_>)> = None;
        loop {
            let mut rest = text.clone();
            match (parts.split_first(), rest.next()) {
                (Some((GlobPart::Any, after)), _) => {
                    widened = Some((after, text.clone()));
                    parts = after;
                    continue;
                }
                (Some((GlobPart::Char(expected), after)), Some(found)) if *expected == found => {
                    (parts, text) = (after, rest);
                    continue;
                }
                (None, None) => return true,
                (Some(_) | None, _) => {}
            }
            // After a mismatch only the last `*` is widened: an earlier one has found its shortest text already.
            let Some((after, from)) = &mut widened else { return false };
            if from.next().is_none() {
                return false;
            }
            (parts, text) = (after, from.clone());
        }
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            GlobPart::Char(char) => write!(f, "{char}"),
            GlobPart::Any => f.write_str("*"),
        })
    }
}
