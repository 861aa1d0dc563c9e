//! Answers to whole requests, the fast way and the slow way against each other, and what is bad in a request.

use prost::Message as _;

use super::*;
use crate::engine::admit::Admission;
use crate::policy::bundle::{Bundle, BundleFile};
use crate::server::wire::samples;

fn snapshot(generation: u64) -> Snapshot {
    let files = vec![BundleFile { path: "guide.policy.yaml".into(), bytes: b"-".to_vec() }];
    let admission = Admission {
        digest: Bundle::new(files).unwrap().digest(),
        default_policy: "guide".into(),
        plans: vec![samples::plan()],
        warnings: Vec::new(),
        stricter_errors: Vec::new(),
        cases_passed: 0,
    };
    Snapshot::new(admission, generation)
}

fn nothing() -> Request<'static> {
    use crate::domain::request::{Claim, Order};
    Request { order: Order::default(), claim: Claim::default() }
}

#[test]
fn a_plain_answer_is_the_answer_byte_for_byte() {
    let admission = crate::engine::admit::admit(&crate::source::embedded::read().unwrap()).unwrap();
    let snapshot = Snapshot::new(admission, 7);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/standard/requests");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let request = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let mut request = crate::api::json::request_from_json(&text).unwrap();
        request.explain = pb::ExplainLevel::None.into();
        (request.encode_to_vec(), request)
    };
    let mut requests: Vec<_> = files.map(request).collect();
    // Each comes after each of two others: what the scratch still holds makes no difference.
    requests.extend(requests.clone().into_iter().rev());
    let mut scratch = Scratch::new(&snapshot);
    let mut compared = 0;
    for (message, request) in &requests {
        let mut bytes = Vec::new();
        let written = scratch.answer(message, &mut Writer::at_end_of(&mut bytes)).unwrap();
        let Evaluated { response, summary } = answer(&snapshot, request).unwrap();
        assert_eq!(bytes, response.encode_to_vec(), "{}", request.request_id);
        // The observer is told the same, whichever way the decision was made.
        assert_eq!(DecisionSummary { elapsed: summary.elapsed, ..written }, summary);
        assert_eq!(summary.rule, response.lines[0].rule_id);
        assert_eq!(summary, summary.clone().into_owned());
        // What cannot be read leaves nothing, either.
        assert!(scratch.answer(&message[..message.len() - 1], &mut Writer::at_end_of(&mut bytes)).is_none());
        compared += 1;
    }
    assert!(20 < compared, "only {compared} requests");
}

#[test]
fn a_policy_that_is_not_here_is_not_found() {
    let failure = plan_for(&snapshot(1), "other", "", 0, &nothing()).unwrap_err();
    assert_eq!(failure, Failure::PolicyNotFound { policy_id: "other".into() });
    assert_eq!(plan_for(&snapshot(1), "", "", 0, &nothing()).unwrap().id, "guide");
}

#[test]
fn pins_hold_or_the_call_ends() {
    let snapshot = snapshot(3);
    let digest = snapshot.digest.to_string();
    assert!(plan_for(&snapshot, "", &digest, 3, &nothing()).is_ok());
    let not_here = Failure::RevisionNotAvailable { digest, generation: 3 };
    assert_eq!(plan_for(&snapshot, "", "blake3:00", 0, &nothing()).unwrap_err(), not_here);
    assert_eq!(plan_for(&snapshot, "", "", 4, &nothing()).unwrap_err(), not_here);
}

#[test]
fn the_id_follows_from_what_was_asked_and_by_which_policy() {
    let (snapshot, plan) = (snapshot(1), samples::plan());
    let (order, claim) = (samples::order(), samples::claim());
    let id_of = |snapshot: &Snapshot, request_id: &str, order: &pb::Order, claim: &pb::Claim| {
        let mut identity = Identity::new(snapshot, &plan);
        identity.begin(request_id);
        identity.part(&order.encode_to_vec());
        identity.part(&claim.encode_to_vec());
        let id = identity.id();
        // The same from the messages themselves; whatever was asked before makes no difference.
        identity.begin(request_id);
        identity.message(order).and_then(|()| identity.message(claim)).unwrap();
        assert_eq!(identity.id(), id);
        id
    };
    let id = id_of(&snapshot, "r-1", &order, &claim);
    assert_eq!(id, id_of(&self::snapshot(9), "r-1", &order, &claim));
    let other_claim = pb::Claim { text: "late".into(), ..samples::claim() };
    assert_ne!(id, id_of(&snapshot, "r-2", &order, &claim));
    assert_ne!(id, id_of(&snapshot, "r-1", &order, &other_claim));
}

#[test]
fn what_follows_from_a_bad_field_is_not_said_again() {
    let said = |field: &str| FieldViolation::new(field, "bad");
    let checks = Checks(vec![said("claim.requested_at"), said("order")]);
    let further = vec![said("claim.requested_at"), said("order.lines"), said("claim.requested_at_all")];
    let Err(Failure::BadRequest(violations)) = checks.facts(&mut Err(further)) else { panic!("must be bad") };
    assert_eq!(violations, [said("claim.requested_at"), said("order"), said("claim.requested_at_all")]);
}

#[test]
fn a_language_that_the_policy_lacks_is_named() {
    let mut checks = Checks::default();
    assert_eq!(checks.language(&samples::plan(), ""), 0);
    assert_eq!(checks.language(&samples::plan(), "EN"), 1);
    checks.language(&samples::plan(), "fr");
    assert_eq!(checks.0, [FieldViolation::new("language", "the policy has no labels in `fr`; it has zh, en")]);
}

#[test]
fn a_name_above_its_bound_is_a_bad_field() {
    let long = "x".repeat(SHORT_TEXT_BYTES_MAX + 1);
    let request = pb::EvaluateRefundRequest {
        policy_id: long.clone(),
        policy_digest: long.clone(),
        language: long,
        order: Some(samples::order()),
        claim: Some(samples::claim()),
        ..pb::EvaluateRefundRequest::default()
    };
    let Err(Failure::BadRequest(violations)) = answer(&snapshot(1), &request) else { panic!("it is taken") };
    let fields: Vec<&str> = violations.iter().map(|bad| bad.field.as_str()).collect();
    assert_eq!(fields, ["policy_id", "policy_digest", "language"]);
}

#[test]
fn server_info_names_the_policies_in_force() {
    let info = server_info(&snapshot(4));
    assert_eq!((info.default_policy_id.as_str(), info.generation), ("guide", 4));
    let policy = &info.policies[0];
    assert_eq!((policy.languages.as_slice(), policy.rule_count), (["zh".to_owned(), "en".to_owned()].as_slice(), 3));
    assert_eq!(policy.evidence_kinds, ["order_record", "chat_record"]);
}
