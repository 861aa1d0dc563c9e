//! An admin service to call: it keeps bundles as a server does, admits them with the real check,
//! and says its numbers about candidates by heart. On a real socket, over the real wire.

mod caller;
pub mod page;
pub mod walkthrough;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use prost::Message as _;
use requite::api::pb;
use requite::api::pb::policy_admin_service_server::{PolicyAdminService, PolicyAdminServiceServer};
use requite::engine::admit::admit;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Diagnostic, Severity};
use requite::policy::diff::{Change, ChangeKind, diff};
use requite::source::directory;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

pub use caller::{AFTER, BEFORE, Caller, Said, bundle, copy, digest, run_with};

/// The tokens that the service knows, with their rights.
pub const ALL: &str = "token-of-the-lead";
pub const READ: &str = "token-of-the-reader";

/// One replica.
pub struct Replica {
    pub addr: String,
    pub desk: Desk,
    _runtime: Runtime,
}

/// What a replica holds.
#[derive(Clone)]
pub struct Desk(Arc<Mutex<State>>);

pub struct State {
    source: PathBuf,
    revisions: Vec<(pb::PolicyRevision, Bundle)>,
    activations: Vec<pb::PolicyActivation>,
    pub candidate: Option<(pb::CandidateStatus, Bundle)>,
    rejection: Option<pb::PolicyRejection>,
    hold: pb::SourceHold,
    /// Someone who is faster: put in force just before the next change.
    pub rival: Option<Bundle>,
    /// A colleague's change that the caller may not have noticed.
    pub unnoticed: Option<pb::PolicyActivation>,
    /// What callers gave as reasons.
    pub reasons: Vec<String>,
}

impl Replica {
    /// A replica of a directory on a free port.
    pub fn start(source: &Path) -> Self {
        Self::start_with(source, None)
    }

    /// The same with TLS.
    pub fn start_with(source: &Path, tls: Option<ServerTlsConfig>) -> Self {
        let (runtime, desk) = (runtime(), Desk::new(source));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        let service = server.add_service(PolicyAdminServiceServer::new(desk.clone()));
        runtime.spawn(service.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { addr, desk, _runtime: runtime }
    }

    /// A replica on a Unix socket.
    pub fn start_on(socket: &Path, source: &Path) -> Self {
        let (runtime, desk) = (runtime(), Desk::new(source));
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(socket).unwrap()
        };
        let service = Server::builder().add_service(PolicyAdminServiceServer::new(desk.clone()));
        runtime.spawn(service.serve_with_incoming(UnixListenerStream::new(listener)));
        Self { addr: format!("unix:{}", socket.display()), desk, _runtime: runtime }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl Desk {
    fn new(source: &Path) -> Self {
        let bundle = directory::read(source).unwrap();
        let first = revision(&bundle, 1, pb::ReloadTrigger::Start, "", "");
        Self(Arc::new(Mutex::new(State {
            source: source.to_owned(),
            activations: vec![entry(&first, "")],
            revisions: vec![(first, bundle)],
            candidate: None,
            rejection: None,
            hold: pb::SourceHold::Unspecified,
            rival: None,
            unnoticed: None,
            reasons: Vec::new(),
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn revision(
    bundle: &Bundle,
    generation: u64,
    trigger: pb::ReloadTrigger,
    actor: &str,
    reason: &str,
) -> pb::PolicyRevision {
    pb::PolicyRevision {
        digest: bundle.digest().to_string(),
        generation,
        activated_at: Some(at(1_790_000_000 + generation as i64 * 60)),
        trigger: trigger.into(),
        actor: actor.to_owned(),
        known_good: generation == 1,
        reason: reason.to_owned(),
        withdrawal: None,
        semantic_digest: String::new(),
    }
}

/// The entry of the history for what came into force.
fn entry(revision: &pb::PolicyRevision, before: &str) -> pb::PolicyActivation {
    pb::PolicyActivation {
        number: revision.generation,
        generation: revision.generation,
        digest: revision.digest.clone(),
        before_digest: before.to_owned(),
        policies: vec![pb::PolicyVersion { policy_id: "workshop".into(), version: "1".into() }],
        further_policies: 2,
        trigger: revision.trigger,
        actor: revision.actor.clone(),
        reason: revision.reason.clone(),
        activated_at: revision.activated_at,
    }
}

fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

fn diagnostic(diagnostic: &Diagnostic) -> pb::PolicyDiagnostic {
    let place = diagnostic.place.clone().unwrap_or_default();
    pb::PolicyDiagnostic {
        severity: match diagnostic.severity {
            Severity::Error => pb::DiagnosticSeverity::Error,
            Severity::StricterError => pb::DiagnosticSeverity::StricterError,
            Severity::Warning => pb::DiagnosticSeverity::Warning,
        }
        .into(),
        code: diagnostic.code.to_owned(),
        message: diagnostic.message.clone(),
        help: diagnostic.help.clone().unwrap_or_default(),
        file: place.file,
        line: place.line,
        column: place.column,
    }
}

fn change(change: Change) -> pb::PolicyChange {
    pb::PolicyChange {
        kind: match change.kind {
            ChangeKind::Added => pb::ChangeKind::Added,
            ChangeKind::Removed => pb::ChangeKind::Removed,
            ChangeKind::Changed => pb::ChangeKind::Changed,
            ChangeKind::Moved => pb::ChangeKind::Moved,
        }
        .into(),
        document: change.document,
        section: change.section,
        name: change.name,
        before: change.before,
        after: change.after,
    }
}

fn changes(before: &Bundle, after: &Bundle) -> Vec<pb::PolicyChange> {
    diff(before, after).into_iter().map(change).collect()
}

/// A no with a reason and a message in its details.
fn precondition(reason: &str, rejection: &pb::PolicyRejection) -> Status {
    let any = |name: &str, value: Vec<u8>| prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value };
    let info =
        tonic_types::pb::ErrorInfo { reason: reason.into(), domain: "requite".into(), metadata: Default::default() };
    let details = tonic_types::pb::Status {
        code: Code::FailedPrecondition as i32,
        message: "the policies may not be put in force".into(),
        details: vec![
            any("google.rpc.ErrorInfo", info.encode_to_vec()),
            any("requite.v1.PolicyRejection", rejection.encode_to_vec()),
        ],
    };
    Status::with_details(
        Code::FailedPrecondition,
        "the policies may not be put in force",
        details.encode_to_vec().into(),
    )
}

impl State {
    /// Says of what is in force that this admin put it there.
    pub fn of_colleague(&mut self, actor: &str) -> pb::PolicyActivation {
        self.revisions[0].0.actor = actor.to_owned();
        self.activations[0].actor = actor.to_owned();
        self.activations[0].clone()
    }

    fn in_force(&self) -> &(pb::PolicyRevision, Bundle) {
        &self.revisions[0]
    }

    fn is_expected(&mut self, expected: &str) -> Result<(), Status> {
        if let Some(rival) = self.rival.take() {
            self.activate(rival, pb::ReloadTrigger::Admin, "rival");
        }
        match self.in_force().0.digest.as_str() {
            found if expected.is_empty() || expected == found => Ok(()),
            found => {
                let info =
                    tonic_types::ErrorDetails::with_error_info("POLICY_DIGEST_MISMATCH", "requite", HashMap::new());
                let message = format!("you expected {expected} to be in force, but {found} is");
                Err(Status::with_error_details(Code::Aborted, message, info))
            }
        }
    }

    fn admitted(&mut self, bundle: &Bundle, trigger: pb::ReloadTrigger) -> Result<(), Status> {
        let Err(rejection) = admit(bundle) else { return Ok(()) };
        let rejection = pb::PolicyRejection {
            digest: bundle.digest().to_string(),
            rejected_at: Some(at(1_790_000_500)),
            trigger: trigger.into(),
            diagnostics: rejection.diagnostics.iter().map(diagnostic).collect(),
            cases_passed: rejection.cases_passed as u32,
            ..Default::default()
        };
        self.rejection = Some(rejection.clone());
        // A header has no room for all of it.
        let first = rejection.diagnostics.first().cloned().into_iter().collect();
        Err(precondition("POLICY_REJECTED", &pb::PolicyRejection { diagnostics: first, ..rejection }))
    }

    fn read(&mut self) -> Result<Bundle, Status> {
        directory::read(&self.source).map_err(|error| {
            let problems = error.lines().into_iter().map(|(problem, help)| format!("{problem}: {help}")).collect();
            precondition(
                "POLICY_SOURCE_UNREADABLE",
                &pb::PolicyRejection { read_problems: problems, ..Default::default() },
            )
        })
    }

    fn activate(&mut self, bundle: Bundle, trigger: pb::ReloadTrigger, actor: &str) -> pb::Activation {
        let reason = self.reasons.last().cloned().unwrap_or_default();
        let (before, old) = self.in_force().clone();
        let now = if before.digest == bundle.digest().to_string() {
            before.clone()
        } else {
            let mut now = revision(&bundle, before.generation + 1, trigger, actor, &reason);
            self.revisions.retain(|(revision, _)| revision.digest != now.digest);
            if trigger == pb::ReloadTrigger::Rollback {
                let withdrawal = pb::PolicyWithdrawal {
                    withdrawn_at: now.activated_at,
                    actor: actor.to_owned(),
                    reason,
                    digest: String::new(),
                };
                self.revisions[0].0.withdrawal = Some(withdrawal);
            }
            now.withdrawal = None;
            self.activations.insert(0, entry(&now, &before.digest));
            self.revisions.insert(0, (now.clone(), bundle.clone()));
            now
        };
        self.rejection = None;
        pb::Activation {
            before_digest: before.digest,
            after_digest: now.digest,
            generation: now.generation,
            activated_at: now.activated_at,
            changes: changes(&old, &bundle),
            cases_passed: admit(&bundle).map_or(0, |admission| admission.cases_passed as u32),
            ..Default::default()
        }
    }

    fn status(&self) -> pb::PolicyStatus {
        let (in_force, bundle) = self.in_force().clone();
        let plans = admit(&bundle).map(|admission| admission.plans).unwrap_or_default();
        let policy = |plan: &requite::plan::Plan| pb::PolicyRef {
            policy_id: plan.id.clone(),
            version: plan.version.clone(),
            digest: in_force.digest.clone(),
            generation: in_force.generation,
            effective_from: None,
            engine_revision: requite::decision::ENGINE_REVISION,
        };
        let source = directory::read(&self.source).map(|bundle| bundle.digest().to_string()).unwrap_or_default();
        pb::PolicyStatus {
            policies: plans.iter().map(policy).collect(),
            decisions: 1_234,
            started_from: pb::StartedFrom::Source.into(),
            source: Some(pb::SourceStatus {
                location: self.source.display().to_string(),
                checked_at: Some(at(1_790_001_000)),
                in_sync_at: None,
                hold: self.hold.into(),
                held_until: None,
                digest: source.clone(),
            }),
            last_rejection: self.rejection.clone(),
            restart: if source == in_force.digest { pb::RestartForecast::Same } else { pb::RestartForecast::Other }
                .into(),
            restart_detail: String::new(),
            candidate: self.candidate.as_ref().map(|(candidate, _)| pb::CandidateStatus {
                compared_with_digest: in_force.digest.clone(),
                ..candidate.clone()
            }),
            server_version: "0.1.0".into(),
            started_at: Some(at(1_789_999_000)),
            in_force: Some(in_force),
            activations: self.activations.iter().take(5).cloned().collect(),
            ..Default::default()
        }
    }

    /// The candidate meant, which is not here any more afterwards.
    fn taken(&mut self, digest: &str) -> Result<(pb::CandidateStatus, Bundle), Status> {
        match self.candidate.take() {
            None => Err(Status::not_found("there is no candidate")),
            Some(other) if !digest.is_empty() && other.0.digest != digest => {
                let message = format!("{} is staged", other.0.digest);
                self.candidate = Some(other);
                Err(Status::aborted(message))
            }
            Some(found) => Ok(found),
        }
    }
}

/// A report as after some traffic.
fn observed(digest: String, actor: &str, sample_per_thousand: u32) -> pb::CandidateStatus {
    let money = |units, nanos| Some(pb::Money { currency_code: "EUR".into(), units, nanos });
    pb::CandidateStatus {
        digest,
        staged_at: Some(at(1_790_000_900)),
        actor: actor.into(),
        sample_per_thousand,
        observed: Some(prost_types::Duration { seconds: 724, nanos: 0 }),
        compared: 1_200,
        different: 31,
        not_comparable: 5,
        shed: 2,
        failed: 0,
        money: vec![pb::MoneyDifference {
            live: money(10_000, 50_000_000),
            candidate: money(9_900, 40_000_000),
            difference: money(-100, -10_000_000),
            above: money(20, 0),
            below: money(120, 10_000_000),
        }],
        by_rule: vec![pb::RuleDifference {
            policy_id: "workshop".into(),
            live_rule_id: "before-start".into(),
            candidate_rule_id: "otherwise".into(),
            lines: 31,
            difference: vec![money(-100, -10_000_000).unwrap()],
        }],
        further_rules: 4,
        by_reason: vec![pb::ReasonDifference {
            live_outcome: pb::Outcome::ApprovedPartial.into(),
            live_reason: pb::ReasonCode::DeductionsApplied.into(),
            candidate_outcome: pb::Outcome::ManualReview.into(),
            candidate_reason: pb::ReasonCode::NoMatchingRule.into(),
            requests: 31,
        }],
        ..Default::default()
    }
}

/// Who calls, if the token is known and reaches so far.
fn actor<T>(request: &Request<T>, right: &str) -> Result<&'static str, Status> {
    let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    match header.and_then(|header| header.strip_prefix("Bearer ")) {
        Some(ALL) => Ok("lead"),
        Some(READ) if right == "read" => Ok("reader"),
        Some(READ) => Err(Status::permission_denied(format!("this needs the right `{right}`"))),
        Some(_) | None => Err(Status::unauthenticated("no valid credentials")),
    }
}

fn bundle_of(files: pb::PolicyFiles) -> Result<Bundle, Status> {
    let files = files.files.into_iter().map(|file| BundleFile { path: file.path, bytes: file.content }).collect();
    Bundle::new(files).map_err(|error| Status::invalid_argument(error.to_string()))
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PolicyAdminService for Desk {
    type WatchPolicyStatusStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<pb::WatchPolicyStatusResponse, Status>> + Send>>;

    async fn validate_policy(&self, _: Request<pb::ValidatePolicyRequest>) -> Answer<pb::ValidatePolicyResponse> {
        Err(Status::unimplemented("not asked by the command line"))
    }

    async fn reload_policy(&self, request: Request<pb::ReloadPolicyRequest>) -> Answer<pb::ReloadPolicyResponse> {
        let actor = actor(&request, "reload")?;
        let (mut state, request) = (self.state(), request.into_inner());
        state.reasons.push(request.reason);
        state.is_expected(&request.expected_digest)?;
        let bundle = state.read()?;
        state.admitted(&bundle, pb::ReloadTrigger::Admin)?;
        state.hold = pb::SourceHold::Unspecified;
        let activation = state.activate(bundle, pb::ReloadTrigger::Admin, actor);
        Ok(Response::new(pb::ReloadPolicyResponse { activation: Some(activation) }))
    }

    async fn get_policy_status(
        &self,
        request: Request<pb::GetPolicyStatusRequest>,
    ) -> Answer<pb::GetPolicyStatusResponse> {
        actor(&request, "read")?;
        Ok(Response::new(pb::GetPolicyStatusResponse { status: Some(self.state().status()) }))
    }

    async fn watch_policy_status(
        &self,
        request: Request<pb::WatchPolicyStatusRequest>,
    ) -> Answer<Self::WatchPolicyStatusStream> {
        actor(&request, "read")?;
        let response = pb::WatchPolicyStatusResponse { status: Some(self.state().status()) };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(response.clone()), Ok(response)]))))
    }

    async fn list_policy_revisions(
        &self,
        request: Request<pb::ListPolicyRevisionsRequest>,
    ) -> Answer<pb::ListPolicyRevisionsResponse> {
        let caller = actor(&request, "read")?.to_owned();
        let state = self.state();
        let revisions = state.revisions.iter().map(|(revision, _)| revision.clone()).collect();
        let activations = state.activations.clone();
        let origin = activations.first().cloned();
        let unnoticed = state.unnoticed.clone();
        Ok(Response::new(pb::ListPolicyRevisionsResponse { revisions, activations, caller, origin, unnoticed }))
    }

    async fn get_policy(&self, request: Request<pb::GetPolicyRequest>) -> Answer<pb::GetPolicyResponse> {
        actor(&request, "read")?;
        let (state, digest) = (self.state(), request.into_inner().digest);
        let staged = state.candidate.iter().map(|(candidate, bundle)| (&candidate.digest, bundle));
        let mut known = state.revisions.iter().map(|(revision, bundle)| (&revision.digest, bundle)).chain(staged);
        let found = known.find(|(known, _)| digest.is_empty() || **known == digest);
        let (digest, bundle) = found.ok_or_else(|| Status::not_found(format!("there is no revision {digest}")))?;
        let file = |file: &BundleFile| pb::PolicyFile { path: file.path.clone(), content: file.bytes.clone() };
        let files = Some(pb::PolicyFiles { files: bundle.files().iter().map(file).collect() });
        Ok(Response::new(pb::GetPolicyResponse { digest: digest.clone(), policies: Vec::new(), files }))
    }

    async fn rollback_policy(&self, request: Request<pb::RollbackPolicyRequest>) -> Answer<pb::RollbackPolicyResponse> {
        let actor = actor(&request, "rollback")?;
        let (mut state, request) = (self.state(), request.into_inner());
        state.reasons.push(request.reason);
        if request.expected_digest.is_empty() {
            return Err(Status::invalid_argument("expected_digest: mandatory"));
        }
        state.is_expected(&request.expected_digest)?;
        let found = state.revisions.iter().find(|(revision, _)| revision.digest == request.to_digest).cloned();
        let (_, bundle) = found.ok_or_else(|| Status::not_found("there is no such revision"))?;
        state.hold = pb::SourceHold::Overridden;
        let mut activation = state.activate(bundle, pb::ReloadTrigger::Rollback, actor);
        activation.notices.push("the source holds something else and stays out until it changes".into());
        Ok(Response::new(pb::RollbackPolicyResponse { activation: Some(activation) }))
    }

    async fn stage_candidate(&self, request: Request<pb::StageCandidateRequest>) -> Answer<pb::StageCandidateResponse> {
        let actor = actor(&request, "reload")?;
        let (mut state, request) = (self.state(), request.into_inner());
        state.reasons.push(request.reason);
        let bundle = match request.files {
            Some(files) => bundle_of(files)?,
            None => state.read()?,
        };
        state.admitted(&bundle, pb::ReloadTrigger::Admin)?;
        if let Some((staged, _)) = &state.candidate
            && staged.actor != actor
            && !request.replace
        {
            let message = format!("`{}` staged the candidate {}", staged.actor, staged.digest);
            let info = tonic_types::ErrorDetails::with_error_info("CANDIDATE_STAGED", "requite", HashMap::new());
            return Err(Status::with_error_details(Code::Aborted, message, info));
        }
        let changes = changes(&state.in_force().1, &bundle);
        let digest = bundle.digest().to_string();
        let fresh = pb::CandidateStatus {
            digest: digest.clone(),
            sample_per_thousand: request.sample_per_thousand,
            ..Default::default()
        };
        let staged = pb::CandidateStatus {
            staged_over_digest: state.in_force().0.digest.clone(),
            ..observed(digest, actor, request.sample_per_thousand)
        };
        state.candidate = Some((staged, bundle));
        Ok(Response::new(pb::StageCandidateResponse {
            candidate: Some(fresh),
            changes,
            warnings: Vec::new(),
            further_changes: 0,
            notices: Vec::new(),
        }))
    }

    async fn promote_candidate(
        &self,
        request: Request<pb::PromoteCandidateRequest>,
    ) -> Answer<pb::PromoteCandidateResponse> {
        let actor = actor(&request, "reload")?;
        let (mut state, request) = (self.state(), request.into_inner());
        state.reasons.push(request.reason);
        state.is_expected(&request.expected_digest)?;
        if state.candidate.as_ref().is_some_and(|(staged, _)| staged.compared == 0) && !request.untried {
            let info = tonic_types::ErrorDetails::with_error_info("CANDIDATE_UNTRIED", "requite", HashMap::new());
            return Err(Status::with_error_details(Code::FailedPrecondition, "it was asked about nothing", info));
        }
        if state.candidate.as_ref().is_some_and(|(staged, _)| staged.withdrawal.is_some()) && !request.rolled_back {
            let info = tonic_types::ErrorDetails::with_error_info("CANDIDATE_WITHDRAWN", "requite", HashMap::new());
            return Err(Status::with_error_details(Code::FailedPrecondition, "it was rolled back from", info));
        }
        let (candidate, bundle) = state.taken(&request.digest)?;
        state.hold = pb::SourceHold::Overridden;
        let activation = Some(state.activate(bundle, pb::ReloadTrigger::Promotion, actor));
        Ok(Response::new(pb::PromoteCandidateResponse { activation, candidate: Some(candidate) }))
    }

    async fn discard_candidate(
        &self,
        request: Request<pb::DiscardCandidateRequest>,
    ) -> Answer<pb::DiscardCandidateResponse> {
        actor(&request, "reload")?;
        let (mut state, request) = (self.state(), request.into_inner());
        state.reasons.push(request.reason);
        let (candidate, _) = state.taken(&request.digest)?;
        Ok(Response::new(pb::DiscardCandidateResponse { candidate: Some(candidate) }))
    }
}
