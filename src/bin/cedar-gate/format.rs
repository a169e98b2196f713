//! `--format`: its names, and what a command makes of the one that was asked for.

use clap::ValueEnum;

use crate::shell::Failure;

/// Every form that a command can write. Which of them it writes says the command.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    // A doc comment on a value would spread every help text over twice as many lines.
    Text,
    Json,
    Markdown,
    Csv,
    Html,
    Junit,
    Tap,
    Sarif,
    Github,
}

/// The forms that some commands write.
pub(crate) trait Known: Copy + 'static {
    /// By their names.
    const ALL: &'static [(FormatName, Self)];
}

impl FormatName {
    /// The form, where `command` writes it.
    pub(crate) fn known_to<F: Known>(self, command: &str) -> Result<F, Failure> {
        if let Some((_, format)) = F::ALL.iter().find(|(name, _)| *name == self) {
            return Ok(*format);
        }
        let names: Vec<String> = F::ALL.iter().map(|(name, _)| format!("`{}`", name.spelling())).collect();
        Err(Failure::Message(format!(
            "`cedar-gate {command}` does not write --format {}: it writes {}",
            self.spelling(),
            names.join(", ")
        )))
    }

    fn spelling(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What most commands write: for people, or one JSON document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Known for Format {
    const ALL: &'static [(FormatName, Self)] =
        &[(FormatName::Text, Self::Text), (FormatName::Json, Self::Json)];
}
