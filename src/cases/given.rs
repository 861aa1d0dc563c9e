//! From the words of a case to a request.

mod claim;
mod earlier;

use crate::cases::CaseNode;
use crate::domain::ratio::Ratio;
use crate::domain::request::{Component, Fraction, InputValue, Line, Money, Order, Refundability, Request, Tender};
use crate::domain::time::{Elapsed, NANOS_PER_SECOND, Timestamp};
use crate::domain::words::OrderStage;
use crate::plan::Plan;
use crate::plan::fact::{Dimension, FactType, InputScope, Origin};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::literal;
use crate::policy::read::{Raw, Table};
use crate::policy::slip;
use crate::policy::source::{Located, Span};
use crate::policy::tree::{Node, NodeKind};
use crate::policy::unknown::unknown_word;

type Entry<'c> = (&'c Located<String>, &'c Node);

/// Entries that a case gives: those of the file, and the case's own on top of them.
pub struct Given<'c> {
    entries: Vec<Entry<'c>>,
    case: &'c CaseNode,
    plan: &'c Plan,
}

/// The names that are no facts, beside those of moments and inputs.
const NAMES: [&str; 22] = [
    "order_id",
    "currency",
    "placed_at",
    "paid_at",
    "customer_caused_delay",
    "tags",
    "line_id",
    "product_type",
    "stage",
    "sub_stage",
    "paid",
    "list_price",
    "refunded",
    "completed",
    "declared_cost",
    "request_type",
    "reason",
    "liable_party",
    "text",
    "channel",
    "requested_at",
    "requested_amount",
];

/// The names that hold lists of mappings.
const LISTS: [&str; 5] = ["evidence", "promised_actual", "line_ids", "earlier", "claimed_components"];

/// Names that one case or one of its lines may give: many times those that a policy knows.
const GIVEN_NAMES_MAX: usize = 512;

/// Lines of one case, and items of one list in it: more than a request may have, so that a case can show that.
const GIVEN_ITEMS_MAX: usize = 1_024;

/// The moments of `order.times` that every policy knows.
const MOMENTS: [&str; 4] = ["promised_at", "started_at", "delivered_at", "completed_at"];

/// On top of `below`, entries override by name; `absent` takes a name back.
fn overlay<'c>(below: Vec<Entry<'c>>, above: &'c Table<Raw>) -> Vec<Entry<'c>> {
    let mut entries: Vec<Entry<'c>> = below
        .into_iter()
        .filter(|(name, _)| above.entries.iter().all(|(other, _)| other.value != name.value))
        .collect();
    let is_absent = |node: &Node| matches!(&node.kind, NodeKind::Scalar(text, _) if text == "absent");
    entries
        .extend(above.entries.iter().filter(|(_, value)| !is_absent(&value.0)).map(|(name, value)| (name, &value.0)));
    entries
}

impl<'c> Given<'c> {
    /// Merges the entries of the file and the case.
    pub fn new(common: Option<&'c Table<Raw>>, case: &'c CaseNode, plan: &'c Plan) -> Self {
        let mut entries = Vec::new();
        for table in [common, case.given.as_ref()].into_iter().flatten() {
            entries = overlay(entries, table);
        }
        Self { entries, case, plan }
    }

    /// The request; `None` after a report.
    pub fn request(&self, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Request<'c>> {
        let all = Names { entries: &self.entries, plan: self.plan };
        let mistakes = diagnostics.diagnostics.len();
        self.within_bounds(diagnostics)?;
        all.known(diagnostics);
        let lines = match &self.case.lines {
            None => vec![all.line(diagnostics)],
            Some(lines) => lines
                .iter()
                .map(|line| {
                    let entries = overlay(self.entries.clone(), line);
                    let names = Names { entries: &entries, plan: self.plan };
                    names.known(diagnostics);
                    names.line(diagnostics)
                })
                .collect(),
        };
        let tenders =
            self.case.tenders.as_deref().unwrap_or(&[]).iter().map(|tender| all.tender(tender, diagnostics)).collect();
        let written = self.case.components.as_deref().unwrap_or(&[]);
        let components = written.iter().map(|component| all.component(component, diagnostics)).collect();
        let order = all.order(lines, tenders, components, diagnostics);
        let claim = all.claim(diagnostics);
        (mistakes == diagnostics.diagnostics.len()).then_some(Request { order, claim })
    }
}

impl Given<'_> {
    /// Names are looked up one after the other, for each line again: so there are not many of either.
    fn within_bounds(&self, diagnostics: &mut Diagnostics<'_, '_>) -> Option<()> {
        let lines = self.case.lines.as_deref().unwrap_or(&[]);
        let names = lines.iter().map(|line| line.entries.len()).chain([self.entries.len()]).max().unwrap_or(0);
        for (what, found, most) in [("names", names, GIVEN_NAMES_MAX), ("lines", lines.len(), GIVEN_ITEMS_MAX)] {
            if most < found {
                let message = format!("a case gives at most {most} {what}, this one {found}");
                diagnostics.stricter_error("too-large", self.case.case.span, message, "split the case")?;
            }
        }
        Some(())
    }
}

/// Looks values up by name and reads them as what they are.
struct Names<'e, 'c> {
    entries: &'e [Entry<'c>],
    plan: &'c Plan,
}

impl<'c> Names<'_, 'c> {
    fn inputs(&self) -> impl Iterator<Item = (&'c str, FactType, InputScope)> + use<'c> {
        let plan = self.plan;
        plan.facts.iter().filter_map(|fact| match &fact.origin {
            Origin::Input(input) => Some((fact.name.as_str(), fact.fact_type, input.scope)),
            Origin::BuiltIn(_) | Origin::Anchor | Origin::Component | Origin::Derived => None,
        })
    }

    fn moments(&self) -> impl Iterator<Item = &'c str> + use<'c> {
        let own = self.plan.facts.iter().filter(|fact| fact.origin == Origin::Anchor).map(|fact| fact.name.as_str());
        MOMENTS.into_iter().chain(own)
    }

    /// Reports every name that means nothing.
    fn known(&self, diagnostics: &mut Diagnostics<'_, '_>) {
        for (name, _) in self.entries {
            let known =
                || NAMES.into_iter().chain(LISTS).chain(self.moments()).chain(self.inputs().map(|(name, ..)| name));
            if known().all(|known| known != name.value) {
                let help = diagnostics
                    .suggestion(&name.value, known())
                    .map_or(String::new(), |near| format!("did you mean `{near}`?"));
                diagnostics.error("unknown-key", name.span, format!("a case cannot give `{}`", name.value), help);
            }
        }
    }

    fn node(&self, name: &str) -> Option<&'c Node> {
        self.entries.iter().find(|(known, _)| known.value == name).map(|(_, node)| *node)
    }

    fn text(&self, name: &str, diagnostics: &mut Diagnostics<'_, '_>) -> Option<(&'c str, Span)> {
        scalar(self.node(name)?, diagnostics)
    }

    fn str(&self, name: &str, diagnostics: &mut Diagnostics<'_, '_>) -> &'c str {
        self.text(name, diagnostics).map_or("", |(text, _)| text)
    }

    fn quantity(&self, name: &str, dimension: Dimension, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Ratio> {
        let (text, span) = self.text(name, diagnostics)?;
        quantity(text, span, dimension, diagnostics)
    }

    fn money(&self, name: &str, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Money<'c>> {
        let nanos = self.quantity(name, Dimension::Money, diagnostics)?;
        money(nanos, self.currency(diagnostics)?)
    }

    /// The currency of the order: the case's, or the policy's first.
    fn currency(&self, diagnostics: &mut Diagnostics<'_, '_>) -> Option<&'c str> {
        let own = self.node("currency").and_then(|node| scalar(node, diagnostics)).map(|(text, _)| text);
        own.or_else(|| self.plan.currencies.first().map(|currency| currency.code.as_str()))
    }

    /// A moment as written, or another one moved: `placed_at + 24h`.
    fn moment(&self, name: &str, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Timestamp> {
        let (text, span) = self.text(name, diagnostics)?;
        self.moment_of(text, span, diagnostics)
    }

    fn moment_of(&self, text: &str, span: Span, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Timestamp> {
        let moved = |sign: &str| {
            text.split_once(sign).map(|(base, offset)| {
                (base.trim(), format!("{}{}", if sign == " - " { "-" } else { "" }, offset.trim()))
            })
        };
        if let Some((base, offset)) = moved(" + ").or_else(|| moved(" - ")) {
            let known =
                matches!(base, "placed_at" | "paid_at" | "requested_at") || self.moments().any(|name| name == base);
            let base_node = self.node(base).filter(|_| known);
            let written = base_node.and_then(|node| scalar(node, diagnostics)).map_or("", |(text, _)| text);
            // A moment that is itself moved is no moment to count from; anything else that is wrong is reported there.
            let is_moved = written.contains(" + ") || written.contains(" - ");
            let base =
                base_node.and_then(|node| scalar(node, diagnostics)).and_then(|(text, _)| Timestamp::parse(text));
            let length = literal::elapsed(&offset).map(Ratio::numerator);
            match (base, length) {
                (Some(base), Some(offset)) => return Timestamp::from_nanos(base.nanos() + offset),
                (None, Some(_)) if base_node.is_some() && !is_moved => return None,
                (_, None) if base_node.is_some() => {
                    let meant = slip::of_literal(&offset, Dimension::Elapsed);
                    let help = meant
                        .map_or_else(|| "a length of time such as `24h` or `8d`".to_owned(), |it| format!("`{it}`"));
                    diagnostics.error(
                        "bad-literal",
                        span,
                        format!("`{offset}` is not a length of time"),
                        format!("write {help}"),
                    );
                    return None;
                }
                (_, _) => {}
            }
        }
        let base = moved(" + ").or_else(|| moved(" - ")).map(|(base, _)| base);
        if let Some(base) = base.filter(|base| self.moments().any(|known| known == *base) && self.node(base).is_none())
        {
            let help = "give it, or write this moment out";
            diagnostics.error(
                "bad-literal",
                span,
                format!("`{text}` counts from `{base}`, which the case does not give"),
                help,
            );
            return None;
        }
        let moment = Timestamp::parse(text);
        if moment.is_none() {
            diagnostics.error(
                "bad-literal",
                span,
                format!("`{text}` is not a moment"),
                "write `2026-03-02T10:00:00+08:00`, or `placed_at + 24h` with another moment of the case",
            );
        }
        moment
    }

    fn word<T: Copy>(
        &self,
        name: &str,
        what: &str,
        all: &[T],
        slug: fn(T) -> &'static str,
        diagnostics: &mut Diagnostics<'_, '_>,
    ) -> Option<T> {
        let (text, span) = self.text(name, diagnostics)?;
        let found = all.iter().copied().find(|&word| slug(word) == text);
        if found.is_none() {
            let known: Vec<String> = all.iter().map(|&word| slug(word).to_owned()).collect();
            unknown_word(text, span, what, &known, diagnostics);
        }
        found
    }

    fn list(&self, name: &str, diagnostics: &mut Diagnostics<'_, '_>) -> &'c [Node] {
        match self.node(name) {
            None => &[],
            Some(Node { kind: NodeKind::List(items), span }) if GIVEN_ITEMS_MAX < items.len() => {
                let message =
                    format!("a case gives at most {GIVEN_ITEMS_MAX} items of a list, here are {}", items.len());
                match diagnostics.stricter_error("too-large", *span, message, "shorten the list") {
                    Some(()) => items,
                    None => &[],
                }
            }
            Some(Node { kind: NodeKind::List(items), .. }) => items,
            Some(node) => {
                diagnostics.expected(node, "a list");
                &[]
            }
        }
    }

    fn texts(&self, name: &str, diagnostics: &mut Diagnostics<'_, '_>) -> Vec<&'c str> {
        self.list(name, diagnostics).iter().filter_map(|node| scalar(node, diagnostics)).map(|(text, _)| text).collect()
    }

    fn inputs_of(&self, scope: InputScope, diagnostics: &mut Diagnostics<'_, '_>) -> Vec<(&'c str, InputValue<'c>)> {
        let mut inputs = Vec::new();
        for (name, fact_type, _) in self.inputs().filter(|(_, _, of)| *of == scope) {
            let Some((text, span)) = self.text(name, diagnostics) else { continue };
            let value = match fact_type {
                FactType::Flag if text == "true" || text == "false" => Some(InputValue::Flag(text == "true")),
                FactType::Flag => {
                    diagnostics.error("wrong-type", span, format!("expected `true` or `false`, got `{text}`"), "");
                    None
                }
                FactType::Word(_) | FactType::Set(_) | FactType::Text => Some(InputValue::Text(text)),
                FactType::Quantity(Dimension::Timestamp) => {
                    self.moment_of(text, span, diagnostics).map(InputValue::Timestamp)
                }
                FactType::Quantity(Dimension::Money) => self.money(name, diagnostics).map(InputValue::Money),
                FactType::Quantity(Dimension::Elapsed) => {
                    quantity(text, span, Dimension::Elapsed, diagnostics).and_then(elapsed).map(InputValue::Duration)
                }
                FactType::Quantity(Dimension::Number | Dimension::Days | Dimension::BusinessDays) => {
                    quantity(text, span, Dimension::Number, diagnostics).and_then(fraction).map(InputValue::Fraction)
                }
            };
            inputs.extend(value.map(|value| (name, value)));
        }
        inputs
    }

    fn order(
        &self,
        lines: Vec<Line<'c>>,
        tenders: Vec<Tender<'c>>,
        components: Vec<Component<'c>>,
        diagnostics: &mut Diagnostics<'_, '_>,
    ) -> Order<'c> {
        let mut times = Vec::new();
        for name in self.moments() {
            times.extend(self.moment(name, diagnostics).map(|at| (name, at)));
        }
        Order {
            id: self.str("order_id", diagnostics),
            placed_at: self.moment("placed_at", diagnostics),
            paid_at: self.moment("paid_at", diagnostics),
            times,
            customer_caused_delay: self
                .quantity("customer_caused_delay", Dimension::Elapsed, diagnostics)
                .and_then(elapsed),
            lines,
            tenders,
            components,
            tags: Vec::new(),
            inputs: self.inputs_of(InputScope::Order, diagnostics),
            earlier: self.earlier(diagnostics),
        }
    }

    fn line(&self, diagnostics: &mut Diagnostics<'_, '_>) -> Line<'c> {
        Line {
            id: self.text("line_id", diagnostics).map_or("line", |(id, _)| id),
            product_type: self.str("product_type", diagnostics),
            stage: self.word("stage", "stage", OrderStage::ALL, OrderStage::as_str, diagnostics),
            sub_stage: self.str("sub_stage", diagnostics),
            paid: self.money("paid", diagnostics),
            list_price: self.money("list_price", diagnostics),
            refunded: self.money("refunded", diagnostics),
            completed: self.completed(diagnostics),
            declared_cost: self.money("declared_cost", diagnostics),
            tags: self.texts("tags", diagnostics),
            inputs: self.inputs_of(InputScope::Line, diagnostics),
            ..Line::default()
        }
    }

    /// `3/8` as sent; a decimal as its fraction.
    fn completed(&self, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Fraction> {
        let (text, span) = self.text("completed", diagnostics)?;
        if let Some((numerator, denominator)) = text.split_once('/')
            && let (Ok(numerator), Ok(denominator)) = (numerator.trim().parse(), denominator.trim().parse())
        {
            return Some(Fraction { numerator, denominator });
        }
        fraction(quantity(text, span, Dimension::Number, diagnostics)?)
    }

    /// The entries of a tender or component, with the currency of the case.
    fn part(
        &self,
        written: &'c Table<Raw>,
        keys: &[&str],
        name: &str,
        diagnostics: &mut Diagnostics<'_, '_>,
    ) -> Vec<Entry<'c>> {
        for (key, _) in &written.entries {
            if !keys.contains(&key.value.as_str()) {
                let help = format!("its keys are {}", keys.join(", "));
                diagnostics.error("unknown-key", key.span, format!("{name} has no key `{}`", key.value), help);
            }
        }
        let mut entries = overlay(Vec::new(), written);
        entries.extend(self.entries.iter().filter(|(key, _)| key.value == "currency"));
        entries
    }

    fn component(&self, written: &'c Table<Raw>, diagnostics: &mut Diagnostics<'_, '_>) -> Component<'c> {
        let entries = self.part(written, &["name", "line_id", "paid", "refunded"], "a component", diagnostics);
        let own = Names { entries: &entries, plan: self.plan };
        Component {
            name: own.str("name", diagnostics),
            paid: own.money("paid", diagnostics),
            refunded: own.money("refunded", diagnostics),
            line_id: own.str("line_id", diagnostics),
        }
    }

    fn tender(&self, written: &'c Table<Raw>, diagnostics: &mut Diagnostics<'_, '_>) -> Tender<'c> {
        let keys = ["tender_id", "method", "paid", "refunded", "not_refundable"];
        let entries = self.part(written, &keys, "a tender", diagnostics);
        let own = Names { entries: &entries, plan: self.plan };
        let refundability = match own.text("not_refundable", diagnostics) {
            None | Some(("false", _)) => Refundability::Refundable,
            Some(("true", _)) => Refundability::NotRefundable,
            Some((other, span)) => {
                diagnostics.error("wrong-type", span, format!("expected `true` or `false`, got `{other}`"), "");
                Refundability::Refundable
            }
        };
        Tender {
            id: own.str("tender_id", diagnostics),
            method: own.str("method", diagnostics),
            paid: own.money("paid", diagnostics),
            refunded: own.money("refunded", diagnostics),
            refundability,
        }
    }
}

fn scalar<'c>(node: &'c Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<(&'c str, Span)> {
    match &node.kind {
        NodeKind::Scalar(text, _) => Some((text, node.span)),
        NodeKind::List(_) | NodeKind::Mapping(_) => {
            diagnostics.expected(node, "a text");
            None
        }
    }
}

fn mapping<'c>(
    node: &'c Node,
    keys: &[&str],
    name: &str,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> &'c [(Located<String>, Node)] {
    crate::policy::read::entries(node, name, keys, diagnostics).unwrap_or(&[])
}

fn find<'c>(entries: &'c [(Located<String>, Node)], name: &str) -> Option<&'c Node> {
    entries.iter().find(|(known, _)| known.value == name).map(|(_, node)| node)
}

fn quantity(text: &str, span: Span, dimension: Dimension, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Ratio> {
    let value = literal::quantity(text, dimension);
    if value.is_none() {
        diagnostics.error(
            "bad-literal",
            span,
            format!("`{text}` has another form than expected"),
            slip::of_literal(text, dimension).map_or_else(
                || format!("expected {}", literal::example(dimension)),
                |meant| format!("write `{meant}`"),
            ),
        );
    }
    value
}

/// Billionths of a unit as units and nanos of the same sign.
fn money(nanos: Ratio, currency: &str) -> Option<Money<'_>> {
    let total = nanos.is_whole().then(|| nanos.numerator())?;
    Some(Money {
        currency,
        units: i64::try_from(total / 1_000_000_000).ok()?,
        nanos: i32::try_from(total % 1_000_000_000).ok()?,
    })
}

fn elapsed(nanos: Ratio) -> Option<Elapsed> {
    let total = nanos.numerator();
    Elapsed::from_seconds(i64::try_from(total / NANOS_PER_SECOND).ok()?, i32::try_from(total % NANOS_PER_SECOND).ok()?)
}

fn fraction(number: Ratio) -> Option<Fraction> {
    Some(Fraction {
        numerator: i64::try_from(number.numerator()).ok()?,
        denominator: i64::try_from(number.denominator()).ok()?,
    })
}
