//! Getting to the admin service: addresses and sockets, TLS, files of credentials, what changes in them
//! while it runs, and connections that want something else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use requite::api::pb::{GetPolicyStatusRequest, ValidatePolicyRequest};
use requite::server::admin::{AdminAddress, AdminConfig, AdminLimits, OpenError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::support::admin_service::{
    Client, LEAD, PATIENCE, READER, Shows, client_on, config, credentials, start, start_in, start_with, tls_files,
    until, write_secret,
};

async fn reads(client: &mut Client) -> Result<(), Code> {
    client.get_policy_status(GetPolicyStatusRequest {}).await.map(drop).map_err(|status| status.code())
}

async fn cannot_open(change: impl FnOnce(&mut AdminConfig)) -> OpenError {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir);
    change(&mut config);
    match start_in(dir, config).await {
        Ok(_) => panic!("it must not start"),
        Err(error) => error,
    }
}

/// An error with all of its causes, and what to do.
fn told(error: &OpenError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    format!("{text} ({})", error.help().unwrap_or_default())
}

// --- addresses ---------------------------------------------------------------------------------

#[tokio::test]
async fn reading_is_not_validating() {
    let server = start().await;
    let request = || ValidatePolicyRequest { files: None };
    let refused = server.client(READER).await.validate_policy(request()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, "the right `validate` is missing"));
    server.client(LEAD).await.validate_policy(request()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn other_hosts_are_not_served_without_tls() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let error = cannot_open(|config| config.listen = AdminAddress::Tcp(address.into())).await;
        assert!(matches!(error, OpenError::Exposed { .. }), "{error}");
        let told = told(&error);
        assert!(told.contains(address) && told.contains("--admin-tls-cert") && told.contains("unix:"), "{told}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let server = start().await;
    let taken = server.address.clone();
    let error = cannot_open(|config| config.listen = AdminAddress::Tcp(taken.clone())).await;
    assert!(told(&error).contains(&taken), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_socket_is_for_its_owner_and_still_wants_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let server = start_with(|config| config.listen = AdminAddress::Unix(path.clone())).await;
    assert_eq!(server.address, format!("unix:{}", path.display()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(reads(&mut server.client(READER).await).await, Ok(()));
    assert_eq!(reads(&mut server.client_that(Shows(vec![])).await).await, Err(Code::Unauthenticated));
    server.stop().await;
    assert!(!path.exists(), "removed at the end");
}

#[tokio::test]
async fn the_socket_of_a_dead_server_is_replaced_and_that_of_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    // A listener that is dropped leaves its file behind, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = start_with(|config| config.listen = AdminAddress::Unix(path.clone())).await;
    assert_eq!(reads(&mut server.client(READER).await).await, Ok(()));

    let error = cannot_open(|config| config.listen = AdminAddress::Unix(path.clone())).await;
    assert!(matches!(error, OpenError::SocketInUse { .. }), "{error}");
    assert_eq!(reads(&mut server.client(READER).await).await, Ok(()), "the first one still serves");
    server.stop().await;
}

#[tokio::test]
async fn nothing_but_a_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    fs::write(&path, "precious").unwrap();
    let error = cannot_open(|config| config.listen = AdminAddress::Unix(path.clone())).await;
    assert!(matches!(error, OpenError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_socket_that_someone_else_put_there_since_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let server = start_with(|config| config.listen = AdminAddress::Unix(path.clone())).await;
    fs::remove_file(&path).unwrap();
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    server.stop().await;
    assert!(path.exists());
    drop(other);
}

// --- the file of credentials -------------------------------------------------------------------

#[tokio::test]
async fn a_file_that_others_can_read_is_refused() {
    let error = cannot_open(|config| {
        fs::set_permissions(&config.credentials, fs::Permissions::from_mode(0o644)).unwrap();
    })
    .await;
    assert!(told(&error).contains("chmod 600"), "{}", told(&error));
}

#[tokio::test]
async fn every_mistake_is_told_with_its_line_and_no_token() {
    let error = cannot_open(|config| {
        write_secret(
            &config.credentials,
            &format!("a read {LEAD}\na read {READER}\nb write {READER}\nc read short\nd read cert\n"),
        );
    })
    .await;
    let told = told(&error);
    for line in
        [":2: the name stands", ":3: the rights", ":4: the token must have 32", ":5: certificates are not asked"]
    {
        assert!(told.contains(line), "{line} in {told}");
    }
    assert!(!told.contains(LEAD) && !told.contains(READER) && !told.contains("short"), "{told}");
    assert!(told.contains("NAME RIGHTS TOKEN"), "{told}");
}

#[tokio::test]
async fn a_file_that_names_nobody_or_is_not_there_is_an_error() {
    let error = cannot_open(|config| write_secret(&config.credentials, "# nobody yet\n\n")).await;
    assert!(told(&error).contains("names nobody"), "{}", told(&error));
    let error = cannot_open(|config| fs::remove_file(&config.credentials).unwrap()).await;
    assert!(told(&error).contains("cannot read"), "{}", told(&error));
}

#[tokio::test]
async fn credentials_change_while_it_runs_and_a_broken_file_changes_nothing() {
    let server = start().await;
    let mut reader = server.client(READER).await;
    let mut fresh = server.client("fresh-55-0123456789abcdef0123456789abcdef").await;
    assert_eq!((reads(&mut reader).await, reads(&mut fresh).await), (Ok(()), Err(Code::Unauthenticated)));

    write_secret(&server.tokens(), "nora read fresh-55-0123456789abcdef0123456789abcdef\n");
    until("the new token works", async || reads(&mut fresh).await.is_ok()).await;
    assert_eq!(reads(&mut reader).await, Err(Code::Unauthenticated), "the old one does not");

    write_secret(&server.tokens(), "nora everything x\n");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(reads(&mut fresh).await, Ok(()));
    fs::remove_file(server.tokens()).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(reads(&mut fresh).await, Ok(()));

    write_secret(&server.tokens(), &credentials());
    until("the first ones work again", async || reads(&mut reader).await.is_ok()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_gone() {
    let server = start().await;
    let mut lead = server.client(LEAD).await;
    assert_eq!(reads(&mut lead).await, Ok(()));
    write_secret(&server.tokens(), &format!("lea reload {LEAD}\n"));
    until("reading is not allowed", async || reads(&mut lead).await == Err(Code::PermissionDenied)).await;
    server.stop().await;
}

// --- TLS ---------------------------------------------------------------------------------------

/// Someone who vouches for certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with these names, and its key.
    fn issue(&self, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// A certificate of the server, written where [`tls_files`] says.
    fn issue_server(&self, dir: &Path) {
        let (certificate, key) = self.issue(vec![SanType::DnsName("localhost".try_into().unwrap())]);
        write_secret(&dir.join("server.pem"), &certificate);
        write_secret(&dir.join("server.key"), &key);
    }
}

/// A client that trusts this authority, and may show a certificate.
async fn tls_client(
    address: &str,
    trusted: &str,
    identity: Option<(String, String)>,
    shows: Shows,
) -> Result<Client, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trusted)).domain_name("localhost");
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
    Ok(client_on(endpoint.connect().await?, shows))
}

fn dns(name: &str) -> Vec<SanType> {
    vec![SanType::DnsName(name.try_into().unwrap())]
}

#[tokio::test]
async fn with_tls_everyone_may_be_served_and_tokens_are_needed_as_before() {
    let authority = Authority::new();
    let server = start_with(|config| {
        let dir = config.credentials.parent().unwrap().to_owned();
        authority.issue_server(&dir);
        config.listen = AdminAddress::Tcp("0.0.0.0:0".into());
        config.tls = Some(tls_files(&dir, None));
    })
    .await;
    let address = server.address.replace("0.0.0.0", "127.0.0.1");
    let shows = Shows(vec![format!("Bearer {READER}")]);
    let mut client = tls_client(&address, &authority.pem(), None, shows.clone()).await.unwrap();
    assert_eq!(reads(&mut client).await, Ok(()));
    let mut client = tls_client(&address, &authority.pem(), None, Shows(vec![])).await.unwrap();
    assert_eq!(reads(&mut client).await, Err(Code::Unauthenticated));
    // Who trusts someone else does not talk to it, and who does not speak TLS is not talked to.
    assert!(tls_client(&address, &Authority::new().pem(), None, shows).await.is_err());
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // At most an alert of TLS.
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.len() < 16, "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_shows_who_calls() {
    let (servers, admins) = (Authority::new(), Authority::new());
    let server = start_with(|config| {
        let dir = config.credentials.parent().unwrap().to_owned();
        servers.issue_server(&dir);
        fs::write(dir.join("admins.pem"), admins.pem()).unwrap();
        let lines = format!("{}ops.example.com read cert\nspiffe://example/deploy reload cert\n", credentials());
        write_secret(&config.credentials, &lines);
        config.tls = Some(tls_files(&dir, Some("admins.pem")));
    })
    .await;
    let connect = async |identity: Option<(String, String)>, shows: Vec<String>| {
        tls_client(&server.address, &servers.pem(), identity, Shows(shows)).await
    };
    let call = async |identity, shows| reads(&mut connect(identity, shows).await.unwrap()).await;

    assert_eq!(call(Some(admins.issue(dns("ops.example.com"))), vec![]).await, Ok(()));
    let uri = vec![SanType::URI("spiffe://example/deploy".try_into().unwrap())];
    assert_eq!(call(Some(admins.issue(uri)), vec![]).await, Err(Code::PermissionDenied));
    assert_eq!(call(Some(admins.issue(dns("else.example.com"))), vec![]).await, Err(Code::Unauthenticated));
    assert_eq!(call(None, vec![]).await, Err(Code::Unauthenticated));
    // A token works without a certificate, and instead of one.
    assert_eq!(call(None, vec![format!("Bearer {READER}")]).await, Ok(()));
    let unknown = Some(admins.issue(dns("else.example.com")));
    assert_eq!(call(unknown, vec![format!("Bearer {READER}")]).await, Ok(()));
    // A certificate that nobody vouches for gets nowhere, whatever its name.
    let forged = connect(Some(Authority::new().issue(dns("ops.example.com"))), vec![]).await;
    match forged {
        Err(_) => {}
        Ok(mut client) => assert!(reads(&mut client).await.is_err()),
    }
    server.stop().await;
}

#[tokio::test]
async fn the_common_name_of_a_certificate_is_no_name() {
    let (servers, admins) = (Authority::new(), Authority::new());
    let server = start_with(|config| {
        let dir = config.credentials.parent().unwrap().to_owned();
        servers.issue_server(&dir);
        fs::write(dir.join("admins.pem"), admins.pem()).unwrap();
        write_secret(&config.credentials, "ops.example.com read cert\n");
        config.tls = Some(tls_files(&dir, Some("admins.pem")));
    })
    .await;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "ops.example.com");
    let key = KeyPair::generate().unwrap();
    let identity = (params.signed_by(&key, &admins.0).unwrap().pem(), key.serialize_pem());
    let mut client = tls_client(&server.address, &servers.pem(), Some(identity), Shows(vec![])).await.unwrap();
    assert_eq!(reads(&mut client).await, Err(Code::Unauthenticated));
    server.stop().await;
}

#[tokio::test]
async fn certificates_change_while_it_runs_and_broken_ones_change_nothing() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = start_with(|config| {
        let dir = config.credentials.parent().unwrap().to_owned();
        first.issue_server(&dir);
        config.tls = Some(tls_files(&dir, None));
    })
    .await;
    let connects =
        async |authority: &Authority| tls_client(&server.address, &authority.pem(), None, Shows(vec![])).await.is_ok();
    assert!(connects(&first).await && !connects(&second).await);
    second.issue_server(server.dir.path());
    until("the new certificate is shown", async || connects(&second).await).await;
    assert!(!connects(&first).await);

    write_secret(&server.dir.path().join("server.pem"), "nonsense");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(connects(&second).await);
    // A certificate without its key is as broken.
    write_secret(&server.dir.path().join("server.pem"), &first.issue(dns("localhost")).0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(connects(&second).await);
    server.stop().await;
}

#[tokio::test]
async fn files_of_tls_that_do_not_do_are_told_apart() {
    type Break = fn(&Path, &Authority);
    let authority = Authority::new();
    let with = |break_it: Break| {
        let authority = &authority;
        cannot_open(move |config| {
            let dir = config.credentials.parent().unwrap().to_owned();
            authority.issue_server(&dir);
            fs::write(dir.join("admins.pem"), authority.pem()).unwrap();
            break_it(&dir, authority);
            config.tls = Some(tls_files(&dir, Some("admins.pem")));
        })
    };
    let cases: [(Break, &str); 6] = [
        (|dir, _| fs::remove_file(dir.join("server.key")).unwrap(), "server.key`: No such file"),
        (|dir, _| fs::write(dir.join("server.pem"), "x").unwrap(), "server.pem` holds no certificate in PEM"),
        (|dir, _| write_secret(&dir.join("server.key"), "x"), "server.key` holds no private key in PEM"),
        (|dir, _| fs::write(dir.join("admins.pem"), "").unwrap(), "admins.pem` holds no certificate in PEM"),
        (
            |dir, _| fs::set_permissions(dir.join("server.key"), fs::Permissions::from_mode(0o644)).unwrap(),
            "can be read by others",
        ),
        (
            |dir, authority| write_secret(&dir.join("server.key"), &authority.issue(dns("localhost")).1),
            "server.pem` cannot be used",
        ),
    ];
    for (break_it, expected) in cases {
        let told = told(&with(break_it).await);
        assert!(told.contains(expected), "{expected} in {told}");
    }
}

#[tokio::test]
async fn a_socket_speaks_no_tls() {
    let error = cannot_open(|config| {
        let dir = config.credentials.parent().unwrap().to_owned();
        Authority::new().issue_server(&dir);
        config.listen = AdminAddress::Unix(dir.join("admin.sock"));
        config.tls = Some(tls_files(&dir, None));
    })
    .await;
    assert!(matches!(error, OpenError::TlsOnUnix { .. }), "{error}");
}

// --- connections -------------------------------------------------------------------------------

async fn closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    !matches!(timeout(PATIENCE, stream.read(&mut byte)).await.unwrap(), Ok(1))
}

#[tokio::test]
async fn silent_connections_are_closed_with_tls_and_without() {
    let patience = Duration::from_millis(100);
    for tls in [false, true] {
        let server = start_with(|config| {
            let dir = config.credentials.parent().unwrap().to_owned();
            Authority::new().issue_server(&dir);
            config.tls = tls.then(|| tls_files(&dir, None));
            config.limits = AdminLimits { first_bytes_timeout: patience, ..config.limits };
        })
        .await;
        assert!(closed(&mut TcpStream::connect(&server.address).await.unwrap()).await);
        server.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_http2_is_closed_at_once() {
    let server = start().await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(closed(&mut stream).await);
    server.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_connections() {
    let server = start_with(|config| config.limits = AdminLimits { connections_max: 2, ..config.limits }).await;
    let mut first = server.client(READER).await;
    // Of two places, one may be unauthenticated.
    assert_eq!(reads(&mut first).await, Ok(()));
    let mut second = server.client(READER).await;
    assert_eq!(reads(&mut second).await, Ok(()));
    assert!(closed(&mut TcpStream::connect(&server.address).await.unwrap()).await);
    drop(first);
    until("there is room again", async || {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        let mut byte = [0];
        // Whoever is let in hears nothing before it says something.
        timeout(Duration::from_millis(100), stream.read(&mut byte)).await.is_err()
    })
    .await;
    assert_eq!(reads(&mut second).await, Ok(()));
    server.stop().await;
}
