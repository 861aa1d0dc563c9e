//! Holds each answer against those before it, and counts what it decided.

use std::time::Duration;

use crate::load::answer::{Answer, BatchAnswer};
use crate::load::connection::Connection;
use crate::load::record::{Code, Fault, Recorder};
use crate::load::revisions::Agreement;

/// Counts a decision and holds it against those before it.
pub(super) fn take(
    recorder: &mut Recorder,
    connection: &Connection,
    example: usize,
    answer: &Answer,
    at: Duration,
) -> Result<(), Fault> {
    let saying = answer.saying().ok_or(Fault::Unreadable)?;
    if !connection.is_generation(saying.generation, saying.digest) {
        let digest = String::from_utf8_lossy(saying.digest);
        recorder
            .revisions
            .disagree(format!("generation {} has another digest than before: {digest}", saying.generation));
        return Err(Fault::Mixed);
    }
    match recorder.revisions.note(example, &saying, at) {
        Agreement::Same => {
            recorder.decided(answer.outcome);
            Ok(())
        }
        Agreement::Different => Err(Fault::Mixed),
    }
}

/// Counts the decisions of a batch and holds them against each other and against those before them.
pub(super) fn take_batch(
    recorder: &mut Recorder,
    connection: &Connection,
    examples: &[usize],
    batch: &BatchAnswer,
    at: Duration,
) -> Result<(), Fault> {
    if batch.items.len() != examples.len() {
        return Err(Fault::Unreadable);
    }
    for (item, example) in batch.items.iter().zip(examples) {
        match (&item.response, &item.error) {
            (Some(answer), None) => {
                let saying = answer.saying().ok_or(Fault::Unreadable)?;
                if !batch.covers(&saying) {
                    let text =
                        format!("an item of a batch has generation {}, and the batch another", saying.generation);
                    recorder.revisions.disagree(text);
                    return Err(Fault::Mixed);
                }
                take(recorder, connection, *example, answer, at)?;
            }
            (None, Some(error)) => *recorder.item_errors.entry(Code::of(error.code)).or_default() += 1,
            (Some(_), Some(_)) | (None, None) => return Err(Fault::Unreadable),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::api::pb;

    const AT: Duration = Duration::from_secs(1);

    fn response(version: &str, digest: &str, generation: u64) -> pb::EvaluateRefundResponse {
        let (policy_id, version, digest) = ("standard".into(), version.into(), digest.into());
        let policy = pb::PolicyRef { policy_id, version, digest, generation, effective_from: None, engine_revision: 1 };
        let mut response = pb::EvaluateRefundResponse { policy: Some(policy), ..pb::EvaluateRefundResponse::default() };
        response.set_outcome(pb::Outcome::ApprovedFull);
        response
    }

    fn answer(version: &str, digest: &str, generation: u64) -> Answer {
        Answer::decode(response(version, digest, generation).encode_to_vec().as_slice()).unwrap()
    }

    fn batch(items: Vec<pb::batch_item::Answer>) -> BatchAnswer {
        let items = items.into_iter().map(|answer| pb::BatchItem { answer: Some(answer) }).collect();
        let batch = pb::BatchEvaluateRefundResponse { items, generation: 1, digest: "a".into() };
        BatchAnswer::decode(batch.encode_to_vec().as_slice()).unwrap()
    }

    fn item(generation: u64, digest: &str) -> pb::batch_item::Answer {
        pb::batch_item::Answer::Response(response("v1", digest, generation))
    }

    #[test]
    fn the_same_digest_with_another_version_is_mixed() {
        let (mut recorder, connection) = (Recorder::new(AT).unwrap(), Connection::default());
        assert_eq!(take(&mut recorder, &connection, 0, &answer("v1", "a", 1), AT), Ok(()));
        assert_eq!(take(&mut recorder, &connection, 0, &answer("v2", "b", 2), AT), Ok(()));
        assert_eq!(take(&mut recorder, &connection, 0, &answer("v2", "a", 1), AT), Err(Fault::Mixed));
        assert_eq!((recorder.decisions, recorder.outcomes[1], recorder.revisions.disagreements()), (2, 2, 1));
    }

    #[test]
    fn a_generation_with_two_digests_on_one_connection_is_mixed() {
        let (mut recorder, connection) = (Recorder::new(AT).unwrap(), Connection::default());
        assert_eq!(take(&mut recorder, &connection, 0, &answer("v1", "a", 1), AT), Ok(()));
        assert_eq!(take(&mut recorder, &connection, 0, &answer("v2", "b", 1), AT), Err(Fault::Mixed));
        assert_eq!(take(&mut recorder, &Connection::default(), 0, &answer("v2", "b", 1), AT), Ok(()));
        assert_eq!(take(&mut recorder, &connection, 0, &Answer::default(), AT), Err(Fault::Unreadable));
    }

    #[test]
    fn a_batch_of_two_generations_is_mixed() {
        let (mut recorder, connection) = (Recorder::new(AT).unwrap(), Connection::default());
        let mut took = |items| take_batch(&mut recorder, &connection, &[0, 1], &batch(items), AT);
        assert_eq!(took(vec![item(1, "a"), item(1, "a")]), Ok(()));
        assert_eq!(took(vec![item(1, "a"), item(2, "a")]), Err(Fault::Mixed));
        assert_eq!(took(vec![item(1, "a"), item(1, "b")]), Err(Fault::Mixed));
        assert_eq!(took(vec![item(1, "a")]), Err(Fault::Unreadable), "an item is missing");
        let error = pb::batch_item::Answer::Error(pb::BatchError { code: 5, ..pb::BatchError::default() });
        assert_eq!(took(vec![item(1, "a"), error]), Ok(()));
        assert_eq!(recorder.item_errors.get(&Code("NOT_FOUND")), Some(&1));
    }
}
