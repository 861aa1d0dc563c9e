//! A small policy, a request and a decision by it, for the tests of this floor.

use std::collections::HashMap;

use jiff::civil::date;
use jiff::tz::TimeZone;
use smallvec::{SmallVec, smallvec};

use crate::api::pb;
pub(crate) use crate::api::samples::{claim, order};
use crate::domain::decision::{
    DateWindow, Decision, Deduction, DeductionSource, EvidenceReport, LineDecision, ReasonCodes, RuleRef, TenderRefund,
};
use crate::domain::facts::FactId;
use crate::domain::money::{Amount, Currency};
use crate::domain::request::Request;
use crate::domain::text::Fold;
use crate::domain::words::{DeductionKind, LiableParty, OrderStage, Outcome, ReasonCode, RefundMethod};
use crate::domain::zone::Zone;
use crate::plan::evidence::{Conditions, EvidenceKind, MediaRange};
use crate::plan::fact::{BuiltIn, Derived, Dimension, FactDefinition, FactType, Input, InputRange, InputScope, Origin};
use crate::plan::formula::Formula;
use crate::plan::rule::{Action, NextStep, Rounded, Rule, RuleEffect, Step, StepAmount, StepScope};
use crate::plan::rules::Rules;
use crate::plan::test::{Accepts, Test};
use crate::plan::text::{ComparisonExcuses, TextRules};
use crate::plan::vocabulary::{Labels, Vocabularies, Vocabulary, VocabularyId};
use crate::plan::{Plan, TenderRules};
use crate::server::wire::decision::Names;
use crate::server::wire::request;

/// A policy of three rules: the first takes the completed share, the others are there to be missed.
pub(crate) fn plan() -> Plan {
    let facts = facts();
    let given_facts = u16::try_from(facts.len() - 1).unwrap();
    Plan {
        id: "guide".into(),
        version: "2026-11".into(),
        effective: None,
        zone: Zone::new(TimeZone::UTC),
        calendar: None,
        currencies: vec![Currency::iso("CNY").unwrap()],
        languages: vec!["zh".into(), "en".into()],
        vocabularies: vocabularies(),
        fact_names: HashMap::new(),
        facts,
        given_facts,
        derived: vec![Derived::Formula(Formula { text: "1".into(), ops: Vec::new() })],
        liable: FactId(BuiltIn::ClaimedLiable as u16),
        reasons: Vec::new(),
        evidence_kinds: vec![kind("订单记录", "Order record"), kind("聊天记录", "Chat record")],
        evidence_bytes_max: None,
        requirements: Vec::new(),

        components: Vec::new(),
        returned_whole: Vec::new(),
        component_facts: Vec::new(),
        order_amounts: Vec::new(),
        tenders: TenderRules::default(),
        text: TextRules {
            phrases: vec!["不好用".into()],
            vague: None,
            checkable: None,
            fold: Fold::default(),
            comparison: ComparisonExcuses::Yes,
            suggestion: labels("说明约定", "Say what was promised"),
        },
        next_steps: vec![NextStep { slug: "complaint".into(), label: labels("投诉", "Complain") }],
        escalation: Vec::new(),
        supplement_step: None,
        restate_step: None,
        more_info_steps: Vec::new(),
        review_steps: Vec::new(),
        rules: Rules::new(rules()),
        otherwise: effect(Action::Review(ReasonCodes::of(&[ReasonCode::NoMatchingRule]))),
    }
}

fn facts() -> Vec<FactDefinition> {
    let mut facts: Vec<_> = BuiltIn::ALL
        .iter()
        .map(|&built_in| FactDefinition {
            name: built_in.name().into(),
            fact_type: built_in.fact_type(),
            origin: Origin::BuiltIn(built_in),
        })
        .collect();
    let number = FactType::Quantity(Dimension::Number);
    let grade = Input { scope: InputScope::Line, range: InputRange::Any, default: None };
    facts.extend([
        FactDefinition {
            name: "released_at".into(),
            fact_type: FactType::Quantity(Dimension::Timestamp),
            origin: Origin::Anchor,
        },
        FactDefinition { name: "grade".into(), fact_type: number, origin: Origin::Input(grade) },
        FactDefinition { name: "late_by".into(), fact_type: number, origin: Origin::Derived },
    ]);
    facts
}

/// A fact that is built in, an anchor, an input and a derived one.
pub(crate) fn facts_of_every_origin(plan: &Plan) -> SmallVec<[FactId; 2]> {
    let first_own = BuiltIn::ALL.len();
    let own = (first_own..plan.facts.len()).map(|place| FactId(u16::try_from(place).unwrap()));
    std::iter::once(FactId(BuiltIn::CompletedShare as u16)).chain(own).collect()
}

fn vocabularies() -> Vocabularies {
    let mut vocabularies = vec![Vocabulary::default(); usize::from(VocabularyId::FIXED)];
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let stages = OrderStage::ALL.iter().map(|stage| stage.as_str().to_owned());
    vocabularies[usize::from(VocabularyId::STAGE.0)] = Vocabulary::new("stage", stages);
    vocabularies[usize::from(VocabularyId::EVIDENCE_KIND.0)] =
        Vocabulary::new("evidence kind", words(&["order_record", "chat_record"]));
    vocabularies[usize::from(VocabularyId::REASON.0)] = Vocabulary::new("reason", words(&["late_delivery"]));
    Vocabularies(vocabularies)
}

fn kind(zh: &str, en: &str) -> EvidenceKind {
    let media = vec![MediaRange::Family("image/".into()), MediaRange::Type("application/pdf".into())];
    EvidenceKind { label: labels(zh, en), conditions: Some(Conditions { media, ..Conditions::default() }) }
}

fn labels(zh: &str, en: &str) -> Labels {
    Labels(vec![zh.into(), en.into()])
}

fn rules() -> Vec<Rule> {
    let test =
        |fact: BuiltIn, text: &str| Test { fact: FactId(fact as u16), accepts: Accepts::Present, text: text.into() };
    let share = Step {
        kind: DeductionKind::ConsumedValue,
        scope: StepScope::Line,
        tests: Vec::new(),
        amount: StepAmount::Formula(Formula { text: "completed_share * refundable".into(), ops: Vec::new() }),
        at_least: None,
        at_most: None,
        rounding: None,
        rounded: Rounded::Deduction,
        text: "completed_share * refundable".into(),
        order_amount: None,
    };
    let rule = |id: &str, tests: Vec<Test>, steps: Vec<Step>| Rule {
        id: id.into(),
        layer: None,
        tests,
        effect: effect(Action::Refund(steps)),
    };
    vec![
        rule("in-progress-late", vec![test(BuiltIn::Stage, "in_progress")], vec![share]),
        rule("not-started", vec![test(BuiltIn::Stage, "not_started")], Vec::new()),
        rule(
            "soon-after-order",
            vec![test(BuiltIn::Stage, "in_progress"), test(BuiltIn::PlacedAt, "present")],
            Vec::new(),
        ),
    ]
}

fn effect(action: Action) -> RuleEffect {
    RuleEffect {
        action,
        demands: Vec::new(),
        next_steps: Vec::new(),
        review: None,
        payout: None,
        method: RefundMethod::OriginalPayment,
        components: Vec::new(),
        compensations: Vec::new(),
        amounts_due: Vec::new(),
    }
}

/// Names of the sample policy, in English.
pub(crate) fn names<'a>(plan: &'a Plan, said: &'a Request<'a>) -> Names<'a> {
    Names { plan, order: &said.order, claim: &said.claim, currency: &plan.currencies[0], language: 1 }
}

/// Order and claim as they are said.
pub(crate) fn said<'a>(order: &'a pb::Order, claim: &'a pb::Claim) -> Request<'a> {
    request::for_decision(Some(order), Some(claim)).0
}

/// A decision on the sample request: a third is held back.
pub(crate) fn decision() -> Decision {
    let (base, taken, refund) = (Amount::from_minor(12_550), Amount::from_minor(4_183), Amount::from_minor(8_367));
    let rule = RuleRef::Rule(0);
    let deduction = Deduction {
        kind: DeductionKind::ConsumedValue,
        source: DeductionSource::Step { rule, step: 0, tier: None },
        base,
        amount: taken,
    };
    Decision {
        outcome: Outcome::ApprovedPartial,
        reason_codes: ReasonCodes::of(&[ReasonCode::DeductionsApplied]),
        refund,
        lines: smallvec![LineDecision {
            line: 0,
            outcome: Outcome::ApprovedPartial,
            reason_codes: ReasonCodes::of(&[ReasonCode::DeductionsApplied]),
            rule,
            liable: Some(LiableParty::Platform),
            base,
            refund,
            due: Amount::from_minor(8_367),
            deductions: smallvec![deduction],
            compensations: smallvec![],
            amounts_due: smallvec![],
            missing_facts: smallvec![],
        }],
        components: smallvec![],
        tenders: smallvec![
            TenderRefund { tender: 0, amount: refund, payout: None },
            TenderRefund { tender: 1, amount: Amount::ZERO, payout: None },
        ],
        method: RefundMethod::OriginalPayment,
        evidence: EvidenceReport::not_required(),
        next_steps: smallvec![0],
        review: Some(DateWindow::Dates { earliest: date(2026, 11, 3), latest: date(2026, 11, 4) }),
        payout: Some(DateWindow::BeyondCalendar),
    }
}
