//! Facts of a policy: the ones every policy knows, those it declares, those it derives.

use crate::domain::facts::Value;
use crate::domain::ratio::Ratio;
use crate::plan::formula::Formula;
use crate::plan::test::Test;
use crate::plan::vocabulary::VocabularyId;

/// The type of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FactType {
    /// Yes or no.
    Flag,
    /// One word of a vocabulary.
    Word(VocabularyId),
    /// Several words of a vocabulary.
    Set(VocabularyId),
    /// A number of some dimension.
    Quantity(Dimension),
    /// Free text: it is there or not.
    Text,
}

/// Quantity that a number counts. Only like can be compared with like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dimension {
    /// Nothing: a plain number, a ratio, a count.
    Number,
    /// Money, in billionths of the currency's unit, so that an amount means the same in every currency.
    Money,
    /// Elapsed time, in nanoseconds.
    Elapsed,
    /// Days of the calendar in the policy's time zone.
    Days,
    /// Business days of the policy's calendar.
    BusinessDays,
    /// A moment, in nanoseconds since 1970.
    Timestamp,
}

/// One fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FactDefinition {
    /// Its name in policies; for an unnamed formula, the formula.
    pub name: String,
    /// Its type.
    pub fact_type: FactType,
    /// Source of its value.
    pub origin: Origin,
}

impl FactDefinition {
    /// Returns `true` if it is given with each line of an order.
    #[must_use]
    pub fn is_given_by_line(&self) -> bool {
        match &self.origin {
            Origin::BuiltIn(fact) => fact.is_of_a_line(),
            Origin::Input(input) => input.scope == InputScope::Line,
            Origin::Anchor | Origin::Component | Origin::Derived => false,
        }
    }
}

impl BuiltIn {
    /// Returns `true` if it may differ from line to line of one order.
    #[must_use]
    pub const fn is_of_a_line(self) -> bool {
        match self {
            Self::Stage
            | Self::SubStage
            | Self::ProductType
            | Self::Tags
            | Self::Paid
            | Self::ListPrice
            | Self::Refunded
            | Self::Refundable
            | Self::CompletedShare
            | Self::UnitsCompleted
            | Self::UnitsTotal
            | Self::DeclaredCost => true,
            Self::Currency
            | Self::OrderPaid
            | Self::PlacedAt
            | Self::PaidAt
            | Self::PromisedAt
            | Self::StartedAt
            | Self::DeliveredAt
            | Self::CompletedAt
            | Self::CustomerCausedDelay
            | Self::RequestedAt
            | Self::RequestType
            | Self::Reason
            | Self::ClaimedLiable
            | Self::Channel
            | Self::RequestedAmount => false,
        }
    }
}

/// Source of the value of a fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A field that every request has room for.
    BuiltIn(BuiltIn),
    /// A further moment of the order: `order.times["…"]`.
    Anchor,
    /// Cost of the component of its name: `order.components`.
    Component,
    /// An input that the policy declares.
    Input(Input),
    /// A formula or table of the policy.
    Derived,
}

/// An input that the policy declares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Scope: sent with the order or with each line.
    pub scope: InputScope,
    /// Numbers that it may take.
    pub range: InputRange,
    /// Value where the request gives none; `None`: then it is missing.
    pub default: Option<Value>,
}

/// Part of the request in which an input is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputScope {
    /// `order.inputs`: the same for every line.
    Order,
    /// `order.lines[].inputs`.
    Line,
}

/// Numbers that an input may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputRange {
    /// All of its type.
    Any,
    /// Zero and more.
    NotNegative,
    /// From zero to one.
    Ratio,
    /// Whole numbers from zero on.
    Count,
}

impl InputRange {
    /// Returns `true` if a number, in the unit of its dimension, is allowed.
    #[must_use]
    pub fn contains(self, number: Ratio) -> bool {
        match self {
            Self::Any => true,
            Self::NotNegative => !number.is_negative(),
            Self::Ratio => !number.is_negative() && number <= Ratio::ONE,
            Self::Count => !number.is_negative() && number.is_whole(),
        }
    }

    /// Describes the numbers allowed, for messages.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::NotNegative => "zero or more",
            Self::Ratio => "from 0 to 1",
            Self::Count => "a whole number from 0 on",
        }
    }
}

/// Way in which a derived fact is worked out.
#[derive(Clone, PartialEq, Debug)]
pub enum Derived {
    /// By a formula.
    Formula(Formula),
    /// By the first row whose tests all hold.
    Table {
        /// The rows, in order.
        rows: Vec<Row>,
        /// Value where no row holds.
        otherwise: Formula,
    },
}

impl Derived {
    /// The facts that it may look at.
    #[must_use]
    pub fn facts(&self) -> Vec<crate::domain::facts::FactId> {
        match self {
            Self::Formula(formula) => formula.facts(),
            Self::Table { rows, otherwise } => {
                let of_row =
                    |row: &Row| row.tests.iter().map(|test| test.fact).chain(row.value.facts()).collect::<Vec<_>>();
                rows.iter().flat_map(of_row).chain(otherwise.facts()).collect()
            }
        }
    }
}

/// A row of a table.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// All of them must hold.
    pub tests: Vec<Test>,
    /// Value of the fact then.
    pub value: Formula,
}

/// Billionths in one: the unit of [`Dimension::Money`].
pub const NANOS_PER_UNIT: i128 = 1_000_000_000;

/// Declares the facts that every policy knows, in the order of their [`crate::domain::facts::FactId`]s.
macro_rules! built_in_facts {
    ($( $variant:ident $name:literal $fact_type:expr, $field:literal, $doc:literal; )+) => {
        /// A fact that every policy knows; its place is its [`crate::domain::facts::FactId`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum BuiltIn { $( #[doc = $doc] $variant, )+ }

        impl BuiltIn {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in policies.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Its type.
            #[must_use]
            pub const fn fact_type(self) -> FactType {
                match self { $(Self::$variant => $fact_type),+ }
            }

            /// The field of the request that it comes from; `lines[]` stands for the line decided.
            #[must_use]
            pub const fn field(self) -> &'static str {
                match self { $(Self::$variant => $field),+ }
            }

            /// Meaning of the fact.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc),+ }
            }
        }
    };
}

const MONEY: FactType = FactType::Quantity(Dimension::Money);
const NUMBER: FactType = FactType::Quantity(Dimension::Number);
const TIME: FactType = FactType::Quantity(Dimension::Timestamp);
const ELAPSED: FactType = FactType::Quantity(Dimension::Elapsed);

built_in_facts! {
    Stage "stage" FactType::Word(VocabularyId::STAGE), "order.lines[].stage", "How far the line has come.";
    SubStage "sub_stage" FactType::Word(VocabularyId::SUB_STAGE), "order.lines[].sub_stage", "A finer stage that the policy declares.";
    ProductType "product_type" FactType::Word(VocabularyId::PRODUCT_TYPE), "order.lines[].product_type", "What was bought.";
    Tags "tags" FactType::Set(VocabularyId::TAG), "order.lines[].tags", "The tags of the line and of its order together.";
    Currency "currency" FactType::Word(VocabularyId::CURRENCY), "order.lines[].paid.currency_code", "The currency of the order.";
    Paid "paid" MONEY, "order.lines[].paid", "The price paid for the line.";
    ListPrice "list_price" MONEY, "order.lines[].list_price", "The price of the line without discounts.";
    Refunded "refunded" MONEY, "order.lines[].refunded", "What went back for the line earlier.";
    Refundable "refundable" MONEY, "order.lines[].paid", "The refundable base: the price paid less what went back earlier.";
    CompletedShare "completed_share" NUMBER, "order.lines[].completed", "Units done over units in all, from 0 to 1.";
    UnitsCompleted "units_completed" NUMBER, "order.lines[].completed", "Units done.";
    UnitsTotal "units_total" NUMBER, "order.lines[].completed", "Units in all.";
    DeclaredCost "declared_cost" MONEY, "order.lines[].declared_cost", "The cost that the provider declares to have had.";
    OrderPaid "order_paid" MONEY, "order.lines[].paid", "What the whole order cost, lines and components together.";
    PlacedAt "placed_at" TIME, "order.placed_at", "When the order was placed.";
    PaidAt "paid_at" TIME, "order.paid_at", "When the order was paid.";
    PromisedAt "promised_at" TIME, "order.times[\"promised_at\"]", "When delivery was promised for.";
    StartedAt "started_at" TIME, "order.times[\"started_at\"]", "When the service began.";
    DeliveredAt "delivered_at" TIME, "order.times[\"delivered_at\"]", "When it was handed over.";
    CompletedAt "completed_at" TIME, "order.times[\"completed_at\"]", "When it was finished.";
    CustomerCausedDelay "customer_caused_delay" ELAPSED, "order.customer_caused_delay", "Delay that the customer caused; none where the request names none.";
    RequestedAt "requested_at" TIME, "claim.requested_at", "When the customer asked: the only now that there is.";
    RequestType "request_type" FactType::Word(VocabularyId::REQUEST_TYPE), "claim.request_type", "What kind of request it is.";
    Reason "reason" FactType::Word(VocabularyId::REASON), "claim.reason", "The reason given.";
    ClaimedLiable "claimed_liable" FactType::Word(VocabularyId::LIABLE_PARTY), "claim.liable_party", "Who is liable as claimed, or else as the reason says by itself.";
    Channel "channel" FactType::Word(VocabularyId::CHANNEL), "claim.channel", "The way the request came in.";
    RequestedAmount "requested_amount" MONEY, "claim.requested_amount", "How much is asked for.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_names_are_unique() {
        let mut names: Vec<_> = BuiltIn::ALL.iter().map(|fact| fact.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), BuiltIn::ALL.len());
    }
}
