//! A policy as a tree of its own, and how it is written as YAML.

use std::fmt::Write as _;

use requite::domain::words::{DeductionKind, LiableParty, ReasonCode};

use crate::number::{Mode, Rat};

pub type Words = &'static [&'static str];

/// The type of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Flag,
    Word(Words),
    Tags,
    Number,
    /// In hundredths.
    Money,
    /// In nanoseconds.
    Elapsed,
    Days,
    /// In nanoseconds since 1970.
    Moment,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Val {
    Flag(bool),
    Word(&'static str),
    Tags(u8),
    Num(Rat),
}

pub const TAGS: Words = &["final_sale", "gift", "bulk", "vip"];
pub const KINDS: Words = &["chat", "photo", "invoice", "log", "video"];
pub const CHANNELS: Words = &["app", "web"];
pub const PRODUCTS: Words = &["ticket", "course", "goods"];
pub const REASONS: Words = &["late", "changed", "broken"];
pub const METHODS: Words = &["card", "wallet", "coupon"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

impl Binary {
    const fn sign(self) -> (&'static str, u8) {
        match self {
            Self::Or => ("or", 1),
            Self::And => ("and", 2),
            Self::Eq => ("==", 4),
            Self::Ne => ("!=", 4),
            Self::Lt => ("<", 4),
            Self::Le => ("<=", 4),
            Self::Gt => (">", 4),
            Self::Ge => (">=", 4),
            Self::Add => ("+", 5),
            Self::Sub => ("-", 5),
            Self::Mul => ("*", 6),
            Self::Div => ("/", 6),
        }
    }
}

/// A function of one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Floor,
    Ceil,
    Since,
    Until,
    DaysSince,
    DaysUntil,
    StartOfDay,
    EndOfDay,
    NextDay,
    Money,
}

#[derive(Clone, Debug)]
pub enum Expr {
    Fact(&'static str),
    Literal(Type, Val),
    Remaining,
    Previous,
    Binary(Binary, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Least(Vec<Expr>),
    Most(Vec<Expr>),
    Clamp(Box<[Expr; 3]>),
    Round(Box<Expr>, Type, Rat, Option<Mode>),
    Call(Call, Box<Expr>),
    /// So many calendar days later.
    Shift(Box<Expr>, i64),
    IfAbsent(Box<Expr>, Box<Expr>),
}

/// A range of numbers; each edge with whether it lies inside.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub low: Option<(Rat, bool)>,
    pub high: Option<(Rat, bool)>,
}

impl Range {
    pub fn holds(&self, value: Rat) -> bool {
        self.low.is_none_or(|(edge, inside)| edge < value || (inside && edge == value))
            && self.high.is_none_or(|(edge, inside)| value < edge || (inside && edge == value))
    }
}

/// An item of a list of accepted values.
#[derive(Clone, Debug)]
pub enum Item<T> {
    Is(T),
    Not(Vec<T>),
}

#[derive(Clone, Debug)]
pub enum Accept {
    Present,
    Absent,
    Flag(bool),
    Words(Vec<Item<&'static str>>),
    AnyTag(Vec<&'static str>),
    AllTags(Vec<&'static str>),
    NoTag(Vec<&'static str>),
    Ranges(Type, Vec<Item<Range>>),
}

#[derive(Clone, Debug)]
pub struct Test {
    pub subject: Expr,
    pub accept: Accept,
}

#[derive(Clone, Debug)]
pub enum Derived {
    Formula(Expr),
    Table(Vec<(Vec<Test>, Expr)>, Expr),
}

#[derive(Clone, Debug)]
pub enum Amount {
    Formula(Expr),
    Tiers { on: Expr, on_type: Type, tiers: Vec<(Range, Expr)>, of: Option<Expr> },
}

#[derive(Clone, Debug)]
pub struct Step {
    pub kind: DeductionKind,
    pub whole_order: bool,
    pub when: Vec<Test>,
    pub amount: Amount,
    pub at_least: Option<Expr>,
    pub at_most: Option<Expr>,
    /// In hundredths; of the refund or of the deduction.
    pub round: Option<(Option<i64>, Option<Mode>, bool)>,
}

#[derive(Clone, Debug)]
pub enum Action {
    Refund(Vec<Step>),
    Deny(Vec<ReasonCode>),
    Ask(Vec<ReasonCode>),
    Review(Vec<ReasonCode>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    Reason,
    ReasonEvidence,
    Named(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Back {
    Never,
    Always,
    WhenFull,
    InProportion,
}

impl Back {
    pub const ALL: [Self; 4] = [Self::Never, Self::Always, Self::WhenFull, Self::InProportion];

    const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::WhenFull => "when_full",
            Self::InProportion => "in_proportion",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub when: Vec<Test>,
    pub action: Action,
    pub require: Vec<Demand>,
    pub components: Vec<(&'static str, Back)>,
}

/// What must be proved; kinds by their places in [`KINDS`].
#[derive(Clone, Debug)]
pub enum Proof {
    Kind(usize),
    All(Vec<Proof>),
    Any(Vec<Proof>),
    AtLeast(usize, Vec<Proof>),
}

impl Proof {
    pub fn met(&self, kinds: u8) -> bool {
        let count = |parts: &[Self]| parts.iter().filter(|part| part.met(kinds)).count();
        match self {
            Self::Kind(kind) => kinds >> kind & 1 == 1,
            Self::All(parts) => count(parts) == parts.len(),
            Self::Any(parts) => 0 < count(parts),
            Self::AtLeast(least, parts) => *least <= count(parts),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputKind {
    Flag,
    Word(Words),
    Number,
    Ratio,
    Count,
    Money,
    Duration,
    Timestamp,
}

impl InputKind {
    pub const fn fact_type(self) -> Type {
        match self {
            Self::Flag => Type::Flag,
            Self::Word(words) => Type::Word(words),
            Self::Number | Self::Ratio | Self::Count => Type::Number,
            Self::Money => Type::Money,
            Self::Duration => Type::Elapsed,
            Self::Timestamp => Type::Moment,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Input {
    pub name: &'static str,
    pub kind: InputKind,
    pub of_line: bool,
    pub default: Option<Val>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TenderOrder {
    Proportional,
    FirstPaidFirst,
    LastPaidFirst,
    ByPriority(Words),
}

/// Constants of a policy, at which orders are aimed.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    pub numbers: Vec<Rat>,
    pub money: Vec<i64>,
    pub elapsed: Vec<i128>,
    pub moments: Vec<i128>,
    pub days: Vec<i64>,
}

#[derive(Clone, Debug)]
pub struct Policy {
    /// Hours that the zone is ahead of UTC.
    pub zone_hours: i128,
    pub times: Vec<&'static str>,
    pub inputs: Vec<Input>,
    pub components: Vec<(&'static str, Back)>,
    pub tender_order: TenderOrder,
    pub not_refundable: Vec<&'static str>,
    pub reasons: Vec<(Option<LiableParty>, Option<usize>)>,
    pub proofs: Vec<Proof>,
    pub derived: Vec<(&'static str, Derived)>,
    pub rules: Vec<Rule>,
    pub otherwise: Action,
    pub edges: Edges,
}

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
    list(codes.iter().map(|code| quoted(code.slug().to_ascii_uppercase())))
}

fn action(action: &Action) -> (String, String) {
    match action {
        Action::Refund(steps) if steps.is_empty() => ("refund".to_owned(), quoted("full")),
        Action::Refund(steps) => (
            "refund".to_owned(),
            table([("deduct".to_owned(), list(steps.iter().map(|step| format!("\n      {}", self::step(step)))))]),
        ),
        Action::Deny(reasons) => ("deny".to_owned(), codes(reasons)),
        Action::Ask(reasons) => ("more_info".to_owned(), codes(reasons)),
        Action::Review(reasons) => ("manual_review".to_owned(), codes(reasons)),
    }
}

fn step(step: &Step) -> String {
    let mut entries = vec![("kind", quoted(step.kind.slug()))];
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
        let to = to.map(|to| ("to".to_owned(), quoted(literal(Type::Money, Val::Num(Rat::whole(i128::from(to)))))));
        let mode = mode.map(|mode| ("mode".to_owned(), quoted(mode.word())));
        let of = ("of".to_owned(), quoted(if of_refund { "refund" } else { "deduction" }));
        entries.push(("round", table(to.into_iter().chain(mode).chain([of]))));
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

impl Policy {
    pub fn yaml(&self) -> String {
        let slugs = |slugs: &[&str]| list(slugs.iter().map(quoted));
        let mut text = String::from("policy: random\nversion: \"1\"\ncurrencies: [CNY]\n");
        let mut key = |name: &str, value: String| writeln!(text, "{name}: {value}").unwrap();
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
        key("tenders", table(tenders));
        if !self.inputs.is_empty() {
            key(
                "inputs",
                format!("\n  {}", table(self.inputs.iter().map(|input| (input.name.to_owned(), self::input(input))))),
            );
        }
        let reason = |(place, (liable, proof)): (usize, &(Option<LiableParty>, Option<usize>))| {
            let liable = liable.map(|liable| ("liable".to_owned(), quoted(liable.slug())));
            let proof = proof.map(|proof| ("evidence".to_owned(), quoted(format!("q{proof}"))));
            (REASONS[place].to_owned(), table(liable.into_iter().chain(proof)))
        };
        key("reasons", table(self.reasons.iter().enumerate().map(reason)));
        let kinds = table(KINDS.iter().enumerate().map(|(place, kind)| {
            let media = (place == 1).then(|| ("media".to_owned(), slugs(&["image/*"])));
            ((*kind).to_owned(), table(media))
        }));
        let proofs =
            table(self.proofs.iter().enumerate().map(|(place, proof)| (format!("q{place}"), self::proof(proof))));
        key("evidence", table([("kinds".to_owned(), kinds), ("requirements".to_owned(), proofs)]));
        if !self.derived.is_empty() {
            key("facts", String::new());
            for (name, derived) in &self.derived {
                key(&format!("  {name}"), self::derived(derived));
            }
        }
        key("rules", String::new());
        for (place, rule) in self.rules.iter().enumerate() {
            let mut entries = vec![("id".to_owned(), quoted(format!("r{place}")))];
            if !rule.when.is_empty() {
                entries.push(("when".to_owned(), tests(&rule.when)));
            }
            entries.push(action(&rule.action));
            if !rule.require.is_empty() {
                let demand = |demand: &Demand| match demand {
                    Demand::Reason => quoted("reason"),
                    Demand::ReasonEvidence => quoted("reason.evidence"),
                    Demand::Named(place) => quoted(format!("q{place}")),
                };
                entries.push(("require".to_owned(), list(rule.require.iter().map(demand))));
            }
            if !rule.components.is_empty() {
                let entry = |(name, back): &(&str, Back)| ((*name).to_owned(), quoted(back.word()));
                entries.push(("components".to_owned(), table(rule.components.iter().map(entry))));
            }
            writeln!(text, "  - {}", table(entries)).unwrap();
        }
        writeln!(text, "otherwise: {}", table([action(&self.otherwise)])).unwrap();
        text
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
