//! Who is let in at the HTTP door, and who the caller is.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use reqwest::Url;

use super::{App, headers, limits, llm, problem::Problem};
use crate::{
    access::{
        self, Action, Denied, Forbidden, Guard, NoOperator, Permission, Refusal, Unauthorized,
    },
    clock,
    dialect::AppDialect,
    generation::OnDisconnect,
    ident::{ChannelId, ChannelKey, Owner},
    provider::Provider,
};

/// What everybody may have, also without a key: the console's files, health, and where to connect.
const PUBLIC: [&str; 9] = [
    "/",
    "/console.js",
    "/console.css",
    "/console/ops",
    "/ops.js",
    "/ops.css",
    "/healthz",
    "/readyz",
    "/v1/connect/info",
];

/// What only operators may have: it shows the channels of all keys.
const OPERATORS: [&str; 4] =
    ["/metrics", "/console/ops/state", "/console/ops/timeline", "/console/ops/config"];

/// Sessions bring their tokens with them, or say them later.
const CONNECT: &str = "/v1/connect";

/// Headers that hold a key or a token as it is.
const PLAIN: [HeaderName; 3] = [
    headers::TOKEN,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// Parameters of the query that hold one, where headers cannot be set, and as Google's SDKs send theirs.
pub(super) const PARAMETERS: [&str; 2] = ["token", "key"];

/// On whose behalf a request is made.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) owner: Owner,
    pub(super) who: access::Caller,
}

impl Caller {
    fn new(who: access::Caller) -> Self {
        Self { owner: who.owner(), who }
    }

    /// The holder of the key with this name; anybody where there are no keys, and there it has none.
    pub(super) fn named(app: &App, key: &str) -> Result<Self, Problem> {
        if app.access.is_open() && key.is_empty() {
            return Ok(Self::new(access::Caller::Anybody));
        }
        let known = app.access.keys().iter().find(|known| known.owner.as_str() == key);
        let known = known.ok_or(Unauthorized::Key)?;
        Ok(Self::new(access::Caller::Key(Arc::clone(known))))
    }

    /// The caller's channel of this id, which it names as its owner.
    pub(super) fn key(&self, id: ChannelId) -> ChannelKey {
        ChannelKey { owner: self.owner.clone(), id }
    }

    /// Asks to do something with a channel.
    pub(super) fn may(&self, action: Action, id: ChannelId) -> Result<Permission, Problem> {
        Ok(self.who.may(action, id)?)
    }

    /// Asks to use a model.
    pub(super) fn may_use(&self, model: &str) -> Result<(), Problem> {
        match self.who.access_key() {
            Some(key) if !key.may_use(model) => {
                let message = format!("this access key is not for the model `{model}`");
                Err(forbidden(message).about("model"))
            }
            _ => Ok(()),
        }
    }

    /// Asks to call what names no model, and so may use any.
    pub(super) fn may_use_any(&self) -> Result<(), Problem> {
        match self.who.access_key() {
            Some(key) if key.is_for_some_models() => Err(forbidden(
                "this access key is for some models only, and this route may use any",
            )),
            _ => Ok(()),
        }
    }

    /// What becomes of its generations when nobody is there, where its key says so.
    pub(super) fn on_disconnect(&self) -> Option<OnDisconnect> {
        self.who.access_key().and_then(|key| key.on_disconnect)
    }

    /// Asks to choose a channel's id.
    pub(super) fn may_name_channels(&self) -> Result<(), Problem> {
        match self.who.access_key() {
            Some(key) if !key.names_channels => {
                let message = "this access key may not name channels; leave the header out, and the answer says \
                               which channel it is on";
                Err(forbidden(message).about(headers::CHANNEL.as_str()))
            }
            _ => Ok(()),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| Unauthorized::Nothing.into())
    }
}

/// Who opens a session, as far as the request that opens it says: with keys, tokens may come later.
#[derive(Clone, Debug)]
pub(super) struct Connecting(pub(super) Result<access::Caller, Unauthorized>);

impl FromRequestParts<App> for Connecting {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self(authenticate(app, &parts.headers, &parts.uri)))
    }
}

/// Keeps out whoever comes by another name or from another page. Outermost: a stranger is not even told what it might ask.
pub(super) async fn screen(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    match names(&app.guard, headers, uri) {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            // A page is shown nothing of it: this is where its developer finds why. Strangers write no log otherwise.
            tracing::debug!(path = llm::shortened(uri.path()), %denied, "a request is refused");
            let is_llm = llm::is_llm_call(method, uri.path());
            let dialect = is_llm.then(|| llm::dialect_of(uri.path(), headers));
            refuse(&app, dialect, denied.into())
        }
    }
}

/// Lets a request in, or answers 401 or 403.
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_llm = llm::is_llm_call(request.method(), path);
    let dialect = llm::dialect_of(path, request.headers());
    let counts = is_llm && !request.method().is_safe();
    let admitted = admit(&app, &request, is_llm);
    // Told how it stands, whatever becomes of its call.
    let key = admitted.as_ref().ok().and_then(Option::as_ref);
    let key = key.and_then(|caller| caller.who.access_key()).filter(|_| is_llm).cloned();
    let admitted = admitted.and_then(|caller| {
        if let (true, Some(caller)) = (counts, &caller) {
            limits::request(&app, caller)?;
        }
        Ok(caller)
    });
    let mut response = match admitted {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(problem) => refuse(&app, is_llm.then_some(dialect), problem),
    };
    if let Some(key) = key {
        limits::tell(response.headers_mut(), dialect, &key.meter.standing());
    }
    response
}

/// A refusal, counted, in the dialect of an app's call.
fn refuse(app: &App, dialect: Option<AppDialect>, problem: Problem) -> Response {
    match problem.status {
        StatusCode::UNAUTHORIZED => Refusal::Unauthorized.count(&app.telemetry.metrics),
        StatusCode::FORBIDDEN => Refusal::Forbidden.count(&app.telemetry.metrics),
        _ => {}
    }
    match dialect {
        Some(dialect) => llm::refuse(dialect, problem),
        None => problem.into_response(),
    }
}

/// Who the caller is; nobody in particular where nobody is asked.
fn admit(app: &App, request: &Request, is_llm: bool) -> Result<Option<Caller>, Problem> {
    let (path, headers) = (request.uri().path(), request.headers());
    if is_llm && *request.method() == Method::POST {
        let content_type = text(headers, &header::CONTENT_TYPE);
        match llm::is_generation(path) {
            true => app.guard.content_type(content_type)?,
            false => app.guard.passing_content_type(content_type)?,
        }
    }
    if app.access.is_open() {
        return Ok(Some(Caller::new(access::Caller::Anybody)));
    }
    // A browser asks first whether it may ask, and shows nothing then.
    if PUBLIC.contains(&path) || path == CONNECT || *request.method() == Method::OPTIONS {
        return Ok(None);
    }
    if OPERATORS.contains(&path) {
        let shown = shown(headers, None);
        app.access.may_operate(shown.iter().map(String::as_str))?;
        return Ok(None);
    }
    let who = authenticate(app, headers, request.uri())?;
    if is_llm {
        who.may_as_owner()?;
    }
    Ok(Some(Caller::new(who)))
}

/// Who shows these keys or tokens; anybody where there are no keys.
fn authenticate(app: &App, headers: &HeaderMap, uri: &Uri) -> Result<access::Caller, Unauthorized> {
    match app.access.is_open() {
        true => Ok(access::Caller::Anybody),
        false => {
            let shown = shown(headers, uri.query());
            app.access.authenticate(shown.iter().map(String::as_str), clock::now_ms())
        }
    }
}

/// Takes a key that a request brings along to a provider that may have it: one that is neither a key of this gateway's
/// nor a channel token.
pub(super) fn bring(app: &App, provider: &Provider, from: &HeaderMap, to: &mut HeaderMap) {
    let Some(place) = provider.caller_key() else { return };
    if let Some(key) = foreign(app, from) {
        place.put(to, &key);
    }
}

/// Whether a request is made with a key that it brings along.
pub(super) fn brings(app: &App, provider: &Provider, from: &HeaderMap) -> bool {
    provider.caller_key().is_some() && foreign(app, from).is_some()
}

fn foreign(app: &App, from: &HeaderMap) -> Option<String> {
    let is_foreign = |text: &String| !text.is_empty() && !app.access.knows(text);
    let mut from = from.clone();
    // Meant for the gateway, whatever it holds.
    from.remove(headers::TOKEN);
    shown(&from, None).into_iter().find(is_foreign)
}

/// All keys and tokens that a request shows, those that are most on purpose first.
fn shown(headers: &HeaderMap, query: Option<&str>) -> Vec<String> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let mut all: Vec<_> = PLAIN.iter().filter_map(|name| text(name).map(str::to_owned)).collect();
    if let Some((scheme, rest)) = text(&header::AUTHORIZATION).and_then(|it| it.split_once(' '))
        && scheme.eq_ignore_ascii_case("bearer")
    {
        all.push(rest.trim().to_owned());
    }
    all.extend(shown_in_query(query));
    all
}

/// Those in a query.
pub(crate) fn shown_in_query(query: Option<&str>) -> Vec<String> {
    // Read as browsers write it.
    let url = query.and_then(|query| Url::parse(&format!("http://localhost/?{query}")).ok());
    let Some(url) = url else { return Vec::new() };
    let values = url.query_pairs().filter(|(name, _)| PARAMETERS.contains(&&**name));
    values.map(|(_, value)| value.into_owned()).take(PARAMETERS.len()).collect()
}

/// The host and the origin that a request names.
fn names(guard: &Guard, headers: &HeaderMap, uri: &Uri) -> Result<(), Denied> {
    let authority = uri.authority().map(|authority| authority.as_str());
    let host = text(headers, &header::HOST).or(authority).unwrap_or_default();
    guard.host(host)?;
    guard.origin(text(headers, &header::ORIGIN), host)?;
    Ok(())
}

/// A header; one that is no text is none of those that are let in.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

pub(super) fn forbidden(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
}

impl From<Denied> for Problem {
    fn from(error: Denied) -> Self {
        forbidden(error.to_string())
    }
}

impl From<Forbidden> for Problem {
    fn from(error: Forbidden) -> Self {
        forbidden(error.to_string())
    }
}

impl From<NoOperator> for Problem {
    fn from(error: NoOperator) -> Self {
        match error {
            NoOperator::Shut => forbidden(error.to_string()),
            NoOperator::Nothing | NoOperator::Key => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", error.to_string())
            }
        }
    }
}

impl From<Unauthorized> for Problem {
    fn from(error: Unauthorized) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", error.to_string())
    }
}
