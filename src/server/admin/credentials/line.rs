//! One line of the file of credentials: a name, rights, and a token or certificate; every mistake in it at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::server::admin::credentials::{Admin, CERTIFICATE, Certificates, Proof, Rights, UNTIL, name_is};
use crate::server::admin::limits::{
    NAME_BYTES_MAX, TOKEN_CHARS_MAX, TOKEN_CHARS_MIN, TOKEN_DISTINCT_CHARS_MIN, TOKEN_RUN_CHARS_MAX,
};

/// The admin whom a line names.
pub(super) fn parse(line: &str, certificates: Certificates) -> Result<Admin, String> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (name, rights, proof, until) = match *columns.as_slice() {
        [name, rights, proof] => (name, rights, proof, None),
        [name, rights, proof, until] => (name, rights, proof, Some(until)),
        _ => {
            return Err(format!(
                "must have three columns, name, rights and token, or `until=MOMENT` as a fourth one, and has {}",
                columns.len()
            ));
        }
    };
    let mut problems = Vec::new();
    let moment = until.map(|until| until.strip_prefix(UNTIL).and_then(Timestamp::parse));
    if moment == Some(None) {
        problems.push(
            "the fourth column must be `until=` and a moment with its offset, such as `until=2027-01-31T18:00:00Z`"
                .into(),
        );
    }
    let until = moment.flatten();
    if NAME_BYTES_MAX < name.len() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        problems.push(format!("the name must be of visible ASCII characters, at most {NAME_BYTES_MAX}"));
    }
    let rights = Rights::parse(rights);
    if rights.is_none() {
        problems.push(
            "the rights must be some of `read`, `validate`, `reload` and `rollback`, each once, with commas between"
                .into(),
        );
    }
    let length = proof.chars().count();
    let proof = if proof == CERTIFICATE {
        if certificates == Certificates::NotAsked {
            problems.push("certificates are not asked for: `--admin-client-ca` is missing".into());
        }
        Some(Proof::Certificate)
    } else if !proof.bytes().all(|byte| byte.is_ascii_graphic()) {
        problems.push("the token must be of visible ASCII characters".into());
        None
    } else if !(TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&length) {
        problems
            .push(format!("the token must have {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} characters, and has {length}"));
        None
    } else if let Some(weakness) = weakness(proof.as_bytes()) {
        problems.push(format!("the token is easy to guess, {weakness}: make one with `openssl rand -hex 32`"));
        None
    } else {
        Some(Proof::Token(blake3::hash(proof.as_bytes())))
    };
    match (rights, proof) {
        (Some(rights), Some(proof)) if problems.is_empty() => Ok(Admin { name: Arc::from(name), rights, proof, until }),
        _ => Err(problems.join("; ")),
    }
}

/// The reason for which a token of good length can be guessed all the same; `None` where there is none to be seen. One
/// that is drawn at random, of hex digits or more, passes but for one in ten million.
fn weakness(token: &[u8]) -> Option<String> {
    let pairs = || token.iter().zip(token.iter().skip(1));
    let distinct = token.iter().collect::<BTreeSet<_>>().len();
    if distinct < TOKEN_DISTINCT_CHARS_MIN {
        return Some(format!("it has {distinct} different characters, and needs {TOKEN_DISTINCT_CHARS_MIN}"));
    }
    let mut run = 1;
    for (one, next) in pairs() {
        run = if one == next { run + 1 } else { 1 };
        if TOKEN_RUN_CHARS_MAX < run {
            return Some(format!("it has a character more than {TOKEN_RUN_CHARS_MAX} times in a row"));
        }
    }
    let repeats = |period: &usize| token.iter().zip(token.iter().skip(*period)).all(|(one, later)| one == later);
    if let Some(period) = (1..=token.len() / 2).find(repeats) {
        return Some(format!("it repeats itself every {period} characters"));
    }
    let steps = pairs().filter(|(one, next)| one.abs_diff(**next) <= 1).count();
    (3 * token.len() <= 4 * steps).then(|| "it counts up or down".to_owned())
}

/// Two lines are about two admins.
pub(super) fn distinct(admin: &Admin, other: &Admin) -> Result<(), String> {
    if name_is(&admin.name, &other.name) {
        return Err("the name stands in a line before it: give a second token a name of its own".to_owned());
    }
    match (&admin.proof, &other.proof) {
        (Proof::Token(own), Proof::Token(others)) if own == others => {
            Err("the token stands in a line before it: an audit record must name one admin".to_owned())
        }
        (Proof::Token(_) | Proof::Certificate, _) => Ok(()),
    }
}
