//! What the gateway serves by now: routes, providers, limits and who may come in, as one value that is replaced as one.
//!
//! A request keeps what it began with to its end.

use std::sync::Arc;

use axum::{Router, extract::Request, response::Response};
use bytes::Bytes;
use parking_lot::RwLock;
use tower_service::Service;

use crate::{
    api::{self, App},
    channel::{Channel, Orphan, Successor},
    ident::ChannelKey,
    store::{Begun, Pending, Refusal},
};

/// What is served now. Clones are the same.
#[derive(Clone)]
pub(super) struct Current(Arc<RwLock<(App, Router)>>);

impl Current {
    pub(super) fn new(app: App) -> Self {
        let router = api::router(app.clone());
        Self(Arc::new(RwLock::new((app, router))))
    }

    /// What whoever comes now is served by.
    pub(super) fn app(&self) -> App {
        self.0.read().0.clone()
    }

    /// From now on whoever comes is served by this.
    pub(super) fn replace(&self, app: App) {
        let router = api::router(app.clone());
        *self.0.write() = (app, router);
    }

    /// Serves each request by what is current when it comes.
    pub(super) fn router(&self) -> Router {
        let current = self.clone();
        // Made ready once, not for each request.
        Router::new().fallback(async move |request| current.serve(request).await).with_state(())
    }

    async fn serve(&self, request: Request) -> Response {
        let mut router = self.0.read().1.clone();
        // A router is always ready, and never fails.
        let Ok(response) = router.call(request).await;
        response
    }
}

impl Successor for Current {
    fn go_on(&self, orphan: Orphan) {
        api::go_on(&self.app(), orphan);
    }

    fn begin(&self, channel: &Arc<Channel>, call: Bytes) -> Result<Begun, Refusal> {
        let app = self.app();
        // What begins now would be cut off in the middle.
        match app.draining.is_cancelled() {
            true => Err(Refusal::NotBegun),
            false => api::begin(&app, channel, call),
        }
    }

    fn recall<'a>(
        &'a self,
        channel: &'a ChannelKey,
        question: Bytes,
    ) -> Pending<'a, Option<Bytes>> {
        Box::pin(async move { api::recall(&self.app(), channel, &question).await })
    }
}
