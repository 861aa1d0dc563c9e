//! What each fuzz target does with its bytes: it panics where something does not hold.
//!
//! The fuzz targets and `tests/requests/fuzz_corpus.rs`, which replays the corpora, share this file.

use std::sync::LazyLock;

use prost::Message as _;
use requite::api::limits::EVALUATION_MESSAGE_BYTES_MAX;
use requite::api::{json, pb};
use requite::domain::limits::AMOUNT_MINOR_UNITS_MAX;
use requite::domain::money::Currency;
use requite::domain::time::Timestamp;
use requite::engine::admit::admit;
use requite::engine::snapshot::Snapshot;
use requite::plan::fact::{Dimension, NANOS_PER_UNIT};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};
use requite::policy::document::Policy;
use requite::policy::format::format;
use requite::policy::formula::parse::parse;
use requite::policy::literal;
use requite::policy::read::Read as _;
use requite::policy::source::{Located, Span};
use requite::server::data::comparison;
use requite::source::embedded;

/// Line before each further file of a bundle in a corpus of policies, with its path behind it.
pub const FILE_MARK: &str = "#== ";

/// The path of the first file of such a bundle.
pub const FIRST_FILE: &str = "shop.policy.yaml";

/// Bytes of a bundle that is fuzzed: more takes time and tells nothing new.
const BUNDLE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that one mistake of a text takes in words at most.
const MISTAKE_BYTES_MAX: usize = 4 * 1024;

/// The policy that the program has built in.
static STANDARD: LazyLock<Snapshot> = LazyLock::new(|| {
    let bundle = embedded::read().expect("the built-in bundle is within its limits");
    Snapshot::new(admit(&bundle).expect("the built-in bundle is admitted"), 7)
});

/// A request that uses most of the fields.
static REQUEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = include_str!("../../policies/standard/requests/multi-line.json");
    plain(json::request_from_json(text).expect("the sample is a request"))
});

/// The bytes of a request, by the policy in force and without an explanation.
pub fn plain(mut request: pb::EvaluateRefundRequest) -> Vec<u8> {
    request.policy_id = String::new();
    request.explain = pb::ExplainLevel::None.into();
    request.encode_to_vec()
}

/// A request is decided or refused with a status that is the caller's fault, twice the same, and what
/// goes back is no more than was paid.
pub fn request(data: &[u8]) {
    if EVALUATION_MESSAGE_BYTES_MAX < data.len() {
        return;
    }
    decided_or_refused(&STANDARD, data);
}

/// A text is a request that is read again as it is written, or it has at least one mistake, in words that
/// do not grow with the text, at a place within it.
pub fn request_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match json::request_from_json(text) {
        Ok(request) => {
            let written = json::request_to_json(&request);
            assert_eq!(json::request_from_json(&written).as_ref(), Ok(&request), "written and read it is the same");
        }
        Err(error) => {
            assert!(!error.mistakes.is_empty());
            let lines = text.split('\n').count();
            for mistake in &error.mistakes {
                assert!((1..=lines).contains(&mistake.line), "{mistake} is in the text");
                assert!((1..=text.len() + 1).contains(&mistake.column), "{mistake} is in the text");
            }
            let most = (error.mistakes.len() + 1) * MISTAKE_BYTES_MAX;
            assert!(error.to_string().len() <= most, "a report does not grow with the text");
        }
    }
}

/// Where the fast path answers, the slow one gives the same bytes. What the fast path read before,
/// also where it gave up in the middle, makes no difference.
pub fn fast_path(data: &[u8]) {
    if EVALUATION_MESSAGE_BYTES_MAX < data.len() {
        return;
    }
    let sample = REQUEST.as_slice();
    let answers = comparison::fast(&STANDARD, &[data, sample, data, sample]);
    let [first, sample_first, again, sample_again] = answers.try_into().expect("four answers to four messages");
    assert_eq!(first, again, "the same bytes are answered in the same way");
    let expected = comparison::slow(&STANDARD, sample).expect("the sample is decided");
    assert_eq!(sample_first.as_ref(), Some(&expected), "what was read before leaves nothing behind");
    assert_eq!(sample_first, sample_again);
    if let Some(answer) = first {
        let slow = comparison::slow(&STANDARD, data).expect("the slow path answers where the fast one does");
        assert!(answer == slow, "the two paths give other bytes:\n{answer:?}\n{slow:?}");
    }
}

/// A bundle is admitted, or rejected with at least one diagnostic; its policy is formatted once and
/// for all; and whatever is admitted decides.
pub fn policy(data: &[u8]) {
    if BUNDLE_BYTES_MAX < data.len() {
        return;
    }
    let Ok(bundle) = Bundle::new(files(data)) else { return };
    decides_or_says_why(&bundle);
    if let Some(text) = bundle.file(FIRST_FILE).and_then(|file| std::str::from_utf8(&file.bytes).ok())
        && let Ok(formatted) = format(FIRST_FILE, text, &Policy::shape())
    {
        let again = format(FIRST_FILE, &formatted, &Policy::shape());
        assert_eq!(again.as_ref(), Ok(&formatted), "what is formatted stays as it is");
    }
}

/// A formula is parsed or not; as a fact, as a deduction and as a test, it is checked and comes to something or
/// is missing.
pub fn formula(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let span = Span { file: 0, start: 0, end: 0 };
    let parsed = parse(&Located { value: text.to_owned(), span }, None);
    if text.chars().any(char::is_control) || parsed.is_err() {
        return;
    }
    let quoted = text.replace('\'', "''");
    for uses in [
        format!("facts: {{ made: '{quoted}' }}\nrules:\n  - {{ id: all, when: {{ made: present }}, refund: full }}\n"),
        format!(
            "rules:\n  - id: all\n    refund: {{ deduct: [{{ kind: cancellation_fee, amount: '{quoted}', \
             round: {{ to: 0.01, mode: half_up }} }}] }}\n"
        ),
        format!("facts: {{ made: '{quoted}' }}\nrules:\n  - {{ id: all, when: {{ made: true }}, refund: full }}\n"),
    ] {
        let text = [FORMULA_HEAD, uses.as_str(), FORMULA_END].concat();
        let file = BundleFile { path: FIRST_FILE.to_owned(), bytes: text.into() };
        decides_or_says_why(&Bundle::new(vec![file]).expect("one small file is a bundle"));
    }
}

/// A policy around a formula.
const FORMULA_HEAD: &str = "policy: shop
version: \"1\"
timezone: Asia/Shanghai
currencies: [CNY]
product_types: [boosting]
times: [completed_at]
inputs:
  count: { type: count, default: 3 }
  fee: { type: money, default: 12.50 }
  wait: { type: duration, default: 36h }
  gift: { type: flag, default: false }
";
const FORMULA_END: &str = "otherwise: { deny: NO_MATCHING_RULE }\n";

/// Numbers, amounts, lengths of time and moments are read exactly, or not at all.
pub fn money(data: &[u8]) {
    if let Some((head, _)) = data.split_first_chunk::<13>() {
        let [place, units @ .., a, b, c, d] = *head;
        amount(place, i64::from_le_bytes(units), i32::from_le_bytes([a, b, c, d]));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for dimension in [
        Dimension::Number,
        Dimension::Money,
        Dimension::Elapsed,
        Dimension::Days,
        Dimension::BusinessDays,
        Dimension::Timestamp,
    ] {
        let read = literal::quantity(text, dimension);
        assert_eq!(read, literal::quantity(text, dimension));
    }
    if let Some(read) = literal::decimal(text) {
        // By hand: the digits, over ten to the number of places.
        let places = text.split_once('.').map_or(0, |(_, places)| places.len());
        let digits: i128 = text.replace('.', "").parse().expect("a decimal has digits only");
        let scale = 10i128.pow(u32::try_from(places).expect("there are few places"));
        assert_eq!(scale % read.denominator(), 0, "`{text}` is not {read:?}");
        assert_eq!(read.numerator() * (scale / read.denominator()), digits, "`{text}` is not {read:?}");
    }
    if let Some(moment) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment), "{text}");
        let (seconds, nanos) = moment.unix();
        assert_eq!(Timestamp::from_unix(seconds, nanos), Some(moment), "{text}");
    }
}

/// An amount is what was written, to the last minor unit; written out and read again it is the same.
fn amount(place: u8, units: i64, nanos: i32) {
    let codes = ["CNY", "EUR", "JPY", "KWD", "USD"];
    let currency = Currency::iso(codes[usize::from(place) % codes.len()]).expect("the code is of the standard");
    let Ok(amount) = currency.amount(units, nanos) else { return };
    assert!((0..=AMOUNT_MINOR_UNITS_MAX).contains(&amount.minor()));
    assert_eq!(currency.units_and_nanos(amount), (units, nanos));
    let text = currency.decimal(amount);
    let read = literal::quantity(&text, Dimension::Money).expect("an amount is written as a decimal");
    assert_eq!(currency.from_nanos(read), Ok(amount), "{text}");
    let exact = i128::from(units) * NANOS_PER_UNIT + i128::from(nanos);
    assert_eq!((read.numerator(), read.denominator()), (exact, 1), "{text}");
}

/// The files of a bundle that is one text.
fn files(data: &[u8]) -> Vec<BundleFile> {
    let mut files = vec![BundleFile { path: FIRST_FILE.to_owned(), bytes: Vec::new() }];
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let path = line.strip_prefix(FILE_MARK.as_bytes()).and_then(|path| std::str::from_utf8(path).ok());
        match (path, files.last_mut()) {
            (Some(path), _) => files.push(BundleFile { path: path.trim_end().to_owned(), bytes: Vec::new() }),
            (None, Some(file)) => file.bytes.extend_from_slice(line),
            (None, None) => {}
        }
    }
    files
}

fn decides_or_says_why(bundle: &Bundle) {
    match admit(bundle) {
        Ok(admission) => {
            decided_or_refused(&Snapshot::new(admission, 1), &REQUEST);
        }
        Err(rejection) => {
            assert!(!rejection.diagnostics.is_empty(), "a rejection says why");
            assert!(!render(&rejection.diagnostics, bundle, Colour::Off).is_empty());
        }
    }
}

fn decided_or_refused(snapshot: &Snapshot, message: &[u8]) {
    let answer = comparison::slow(snapshot, message);
    let again = comparison::slow(snapshot, message);
    match (answer, again) {
        (Ok(answer), Ok(again)) => {
            assert_eq!(answer, again, "the same request is decided in the same way");
            let request = pb::EvaluateRefundRequest::decode(message).expect("what is decided is a message");
            let answer = pb::EvaluateRefundResponse::decode(answer.as_slice()).expect("an answer is a message");
            bounded(&request, &answer);
        }
        (Err(status), Err(again)) => {
            // Invalid argument, not found, failed precondition, exhausted: never a mistake of ours.
            assert!([3, 5, 8, 9].contains(&i32::from(status.code())), "{status}");
            assert_eq!((status.code(), status.message()), (again.code(), again.message()));
        }
        (answer, again) => panic!("the same request came to\n{answer:?}\n{again:?}"),
    }
}

/// What goes back for a line, and over tenders, is at least nothing and at most what was paid.
fn bounded(request: &pb::EvaluateRefundRequest, answer: &pb::EvaluateRefundResponse) {
    let order = request.order.as_ref().expect("an order was decided");
    let nanos = |money: Option<&pb::Money>| {
        money.map_or(0, |money| i128::from(money.units) * NANOS_PER_UNIT + i128::from(money.nanos))
    };
    let paid = |id: &str| nanos(order.lines.iter().find(|line| line.line_id == id).and_then(|line| line.paid.as_ref()));
    for line in &answer.lines {
        let refund = nanos(line.refund.as_ref());
        assert!((0..=paid(&line.line_id)).contains(&refund), "{line:?}");
    }
    let refund = nanos(answer.refund.as_ref());
    let lines: i128 = order.lines.iter().map(|line| nanos(line.paid.as_ref())).sum();
    let components: i128 = order.components.iter().map(|component| nanos(component.paid.as_ref())).sum();
    assert!((0..=lines + components).contains(&refund), "{refund} of {lines} and {components}");
    // Tenders are answered in the order of the request; where it has none, one without a name paid everything.
    let tenders: Vec<_> = match order.tenders.as_slice() {
        [] => vec![("", lines + components)],
        tenders => tenders.iter().map(|it| (it.tender_id.as_str(), nanos(it.paid.as_ref()))).collect(),
    };
    assert_eq!(answer.tenders.len(), tenders.len());
    for (got, (id, paid)) in answer.tenders.iter().zip(tenders) {
        assert_eq!(got.tender_id, id);
        assert!((0..=paid).contains(&nanos(got.amount.as_ref())), "{got:?} of {paid}");
    }
    let sum: i128 = answer.tenders.iter().map(|got| nanos(got.amount.as_ref())).sum();
    assert_eq!(sum, refund, "what goes to the tenders adds up to the refund");
}
