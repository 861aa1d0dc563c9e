//! From a request message to an answer message, on one snapshot: no socket, no task.
//!
//! The server and the command line both call this, so they cannot disagree.

use std::time::{Duration, Instant};

use tonic::Status;

use crate::api::bounds::{self, Asked};
use crate::api::errors::Failure;
use crate::api::limits::ANSWER_BYTES_MAX;
use crate::api::pb;
use crate::decision::explain::{Recorder, Silent};
use crate::decision::{
    ENGINE_REVISION, EvidenceAssessment, Purpose, Rows, assess_evidence, decide, intake, intake_into,
};
use crate::domain::decision::Decision;
use crate::domain::facts::Facts;
use crate::domain::limits::SHORT_TEXT_BYTES_MAX;
use crate::domain::money::Currency;
use crate::domain::request::{Claim, FieldViolation, Order, Request};
use crate::engine::snapshot::Snapshot;
use crate::plan::Plan;
use crate::plan::vocabulary::VocabularyId;
use crate::server::data::observation::DecisionSummary;
use crate::server::fast_path;
use crate::server::fast_path::answer::{Heading, policy, write};
use crate::server::fast_path::writer::Writer;
use crate::server::limits::{DECODED_BYTES_INLINE_MAX, EXPLAINED_TESTS_INLINE_MAX};
use crate::server::wire::decision::{Names, next_steps, policy_ref, response};
use crate::server::wire::explanation::{Transcript, message};
use crate::server::wire::identity::Identity;
use crate::server::wire::words::{to_primary_reason, to_reason_codes};
use crate::server::wire::{evidence, hex, request};

/// An answer, and the summary of its decision.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Evaluated<'s> {
    /// The answer.
    pub(crate) response: pb::EvaluateRefundResponse,
    /// The decision in it.
    pub(crate) summary: DecisionSummary<'s>,
}

/// Decides one claim by what is in force in this snapshot.
pub fn evaluate(
    snapshot: &Snapshot,
    request: &pb::EvaluateRefundRequest,
) -> Result<pb::EvaluateRefundResponse, Status> {
    answer(snapshot, request).map(|evaluated| evaluated.response).map_err(Status::from)
}

/// Decides one claim, with the summary of its decision.
pub(crate) fn answer<'s>(
    snapshot: &'s Snapshot,
    request: &'s pb::EvaluateRefundRequest,
) -> Result<Evaluated<'s>, Failure> {
    let pb::EvaluateRefundRequest {
        request_id,
        policy_id,
        policy_digest,
        min_generation,
        explain,
        order,
        claim,
        language,
    } = request;
    let mut checks = Checks::default();
    checks.names([
        ("request_id", request_id),
        ("policy_id", policy_id),
        ("policy_digest", policy_digest),
        ("language", language),
    ]);
    let explain = checks.explain(*explain);
    let said = checks.converted(request::for_decision(order.as_ref(), claim.as_ref()));
    let plan = checks.plan(plan_for(snapshot, policy_id, policy_digest, *min_generation, &said))?;
    let language = checks.language(plan, language);
    let mut facts = intake(plan, &said, Purpose::Decision);
    let facts = checks.facts(&mut facts)?;
    // Both are there: `for_decision` has checked it.
    let (Some(order), Some(claim)) = (order, claim) else { return Err(Failure::Bug) };
    let currency = currency(plan, facts)?;
    let names = Names { plan, order: &said.order, claim: &said.claim, currency, language };
    let (decision, elapsed, explanation) = match explain {
        Explain::Nothing => {
            let (decision, elapsed) = timed(plan, facts, &mut Silent);
            (decision, elapsed, None)
        }
        Explain::Everything => {
            let mut transcript = Transcript::default();
            let (decision, elapsed) = timed(plan, facts, &mut transcript);
            let explanation = message(&transcript.explanation(), &decision, names, ANSWER_BYTES_MAX)
                .ok_or(Failure::AnswerTooLarge)?;
            (decision, elapsed, Some(explanation))
        }
    };
    let mut identity = Identity::new(snapshot, plan);
    identity.begin(request_id);
    identity.message(order).and_then(|()| identity.message(claim)).map_err(|_| Failure::Bug)?;
    let decision_id = identity.id();
    let mut response = response(&decision, names);
    response.decision_id = hex::text(decision_id);
    response.request_id.clone_from(request_id);
    response.policy = Some(policy_ref(snapshot, plan));
    response.explanation = explanation;
    let summary = DecisionSummary::of(&decision, plan, decision_id, (request_id, &order.order_id), elapsed);
    Ok(Evaluated { response, summary })
}

/// Class of a request by the time it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Less than other calls can wait for.
    Light,
    /// Perhaps more: it is not for a thread that answers other calls.
    Heavy,
}

impl Work {
    /// The work of a request for one decision that has to be decoded, by its bytes.
    pub(crate) fn of_decision(snapshot: &Snapshot, message: &[u8]) -> Self {
        if DECODED_BYTES_INLINE_MAX < message.len() {
            return Self::Heavy;
        }
        let Asked { lines, explained } = bounds::asked(message);
        let rules = match explained {
            true => snapshot.plans().map(|plan| plan.rules.len()).max().unwrap_or(0),
            false => 1,
        };
        if lines.saturating_mul(rules.max(1)) <= EXPLAINED_TESTS_INLINE_MAX { Self::Light } else { Self::Heavy }
    }

    /// The work of a question about evidence, by its bytes.
    pub(crate) const fn of_evidence(message: &[u8]) -> Self {
        if message.len() <= DECODED_BYTES_INLINE_MAX { Self::Light } else { Self::Heavy }
    }
}

/// Buffers for answering the plain requests of one call, one after the other: each reuses the memory
/// of the one before.
#[derive(Debug)]
pub(crate) struct Scratch<'m> {
    snapshot: &'m Snapshot,
    request: Request<'m>,
    rows: Rows,
    policy: Option<OfPolicy<'m>>,
}

/// Common parts of all answers by one plan.
#[derive(Debug)]
struct OfPolicy<'m> {
    plan: &'m Plan,
    /// Their fields about the policy, in the bytes of their messages.
    written: Vec<u8>,
    identity: Identity,
}

impl<'m> Scratch<'m> {
    /// Empty buffers for requests that this snapshot answers.
    pub(crate) fn new(snapshot: &'m Snapshot) -> Self {
        // Most orders have one line, and a line is large.
        let order = Order { lines: Vec::with_capacity(1), ..Order::default() };
        let request = Request { order, claim: Claim::default() };
        Self { snapshot, request, rows: Rows::default(), policy: None }
    }

    /// Decides a plain request from its bytes and writes the answer. `None`, and nothing written,
    /// where [`answer`] must decide: it comes to the same answer, or says what is wrong.
    pub(crate) fn answer(&mut self, message: &'m [u8], response: &mut Writer<'_>) -> Option<DecisionSummary<'m>> {
        let Self { snapshot, request: said, rows, policy } = self;
        let fast_path::request::PlainRequest {
            request_id,
            policy_id,
            policy_digest,
            min_generation,
            language,
            order,
            claim,
        } = fast_path::request::read(message, said)?;
        let plan = plan_for(snapshot, policy_id, policy_digest, min_generation, said).ok()?;
        let language = plan.language(language)?;
        let mut facts = intake_into(rows, plan, said, Purpose::Decision);
        let facts = facts.as_mut().ok()?;
        let currency = currency(plan, facts).ok()?;
        let names = Names { plan, order: &said.order, claim: &said.claim, currency, language };
        let begun = Instant::now();
        let decision = decide(plan, facts, &mut Silent);
        let elapsed = begun.elapsed();
        rows.take_back(facts);
        // Most requests of a call are decided by the same plan.
        policy.take_if(|last| !std::ptr::eq(last.plan, plan));
        let OfPolicy { plan: _, written, identity } = policy.get_or_insert_with(|| OfPolicy::new(snapshot, plan));
        identity.begin(request_id);
        identity.part(order);
        identity.part(claim);
        let decision_id = identity.id();
        let heading = Heading { decision_id, request_id, policy: written };
        write(response, heading, &decision, names);
        Some(DecisionSummary::of(&decision, plan, decision_id, (request_id, said.order.id), elapsed))
    }
}

impl<'m> OfPolicy<'m> {
    fn new(snapshot: &Snapshot, plan: &'m Plan) -> Self {
        let mut written = Vec::with_capacity(USUAL_POLICY_BYTES);
        policy(&mut Writer::at_end_of(&mut written), plan, snapshot.digest_text(), snapshot.generation);
        Self { plan, written, identity: Identity::new(snapshot, plan) }
    }
}

/// Tells whether the material of a claim is enough.
pub fn validate_evidence(
    snapshot: &Snapshot,
    request: &pb::ValidateEvidenceRequest,
) -> Result<pb::ValidateEvidenceResponse, Failure> {
    let pb::ValidateEvidenceRequest { request_id, policy_id, policy_digest, order, claim, language } = request;
    let mut checks = Checks::default();
    checks.names([
        ("request_id", request_id),
        ("policy_id", policy_id),
        ("policy_digest", policy_digest),
        ("language", language),
    ]);
    let said = checks.converted(request::for_assessment(order.as_ref(), claim.as_ref()));
    let plan = checks.plan(plan_for(snapshot, policy_id, policy_digest, 0, &said))?;
    let language = checks.language(plan, language);
    let mut facts = intake(plan, &said, Purpose::Evidence);
    let facts = checks.facts(&mut facts)?;
    let EvidenceAssessment { reason_codes, report, next_steps: steps } = assess_evidence(plan, facts);
    Ok(pb::ValidateEvidenceResponse {
        request_id: request_id.clone(),
        reason_code: to_primary_reason(reason_codes),
        reason_codes: to_reason_codes(reason_codes),
        evidence: Some(evidence::report(&report, plan, &said.claim, language)),
        next_steps: next_steps(&steps, plan, language),
        policy: Some(policy_ref(snapshot, plan)),
    })
}

/// Tells what is in force.
#[must_use]
pub fn server_info(snapshot: &Snapshot) -> pb::GetServerInfoResponse {
    pb::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        default_policy_id: snapshot.default_policy().to_owned(),
        generation: snapshot.generation,
        digest: snapshot.digest_text().to_owned(),
        policies: snapshot.plans().map(|plan| policy_info(snapshot, plan)).collect(),
        engine_revision: ENGINE_REVISION,
    }
}

fn policy_info(snapshot: &Snapshot, plan: &Plan) -> pb::PolicyInfo {
    let words = |id| plan.vocabularies.get(id).map(|words| words.words().to_vec()).unwrap_or_default();
    pb::PolicyInfo {
        policy: Some(policy_ref(snapshot, plan)),
        languages: plan.languages.clone(),
        currency_codes: plan.currencies.iter().map(|currency| currency.code.clone()).collect(),
        product_types: words(VocabularyId::PRODUCT_TYPE),
        reasons: words(VocabularyId::REASON),
        channels: words(VocabularyId::CHANNEL),
        evidence_kinds: words(VocabularyId::EVIDENCE_KIND),
        time_zone: plan.zone.iana_name().unwrap_or_default().to_owned(),
        rule_count: u32::try_from(plan.rules.len()).unwrap_or(u32::MAX),
    }
}

/// The version of the policy asked for that governs the order, if what is in force is what the
/// caller pinned.
fn plan_for<'a>(
    snapshot: &'a Snapshot,
    policy_id: &str,
    pinned_digest: &str,
    min_generation: u64,
    said: &Request<'_>,
) -> Result<&'a Plan, Failure> {
    let digest = snapshot.digest_text();
    if (!pinned_digest.is_empty() && pinned_digest != digest) || snapshot.generation < min_generation {
        return Err(Failure::RevisionNotAvailable { digest: digest.to_owned(), generation: snapshot.generation });
    }
    snapshot.plan_for(policy_id, said).ok_or_else(|| Failure::PolicyNotFound { policy_id: policy_id.to_owned() })
}

fn currency<'a>(plan: &'a Plan, facts: &Facts<'_>) -> Result<&'a Currency, Failure> {
    // Facts are only good for the plan that they were made for; these were.
    plan.currencies.get(usize::from(facts.currency)).ok_or(Failure::Bug)
}

fn timed(plan: &Plan, facts: &Facts<'_>, recorder: &mut impl Recorder) -> (Decision, Duration) {
    let begun = Instant::now();
    let decision = decide(plan, facts, recorder);
    (decision, begun.elapsed())
}

/// Extent of the explanation of a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Explain {
    Nothing,
    Everything,
}

/// Violations of a request, gathered over all of it.
#[derive(Debug, Default)]
struct Checks(Vec<FieldViolation>);

impl Checks {
    /// Texts that are looked at before the facts are. One above its bound names no policy, so everything that is
    /// bad so far is said at once.
    fn names(&mut self, names: [(&str, &str); 4]) {
        for (field, text) in names {
            if SHORT_TEXT_BYTES_MAX < text.len() {
                let problem = format!("must have at most {SHORT_TEXT_BYTES_MAX} bytes, got {}", text.len());
                self.0.push(FieldViolation::new(field, problem));
            }
        }
    }

    /// The plan asked for. Where its name or digest is above its bound, that is what is wrong, with all else that
    /// was found so far.
    fn plan<'a>(&mut self, plan: Result<&'a Plan, Failure>) -> Result<&'a Plan, Failure> {
        let unnamed = |bad: &FieldViolation| bad.field == "policy_id" || bad.field == "policy_digest";
        match plan {
            Err(_) if self.0.iter().any(unnamed) => Err(Failure::BadRequest(std::mem::take(&mut self.0))),
            plan => plan,
        }
    }

    fn language(&mut self, plan: &Plan, language: &str) -> usize {
        plan.language(language).unwrap_or_else(|| {
            if SHORT_TEXT_BYTES_MAX < language.len() {
                // It is bad already.
                return 0;
            }
            let known = plan.languages.join(", ");
            let problem = format!("the policy has no labels in `{language}`; it has {known}");
            self.0.push(FieldViolation::new("language", problem));
            0
        })
    }

    fn explain(&mut self, level: i32) -> Explain {
        match pb::ExplainLevel::try_from(level) {
            Ok(pb::ExplainLevel::Unspecified | pb::ExplainLevel::None) => Explain::Nothing,
            Ok(pb::ExplainLevel::Full) => Explain::Everything,
            Err(_) => {
                self.0.push(FieldViolation::new("explain", format!("`{level}` is not a value of ExplainLevel")));
                Explain::Nothing
            }
        }
    }

    #[inline]
    fn converted<'a>(&mut self, (request, violations): (Request<'a>, Vec<FieldViolation>)) -> Request<'a> {
        self.0.extend(violations);
        request
    }

    /// The facts, if nothing was wrong anywhere. What `intake` says of a field that is bad already,
    /// or of a part of it, only follows from that. Facts are large to move, so they stay where they are.
    #[inline]
    fn facts<'f, 'a>(self, facts: &'f mut Result<Facts<'a>, Vec<FieldViolation>>) -> Result<&'f Facts<'a>, Failure> {
        match facts {
            Ok(facts) if self.0.is_empty() => Ok(facts),
            Ok(_) => Err(Failure::BadRequest(self.0)),
            Err(further) => Err(self.and(std::mem::take(further))),
        }
    }

    #[cold]
    fn and(self, further: Vec<FieldViolation>) -> Failure {
        let mut violations = self.0;
        let known = violations.len();
        for violation in further {
            let follows = violations.iter().take(known).any(|bad| is_part_of(&violation.field, &bad.field));
            if !follows {
                violations.push(violation);
            }
        }
        Failure::BadRequest(violations)
    }
}

/// Returns true if a path is `whole`, or leads to a part of it.
fn is_part_of(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Room for what answers say about a usual policy.
const USUAL_POLICY_BYTES: usize = 192;

#[cfg(test)]
mod tests;
