//! A policy as written: every key the language has, with its meaning.
//!
//! The comments here are the descriptions of the JSON Schema and of the reference page. What
//! the texts mean (formulas, tests, names) is found out by `check`.

use schemars::JsonSchema;

use crate::plan::rule::LayerPower;
use crate::policy::read::{Diagnostics, OneOrMany, Read, Shape, Slug, Table, Text, record};
use crate::policy::slip;
use crate::policy::source::{Located, Span};
use crate::policy::tree::{Node, NodeKind, Quoting};

record! {
    /// A refund policy: which orders get how much back, less what, and why.
    pub struct Policy = "a policy" {
        /// The policy's name; requests choose a policy by it.
        policy: Slug,
        /// The author's label of this version; the program adds the content digest.
        version: Text,
        /// What the policy is about, for readers.
        description: Option<Text>,
        /// Where the rules are published.
        published: Option<Text>,
        /// Fragments of the bundle whose declarations this policy shares: `NAME` for `NAME.fragment.yaml`.
        use_ as "use": Option<Vec<Slug>>,
        /// Which orders it governs. Absent: all of them.
        effective: Option<EffectiveNode>,
        /// The IANA time zone in which calendar days begin and end, such as `Asia/Shanghai`.
        timezone: Text,
        /// The business calendar, by its file name in `calendars/` without `.yaml`. Needed where business days are counted.
        calendar: Option<Slug>,
        /// The units of account that it knows: ISO 4217 codes, or units of its own such as `{ code: POINTS, decimals: 0 }`.
        currencies: OneOrMany<CurrencyNode>,
        /// The languages of its labels, the default one first, such as `[zh, en]`.
        languages: Option<OneOrMany<Text>>,
        /// The ways a request may come in. Anything else in a request is an error.
        channels: Option<Vec<Slug>>,
        /// What can be bought. Anything else in a request is an error.
        product_types: Option<Vec<Slug>>,
        /// Finer stages of a line. Anything else in a request is an error.
        sub_stages: Option<Vec<Slug>>,
        /// Tags of orders and lines, at most 64. Anything else in a request is an error.
        tags: Option<Vec<Slug>>,
        /// Further moments of an order, beside the known ones (`promised_at`, `delivered_at`, …).
        times: Option<Vec<Slug>>,
        /// What an order may cost beside its lines (shipping, tax, a service fee), and what goes back of it. What
        /// each cost is a fact of its name.
        components: Option<Table<ComponentNode>>,
        /// How a refund is split over the tenders. Absent: by what each paid.
        tenders: Option<TendersNode>,
        /// Facts of its own that callers may send, typed.
        inputs: Option<Table<InputNode>>,
        /// The reasons that a customer can give.
        reasons: Option<Table<ReasonNode>>,
        /// What counts as evidence, and what must be proved.
        evidence: Option<EvidenceNode>,
        /// What text is too vague to be checked.
        text: Option<TextNode>,
        /// What a customer can do next, with labels for people.
        next_steps: Option<Table<NextStepNode>>,
        /// Which next steps the engine names by itself.
        routes: Option<RoutesNode>,
        /// Kinds of deduction that no rule of this policy may take, such as `[processing_fee]`.
        never_deduct: Option<Vec<Slug>>,
        /// Derived facts, in order: each a formula, or a table whose first matching row counts.
        facts: Option<Table<FactNode>>,
        /// Amounts that are worked out once for an order, by name, in the order in which they are taken. Rules carry them.
        order_amounts: Option<Table<OrderAmountNode>>,
        /// The rules; the first that matches a line decides it.
        rules: Vec<RuleNode>,
        /// What decides where no rule matches. Always the last key, so that a file that was cut off is noticed.
        otherwise: OtherwiseNode,
    }
}

record! {
    /// Which orders a policy governs.
    pub struct EffectiveNode = "`effective`" {
        /// The first moment governed, as RFC 3339 with an offset.
        from: Text,
        /// The first moment not governed any more. Absent: until the next version begins, or for ever.
        until: Option<Text>,
        /// The moment of the order that counts, such as `placed_at`.
        by: Slug,
    }
}

record! {
    /// A fact that callers may send.
    pub struct InputNode = "an input" {
        /// `flag`, `enum`, `number`, `ratio` (0 to 1), `count` (whole, from 0), `money`, `duration`, `timestamp` or `text`.
        kind as "type": Slug,
        /// The words of an `enum`.
        values: Option<Vec<Slug>>,
        /// Where it is sent: `order` (the default) or `line`.
        scope: Option<Slug>,
        /// What it is where a request does not say. Absent: then it is missing.
        default: Option<Text>,
        /// What it means, for readers.
        description: Option<Text>,
    }
}

record! {
    /// A reason that a customer can give.
    pub struct ReasonNode = "a reason" {
        /// Who is liable for it where the claim does not say.
        liable: Option<Slug>,
        /// The evidence it asks for: the name of a requirement.
        evidence: Option<Slug>,
        /// Its name for people, in each language.
        label: Option<Table<Text>>,
    }
}

record! {
    /// What counts as evidence, and what must be proved.
    pub struct EvidenceNode = "`evidence`" {
        /// The kinds of evidence, at most 64.
        kinds: Table<KindNode>,
        /// What must be proved, by name: a kind, or a tree of `all_of`, `any_of` and `at_least`.
        requirements: Option<Table<RequirementNode>>,
        /// The largest size allowed of all pieces together, in bytes; each file counts once. Absent: any.
        max_total_bytes: Option<Located<u32>>,
    }
}

record! {
    /// A kind of evidence, and what a piece of it must be like to count.
    pub struct KindNode = "a kind of evidence" {
        /// Its name for people, in each language.
        label: Option<Table<Text>>,
        /// Media types allowed, such as `image/*`. Absent: any.
        media: Option<Vec<Text>>,
        /// The largest size allowed, in bytes.
        max_bytes: Option<Located<u32>>,
        /// When it must have been captured.
        captured: Option<CapturedNode>,
        /// Fields that it must fill.
        fields: Option<Vec<Slug>>,
        /// What becomes of a piece that does not state its media type or time of capture where
        /// there is a condition on it: `accepted` (the default) or `rejected`.
        unstated: Option<Slug>,
    }
}

record! {
    /// When a piece of evidence must have been captured.
    pub struct CapturedNode = "`captured`" {
        /// Not before this moment of the order.
        after: Option<Slug>,
        /// Not after this moment of the order.
        before: Option<Slug>,
        /// Not longer than this before the request, such as `30d`.
        within: Option<Text>,
    }
}

record! {
    /// What text is too vague to be checked.
    pub struct TextNode = "`text`" {
        /// Phrases that say nothing checkable.
        vague: Vec<Text>,
        /// Words that make a text checkable although it holds such a phrase. A digit always does.
        checkable: Option<Vec<Text>>,
        /// Characters that are read as others, such as `{ 滿: 满 }`.
        fold: Option<Table<Text>>,
        /// `promised_actual`: a promised and an actual value excuse vague text. Absent: nothing does.
        vague_excused_by: Option<Slug>,
        /// What to write instead, in each language.
        suggestion: Option<Table<Text>>,
    }
}

record! {
    /// Something that the customer can do next.
    pub struct NextStepNode = "a next step" {
        /// Its name for people, in each language.
        label: Option<Table<Text>>,
    }
}

record! {
    /// Which next steps the engine names by itself.
    pub struct RoutesNode = "`routes`" {
        /// After every denial, behind those of the rule.
        denied: Option<Vec<Slug>>,
        /// Where evidence or a fact is missing.
        supplement: Option<Slug>,
        /// Where a reason is missing or too vague.
        restate: Option<Slug>,
        /// Wherever more is asked for, behind `restate` and `supplement`.
        more_info: Option<Vec<Slug>>,
        /// While a review is under way: the answer has a review window, or a person decides.
        review: Option<Vec<Slug>>,
    }
}

record! {
    /// A rule: what must hold, and what follows.
    pub struct RuleNode = "a rule" {
        /// Its name, unique in the policy.
        id: Slug,
        /// Why it is there, for readers.
        note: Option<Text>,
        /// What must hold: a test for each fact. Absent: it always matches.
        when: Option<Table<TestNode>>,
        /// Something goes back: `full`, or what is deducted.
        refund: Option<RefundNode>,
        /// Nothing goes back, for these reason codes.
        deny: Option<OneOrMany<Text>>,
        /// More is needed first, for these reason codes.
        more_info: Option<OneOrMany<Text>>,
        /// A person decides, for these reason codes.
        manual_review: Option<OneOrMany<Text>>,
        /// What the claim must bring: `reason`, `clear_text`, `reason.evidence`, or the name of a requirement.
        require: Option<OneOrMany<Text>>,
        /// Next steps to name.
        next: Option<OneOrMany<Slug>>,
        /// How long a reviewer takes.
        review: Option<WindowNode>,
        /// How long the money takes, after the review if there is one.
        payout: Option<PayoutNode>,
        /// What goes back of components under this rule, where it is not what `components` says: `{ service_fee: always }`.
        components: Option<Table<Slug>>,
        /// What is given on top of the refund, by name; never netted into it.
        compensate: Option<Table<BesideNode>>,
        /// What the customer owes, by name; never netted into the refund.
        amount_due: Option<Table<BesideNode>>,
        /// The way the money goes back: `original_payment` (the default), `store_credit`, `bank_transfer` or `customer_choice`.
        method: Option<Slug>,
    }
}

record! {
    /// What decides where no rule matches.
    pub struct OtherwiseNode = "`otherwise`" {
        /// Nothing goes back, for these reason codes.
        deny: Option<OneOrMany<Text>>,
        /// More is needed first, for these reason codes.
        more_info: Option<OneOrMany<Text>>,
        /// A person decides, for these reason codes.
        manual_review: Option<OneOrMany<Text>>,
        /// Next steps to name.
        next: Option<OneOrMany<Slug>>,
        /// How long a reviewer takes.
        review: Option<WindowNode>,
    }
}

record! {
    /// A length of time from a day on, from the least to the most.
    pub struct WindowNode = "a window" {
        /// In business days of the calendar: `[1, 3]`.
        business_days: Option<Vec<Located<u32>>>,
        /// In days: `[1, 3]`.
        days: Option<Vec<Located<u32>>>,
        /// It ends on the next such day of the week, such as `friday`.
        weekday: Option<Slug>,
    }
}

record! {
    /// How long the money takes.
    pub struct PayoutNode = "`payout`" {
        /// In business days of the calendar: `[1, 3]`.
        business_days: Option<Vec<Located<u32>>>,
        /// In days: `[1, 3]`.
        days: Option<Vec<Located<u32>>>,
        /// It ends on the next such day of the week, such as `friday`.
        weekday: Option<Slug>,
        /// Other windows for tenders of some methods: `{ card: { business_days: [5, 10] } }`.
        by_method: Option<Table<WindowNode>>,
    }
}

record! {
    /// A component of an order.
    pub struct ComponentNode = "a component" {
        /// What goes back of it: `never`; `always` (all that is left of it, with the first line under a rule that
        /// refunds); `when_full` (all that is left, once every line it belongs to has gone back whole); or
        /// `in_proportion` (the share of its lines' prices that has gone back).
        refund: Slug,
    }
}

record! {
    /// How a refund is split over the tenders.
    pub struct TendersNode = "`tenders`" {
        /// `proportional` (the default), `first_paid_first`, `last_paid_first` or `by_priority`.
        order: Option<Slug>,
        /// For `by_priority`: the methods, first to be refunded first. Methods that are not named come last.
        priority: Option<Vec<Slug>>,
        /// Methods that money cannot go back to, such as `[coupon]`, whatever the request says.
        not_refundable: Option<Vec<Slug>>,
    }
}

record! {
    /// An amount that is worked out once for an order. It may use facts of the order and of the claim.
    pub struct OrderAmountNode = "an amount of the order" {
        /// How much, as a formula.
        amount: Text,
        /// It is never less than this formula.
        at_least: Option<Text>,
        /// It is never more than this formula.
        at_most: Option<Text>,
        /// How it is rounded. Absent: half up, to the currency's minor unit.
        round: Option<RoundNode>,
    }
}

/// An amount beside the refund: its own, or `order_amount` for the amount of the order of its name.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum BesideNode {
    /// `order_amount`: the amount of the order of this name.
    Carried(Text),
    /// An amount of its own.
    Own(Box<ExtraNode>),
}

impl Read for BesideNode {
    const EXPECTED: &'static str = "a mapping with `amount`, or `order_amount`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => ExtraNode::read(node, diagnostics).map(|own| Self::Own(Box::new(own))),
            NodeKind::Scalar(..) | NodeKind::List(_) => Text::read(node, diagnostics).map(Self::Carried),
        }
    }

    fn shape() -> Shape {
        ExtraNode::shape()
    }
}

record! {
    /// An amount beside the refund.
    pub struct ExtraNode = "an amount" {
        /// How much, as a formula. `remaining` is what goes back of the line in all, before and now.
        amount: Text,
        /// It is given only where all of these hold.
        when: Option<Table<TestNode>>,
        /// It is never less than this formula.
        at_least: Option<Text>,
        /// It is never more than this formula.
        at_most: Option<Text>,
        /// How it is rounded. Absent: half up, to the currency's minor unit.
        round: Option<RoundNode>,
    }
}

record! {
    /// A unit of account of the policy's own.
    pub struct OwnCurrencyNode = "a currency" {
        /// Its code: capital letters and digits, such as `POINTS`.
        code: Text,
        /// Its decimal places, from 0 to 9.
        decimals: Located<u32>,
    }
}

/// A unit of account: an ISO 4217 code, or one of the policy's own.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum CurrencyNode {
    /// A code of ISO 4217.
    Iso(Text),
    /// A unit of the policy's own.
    Own(OwnCurrencyNode),
}

impl Read for CurrencyNode {
    const EXPECTED: &'static str = "a currency code, or `{ code: …, decimals: … }`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => OwnCurrencyNode::read(node, diagnostics).map(Self::Own),
            NodeKind::Scalar(..) | NodeKind::List(_) => Text::read(node, diagnostics).map(Self::Iso),
        }
    }
}

record! {
    /// What is deducted, in order, each from what the last one left.
    pub struct DeductNode = "`refund`" {
        /// The deductions.
        deduct: OneOrMany<StepNode>,
    }
}

record! {
    /// One deduction.
    pub struct StepNode = "a deduction" {
        /// Its kind, such as `consumed_value`.
        kind: Slug,
        /// What it is taken from: `line` (the default), or `order`: once a claim, spread over the lines that the rule
        /// decides by what is left of each.
        scope: Option<Slug>,
        /// It is taken only where all of these hold.
        when: Option<Table<TestNode>>,
        /// How much, as a formula. `remaining` is what earlier deductions left, `previous` what the last one took.
        amount: Option<Text>,
        /// How much, by the tier in which a number lies.
        tiers: Option<TiersNode>,
        /// What the shares of the tiers are of, as a formula. Absent: the tiers are amounts.
        of: Option<Text>,
        /// It is never less than this formula.
        at_least: Option<Text>,
        /// It is never more than this formula.
        at_most: Option<Text>,
        /// How it is rounded. Absent: the deduction, half up, to the currency's minor unit.
        round: Option<RoundNode>,
        /// The amount of the order that it carries; then only `kind` and `when` stand beside it.
        order_amount: Option<Slug>,
    }
}

record! {
    /// Tiers over a number: each number lies in exactly one.
    pub struct TiersNode = "`tiers`" {
        /// The number, as a formula.
        on: Text,
        /// The tiers: a range such as `"[48h..8d)"`, and a share or an amount.
        steps: Table<Text>,
    }
}

record! {
    /// How a deduction is rounded.
    pub struct RoundNode = "`round`" {
        /// To multiples of this amount of money.
        to: Option<Text>,
        /// `half_up` (the default), `half_down`, `half_even`, `up` or `down`.
        mode: Option<Slug>,
        /// What is rounded: `deduction` (the default) or `refund`, which is what the deduction leaves.
        of: Option<Slug>,
    }
}

record! {
    /// A row of a table of a derived fact.
    pub struct RowNode = "a row" {
        /// What must hold: a test for each fact.
        when: Option<Table<TestNode>>,
        /// What the fact is then, as a formula or a word.
        is: Option<Text>,
        /// What the fact is where no row before holds; the last row has it, and nothing else.
        otherwise: Option<Text>,
    }
}

record! {
    /// A table whose first matching row counts.
    pub struct FirstNode = "a table" {
        /// The rows.
        first: Vec<RowNode>,
    }
}

/// The accepted values of a fact: a value, a range, `not(…)`, `present`, `absent`, or a list of which one must hold.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct TestNode(pub OneOrMany<Text>);

impl Read for TestNode {
    const EXPECTED: &'static str = "a value, a range such as `\"<= 24h\"`, `not(…)`, or a list of them";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        let nested = match &node.kind {
            NodeKind::Mapping(_) => Some(node),
            NodeKind::List(items) => items.iter().find(|item| matches!(item.kind, NodeKind::Mapping(_))),
            NodeKind::Scalar(..) => None,
        };
        if let Some(nested) = nested {
            diagnostics.error("wrong-type", nested.span, "a test holds values, no further tests", slip::ALTERNATIVES);
            return None;
        }
        OneOrMany::read(node, diagnostics).map(Self)
    }
}

/// A derived fact: a formula, or a table whose first matching row counts.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum FactNode {
    /// A formula.
    Formula(Text),
    /// A table.
    Table(FirstNode),
}

impl Read for FactNode {
    const EXPECTED: &'static str = "a formula, or a table (`first: …`)";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => FirstNode::read(node, diagnostics).map(Self::Table),
            NodeKind::Scalar(..) | NodeKind::List(_) => Text::read(node, diagnostics).map(Self::Formula),
        }
    }

    fn shape() -> Shape {
        FirstNode::shape()
    }
}

/// What goes back: `full`, or what is deducted.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum RefundNode {
    /// `full`: all of the refundable base.
    Full(Text),
    /// Less these deductions.
    Deduct(DeductNode),
}

impl Read for RefundNode {
    const EXPECTED: &'static str = "`full`, or a mapping with `deduct`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => DeductNode::read(node, diagnostics).map(Self::Deduct),
            NodeKind::Scalar(text, _) if text == "full" => Text::read(node, diagnostics).map(Self::Full),
            NodeKind::Scalar(..) | NodeKind::List(_) => {
                diagnostics.expected(node, Self::EXPECTED);
                None
            }
        }
    }

    fn shape() -> Shape {
        DeductNode::shape()
    }
}

/// What must be proved: a kind of evidence, or a tree.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum RequirementNode {
    /// A piece of this kind.
    Kind(Slug),
    /// A tree.
    Tree(Box<TreeNode>),
}

record! {
    /// A tree of requirements; exactly one of `all_of`, `any_of`, `at_least`.
    pub struct TreeNode = "a requirement" {
        /// Several pieces of this kind: as many as `at_least` says.
        kind: Option<Slug>,
        /// All of these.
        all_of: Option<Vec<RequirementNode>>,
        /// At least one of these.
        any_of: Option<Vec<RequirementNode>>,
        /// At least so many of those in `of`, or pieces of `kind`.
        at_least: Option<Located<u32>>,
        /// What `at_least` counts.
        of: Option<Vec<RequirementNode>>,
    }
}

impl Read for RequirementNode {
    const EXPECTED: &'static str = "a kind of evidence, or one of `all_of`, `any_of`, `at_least`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => TreeNode::read(node, diagnostics).map(|tree| Self::Tree(Box::new(tree))),
            NodeKind::Scalar(..) | NodeKind::List(_) => Slug::read(node, diagnostics).map(Self::Kind),
        }
    }
}

record! {
    /// A calendar of business days.
    pub struct CalendarNode = "a calendar" {
        /// Where the days are published.
        source: Option<Text>,
        /// The first and the last day that it speaks of.
        covers: Vec<Text>,
        /// The days of the week that are not worked.
        weekend: Vec<Slug>,
        /// Days that are not worked although they are not on a weekend.
        holidays: Option<Vec<Text>>,
        /// Days that are worked although they are on a weekend (make-up working days, 调休).
        extra_working_days: Option<Vec<Text>>,
    }
}

record! {
    /// What a bundle of several policies says of itself.
    pub struct BundleNode = "a bundle" {
        /// The policy that a request without `policy_id` gets.
        default: Slug,
    }
}

/// The rules of a layer that stands above a policy.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerRules {
    /// The layer's name.
    pub name: Slug,
    /// What it may do.
    pub power: LayerPower,
    /// Its rules.
    pub rules: Vec<RuleNode>,
}

/// A policy as written, with what stands above it and the places of its last keys.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// The policy.
    pub policy: Policy,
    /// The layers above it, the uppermost first.
    pub layers: Vec<LayerRules>,
    /// The last key of the file.
    pub last_key: Located<String>,
    /// Where the key `otherwise` stands.
    pub otherwise_key: Span,
}

/// Reads a policy file's tree. A mandatory key that is absent or blank is reported and filled
/// in, so that everything else is checked all the same.
pub fn read_policy(root: Node, layers: Vec<LayerRules>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Document> {
    let NodeKind::Mapping(mut entries) = root.kind else { return Policy::read(&root, diagnostics).and(None) };
    let last_written = entries.last().map(|(key, _)| key.clone());
    let end = last_written.as_ref().map_or(root.span, |key| key.span);
    let is_otherwise = |(key, _): &&(Located<String>, Node)| key.value == "otherwise";
    let ended = entries.iter().find(is_otherwise).and(last_written);
    for (key, expected, filler) in fillers(root.span) {
        match entries.iter_mut().find(|(name, _)| name.value == key) {
            Some((name, node)) if node.is_blank() => {
                diagnostics.error(
                    "blank-value",
                    name.span,
                    format!("`{key}` has no value"),
                    format!("expected {expected}"),
                );
                *node = filler;
            }
            Some(_) => {}
            None => {
                // Of all keys, `otherwise` is missed where the file ends.
                let (at, help) = match key {
                    "otherwise" => (end, format!("was the file cut off? its last key is {expected}")),
                    _ => (root.span, format!("expected {expected}")),
                };
                diagnostics.error("missing-key", at, format!("a policy needs the key `{key}`"), help);
                entries.push((Located { value: key.to_owned(), span: end }, filler));
            }
        }
    }
    let (otherwise, _) = entries.iter().find(is_otherwise)?;
    let otherwise = otherwise.clone();
    let last_key = ended.unwrap_or_else(|| otherwise.clone());
    let policy = Policy::read(&Node { kind: NodeKind::Mapping(entries), span: root.span }, diagnostics)?;
    Some(Document { policy, layers, last_key, otherwise_key: otherwise.span })
}

/// The mandatory keys of a policy, what is expected of each, and what stands in where it lacks.
fn fillers(span: Span) -> [(&'static str, &'static str, Node); 6] {
    let scalar = |text: &str| Node { kind: NodeKind::Scalar(text.to_owned(), Quoting::Quoted), span };
    let deny = (Located { value: "deny".to_owned(), span }, scalar("NO_MATCHING_RULE"));
    [
        ("policy", "the policy's name, such as `standard`", scalar("unnamed")),
        ("version", "a label of this version, such as `\"2026-11-01\"`", scalar("unnamed")),
        ("timezone", "a time zone, such as `Asia/Shanghai`", scalar("UTC")),
        ("currencies", "codes of ISO 4217, such as `[CNY]`", scalar("CNY")),
        ("rules", "a list, each item a rule", Node { kind: NodeKind::List(Vec::new()), span }),
        (
            "otherwise",
            "what decides where no rule matches: `otherwise: { manual_review: NO_MATCHING_RULE }`",
            Node { kind: NodeKind::Mapping(vec![deny]), span },
        ),
    ]
}
