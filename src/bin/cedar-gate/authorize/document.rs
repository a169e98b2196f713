//! `--why-document`: what a document stands for, in words.

use cedar_gate::tools::why_document::{
    DocumentReason, ResourceReason, StandsFor, StatementReason, WithheldReason,
};

use crate::shell;

/// A line for each resource of each statement, and for what is left out.
pub(super) fn as_text(reason: Option<&DocumentReason>) -> String {
    let Some(reason) = reason else {
        return line(1, "document: none, the answer is a word");
    };
    let about = match (reason.whole_api, reason.exact, &reason.fallback) {
        (true, true, _) => "about the whole API, and says what Cedar says".to_owned(),
        (true, false, _) => "about the whole API, and allows less than Cedar".to_owned(),
        (false, _, Some(why)) => format!("about this request alone: {why}"),
        (false, _, None) if refuses_everything(reason) => "a refusal that no policy decided".to_owned(),
        (false, _, None) => "about this request alone".to_owned(),
    };
    let prefix = common_prefix(&reason.statements);
    let mut text = line(1, &format!("document: {about}"));
    if !prefix.is_empty() {
        text += &line(1, &format!("under {prefix}"));
    }
    for statement in &reason.statements {
        text += &of_statement(statement, &prefix);
    }
    for withheld in &reason.withheld {
        text += &line(1, &format!("left out: {}", of_withheld(withheld)));
    }
    for request in &reason.unserved {
        text += &line(1, &format!("allowed too, though no route serves it: {request}"));
    }
    text
}

fn refuses_everything(reason: &DocumentReason) -> bool {
    let mut resources = reason.statements.iter().flat_map(|statement| &statement.resources);
    resources.all(|resource| resource.stands_for == StandsFor::Everything)
}

fn of_statement(statement: &StatementReason, prefix: &str) -> String {
    let condition = statement.condition.as_ref().map(|condition| format!(", if {condition}"));
    let mut text = line(1, &format!("{}{}", statement.effect, condition.unwrap_or_default()));
    let short = |resource: &ResourceReason| {
        resource.resource.strip_prefix(prefix).unwrap_or(&resource.resource).to_owned()
    };
    let of =
        |stands_for| statement.resources.iter().filter(move |resource| resource.stands_for == stands_for);
    let list = |stands_for| of(stands_for).map(short).collect::<Vec<_>>().join(" ");
    let lone: Vec<(String, String)> =
        statement.resources.iter().filter_map(|resource| Some((short(resource), words(resource)?))).collect();
    let width = lone.iter().map(|(resource, _)| resource.chars().count()).max().unwrap_or_default();
    for (resource, words) in lone {
        text += &line(2, &format!("{resource:width$}  {words}"));
    }
    // What is said of all of them is said once.
    for (stands_for, words) in [
        (StandsFor::Guard, "paths that are not in normal form"),
        (StandsFor::AfterExpiry, "what was allowed, after the token has expired"),
        (
            StandsFor::AllElse,
            "all but these: the API has a resource policy, to which silence would leave them",
        ),
    ] {
        if of(stands_for).next().is_some() {
            text += &line(2, &format!("{words}: {}", list(stands_for)));
        }
    }
    text
}

/// What one resource stands for, where that is not told of several at once.
fn words(resource: &ResourceReason) -> Option<String> {
    let operations = resource.operations.join(", ");
    Some(match resource.stands_for {
        StandsFor::Grant => operations,
        StandsFor::Exception => format!("not all of {operations}"),
        StandsFor::AskedRequest => "this request".to_owned(),
        StandsFor::Everything => "everything".to_owned(),
        StandsFor::Guard | StandsFor::AllElse | StandsFor::AfterExpiry => return None,
    })
}

fn of_withheld(withheld: &WithheldReason) -> String {
    let WithheldReason { operation, cause, facts, witness } = withheld;
    let why = match *cause {
        "inexpressible" => "no pattern tells it from what is to be denied",
        "collision" => "a parameter has the value of a segment of another route",
        "needs_facts" => "it depends on",
        "unwritable" => "no pattern tells it from a text with `*`, `?` or `$`",
        "too_large" => "with it the document would be too large",
        other => other,
    };
    let facts = if facts.is_empty() { String::new() } else { format!(" {}", facts.join(", ")) };
    format!("{witness} of {operation}, because {why}{facts}")
}

/// Up to the verb, `arn:…:{api}/{stage}/`, which all resources of a document have in common.
fn common_prefix(statements: &[StatementReason]) -> String {
    let first = statements.iter().flat_map(|statement| &statement.resources).next();
    let arn = first.map(|resource| resource.resource.as_str()).unwrap_or_default();
    arn.match_indices('/').nth(1).and_then(|(end, _)| arn.get(..=end)).unwrap_or_default().to_owned()
}

fn line(depth: usize, words: &str) -> String {
    format!("\n{}{}", "  ".repeat(depth), shell::printable(words))
}
