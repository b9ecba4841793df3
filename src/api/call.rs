//! An app's call becomes a generation on a channel: understood, launched, and then answered (`answer`).
//!
//! The same for every dialect: what differs is in [`AppRequest`], and in how the app's stream is written ([`Form`]).

use std::{collections::HashMap, sync::Arc};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use tokio::time::{Duration, Instant, sleep};

use super::{
    App,
    access::{self, Caller},
    answer,
    form::Form,
    handover, headers, limits, llm,
    problem::Problem,
    responses::Turn,
};
use crate::{
    access::BodyRoom,
    channel::{AppendError, Channel, Handover, Refused},
    dialect::{AppDialect, AppRequest, Asked, BadRequest, Dialect, Streaming, Upstream},
    generation::{Account, Attempt, Launched, OnBreak, OnDisconnect, Order},
    ident::ChannelId,
    provider::{self, Provider},
    route::{Plan, Price, Target},
    store::StoreError,
    telemetry::TraceContext,
};

/// What an app asks, and the form in which it wants a stream.
pub(super) struct Asking {
    pub(super) request: AppRequest,
    pub(super) form: Form,
    /// What its answer depends on, as the app asked it.
    pub(super) asked: Asked,
    /// What is remembered of it, where it is a response.
    pub(super) turn: Option<Turn>,
    /// Another gateway was asked: whoever looks on is to see it as it comes.
    pub(super) handed_over: bool,
    /// Its body's part of the memory that all bodies may take: kept until its generation has ended.
    pub(super) body_room: Option<Arc<BodyRoom>>,
}

impl Asking {
    /// An app's call in a dialect that remembers nothing.
    pub(super) fn new(request: AppRequest, form: Form, room: BodyRoom) -> Self {
        let body_room = Some(Arc::new(room));
        Self { asked: request.asked(), request, form, turn: None, handed_over: false, body_room }
    }
}

/// A call that has been understood.
pub(super) struct Call {
    pub(super) request: AppRequest,
    pub(super) form: Form,
    pub(super) asked: Asked,
    pub(super) turn: Option<Turn>,
    pub(super) named: Option<ChannelId>,
    /// It goes on whether or not anybody is there.
    pub(super) detached: bool,
    /// The app wants to be told only where it will be found.
    pub(super) accepted: bool,
    /// The app wants a token of its channel.
    pub(super) wants_token: bool,
    pub(super) plan: Plan,
    /// One for each target that can be told it, at least one.
    attempts: Vec<Attempt>,
    /// Where the app is in a trace.
    trace: Option<TraceContext>,
    /// What each of them is not told.
    omissions: Vec<Vec<String>>,
    pub(super) body_room: Option<Arc<BodyRoom>>,
    /// The call as another gateway may be given it.
    pub(super) handover: Option<Bytes>,
}

/// A call that runs.
pub(super) struct Running {
    pub(super) launched: Launched,
    pub(super) channel: Arc<Channel>,
}

/// Answers an app's call, whatever comes of it.
pub(super) async fn take(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    dialect: AppDialect,
    asking: Result<Asking, Problem>,
) -> Response {
    let call = match asking.and_then(|asking| understand(app, caller, headers, asking)) {
        Ok(call) => call,
        Err(problem) => return llm::refuse(dialect, problem),
    };
    match launch(app, caller, &call).await {
        Ok(running) => answer::answer(app, &call, running).await,
        Err(problem) => llm::refuse(dialect, problem),
    }
}

/// Finds who is to be called, and how each of them is told.
pub(super) fn understand(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    Asking { request, form, asked, turn, handed_over, body_room }: Asking,
) -> Result<Call, Problem> {
    caller.may_use(request.model())?;
    let plan = app.routes.plan(request.model(), rand::random()).map_err(|error| {
        Problem::new(StatusCode::NOT_FOUND, "model_not_found", error.to_string()).about("model")
    })?;
    let named = headers::channel(headers)?;
    if named.is_some() {
        caller.may_name_channels()?;
    }
    let accepted = headers::wants_async(headers);
    let detached = accepted || turn.as_ref().is_some_and(|turn| turn.background);
    let continues = plan.failover.on_break == OnBreak::Continue;
    let streamed = request.streams() || named.is_some() || detached || continues || handed_over;
    let streaming = if streamed { Streaming::Always } else { Streaming::AsAsked };
    let (attempts, omissions) = attempts(app, headers, &request, &plan, streaming)?;
    // A key that only this caller has cannot be left to anybody.
    let of_caller = || attempts.iter().any(|attempt| attempt.provider.caller_key().is_some());
    let is_given = app.channels.are_shared() && (continues || named.is_some());
    let handover = match is_given && !of_caller() {
        true => handover::write(caller, headers, &request, detached),
        false => None,
    };
    let wants_token = headers::wants_token(headers);
    let trace = TraceContext::of(headers);
    Ok(Call {
        request,
        form,
        asked,
        turn,
        named,
        detached,
        accepted,
        wants_token,
        plan,
        attempts,
        trace,
        omissions,
        body_room,
        handover,
    })
}

/// A target that cannot be told the call is left out if another can.
fn attempts(
    app: &App,
    headers: &HeaderMap,
    request: &AppRequest,
    plan: &Plan,
    streaming: Streaming,
) -> Result<(Vec<Attempt>, Vec<Vec<String>>), Problem> {
    let own = Dialect::from(request.dialect());
    let (mut attempts, mut omissions) = (Vec::new(), Vec::new());
    let mut written: HashMap<(Dialect, &str), Result<Upstream, BadRequest>> = HashMap::new();
    let mut refused = None;
    for Target { provider, model, price } in &plan.targets {
        let provider = app.providers.get(provider).map(Arc::clone);
        let provider = provider.expect("config checks that every target's provider exists");
        let dialect = llm::spoken_by(&provider);
        let upstream = written.entry((dialect, model));
        let upstream = upstream.or_insert_with(|| request.upstream(dialect, model, streaming));
        match upstream {
            Ok(upstream) => {
                omissions.push(upstream.dropped.paths().to_vec());
                let mut sent = upstream_headers(headers, own, dialect, upstream);
                access::bring(app, &provider, headers, &mut sent);
                attempts.push(Attempt {
                    model: model.clone(),
                    price: *price,
                    dialect,
                    request: provider::Request {
                        method: Method::POST,
                        path: upstream.path.clone(),
                        headers: sent,
                        body: upstream.body.clone(),
                        connect_timeout: plan.timeouts.connect,
                    },
                    provider,
                });
            }
            Err(error) => {
                refused.get_or_insert_with(|| error.clone());
            }
        }
    }
    match refused {
        Some(error) if attempts.is_empty() => Err(misunderstood(&error)),
        _ => Ok((attempts, omissions)),
    }
}

/// The app's headers as far as the provider understands them, and those that its dialect needs.
fn upstream_headers(
    from_app: &HeaderMap,
    own: Dialect,
    target: Dialect,
    upstream: &Upstream,
) -> HeaderMap {
    let mut headers = match headers::are_alike(own, target) {
        true => headers::upstream(from_app),
        false => headers::upstream_abroad(from_app),
    };
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    for (name, value) in &upstream.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.entry(HeaderName::from_static(name)).or_insert(value);
        }
    }
    headers
}

/// What is wrong with a request, as a problem.
pub(super) fn misunderstood(error: &BadRequest) -> Problem {
    Problem { param: error.param.clone(), ..Problem::bad_request(error.to_string()) }
}

/// How long it is tried to begin where another gateway writes, which may have gone: longer than a lease of the usual length.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Begins the generation, here or where its channel is written.
pub(super) async fn launch(app: &App, caller: &Caller, call: &Call) -> Result<Running, Problem> {
    let until = Instant::now() + BEGINS_WITHIN;
    let mut anew = false;
    loop {
        let account = limits::open(app, caller, call)?;
        let refused = match launch_once(app, caller, call, account).await {
            Ok(running) => return Ok(running),
            Err(refused) => refused,
        };
        let Some(id) = &call.named else { return Err(refused.into()) };
        match &refused {
            // It may be deleted or expire between finding it and beginning on it, and then it is made anew; or another node may
            // take it over.
            AppendError::Closed | AppendError::Store(StoreError::Fenced) if !anew => anew = true,
            AppendError::Store(StoreError::Elsewhere) => {
                let Some(handover) = call.handover.clone() else { return Err(refused.into()) };
                let begun = app.channels.begin_elsewhere(&caller.key(id.clone()), handover).await;
                // What NATS cannot carry begins where its app is, or nowhere.
                if let Err(Refused::Store(StoreError::TooLarge { .. })) = begun {
                    return Err(refused.into());
                }
                match begun? {
                    Some((channel, begun)) => {
                        let metrics = &app.telemetry.metrics;
                        let launched = Launched::elsewhere(begun, &channel, metrics);
                        return Ok(Running { launched, channel });
                    }
                    None if Instant::now() < until => sleep(AGAIN_AFTER).await,
                    None => return Err(refused.into()),
                }
            }
            _ => return Err(refused.into()),
        }
    }
}

async fn launch_once(
    app: &App,
    caller: &Caller,
    call: &Call,
    account: Box<dyn Account>,
) -> Result<Running, AppendError> {
    let channel = match &call.named {
        Some(id) => app.channels.open(caller.key(id.clone())).await?,
        None => app.channels.create(caller.owner.clone()).await?,
    };
    let launched =
        app.generations.launch(order(app, caller, call, Arc::clone(&channel), account))?;
    Ok(Running { launched, channel })
}

/// What is to be generated, and where.
pub(super) fn order(
    app: &App,
    caller: &Caller,
    call: &Call,
    channel: Arc<Channel>,
    account: Box<dyn Account>,
) -> Order {
    let plan = &call.plan;
    let on_disconnect = match call.detached {
        true => OnDisconnect::Drain,
        false => caller.on_disconnect().unwrap_or(plan.on_disconnect),
    };
    let continues = plan.failover.on_break == OnBreak::Continue;
    let handover = call.handover.clone().filter(|_| continues);
    let handover = handover.map(|it| Handover::new(Arc::clone(&app.channels), it));
    Order {
        channel,
        model: call.request.model().to_owned(),
        route: plan.route.clone(),
        caller: call.trace.clone(),
        attempts: call.attempts.clone(),
        call: Arc::new(call.request.clone()),
        failover: plan.failover,
        health: Arc::clone(&app.health),
        account,
        timeouts: plan.timeouts,
        on_disconnect,
        handover,
    }
}

impl Call {
    /// Whether the app may be given a provider's own bytes: nobody else will go on, and it went as its app wrote it.
    pub(super) fn takes_bytes(&self) -> bool {
        let rewritten = self.turn.as_ref().is_some_and(|turn| turn.rewritten);
        self.plan.failover.on_break == OnBreak::Fail && !rewritten
    }

    /// Who is called first.
    pub(super) fn first(&self) -> &Provider {
        &self.attempts.first().expect("a call has an attempt").provider
    }

    /// What is sent to whoever is called first.
    pub(super) fn body(&self) -> &[u8] {
        self.attempts.first().map_or(&[], |attempt| &attempt.request.body)
    }

    /// What it costs where it may go, as far as that is known.
    pub(super) fn prices(&self) -> impl Iterator<Item = Price> {
        self.attempts.iter().filter_map(|attempt| attempt.price)
    }

    /// The first target of which the price is not known.
    pub(super) fn unpriced(&self) -> Option<(&str, &str)> {
        let unpriced = self.attempts.iter().find(|attempt| attempt.price.is_none())?;
        Some((unpriced.provider.name(), &unpriced.model))
    }

    /// What a target was not told of this call, by its place among the attempts.
    pub(super) fn dropped(&self, target: usize) -> impl Iterator<Item = &str> {
        self.omissions.get(target).into_iter().flatten().map(String::as_str)
    }
}
