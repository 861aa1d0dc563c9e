//! Files of credentials, and callers that are recognised by them or not.

use super::*;

const ALICE: &str = "alice-4f1c09be72d85a6317ce90fb2a48d65e";
const BOB: &str = "bobby-91b0e4637a2fc85d10694ebc3f7a8d25";

/// When everybody calls in these tests.
const NOW: Timestamp = Timestamp::EPOCH;

fn parse(text: &str) -> Result<Credentials, Vec<LineProblem>> {
    Credentials::parse(text, Certificates::Asked)
}

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    headers
}

#[test]
fn a_token_names_its_admin_and_their_rights() {
    let credentials = parse(&format!("# people\n\nalice read,rollback {ALICE}\n bob\treload  {BOB}\n")).unwrap();
    let caller = credentials.recognise(Shown::of(&bearer(BOB), None).unwrap(), NOW).unwrap();
    assert_eq!((&*caller.name, caller.rights.has(Right::Reload), caller.rights.has(Right::Read)), ("bob", true, false));
    let shown = Shown::of(&bearer(&format!("{BOB}x")), None).unwrap();
    assert_eq!(credentials.recognise(shown, NOW).unwrap_err(), Unrecognised::UnknownToken);
}

#[test]
fn a_line_counts_until_its_moment_and_not_longer() {
    let text = format!(
        "alice read {ALICE} until=2026-11-01T00:00:00+08:00\nops.example.com read cert until=2026-11-01T00:00:00Z\nold.example.com reload cert until=1999-01-01T00:00:00Z\n"
    );
    let credentials = parse(&text).unwrap();
    let at = |text: &str| Timestamp::parse(text).unwrap();
    let until = at("2026-10-31T16:00:00Z");
    let alice = |now| credentials.recognise(Shown::of(&bearer(ALICE), None).unwrap(), now);
    assert!(alice(at("2026-10-31T15:59:59.999999999Z")).is_ok());
    assert_eq!(alice(until).unwrap_err(), Unrecognised::Expired(until));
    let told = Unrecognised::Expired(until).told();
    assert_eq!(told, "what was shown has expired: it was good until 2026-10-31T16:00:00Z");
    // A certificate with several names is good as long as one of them is.
    let names: Arc<[String]> = Arc::from(["old.example.com".to_owned(), "ops.example.com".to_owned()]);
    let ops = |now| credentials.recognise(Shown::of(&HeaderMap::new(), Some(&names)).unwrap(), now);
    let caller = ops(until).unwrap();
    assert_eq!((&*caller.name, caller.rights.has(Right::Reload)), ("ops.example.com", false));
    assert_eq!(ops(at("2030-01-01T00:00:00Z")).unwrap_err(), Unrecognised::Expired(at("2026-11-01T00:00:00Z")));
    // A wrong token is wrong, whatever has expired.
    let wrong = credentials.recognise(Shown::of(&bearer(BOB), None).unwrap(), until);
    assert_eq!(wrong.unwrap_err(), Unrecognised::UnknownToken);
}

#[test]
fn a_moment_that_cannot_be_one_is_named_and_not_repeated() {
    for bad in
        ["until=", "until=2026-11-01", "until=tomorrow", "until=2026-11-01T00:00:00", "2026-11-01T00:00:00Z", BOB]
    {
        let problems = parse(&format!("alice read {ALICE} {bad}\n")).unwrap_err();
        assert!(problems[0].problem.starts_with("the fourth column must be `until=`"), "{problems:?}");
        assert!(!problems[0].problem.contains(BOB), "{problems:?}");
    }
    let five = parse(&format!("alice read {ALICE} until=2026-11-01T00:00:00Z today\n")).unwrap_err();
    assert!(five[0].problem.ends_with("and has 5"), "{five:?}");
}

#[test]
fn a_certificate_names_its_admin() {
    let credentials = parse("ops.example.com read cert\nspiffe://example/Ops reload cert\n").unwrap();
    let recognise = |name: &str| {
        let names: Arc<[String]> = Arc::from([name.to_owned()]);
        credentials
            .recognise(Shown::of(&HeaderMap::new(), Some(&names)).unwrap(), NOW)
            .map(|caller| caller.name.to_string())
    };
    assert_eq!(recognise("OPS.example.com"), Ok("ops.example.com".to_owned()));
    assert_eq!(recognise("spiffe://example/Ops"), Ok("spiffe://example/Ops".to_owned()));
    assert_eq!(recognise("spiffe://example/ops"), Err(Unrecognised::UnknownCertificate));
    assert_eq!(recognise("cert"), Err(Unrecognised::UnknownCertificate));
}

#[test]
fn every_cause_is_counted_from_the_start() {
    for cause in [
        Unrecognised::Nothing,
        Unrecognised::BadHeader,
        Unrecognised::UnknownToken,
        Unrecognised::UnknownCertificate,
        Unrecognised::Expired(NOW),
    ] {
        assert!(Unrecognised::SLUGS.contains(&cause.as_str()), "{cause:?}");
    }
}

#[test]
fn the_word_cert_is_no_token() {
    let credentials = parse("ops.example.com read cert\n").unwrap();
    let shown = Shown::of(&bearer("cert"), None).unwrap();
    assert_eq!(credentials.recognise(shown, NOW).unwrap_err(), Unrecognised::UnknownToken);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_nothing_of_it_is_repeated() {
    let text = format!(
        "alice read {ALICE}\nALICE read {BOB}\ncarol read {ALICE}\nshort read 12345\nwords writing {BOB}\n{BOB} {BOB} read\nread\ntwice read,read {BOB}y\n"
    );
    let problems = parse(&text).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8]);
    let error = CredentialsError::Lines { path: "tokens".into(), lines: problems };
    let shown = format!("{error} {error:?} {:?}", error.help());
    assert!(!shown.contains(ALICE) && !shown.contains(BOB) && !shown.contains("writing"), "{shown}");
    assert!(shown.contains("tokens:4: the token must have 32 to 1024 characters, and has 5"), "{shown}");
}

#[test]
fn a_token_that_can_be_guessed_is_refused_however_long_it_is() {
    for (token, why) in [
        ("a".repeat(32), "it has 1 different characters, and needs 8"),
        ("password".repeat(5), "it has 7 different characters, and needs 8"),
        ("correct-horse-".repeat(3), "it repeats itself every 14 characters"),
        ("4f1c09be72d85a63".repeat(2), "it repeats itself every 16 characters"),
        (format!("4f1c09be72d85a63{}", "0".repeat(16)), "it has a character more than 8 times in a row"),
        ("abcdefghijklmnopqrstuvwxyz0123456789".to_owned(), "it counts up or down"),
    ] {
        let problems = parse(&format!("alice read {token}\n")).unwrap_err();
        let expected = format!("the token is easy to guess, {why}: make one with `openssl rand -hex 32`");
        assert_eq!(problems, [LineProblem { line: 1, problem: expected }], "{token}");
    }
    for good in ["4f1c09be72d85a6317ce90fb2a48d65e", "correct-horse-battery-staple-and-a-few-more-words", ALICE] {
        assert!(parse(&format!("alice read {good}\n")).is_ok(), "{good}");
    }
}

#[test]
fn a_certificate_needs_someone_who_asks_for_it() {
    let problems = Credentials::parse("ops read cert", Certificates::NotAsked).unwrap_err();
    assert!(problems[0].problem.contains("--admin-client-ca"), "{problems:?}");
}

#[test]
fn anything_but_one_bearer_token_is_a_bad_header() {
    let header = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        Shown::of(&headers, None).map(|shown| shown.as_str())
    };
    for bad in [vec!["Basic YWxpY2U6"], vec!["Bearer"], vec!["Bearer "], vec!["Bearer a", "Bearer b"]] {
        assert_eq!(header(&bad), Err(Unrecognised::BadHeader), "{bad:?}");
    }
    assert_eq!(header(&["bearer a"]), Ok("token"));
    assert_eq!(header(&[]), Err(Unrecognised::Nothing));
}

#[test]
fn a_token_comes_before_a_certificate() {
    let names: Arc<[String]> = Arc::from(["ops".to_owned()]);
    assert_eq!(Shown::of(&bearer(BOB), Some(&names)).unwrap().as_str(), "token");
    assert_eq!(Shown::of(&HeaderMap::new(), Some(&names)).unwrap().as_str(), "certificate");
}

#[test]
fn nothing_that_is_printed_holds_a_token_or_its_hash() {
    let credentials = parse(&format!("alice read {ALICE}\n")).unwrap();
    let caller = credentials.recognise(Shown::of(&bearer(ALICE), None).unwrap(), NOW).unwrap();
    let printed = format!("{credentials:?} {caller:?}");
    assert!(
        !printed.contains(ALICE) && !printed.contains(blake3::hash(ALICE.as_bytes()).to_hex().as_str()),
        "{printed}"
    );
}
