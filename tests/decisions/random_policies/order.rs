//! How an order is decided.

use requite::domain::request::{Component, Line, Money, Refundability, Request, Tender};
use requite::domain::words::{DeductionKind, Outcome, ReasonCode, RefundMethod};

use super::ast::{Back, Demand, Policy, TenderOrder};
use super::lines::{
    Decided, ExpectedLine, Found, amounts, answer, better, find, sorted, spread, verdict, without_amount,
};
use super::number::{Mode, Rat};
use super::proofs::{Proofs, is_vague, material, proofs};
use super::requests::hundredths;
use super::windows::{Days, later, span};

/// What is said of a component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExpectedComponent {
    /// What of it the claim is about.
    pub base: i64,
    pub refund: i64,
    pub held_back: i64,
}

/// A decision, as far as it is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    pub outcome: Outcome,
    pub codes: Vec<ReasonCode>,
    pub refund: i64,
    pub lines: Vec<ExpectedLine>,
    pub components: Vec<ExpectedComponent>,
    /// What goes back to each tender, and when.
    pub tenders: Vec<(i64, Option<Days>)>,
    pub proofs: Proofs,
    /// The pieces of evidence that do not count.
    pub rejected: Vec<(usize, ReasonCode)>,
    pub vague: bool,
    pub next: Vec<&'static str>,
    pub method: RefundMethod,
    pub review: Option<Days>,
    pub payout: Option<Days>,
}

/// Whether a claim is about components alone.
pub fn is_about_components(request: &Request<'_>) -> bool {
    request.claim.line_ids.is_empty() && !request.claim.components.is_empty()
}

/// What of a component the claim is about, and what goes back of it.
fn component(policy: &Policy, request: &Request<'_>, place: usize, lines: &[Decided]) -> (i64, i64) {
    let alone = is_about_components(request);
    let component = &request.order.components[place];
    let named = &request.claim.components;
    if !named.is_empty() && !named.contains(&component.name) {
        return (0, 0);
    }
    let belonging = belonging(request, place);
    let (cost, earlier) = (hundredths(component.paid).unwrap(), hundredths(component.refunded).unwrap_or(0));
    let left = cost - earlier;
    let about = about(policy, request, place, |line| alone || lines.iter().any(|decided| decided.shown.line == line));
    let of = |line: usize| lines.iter().find(|decided| decided.shown.line == line && decided.gives.is_some());
    let price = |line: usize| hundredths(request.order.lines[line].paid).unwrap();
    let back = |line: usize| {
        let earlier = hundredths(request.order.lines[line].refunded).unwrap_or(0);
        match of(line) {
            Some(decided) if !alone => (earlier + decided.shown.refund).max(gone(policy, request, line).0),
            Some(_) | None => returned(policy, request, line),
        }
    };
    let share = match belonging.iter().map(|&line| price(line)).sum::<i64>() {
        0 => Rat::new(count(&belonging, |line| !alone && of(line).is_some()), count(&belonging, |_| true)),
        all => Rat::new(i128::from(belonging.iter().map(|&line| back(line)).sum::<i64>()), i128::from(all)),
    };
    let mut best = None;
    for rule in belonging.iter().filter_map(|&line| of(line)).filter_map(|decided| decided.shown.rule) {
        let own = policy.rule(rule).components.iter().find(|(name, _)| *name == component.name);
        let usual = policy.components.iter().find(|(name, _)| *name == component.name);
        let (base, refund) = match own.or(usual).unwrap().1 {
            Back::Never => (about, 0),
            Back::Always => (left, left),
            Back::WhenFull if share == Rat::ONE => (left, left),
            Back::WhenFull => (about, 0),
            Back::InProportion => (about, part_of(cost, share, earlier).min(about)),
        };
        if best.is_none_or(|(_, most)| most < refund) {
            best = Some((base, refund));
        }
    }
    best.unwrap_or((0, 0))
}

fn count(lines: &[usize], counts: impl Fn(usize) -> bool) -> i128 {
    lines.iter().map(|&line| i128::from(counts(line))).sum()
}

/// Whether a tender takes nothing back.
fn is_dead(policy: &Policy, tender: &Tender<'_>) -> bool {
    tender.refundability == Refundability::NotRefundable || policy.not_refundable.contains(&tender.method)
}

/// The least amount of a line's price of which as much goes back as went back before, where tenders keep their share of
/// it, rounded down; and whether no more goes back of the whole price.
pub fn gone(policy: &Policy, request: &Request<'_>, line: usize) -> (i64, bool) {
    let line = &request.order.lines[line];
    let (price, back) = (hundredths(line.paid).unwrap(), hundredths(line.refunded).unwrap_or(0));
    let cents = |money| i128::from(hundredths(money).unwrap_or(0));
    let all: i128 = request.order.tenders.iter().map(|tender| cents(tender.paid)).sum();
    let dead = request.order.tenders.iter().filter(|tender| is_dead(policy, tender));
    let lost: i128 = dead.map(|tender| cents(tender.paid) - cents(tender.refunded)).sum();
    if lost == 0 || back == 0 {
        return (back, back == price);
    }
    // Found by halves: what goes back never falls as the amount rises.
    let goes_back = |of: i64| of - i64::try_from(i128::from(of) * lost / all).unwrap();
    let (mut low, mut high) = (back, price);
    while low < high {
        let middle = i64::midpoint(low, high);
        if goes_back(middle) < back { low = middle + 1 } else { high = middle }
    }
    (low, goes_back(price) <= back)
}

/// What of a line's price went back, for the components of the order.
pub fn returned(policy: &Policy, request: &Request<'_>, line: usize) -> i64 {
    let (gone, is_whole) = gone(policy, request, line);
    if is_whole { hundredths(request.order.lines[line].paid).unwrap() } else { gone }
}

/// The lines that a component belongs to.
pub fn belonging(request: &Request<'_>, place: usize) -> Vec<usize> {
    let id = request.order.components[place].line_id;
    (0..request.order.lines.len()).filter(|&line| id.is_empty() || request.order.lines[line].id == id).collect()
}

/// A share of a cost, less what went back of it before.
fn part_of(cost: i64, share: Rat, earlier: i64) -> i64 {
    let part = Rat::whole(i128::from(cost)).times(share).rounded(Rat::ONE, Mode::HalfUp);
    (i64::try_from(part.n).unwrap() - earlier).clamp(0, cost - earlier)
}

/// What of a component a claim on these lines is about: the share that they, and what went back of others before, make
/// up of the prices; where all cost nothing, of their number.
pub fn about(policy: &Policy, request: &Request<'_>, place: usize, claimed: impl Fn(usize) -> bool) -> i64 {
    let component = &request.order.components[place];
    let (cost, earlier) = (hundredths(component.paid).unwrap(), hundredths(component.refunded).unwrap_or(0));
    let belonging = belonging(request, place);
    let price = |line: usize| hundredths(request.order.lines[line].paid).unwrap();
    let counted = |line: usize| match claimed(line) {
        true => price(line),
        false => returned(policy, request, line),
    };
    let share = match belonging.iter().map(|&line| price(line)).sum::<i64>() {
        0 => Rat::new(count(&belonging, &claimed), count(&belonging, |_| true)),
        all => Rat::new(i128::from(belonging.iter().map(|&line| counted(line)).sum::<i64>()), i128::from(all)),
    };
    part_of(cost, share, earlier)
}

/// The most that a claim may ask for: what is left of its lines, and of their components what it is about, all that is
/// left of one that some rule returns `always`.
pub fn most_asked(policy: &Policy, request: &Request<'_>) -> i64 {
    let places = claimed(request);
    let alone = is_about_components(request);
    let of_lines: i64 = places
        .iter()
        .filter(|_| !alone)
        .map(|&place| &request.order.lines[place])
        .map(|line| hundredths(line.paid).unwrap() - hundredths(line.refunded).unwrap_or(0))
        .sum();
    let always = |name: &str| {
        let usual = policy.components.iter().filter(|(own, _)| *own == name).map(|(_, back)| *back);
        let rules = (0..policy.rule_names().len()).flat_map(|rule| &policy.rule(rule).components);
        usual.chain(rules.filter(|(own, _)| *own == name).map(|(_, back)| *back)).any(|back| back == Back::Always)
    };
    let of_component = |place: usize| {
        let component = &request.order.components[place];
        let named = &request.claim.components;
        let is_named = named.is_empty() || named.contains(&component.name);
        if !is_named || !belonging(request, place).iter().any(|line| places.contains(line)) {
            0
        } else if always(component.name) {
            hundredths(component.paid).unwrap() - hundredths(component.refunded).unwrap_or(0)
        } else {
            about(policy, request, place, |line| alone || places.contains(&line))
        }
    };
    of_lines + (0..request.order.components.len()).map(of_component).sum::<i64>()
}

/// The lines that a claim is about; where it is about components alone, the lines that these belong to.
pub fn claimed(request: &Request<'_>) -> Vec<usize> {
    if is_about_components(request) {
        let named = |place: &usize| request.claim.components.contains(&request.order.components[*place].name);
        let lines = (0..request.order.components.len()).filter(named).flat_map(|place| belonging(request, place));
        return lines.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    }
    let claimed = |line: &Line<'_>| request.claim.line_ids.is_empty() || request.claim.line_ids.contains(&line.id);
    (0..request.order.lines.len()).filter(|&place| claimed(&request.order.lines[place])).collect()
}

/// A part of the refund: a line or a component.
pub struct Part {
    pub refund: i64,
    pub earlier: i64,
}

/// What to take from each part so that it comes to `amount`, by what goes back of it.
pub fn taken(amount: i64, parts: &[Part]) -> Vec<i64> {
    let shares: Vec<(i64, i64)> = parts.iter().map(|part| (part.refund, part.refund)).collect();
    spread(amount, &shares)
}

/// Decides each claimed line.
fn lines(policy: &Policy, request: &Request<'static>, places: &[usize]) -> Vec<Decided> {
    let mut lines: Vec<Decided> = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for &place in places {
        let found = find(policy, request, place);
        if let [Found::Refunds(rule)] = found.as_slice() {
            open.push((place, *rule));
            continue;
        }
        // Each on its own, from the lowest up.
        let decide = |found: Found| match found {
            Found::Refunds(rule) => amounts(policy, request, &[(place, rule)]).remove(0),
            Found::Settled(line) => line,
        };
        lines.extend(found.into_iter().map(decide).rev().reduce(|below, above| better(above, below)));
    }
    lines.extend(amounts(policy, request, &open));
    lines.sort_by_key(|line| line.shown.line);
    lines
}

/// Tries the rules on the lines that claimed components belong to, to find those that refund: no amount is worked out.
fn tried(policy: &Policy, request: &Request<'static>, places: &[usize]) -> Vec<Decided> {
    let one = |&place: &usize| {
        let decide = |found: Found| match found {
            Found::Refunds(rule) => without_amount(policy, request, place, rule),
            Found::Settled(line) => line,
        };
        let found = find(policy, request, place).into_iter().map(decide).rev();
        found.reduce(|below, above| better(above, below)).expect("something decides each line")
    };
    places.iter().map(one).collect()
}

/// Decides a request.
pub fn decide(policy: &Policy, request: &Request<'static>) -> Expected {
    let order = &request.order;
    let alone = is_about_components(request);
    let places = claimed(request);
    let decided = if alone { tried(policy, request, &places) } else { lines(policy, request, &places) };
    let with_base: Vec<usize> =
        decided.iter().filter(|line| line.shown.base != 0).map(|line| line.shown.line).collect();
    let with_amount: Vec<usize> =
        decided.iter().filter(|line| line.gives.is_some()).map(|line| line.shown.line).collect();
    let mut components: Vec<(i64, i64)> =
        (0..order.components.len()).map(|place| component(policy, request, place, &decided)).collect();
    let mut lines: Vec<ExpectedLine> = decided.into_iter().map(|line| line.shown).collect();
    // Those whose rules speak; of components alone no line is decided.
    let speaking = lines.clone();
    if alone && !with_amount.is_empty() {
        lines.clear();
    }
    let mut kept: Vec<i64> = components.iter().map(|(base, refund)| base - refund).collect();

    // Tenders that take nothing back hold back their share.
    let dead = |tender: &Tender<'_>| is_dead(policy, tender);
    let cents = |money: Option<Money<'_>>| hundredths(money).unwrap_or(0);
    let lost: i64 =
        order.tenders.iter().filter(|it| dead(it)).map(|tender| cents(tender.paid) - cents(tender.refunded)).sum();
    let all: i64 = order.tenders.iter().map(|tender| cents(tender.paid)).sum();
    let parts = |lines: &[ExpectedLine], components: &[(i64, i64)]| -> Vec<Part> {
        let of_lines = lines.iter().map(|line| Part {
            refund: line.refund,
            earlier: hundredths(order.lines[line.line].refunded).unwrap_or(0),
        });
        let of_components = components.iter().zip(&order.components).map(|((_, refund), component)| Part {
            refund: *refund,
            earlier: hundredths(component.refunded).unwrap_or(0),
        });
        of_lines.chain(of_components).collect()
    };
    if lost != 0 {
        let parts = parts(&lines, &components);
        let all = i128::from(all);
        let share = |part: &Part| {
            let share = Rat::new(i128::from(part.refund + part.earlier) * i128::from(lost), all).floor();
            i64::try_from(share).unwrap().min(part.refund)
        };
        let room: i64 = order
            .tenders
            .iter()
            .filter(|tender| !dead(tender))
            .map(|tender| hundredths(tender.paid).unwrap() - hundredths(tender.refunded).unwrap_or(0))
            .sum();
        let mut taken: Vec<i64> = parts.iter().map(share).collect();
        let left: Vec<(i64, i64)> =
            parts.iter().zip(&taken).map(|(part, kept)| (part.refund - kept, part.refund - kept)).collect();
        let over = (left.iter().map(|(left, _)| left).sum::<i64>() - room).max(0);
        for (kept, more) in taken.iter_mut().zip(spread(over, &left)) {
            *kept += more;
        }
        for (line, taken) in lines.iter_mut().zip(&taken) {
            if *taken != 0 {
                line.refund -= taken;
                line.deductions.push((DeductionKind::NonRefundableComponent, None, *taken));
            }
            if matches!(line.outcome, Outcome::ApprovedFull | Outcome::ApprovedPartial) {
                (line.outcome, line.codes) = answer(line.refund, line.base - line.refund);
            }
        }
        for (place, taken) in taken[lines.len()..].iter().enumerate() {
            components[place].1 -= taken;
            kept[place] += taken;
        }
    }

    // What was not asked for.
    if let Some(asked) = hundredths(request.claim.requested_amount) {
        let parts = parts(&lines, &components);
        let refund: i64 = parts.iter().map(|part| part.refund).sum();
        let taken = taken((refund - asked).max(0), &parts);
        for (line, taken) in lines.iter_mut().zip(&taken).filter(|(_, taken)| **taken != 0) {
            line.refund -= taken;
            line.deductions.push((DeductionKind::NotRequested, None, *taken));
        }
        for (component, taken) in components.iter_mut().zip(&taken[lines.len()..]) {
            component.1 -= taken;
        }
    }

    let refund =
        lines.iter().map(|line| line.refund).sum::<i64>() + components.iter().map(|(_, refund)| refund).sum::<i64>();
    let (outcome, codes) = rolled_up(request, &lines, &with_amount, &components, &kept);
    let pays = if with_base.is_empty() { &with_amount } else { &with_base };
    let paying: Vec<&ExpectedLine> = speaking.iter().filter(|line| pays.contains(&line.line)).collect();
    let (review, payouts) = windows(policy, request, &speaking, &paying);
    let tenders: Vec<(i64, Option<Days>)> = tenders(policy, request, refund)
        .into_iter()
        .zip(payouts)
        .map(|(amount, days)| (amount, days.filter(|_| amount != 0)))
        .collect();
    let is_approved = matches!(outcome, Outcome::ApprovedFull | Outcome::ApprovedPartial);
    let payout = tenders.iter().fold(None, |all, (_, days)| later(all, *days)).filter(|_| is_approved);
    let proofs = proofs(policy, request, &speaking);
    // What nobody asks for is not looked at.
    let rejected = if proofs == Proofs::NotRequired { Vec::new() } else { material(policy, request).1 };
    let clear = |line: &ExpectedLine| verdict(policy, line.rule).require.contains(&Demand::ClearText);
    let component = |(base, refund): (i64, i64)| ExpectedComponent { base, refund, held_back: base - refund };
    Expected {
        outcome,
        refund,
        components: components.into_iter().map(component).collect(),
        tenders,
        proofs,
        rejected,
        vague: speaking.iter().any(clear) && is_vague(policy, request),
        next: next(policy, &speaking, outcome, &codes, review.is_some()),
        codes,
        method: method(policy, &lines, &paying),
        review,
        payout,
        lines,
    }
}

/// The outcome and the reasons of the order.
fn rolled_up(
    request: &Request<'static>,
    lines: &[ExpectedLine],
    with_amount: &[usize],
    components: &[(i64, i64)],
    kept: &[i64],
) -> (Outcome, Vec<ReasonCode>) {
    // Of which nothing was left takes no part, unless all are such.
    let is_empty = |line: &ExpectedLine| with_amount.contains(&line.line) && line.base == 0;
    let counted: Vec<&ExpectedLine> = match lines.iter().all(is_empty) {
        true => lines.iter().collect(),
        false => lines.iter().filter(|line| !is_empty(line)).collect(),
    };
    let all_empty = lines.iter().all(is_empty);
    let returned: i64 = components.iter().map(|(_, refund)| refund).sum();
    let refund = lines.iter().map(|line| line.refund).sum::<i64>() + returned;
    let keeps = kept.iter().any(|kept| *kept != 0);
    let any = |outcome: Outcome| counted.iter().any(|line| line.outcome == outcome);
    let all = |outcome: Outcome| counted.iter().all(|line| line.outcome == outcome);
    let mut codes: Vec<ReasonCode> = counted.iter().flat_map(|line| line.codes.clone()).collect();
    let mut outcome = if any(Outcome::ManualReview) {
        Outcome::ManualReview
    } else if any(Outcome::MoreInfoRequired) {
        Outcome::MoreInfoRequired
    } else if all_empty && returned != 0 {
        // The components speak alone.
        codes.clear();
        if keeps { Outcome::ApprovedPartial } else { Outcome::ApprovedFull }
    } else if all(Outcome::Denied) && returned == 0 {
        Outcome::Denied
    } else if all(Outcome::ApprovedFull) && !keeps {
        Outcome::ApprovedFull
    } else {
        Outcome::ApprovedPartial
    };
    if lines.is_empty() && outcome == Outcome::Denied {
        let named = |component: &&Component<'_>| request.claim.components.contains(&component.name);
        let amounts = |of: fn(&Component<'static>) -> Option<Money<'static>>| -> i64 {
            request.order.components.iter().filter(named).map(|component| hundredths(of(component)).unwrap_or(0)).sum()
        };
        let (cost, earlier) = (amounts(|component| component.paid), amounts(|component| component.refunded));
        let all_back = cost != 0 && cost == earlier;
        codes.push(if all_back { ReasonCode::AlreadyRefunded } else { ReasonCode::NothingRefundable });
    }
    let undecided = matches!(outcome, Outcome::ManualReview | Outcome::MoreInfoRequired);
    if outcome == Outcome::ApprovedPartial && keeps {
        codes.push(ReasonCode::DeductionsApplied);
    }
    if refund != 0 && codes.contains(&ReasonCode::NothingRefundable) {
        codes.retain(|code| *code != ReasonCode::NothingRefundable);
        codes.push(ReasonCode::DeductionsApplied);
    }
    let asked = hundredths(request.claim.requested_amount);
    if asked.is_some_and(|asked| refund < asked) && !with_amount.is_empty() && !undecided {
        codes.push(ReasonCode::RequestedAmountNotReached);
        if outcome == Outcome::ApprovedFull {
            outcome = Outcome::ApprovedPartial;
        }
    }
    (outcome, sorted(codes))
}

/// The next steps: those of the rules, then those of the policy.
fn next(
    policy: &Policy,
    lines: &[ExpectedLine],
    outcome: Outcome,
    codes: &[ReasonCode],
    review: bool,
) -> Vec<&'static str> {
    let has = |wanted: &[ReasonCode]| wanted.iter().any(|code| codes.contains(code));
    let mut all: Vec<&'static str> = lines.iter().flat_map(|line| verdict(policy, line.rule).next.clone()).collect();
    if has(&[ReasonCode::ReasonRequired, ReasonCode::ReasonTooVague]) {
        all.extend(policy.routes.restate);
    }
    if has(&[ReasonCode::EvidenceMissing, ReasonCode::FactMissing]) {
        all.extend(policy.routes.supplement);
    }
    if outcome == Outcome::MoreInfoRequired {
        all.extend(&policy.routes.more_info);
    }
    if outcome == Outcome::ManualReview || review {
        all.extend(&policy.routes.review);
    }
    if outcome == Outcome::Denied {
        all.extend(&policy.routes.denied);
    }
    let mut once = Vec::new();
    for step in all {
        if !once.contains(&step) {
            once.push(step);
        }
    }
    once
}

/// The way the money goes back: that of the first line of which something does, or else could.
fn method(policy: &Policy, lines: &[ExpectedLine], paying: &[&ExpectedLine]) -> RefundMethod {
    let first = lines.iter().find(|line| line.refund != 0).or(paying.first().copied());
    let method = first.and_then(|line| verdict(policy, line.rule).method);
    method.unwrap_or(RefundMethod::OriginalPayment)
}

/// When a reviewer will have looked, and when the money is there by each tender.
fn windows(
    policy: &Policy,
    request: &Request<'_>,
    lines: &[ExpectedLine],
    paying: &[&ExpectedLine],
) -> (Option<Days>, Vec<Option<Days>>) {
    let now = request.claim.requested_at.unwrap().nanos();
    let today = (now + policy.zone_hours * HOUR).div_euclid(24 * HOUR);
    let today = Days::Between(today, today);
    let review_of = |line: &ExpectedLine| verdict(policy, line.rule).review.map(|window| span(today, window));
    let mut review = None;
    for line in lines.iter().filter(|line| line.outcome != Outcome::MoreInfoRequired) {
        review = later(review, review_of(line));
    }
    let methods: Vec<&str> = match request.order.tenders.as_slice() {
        [] => vec![""],
        tenders => tenders.iter().map(|tender| tender.method).collect(),
    };
    let of_method = |method: &str| {
        let mut payout = None;
        for line in paying {
            let Some(own) = &verdict(policy, line.rule).payout else { continue };
            let special = own.by_method.iter().find(|(name, _)| *name == method).map(|(_, window)| *window);
            payout = later(payout, Some(span(review_of(line).unwrap_or(today), special.unwrap_or(own.window))));
        }
        payout
    };
    (review, methods.into_iter().map(of_method).collect())
}

const HOUR: i128 = 3_600_000_000_000;

/// The answer where no version governs the order; `None` where this version does.
pub fn not_in_force(policy: &Policy, request: &Request<'static>) -> Option<Outcome> {
    let effective = policy.effective?;
    let at = match effective.by {
        "placed_at" => request.order.placed_at,
        _ => request.order.paid_at,
    };
    match at.map(|at| at.nanos()) {
        None => Some(Outcome::MoreInfoRequired),
        Some(at) if at < effective.from || effective.until.is_some_and(|until| until <= at) => {
            Some(Outcome::ManualReview)
        }
        Some(_) => None,
    }
}

pub fn tenders(policy: &Policy, request: &Request<'_>, refund: i64) -> Vec<i64> {
    let tenders = &request.order.tenders;
    if tenders.is_empty() {
        return vec![refund];
    }
    let rank = |place: usize| -> usize {
        match policy.tender_order {
            TenderOrder::Proportional => 0,
            TenderOrder::FirstPaidFirst => place,
            TenderOrder::LastPaidFirst => tenders.len() - place,
            TenderOrder::ByPriority(methods) => {
                methods.iter().position(|method| *method == tenders[place].method).unwrap_or(methods.len())
            }
        }
    };
    let mut ranks: Vec<usize> = (0..tenders.len()).map(rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let mut back = vec![0; tenders.len()];
    let mut left = refund;
    for wanted in ranks {
        let group: Vec<usize> = (0..tenders.len()).filter(|place| rank(*place) == wanted).collect();
        let share = |&place: &usize| {
            let tender = &tenders[place];
            let paid = hundredths(tender.paid).unwrap();
            let room = if is_dead(policy, tender) { 0 } else { paid - hundredths(tender.refunded).unwrap_or(0) };
            (if room == 0 { 0 } else { paid }, room)
        };
        let shares: Vec<(i64, i64)> = group.iter().map(share).collect();
        for (&place, part) in group.iter().zip(spread(left, &shares)) {
            back[place] = part;
            left -= part;
        }
    }
    back
}
