//! Rules: what must hold, and what follows.

use crate::domain::decision::ReasonCodes;
use crate::domain::ratio::Rounding;
use crate::domain::words::{DeductionKind, LiableParty, RefundMethod};
use crate::plan::formula::Formula;
use crate::plan::test::{Interval, Test};
use crate::plan::vocabulary::Labels;

/// Power of a layer over the decision of the policy below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayerPower {
    /// If one of its rules matches, the better of the two decisions counts.
    Improve,
    /// If one of its rules matches, that rule decides.
    Replace,
}

/// A layer to which a rule belongs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleLayer {
    /// Its name.
    pub name: String,
    /// Power of the layer.
    pub power: LayerPower,
    /// The first rule below the layer, by its place in the policy.
    pub below: u32,
}

/// One rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// Its slug, unique in the policy.
    pub id: String,
    /// The layer it belongs to; `None`: the policy itself.
    pub layer: Option<RuleLayer>,
    /// All of them must hold.
    pub tests: Vec<Test>,
    /// Effect of a match.
    pub effect: RuleEffect,
}

/// Effect of a match.
#[derive(Clone, PartialEq, Debug)]
pub struct RuleEffect {
    /// The answer.
    pub action: Action,
    /// Reason, clear text and evidence that the claim must bring first.
    pub demands: Vec<Demand>,
    /// Next steps to name, as places in the plan's list.
    pub next_steps: Vec<u16>,
    /// Time that a reviewer takes.
    pub review: Option<Window>,
    /// Time that the money takes after that.
    pub payout: Option<Payout>,
    /// The way the money goes back.
    pub method: RefundMethod,
    /// Modes of components under this rule, where they differ from those of the plan: the place
    /// of a component's name, and what goes back of it.
    pub components: Vec<(u16, ComponentRefund)>,
    /// Compensation on top of the refund.
    pub compensations: Vec<Extra>,
    /// Amounts that the customer owes.
    pub amounts_due: Vec<Extra>,
}

/// An amount beside the refund, never netted into it.
#[derive(Clone, PartialEq, Debug)]
pub struct Extra {
    /// Its slug.
    pub name: String,
    /// It is given only where all of these hold.
    pub tests: Vec<Test>,
    /// Formula of the amount.
    pub amount: Formula,
    /// It is never less.
    pub at_least: Option<Formula>,
    /// It is never more.
    pub at_most: Option<Formula>,
    /// Rounding, as for a deduction.
    pub rounding: Option<Rounding>,
    /// The amount of the order that it is, by its place in the plan: then all of the above is that one's.
    pub order_amount: Option<u16>,
}

/// Refund of a component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ComponentRefund {
    /// Nothing.
    Never,
    /// All of it, as soon as anything is refunded.
    Always,
    /// All of it, once everything it belongs to is refunded in full.
    WhenFull,
    /// The share of it that is refunded of what it belongs to: as tax goes back.
    InProportion,
}

/// The answer of a rule.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// The refundable base goes back, less what these steps take, in order.
    Refund(Vec<Step>),
    /// Nothing goes back.
    Deny(ReasonCodes),
    /// More is needed before there is an answer.
    Ask(ReasonCodes),
    /// A person decides.
    Review(ReasonCodes),
}

/// Something that a claim must bring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    /// A reason.
    Reason,
    /// A text that is not vague, where there is one.
    ClearText,
    /// The evidence that the reason asks for.
    ReasonEvidence,
    /// The evidence of one requirement, by its place in the plan.
    Evidence(u16),
}

/// One deduction.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Kind of the deduction.
    pub kind: DeductionKind,
    /// Scope that it is taken from.
    pub scope: StepScope,
    /// It is taken only where all of these hold.
    pub tests: Vec<Test>,
    /// Amount before the bounds.
    pub amount: StepAmount,
    /// It is never less.
    pub at_least: Option<Formula>,
    /// It is never more.
    pub at_most: Option<Formula>,
    /// Rounding; the increment in billionths of a unit. `None`: to the currency's minor unit, half up.
    pub rounding: Option<Rounding>,
    /// Amount that is rounded.
    pub rounded: Rounded,
    /// The amount as the author wrote it.
    pub text: String,
    /// The amount of the order that is carried, by its place in the plan: then only `kind`, `tests` and `text` count.
    pub order_amount: Option<u16>,
}

impl RuleEffect {
    /// Returns `true` if something is taken from, or given for, several lines together.
    #[must_use]
    #[inline]
    pub fn is_shared(&self) -> bool {
        let steps = match &self.action {
            Action::Refund(steps) => steps.as_slice(),
            Action::Deny(_) | Action::Ask(_) | Action::Review(_) => &[],
        };
        steps.iter().any(|step| step.scope == StepScope::Order)
            || self.compensations.iter().chain(&self.amounts_due).any(|extra| extra.order_amount.is_some())
    }
}

/// Scope that a deduction is taken from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepScope {
    /// Each line that the rule decides.
    Line,
    /// All lines that the rule decides, together: once, spread by what is left of each.
    Order,
}

/// Amount of a deduction.
#[derive(Clone, PartialEq, Debug)]
pub enum StepAmount {
    /// The result of a formula, as money.
    Formula(Formula),
    /// By the tier in which a number lies; the tiers cover every number.
    Tiers {
        /// The number that chooses the tier.
        on: Formula,
        /// The tiers, from the lowest to the highest.
        tiers: Vec<Tier>,
        /// Base of the shares; `None`: the tiers are amounts.
        of: Option<Formula>,
    },
}

/// A tier of a deduction.
#[derive(Clone, PartialEq, Debug)]
pub struct Tier {
    /// The numbers that it is for.
    pub range: Interval,
    /// Its share of the step's `of`, or its amount.
    pub value: Formula,
    /// The step with this tier in it, for people: range and share as the author wrote them.
    pub text: String,
}

/// Amount to which the rounding of a deduction applies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rounded {
    /// The deduction itself.
    Deduction,
    /// The refund: the amount that the deduction leaves.
    Refund,
}

/// Time that the money takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payout {
    /// For every tender that is not named below.
    pub usual: Window,
    /// For tenders of these methods.
    pub by_method: Vec<(String, Window)>,
}

/// A length of time from a day on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Unit that is counted.
    pub unit: DayUnit,
    /// The least.
    pub min: u16,
    /// The most.
    pub max: u16,
    /// It ends on the next such day of the week.
    pub weekday: Option<jiff::civil::Weekday>,
}

/// Kind of days that are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DayUnit {
    /// Business days of the policy's calendar.
    BusinessDays,
    /// All days.
    CalendarDays,
}

/// A reason that a customer can give.
#[derive(Clone, PartialEq, Debug)]
pub struct Reason {
    /// Party liable for it where the claim does not say.
    pub liable: Option<LiableParty>,
    /// The evidence it asks for, as a place in the plan's requirements.
    pub requirement: Option<u16>,
    /// Its name for people.
    pub label: Labels,
}

/// Something that the customer can do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextStep {
    /// Its slug.
    pub slug: String,
    /// Its name for people.
    pub label: Labels,
}
