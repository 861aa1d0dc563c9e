//! The answer of a rule: it gives exactly one.

use crate::domain::decision::ReasonCodes;
use crate::domain::words::ReasonCode;
use crate::plan::rule::Action;
use crate::policy::check::deductions;
use crate::policy::check::draft::Draft;
use crate::policy::check::names::Names;
use crate::policy::diagnostic::{Diagnostic, SourceLocation};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::rules::RefundNode;
use crate::policy::read::{OneOrMany, Text};
use crate::policy::source::Span;

/// Returns `true` if a key in this part of the file was reported as unknown: then it may be the misspelt
/// answer, and its absence is no second mistake.
pub(super) fn has_unknown_key(part: Span, diagnostics: &Diagnostics<'_, '_>) -> bool {
    let (start, end) = (part.start as usize, part.end as usize);
    let file = diagnostics.sources.place(part).file;
    let within = |place: &SourceLocation| place.file == file && start <= place.start && place.start < end;
    let unknown = |diagnostic: &&Diagnostic| diagnostic.code == "unknown-key";
    diagnostics.diagnostics.iter().filter(unknown).any(|diagnostic| diagnostic.place.as_ref().is_some_and(within))
}

/// The answers that a rule may give; it gives exactly one.
pub(super) struct Answers<'r> {
    pub(super) refund: Option<&'r RefundNode>,
    pub(super) deny: Option<&'r OneOrMany<Text>>,
    pub(super) more_info: Option<&'r OneOrMany<Text>>,
    pub(super) manual_review: Option<&'r OneOrMany<Text>>,
}

pub(super) fn action(
    answers: &Answers<'_>,
    of: &str,
    at: Span,
    whole: Span,
    names: &Names,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Action> {
    match answers {
        Answers { refund: Some(refund), deny: None, more_info: None, manual_review: None } => match refund {
            RefundNode::Full(_) => Some(Action::Refund(Vec::new())),
            RefundNode::Deduct(written) => {
                deductions::steps(&written.deduct.0, names, draft, diagnostics).map(Action::Refund)
            }
        },
        Answers { refund: None, deny: Some(codes), more_info: None, manual_review: None } => {
            reason_codes(codes, diagnostics).map(Action::Deny)
        }
        Answers { refund: None, deny: None, more_info: Some(codes), manual_review: None } => {
            reason_codes(codes, diagnostics).map(Action::Ask)
        }
        Answers { refund: None, deny: None, more_info: None, manual_review: Some(codes) } => {
            reason_codes(codes, diagnostics).map(Action::Review)
        }
        Answers { refund: None, deny: None, more_info: None, manual_review: None } => {
            if has_unknown_key(whole, diagnostics) {
                return None;
            }
            diagnostics.error(
                "no-answer",
                at,
                format!("{of} gives no answer"),
                "add one of `refund`, `deny`, `more_info`, `manual_review`",
            );
            None
        }
        Answers { .. } => {
            diagnostics.error(
                "two-answers",
                at,
                format!("{of} gives more than one answer"),
                "keep one of `refund`, `deny`, `more_info`, `manual_review`",
            );
            None
        }
    }
}

/// Reason codes as written (`ORDER_COMPLETED`), in order of precedence.
pub(super) fn reason_codes(written: &OneOrMany<Text>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<ReasonCodes> {
    let mut codes = ReasonCodes::default();
    let mut good = true;
    for text in &written.0 {
        let found = ReasonCode::ALL.iter().copied().find(|code| code.as_str().to_ascii_uppercase() == text.value);
        match found {
            Some(code) if codes.contains(code) => {
                diagnostics.error(
                    "duplicate-word",
                    text.span,
                    format!("the reason code `{}` stands twice", text.value),
                    "remove one of them",
                );
            }
            Some(code) => codes.insert(code),
            None => {
                let known: Vec<String> =
                    ReasonCode::ALL.iter().map(|code| code.as_str().to_ascii_uppercase()).collect();
                let help = diagnostics
                    .suggestion(&text.value.to_ascii_uppercase(), known.iter().map(String::as_str))
                    .map_or_else(
                        || "reason codes are written like `ORDER_COMPLETED`; the reference lists them".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                diagnostics.error("unknown-word", text.span, format!("`{}` is not a reason code", text.value), help);
                good = false;
            }
        }
    }
    good.then_some(codes)
}
