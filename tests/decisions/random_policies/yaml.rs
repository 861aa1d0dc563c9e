//! A policy as YAML.

use std::fmt::Write as _;

use requite::domain::words::{LiableParty, ReasonCode};

use super::ast::{
    Accept, Action, Amount, Back, CHANNELS, CHECKABLE, Call, Carried, Demand, Derived, Expr, Extra, Input, InputKind,
    Item, KINDS, Kind, PRODUCTS, Payout, Policy, Proof, REASONS, Range, Rule, STEPS, Step, TAGS, TenderOrder, Test,
    Type, VAGUE, Val, Window,
};
use super::number::{Mode, Rat};

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// The first and the last day that the calendar knows.
const COVERED: (&str, &str) = ("2026-02-26", "2026-03-17");
const HOLIDAYS: [&str; 2] = ["2026-03-04", "2026-03-09"];
const EXTRA_DAYS: [&str; 2] = ["2026-03-07", "2026-03-15"];

fn decimal(number: Rat) -> Option<String> {
    let scaled = number.times(Rat::whole(10_000));
    if scaled.d != 1 {
        return None;
    }
    let sign = if scaled.n < 0 { "-" } else { "" };
    let (whole, places) = (scaled.n.abs() / 10_000, format!("{:04}", scaled.n.abs() % 10_000));
    let places = places.trim_end_matches('0');
    Some(if places.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{places}") })
}

/// A number as a decimal, a percentage where `percent` says so, or a fraction.
fn number(value: Rat, percent: bool) -> String {
    let hundred = decimal(value.times(Rat::whole(100)));
    match (decimal(value), hundred) {
        (_, Some(hundred)) if percent => format!("{hundred}%"),
        (Some(text), _) => text,
        (None, _) => format!("{}/{}", value.n, value.d),
    }
}

fn elapsed(nanos: i128) -> String {
    let mut rest = nanos.abs() / 1_000_000;
    let mut text = if nanos < 0 { "-".to_owned() } else { String::new() };
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if size <= rest {
            write!(text, "{}{unit}", rest / size).unwrap();
            rest %= size;
        }
    }
    if nanos == 0 { "0s".to_owned() } else { text }
}

/// A value as tests, defaults and formulas write it.
pub fn literal(of: Type, value: Val) -> String {
    match (of, value) {
        (_, Val::Flag(flag)) => flag.to_string(),
        (_, Val::Word(word)) => word.to_owned(),
        (Type::Number, Val::Num(value)) => number(value, value.n % 2 == 1),
        (Type::Money, Val::Num(value)) => decimal(value.over(Rat::whole(100)).unwrap()).unwrap(),
        (Type::Elapsed, Val::Num(value)) => elapsed(value.n),
        (Type::Days, Val::Num(value)) => format!("{} days", value.n),
        (Type::BusinessDays, Val::Num(value)) => format!("{} business_days", value.n),
        (Type::Moment, Val::Num(value)) => jiff::Timestamp::from_nanosecond(value.n).unwrap().to_string(),
        (of, value) => panic!("{of:?} is not written as {value:?}"),
    }
}

impl Expr {
    pub fn text(&self) -> String {
        self.written().0
    }

    /// The text, and how tightly it binds.
    fn written(&self) -> (String, u8) {
        let list = |parts: &[Self]| parts.iter().map(Self::text).collect::<Vec<_>>().join(", ");
        match self {
            Self::Fact(name) => ((*name).to_owned(), 8),
            Self::Remaining => ("remaining".to_owned(), 8),
            Self::Previous => ("previous".to_owned(), 8),
            Self::Literal(of, value) => {
                let text = literal(*of, *value);
                let binds = if text.contains('/') {
                    6
                } else if text.starts_with('-') {
                    7
                } else {
                    8
                };
                (text, binds)
            }
            Self::Binary(operator, left, right) => {
                let (sign, binds) = operator.sign();
                // Comparisons do not chain.
                let left = left.within(if binds == 4 { 5 } else { binds });
                (format!("{left} {sign} {}", right.within(binds + 1)), binds)
            }
            Self::Not(inner) => (format!("not {}", inner.within(3)), 3),
            Self::Negate(inner) => (format!("-{}", inner.within(7)), 7),
            Self::Least(parts) => (format!("min({})", list(parts)), 8),
            Self::Most(parts) => (format!("max({})", list(parts)), 8),
            Self::Clamp(parts) => (format!("clamp({})", list(parts.as_slice())), 8),
            Self::Round(value, of, step, mode) => {
                let step = literal(*of, Val::Num(*step));
                let mode = mode.map_or(String::new(), |mode| format!(", {}", mode.word()));
                (format!("round({}, {step}{mode})", value.text()), 8)
            }
            Self::Call(call, inner) => {
                let name = match call {
                    Call::Floor => "floor",
                    Call::Ceil => "ceil",
                    Call::Since => "since",
                    Call::Until => "until",
                    Call::DaysSince => "days_since",
                    Call::DaysUntil => "days_until",
                    Call::BusinessDaysSince => "business_days_since",
                    Call::BusinessDaysUntil => "business_days_until",
                    Call::NextWorkedDay => "on_or_next_business_day",
                    Call::StartOfDay => "start_of_day",
                    Call::EndOfDay => "end_of_day",
                    Call::NextDay => "next_day",
                    Call::Money => "money",
                };
                (format!("{name}({})", inner.text()), 8)
            }
            Self::Shift(inner, days) => {
                let sign = if *days < 0 { "-" } else { "+" };
                (format!("{} {sign} {} days", inner.within(5), days.abs()), 5)
            }
            Self::IfAbsent(fact, value) => (format!("if_absent({}, {})", fact.text(), value.text()), 8),
        }
    }

    fn within(&self, binds: u8) -> String {
        let (text, own) = self.written();
        if own < binds { format!("({text})") } else { text }
    }
}

impl Range {
    pub fn text(&self, of: Type) -> String {
        let value = |value: Rat| literal(of, Val::Num(value));
        match (self.low, self.high) {
            (None, Some((edge, inside))) => format!("{} {}", if inside { "<=" } else { "<" }, value(edge)),
            (Some((edge, inside)), None) => format!("{} {}", if inside { ">=" } else { ">" }, value(edge)),
            (Some((low, true)), Some((high, true))) if low == high => value(low),
            (Some((low, low_inside)), Some((high, high_inside))) => format!(
                "{}{}..{}{}",
                if low_inside { '[' } else { '(' },
                value(low),
                value(high),
                if high_inside { ']' } else { ')' }
            ),
            (None, None) => panic!("a range has an edge"),
        }
    }
}

fn quoted(text: impl std::fmt::Display) -> String {
    format!("\"{text}\"")
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn table(entries: impl IntoIterator<Item = (String, String)>) -> String {
    let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{}: {value}", quoted(key))).collect();
    format!("{{ {} }}", entries.join(", "))
}

fn accepted(accept: &Accept) -> String {
    fn items<T>(items: &[Item<T>], text: impl Fn(&T) -> String) -> String {
        let written: Vec<String> = items
            .iter()
            .map(|item| match item {
                Item::Is(value) => quoted(text(value)),
                Item::Not(values) => {
                    quoted(format!("not({})", values.iter().map(&text).collect::<Vec<_>>().join(", ")))
                }
            })
            .collect();
        if let [only] = written.as_slice() { only.clone() } else { list(written) }
    }
    match accept {
        Accept::Present => quoted("present"),
        Accept::Absent => quoted("absent"),
        Accept::Flag(flag) => flag.to_string(),
        Accept::Words(words) => items(words, |word| (*word).to_owned()),
        Accept::AnyTag(tags) => list(tags.iter().map(quoted)),
        Accept::AllTags(tags) => quoted(format!("all({})", tags.join(", "))),
        Accept::NoTag(tags) => quoted(format!("not({})", tags.join(", "))),
        Accept::Ranges(of, ranges) => items(ranges, |range| range.text(*of)),
    }
}

fn tests(tests: &[Test]) -> String {
    table(tests.iter().map(|test| (test.subject.text(), accepted(&test.accept))))
}

fn codes(codes: &[ReasonCode]) -> String {
    list(codes.iter().map(|code| quoted(code.as_str().to_ascii_uppercase())))
}

fn action(action: &Action, carries: &[Carried]) -> (String, String) {
    match action {
        Action::Refund(steps) if steps.is_empty() && carries.is_empty() => ("refund".to_owned(), quoted("full")),
        Action::Refund(steps) => {
            let steps = steps.iter().map(step).chain(carries.iter().map(carried));
            let steps = list(steps.map(|step| format!("\n      {step}")));
            ("refund".to_owned(), table([("deduct".to_owned(), steps)]))
        }
        Action::Deny(reasons) => ("deny".to_owned(), codes(reasons)),
        Action::Ask(reasons) => ("more_info".to_owned(), codes(reasons)),
        Action::Review(reasons) => ("manual_review".to_owned(), codes(reasons)),
    }
}

fn step(step: &Step) -> String {
    let mut entries = vec![("kind", quoted(step.kind.as_str()))];
    if step.whole_order {
        entries.push(("scope", quoted("order")));
    }
    if !step.when.is_empty() {
        entries.push(("when", tests(&step.when)));
    }
    match &step.amount {
        Amount::Formula(formula) => entries.push(("amount", quoted(formula.text()))),
        Amount::Tiers { on, on_type, tiers, of } => {
            let steps = table(tiers.iter().map(|(range, value)| (range.text(*on_type), quoted(value.text()))));
            entries.push(("tiers", table([("on".to_owned(), quoted(on.text())), ("steps".to_owned(), steps)])));
            entries.extend(of.as_ref().map(|of| ("of", quoted(of.text()))));
        }
    }
    entries.extend(step.at_least.as_ref().map(|bound| ("at_least", quoted(bound.text()))));
    entries.extend(step.at_most.as_ref().map(|bound| ("at_most", quoted(bound.text()))));
    if let Some((to, mode, of_refund)) = step.round {
        entries.push(("round", rounding(to, mode, Some(if of_refund { "refund" } else { "deduction" }))));
    }
    table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)))
}

fn proof(written: &Proof) -> String {
    let parts = |parts: &[Proof]| list(parts.iter().map(proof));
    match written {
        Proof::Kind(kind) => quoted(KINDS[*kind]),
        Proof::All(of) => table([("all_of".to_owned(), parts(of))]),
        Proof::Any(of) => table([("any_of".to_owned(), parts(of))]),
        Proof::AtLeast(least, of) => table([("at_least".to_owned(), least.to_string()), ("of".to_owned(), parts(of))]),
    }
}

fn extra(extra: &Extra) -> (String, String) {
    let mut entries = Vec::new();
    if !extra.when.is_empty() {
        entries.push(("when".to_owned(), tests(&extra.when)));
    }
    entries.push(("amount".to_owned(), quoted(extra.amount.text())));
    entries.extend(extra.at_least.as_ref().map(|bound| ("at_least".to_owned(), quoted(bound.text()))));
    entries.extend(extra.at_most.as_ref().map(|bound| ("at_most".to_owned(), quoted(bound.text()))));
    entries.extend(extra.round.map(|(to, mode)| ("round".to_owned(), rounding(to, mode, None))));
    (extra.name.to_owned(), table(entries))
}

fn carried(carried: &Carried) -> String {
    let mut entries = vec![("kind", quoted(carried.kind.as_str())), ("order_amount", quoted(carried.name))];
    if !carried.when.is_empty() {
        entries.push(("when", tests(&carried.when)));
    }
    table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)))
}

fn rounding(to: Option<i64>, mode: Option<Mode>, of: Option<&str>) -> String {
    let to = to.map(|to| ("to".to_owned(), quoted(literal(Type::Money, Val::Num(Rat::whole(i128::from(to)))))));
    let mode = mode.map(|mode| ("mode".to_owned(), quoted(mode.word())));
    let of = of.map(|of| ("of".to_owned(), quoted(of)));
    table(to.into_iter().chain(mode).chain(of))
}

fn window_keys(window: Window) -> Vec<(String, String)> {
    let unit = if window.business { "business_days" } else { "days" };
    let mut entries = vec![(unit.to_owned(), format!("[{}, {}]", window.least, window.most))];
    entries.extend(window.weekday.map(|day| ("weekday".to_owned(), quoted(WEEKDAYS[usize::try_from(day).unwrap()]))));
    entries
}

fn payout(payout: &Payout) -> String {
    let mut entries = window_keys(payout.window);
    if !payout.by_method.is_empty() {
        let windows =
            payout.by_method.iter().map(|(method, window)| ((*method).to_owned(), table(window_keys(*window))));
        entries.push(("by_method".to_owned(), table(windows)));
    }
    table(entries)
}

/// What stands in a rule beside its name and its tests.
fn verdict(rule: &Rule) -> Vec<(String, String)> {
    let mut entries = vec![action(&rule.action, &rule.carries)];
    if !rule.require.is_empty() {
        let demand = |demand: &Demand| match demand {
            Demand::Reason => quoted("reason"),
            Demand::ReasonEvidence => quoted("reason.evidence"),
            Demand::ClearText => quoted("clear_text"),
            Demand::Named(place) => quoted(format!("q{place}")),
        };
        entries.push(("require".to_owned(), list(rule.require.iter().map(demand))));
    }
    if !rule.next.is_empty() {
        entries.push(("next".to_owned(), list(rule.next.iter().map(quoted))));
    }
    entries.extend(rule.review.map(|review| ("review".to_owned(), table(window_keys(review)))));
    entries.extend(rule.payout.as_ref().map(|own| ("payout".to_owned(), payout(own))));
    entries.extend(rule.method.map(|method| ("method".to_owned(), quoted(method.as_str()))));
    if !rule.components.is_empty() {
        let entry = |(name, back): &(&str, Back)| ((*name).to_owned(), quoted(back.word()));
        entries.push(("components".to_owned(), table(rule.components.iter().map(entry))));
    }
    for (key, extras, of_order) in
        [("compensate", &rule.compensate, &rule.compensate_order), ("amount_due", &rule.amount_due, &rule.order_due)]
    {
        let of_order = of_order.iter().map(|name| ((*name).to_owned(), quoted("order_amount")));
        let amounts: Vec<(String, String)> = extras.iter().map(extra).chain(of_order).collect();
        if !amounts.is_empty() {
            entries.push((key.to_owned(), table(amounts)));
        }
    }
    entries
}

fn rules(rules: &[Rule], prefix: &str) -> String {
    let mut text = String::from("rules:\n");
    for (place, rule) in rules.iter().enumerate() {
        let mut entries = vec![("id".to_owned(), quoted(format!("{prefix}{place}")))];
        if !rule.when.is_empty() {
            entries.push(("when".to_owned(), tests(&rule.when)));
        }
        entries.extend(verdict(rule));
        writeln!(text, "  - {}", table(entries)).unwrap();
    }
    text
}

fn kind(kind: &Kind) -> String {
    let mut entries = Vec::new();
    if kind.media {
        entries.push(("media", list([quoted("image/*")])));
    }
    entries.extend(kind.max_bytes.map(|most| ("max_bytes", most.to_string())));
    let mut captured = Vec::new();
    if kind.after {
        captured.push(("after".to_owned(), quoted("placed_at")));
    }
    if kind.before {
        captured.push(("before".to_owned(), quoted("paid_at")));
    }
    captured.extend(kind.within.map(|hours| ("within".to_owned(), quoted(format!("{hours}h")))));
    if !captured.is_empty() {
        entries.push(("captured", table(captured)));
    }
    if kind.field {
        entries.push(("fields", list([quoted("subject")])));
    }
    if kind.strict {
        entries.push(("unstated", quoted("rejected")));
    }
    table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)))
}

impl Policy {
    /// The files of a bundle with these versions of one policy; each has the layers of the first.
    pub fn files(versions: &[Self]) -> Vec<(String, String)> {
        let calendar = format!(
            "covers: [{}, {}]\nweekend: [saturday, sunday]\nholidays: {}\nextra_working_days: {}\n",
            COVERED.0,
            COVERED.1,
            list(HOLIDAYS.iter().map(quoted)),
            list(EXTRA_DAYS.iter().map(quoted))
        );
        let mut files = vec![("calendars/cal.yaml".to_owned(), calendar)];
        for (place, layer) in versions[0].layers.iter().enumerate() {
            let may = if layer.improve { "improve" } else { "replace" };
            let head = format!("layer: above{place}\noverrides: [random]\nmay: {may}\n");
            let rules = rules(&layer.rules, &format!("above{place}-r"));
            files.push((format!("above{place}.layer.yaml"), head + &rules));
        }
        for (place, version) in versions.iter().enumerate() {
            files.push((format!("random{place}.policy.yaml"), version.yaml(place)));
        }
        files
    }

    fn yaml(&self, version: usize) -> String {
        let slugs = |slugs: &[&str]| list(slugs.iter().map(quoted));
        let mut text = format!("policy: random\nversion: \"{version}\"\ncurrencies: [CNY]\ncalendar: cal\n");
        let mut key = |name: &str, value: String| writeln!(text, "{name}: {value}").unwrap();
        if let Some(effective) = self.effective {
            let moment = |at: i128| quoted(literal(Type::Moment, Val::Num(Rat::whole(at))));
            let mut entries = vec![("from".to_owned(), moment(effective.from))];
            entries.extend(effective.until.map(|until| ("until".to_owned(), moment(until))));
            entries.push(("by".to_owned(), quoted(effective.by)));
            key("effective", table(entries));
        }
        key("timezone", quoted(if self.zone_hours == 0 { "UTC" } else { "Asia/Shanghai" }));
        key("channels", slugs(CHANNELS));
        key("product_types", slugs(PRODUCTS));
        key("tags", slugs(TAGS));
        if !self.times.is_empty() {
            key("times", slugs(&self.times));
        }
        if !self.components.is_empty() {
            let entry =
                |(name, back): &(&str, Back)| ((*name).to_owned(), table([("refund".to_owned(), quoted(back.word()))]));
            key("components", table(self.components.iter().map(entry)));
        }
        key("tenders", self.tenders());
        if !self.inputs.is_empty() {
            key(
                "inputs",
                format!("\n  {}", table(self.inputs.iter().map(|input| (input.name.to_owned(), self::input(input))))),
            );
        }
        let reason = |(place, (liable, proof)): (usize, &(Option<LiableParty>, Option<usize>))| {
            let liable = liable.map(|liable| ("liable".to_owned(), quoted(liable.as_str())));
            let proof = proof.map(|proof| ("evidence".to_owned(), quoted(format!("q{proof}"))));
            (REASONS[place].to_owned(), table(liable.into_iter().chain(proof)))
        };
        key("reasons", table(self.reasons.iter().enumerate().map(reason)));
        let kinds = table(KINDS.iter().zip(&self.kinds).map(|(name, own)| ((*name).to_owned(), kind(own))));
        let proofs =
            table(self.proofs.iter().enumerate().map(|(place, proof)| (format!("q{place}"), self::proof(proof))));
        key("evidence", table([("kinds".to_owned(), kinds), ("requirements".to_owned(), proofs)]));
        if let Some(excused) = self.text {
            let mut entries = vec![("vague".to_owned(), slugs(VAGUE)), ("checkable".to_owned(), slugs(CHECKABLE))];
            entries.extend(excused.then(|| ("vague_excused_by".to_owned(), quoted("promised_actual"))));
            key("text", table(entries));
        }
        key("next_steps", table(STEPS.iter().map(|step| ((*step).to_owned(), "{}".to_owned()))));
        key("routes", self.routes());
        if !self.derived.is_empty() {
            key("facts", String::new());
            for (name, derived) in &self.derived {
                key(&format!("  {name}"), self::derived(derived));
            }
        }
        if !self.order_amounts.is_empty() {
            writeln!(text, "order_amounts: {}", table(self.order_amounts.iter().map(extra))).unwrap();
        }
        text.push_str(&rules(&self.rules, "r"));
        writeln!(text, "otherwise: {}", table(verdict(&self.otherwise))).unwrap();
        text
    }

    fn tenders(&self) -> String {
        let slugs = |slugs: &[&str]| list(slugs.iter().map(quoted));
        let (order, priority) = match self.tender_order {
            TenderOrder::Proportional => ("proportional", None),
            TenderOrder::FirstPaidFirst => ("first_paid_first", None),
            TenderOrder::LastPaidFirst => ("last_paid_first", None),
            TenderOrder::ByPriority(methods) => ("by_priority", Some(methods)),
        };
        let mut tenders = vec![("order".to_owned(), quoted(order))];
        tenders.extend(priority.map(|methods| ("priority".to_owned(), slugs(methods))));
        if !self.not_refundable.is_empty() {
            tenders.push(("not_refundable".to_owned(), slugs(&self.not_refundable)));
        }
        table(tenders)
    }

    fn routes(&self) -> String {
        let mut entries = Vec::new();
        if !self.routes.denied.is_empty() {
            entries.push(("denied".to_owned(), list(self.routes.denied.iter().map(quoted))));
        }
        entries.extend(self.routes.supplement.map(|step| ("supplement".to_owned(), quoted(step))));
        entries.extend(self.routes.restate.map(|step| ("restate".to_owned(), quoted(step))));
        for (key, steps) in [("more_info", &self.routes.more_info), ("review", &self.routes.review)] {
            if !steps.is_empty() {
                entries.push((key.to_owned(), list(steps.iter().map(quoted))));
            }
        }
        table(entries)
    }
}

fn input(input: &Input) -> String {
    let (word, values) = match input.kind {
        InputKind::Flag => ("flag", None),
        InputKind::Word(words) => ("enum", Some(words)),
        InputKind::Number => ("number", None),
        InputKind::Ratio => ("ratio", None),
        InputKind::Count => ("count", None),
        InputKind::Money => ("money", None),
        InputKind::Duration => ("duration", None),
        InputKind::Timestamp => ("timestamp", None),
    };
    let mut entries = vec![("type".to_owned(), quoted(word))];
    entries.extend(values.map(|values| ("values".to_owned(), list(values.iter().map(quoted)))));
    entries.push(("scope".to_owned(), quoted(if input.of_line { "line" } else { "order" })));
    entries.extend(input.default.map(|value| ("default".to_owned(), quoted(literal(input.kind.fact_type(), value)))));
    table(entries)
}

fn derived(derived: &Derived) -> String {
    match derived {
        Derived::Formula(formula) => quoted(formula.text()),
        Derived::Table(rows, otherwise) => {
            let mut written: Vec<String> = rows
                .iter()
                .map(|(when, value)| table([("when".to_owned(), tests(when)), ("is".to_owned(), quoted(value.text()))]))
                .collect();
            written.push(table([("otherwise".to_owned(), quoted(otherwise.text()))]));
            table([("first".to_owned(), list(written))])
        }
    }
}
