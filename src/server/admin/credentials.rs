//! Credentials and rights: the file of credentials, and the check of a caller against it.
//!
//! Tokens are kept as hashes only. No message of this module holds a part of a line but its
//! number: whoever mixes the columns up has written a token where a name should be.

mod line;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::domain::time::Timestamp;
use crate::server::admin::files::FileError;

/// Right of an admin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// See what is in force.
    Read,
    /// Have policies checked: it takes memory and a processor for seconds, and so is not part of reading.
    Validate,
    /// Put policies in force.
    Reload,
    /// Go back.
    Rollback,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Validate, Self::Reload, Self::Rollback];

    /// The word for it in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Validate => "validate",
            Self::Reload => "reload",
            Self::Rollback => "rollback",
        }
    }
}

/// Several rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rights(u8);

impl Rights {
    /// Tells if this right is one of them.
    pub(crate) const fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u8) != 0
    }

    const fn with(self, right: Right) -> Self {
        Self(self.0 | (1 << right as u8))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut rights = Self::default();
        for word in text.split(',') {
            let right = Right::ALL.into_iter().find(|right| right.as_str() == word)?;
            if rights.has(right) {
                return None;
            }
            rights = rights.with(right);
        }
        Some(rights)
    }
}

/// Third column of a line about a certificate.
const CERTIFICATE: &str = "cert";

/// Prefix of the fourth column, which is optional.
const UNTIL: &str = "until=";

/// Everyone who may call.
#[derive(Debug)]
pub(crate) struct Credentials {
    admins: Vec<Admin>,
}

#[derive(Debug)]
struct Admin {
    name: Arc<str>,
    rights: Rights,
    proof: Proof,
    /// The line counts before this moment only; `None`: for as long as it stands there.
    until: Option<Timestamp>,
}

/// Proof of an admin's identity.
enum Proof {
    /// The token of this hash.
    Token(blake3::Hash),
    /// A certificate that carries the name.
    Certificate,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Certificate => "Certificate",
        })
    }
}

/// Setting: TLS asks admins for their certificates, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Certificates {
    /// It asks.
    Asked,
    /// It does not ask, or there is no TLS.
    NotAsked,
}

/// Reason that a file of credentials is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not text.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// There is nobody in it.
    #[error("`{}` names nobody: an admin service that nobody can call is of no use", path.display())]
    Nobody {
        /// The file.
        path: PathBuf,
    },
    /// Lines that are wrong: all of them.
    #[error("{}", show(path, lines))]
    Lines {
        /// The file.
        path: PathBuf,
        /// Problems, line by line.
        lines: Vec<LineProblem>,
    },
}

/// Problem of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineProblem {
    /// The number of the line, from 1.
    pub line: usize,
    /// Text of the problem.
    pub problem: String,
}

fn show(path: &std::path::Path, lines: &[LineProblem]) -> String {
    let line = |LineProblem { line, problem }: &LineProblem| format!("{}:{line}: {problem}", path.display());
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl CredentialsError {
    /// Advice on the error.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::NotText { .. } => None,
            Self::Nobody { .. } | Self::Lines { .. } => Some(
                "a line is `NAME RIGHTS TOKEN`, such as `alice read,reload,rollback …` with what `openssl rand -hex 32` \
                 prints, or `NAME RIGHTS cert` for a certificate with that DNS name or URI; `until=` and a moment, such \
                 as `until=2027-01-31T18:00:00Z`, may follow"
                    .to_owned(),
            ),
        }
    }
}

/// Credentials that a caller has shown.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// A token, as its hash.
    Token(TokenHash),
    /// A certificate that was verified, by its names.
    Certificate(Arc<[String]>),
}

/// The hash of a token that was shown. It is compared in constant time, and never printed.
#[derive(Clone, Copy)]
pub(crate) struct TokenHash(blake3::Hash);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

/// Someone who was recognised.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The name in the file.
    pub(crate) name: Arc<str>,
    /// Rights of the caller.
    pub(crate) rights: Rights,
    /// Credentials shown.
    pub(crate) shown: Shown,
}

/// Reason that a caller was not recognised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unrecognised {
    /// Nothing was shown.
    Nothing,
    /// The header is not `Bearer TOKEN`, or there are several.
    BadHeader,
    /// No line has the token.
    UnknownToken,
    /// No line has a name of the certificate.
    UnknownCertificate,
    /// The line of the token or certificate counted until this moment.
    Expired(Timestamp),
}

impl Unrecognised {
    /// The words for all of them.
    pub(crate) const SLUGS: [&'static str; 5] =
        ["nothing_shown", "bad_header", "unknown_token", "unknown_certificate", "expired"];

    /// The word for it in metrics and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing_shown",
            Self::BadHeader => "bad_header",
            Self::UnknownToken => "unknown_token",
            Self::UnknownCertificate => "unknown_certificate",
            Self::Expired(_) => "expired",
        }
    }

    /// Message for the caller. Only the holder of the right token hears anything that others do not.
    pub(crate) fn told(self) -> String {
        match self {
            Self::Nothing => "valid credentials are needed: `authorization: Bearer TOKEN`".to_owned(),
            Self::BadHeader => "the header `authorization` must stand once, and be `Bearer TOKEN`".to_owned(),
            Self::UnknownToken => "the token is wrong: this server does not know it".to_owned(),
            Self::UnknownCertificate => {
                "the certificate is good, but this server knows none of its names, and no token was shown".to_owned()
            }
            Self::Expired(at) => format!("what was shown has expired: it was good until {at}"),
        }
    }
}

impl Shown {
    /// Credentials of a call: its token if it has one, otherwise the certificate of its connection.
    pub(crate) fn of(headers: &HeaderMap, certificate: Option<&Arc<[String]>>) -> Result<Self, Unrecognised> {
        let mut tokens = headers.get_all(AUTHORIZATION).iter();
        match (tokens.next(), tokens.next(), certificate) {
            (Some(header), None, _) => {
                let (scheme, token) =
                    header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Unrecognised::BadHeader)?;
                if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
                    return Err(Unrecognised::BadHeader);
                }
                Ok(Self::Token(TokenHash(blake3::hash(token.as_bytes()))))
            }
            (Some(_), Some(_), _) => Err(Unrecognised::BadHeader),
            (None, _, Some(names)) => Ok(Self::Certificate(Arc::clone(names))),
            (None, _, None) => Err(Unrecognised::Nothing),
        }
    }

    /// The word for it in audit records.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Certificate(_) => "certificate",
        }
    }
}

impl Credentials {
    /// Those whom the text of a file names; every line that is wrong otherwise.
    pub(crate) fn parse(text: &str, certificates: Certificates) -> Result<Self, Vec<LineProblem>> {
        let mut admins: Vec<Admin> = Vec::new();
        let mut problems = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let found = line::parse(line, certificates).and_then(|admin| {
                admins.iter().try_for_each(|other| line::distinct(&admin, other))?;
                Ok(admin)
            });
            match found {
                Ok(admin) => admins.push(admin),
                Err(problem) => problems.push(LineProblem { line: place + 1, problem }),
            }
        }
        if problems.is_empty() { Ok(Self { admins }) } else { Err(problems) }
    }

    /// Number of lines.
    pub(crate) fn len(&self) -> usize {
        self.admins.len()
    }

    /// The caller with these credentials, if they are valid now. Every line is checked, whichever matches.
    pub(crate) fn recognise(&self, shown: Shown, now: Timestamp) -> Result<Caller, Unrecognised> {
        let (mut found, mut expired) = (None, None);
        for admin in &self.admins {
            let is_theirs = match (&shown, &admin.proof) {
                (Shown::Token(shown), Proof::Token(own)) => shown.0 == *own,
                (Shown::Certificate(names), Proof::Certificate) => names.iter().any(|name| name_is(name, &admin.name)),
                (Shown::Token(_), Proof::Certificate) | (Shown::Certificate(_), Proof::Token(_)) => false,
            };
            match admin.until {
                Some(until) if is_theirs && until <= now => expired = expired.max(Some(until)),
                Some(_) | None if is_theirs && found.is_none() => found = Some(admin),
                Some(_) | None => {}
            }
        }
        match (found, expired, shown) {
            (Some(admin), _, shown) => Ok(Caller { name: Arc::clone(&admin.name), rights: admin.rights, shown }),
            (None, Some(at), _) => Err(Unrecognised::Expired(at)),
            (None, None, Shown::Token(_)) => Err(Unrecognised::UnknownToken),
            (None, None, Shown::Certificate(_)) => Err(Unrecognised::UnknownCertificate),
        }
    }
}

/// DNS names are the same in any case, URIs are not.
fn name_is(name: &str, wanted: &str) -> bool {
    if wanted.contains(':') { name == wanted } else { name.eq_ignore_ascii_case(wanted) }
}

#[cfg(test)]
mod tests;
