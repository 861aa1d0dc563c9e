//! The served program with certificates on both sides, named by variables, and called by the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};

use crate::support::admin::run_with;
use crate::support::serve::serve_with;

#[test]
fn a_certificate_shows_who_calls_and_where_tls_is_wanted_nothing_else_opens() {
    let dir = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issued = |name: &str, usage| {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap().pem();
        (written(&format!("{name}.pem"), &certificate), written(&format!("{name}.key"), &key.serialize_pem()))
    };
    let ca = written("ca.pem", &authority.pem());
    let (server, server_key) = issued("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let (ops, ops_key) = issued("ops.example.com", ExtendedKeyUsagePurpose::ClientAuth);
    let tokens = written("tokens", "ops.example.com read cert\n");

    let mut service = serve_with(
        &[],
        &[
            // Every address of this host, which is allowed with TLS only.
            ("REQUITE_ADMIN_LISTEN", "0.0.0.0:0"),
            ("REQUITE_ADMIN_TOKENS", &tokens),
            ("REQUITE_ADMIN_TLS_CERT", &server),
            ("REQUITE_ADMIN_TLS_KEY", &server_key),
            ("REQUITE_ADMIN_CLIENT_CA", &ca),
        ],
    );
    let port = service.serving["admin_address"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    let at = format!("localhost:{port}");
    let known = [
        ("REQUITE_ADMIN_ADDR", at.as_str()),
        ("REQUITE_ADMIN_TLS_CA", &ca),
        ("REQUITE_ADMIN_CALLER_CERT", &ops),
        ("REQUITE_ADMIN_CALLER_KEY", &ops_key),
    ];
    let said = run_with(&["status"], &known);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("generation 1,"), "{}", said.out);
    let said = run_with(&["reload"], &known);
    assert!(said.code == Some(1) && said.err.contains("the right `reload`"), "{}", said.err);
    // Without a certificate, and without TLS.
    for variables in [&known[..2], &known[..1]] {
        assert_eq!(run_with(&["status"], variables).code, Some(1), "{variables:?}");
    }

    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
    let log = service.whole_log();
    let record = log.iter().find(|line| line["target"] == "requite::audit" && line["method"] == "GetPolicyStatus");
    let record = record.unwrap_or_else(|| panic!("no record in {log:#?}"));
    assert_eq!((record["actor"].as_str(), record["shown_by"].as_str()), (Some("ops.example.com"), Some("certificate")));
}
