//! The gateway has no keys here, so it is open to this machine and to nobody else: no page of another origin, no name
//! that a stranger made point at loopback.

use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{self, asked, body, header, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_name_for_this_machine_is_refused_on_every_route() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/console.js"),
        (Method::GET, "/healthz"),
        (Method::GET, "/readyz"),
        (Method::GET, "/none"),
        (Method::GET, "/v1/models"),
        (Method::POST, "/v1/chat/completions"),
        (Method::POST, "/v1/embeddings"),
        (Method::GET, "/v1/files"),
        (Method::GET, "/v1/channels/a"),
        (Method::GET, "/v1/channels/a/events"),
        (Method::POST, "/v1/channels/a/events"),
        (Method::POST, "/v1/channels/a/cancel"),
        (Method::DELETE, "/v1/channels/a"),
        (Method::GET, "/v1/connect"),
        (Method::GET, "/v1/connect/info"),
        (Method::OPTIONS, "/v1/channels/a"),
    ] {
        for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.168.0.1"] {
            let request = gateway
                .http
                .request(method.clone(), gateway.url(path))
                .body(asked(true).to_string());
            let request = request.header("host", host).header("content-type", "application/json");
            let response = send(request).await;
            assert_eq!(response.status(), 403, "{method} {path} under {host}");
            assert_eq!(body(response).await["error"]["code"], "forbidden");
        }
    }
    assert!(upstream.is_idle().await);
    for host in ["localhost", "app.localhost:99", "[::1]:8080", "127.0.0.1"] {
        assert_eq!(
            send(gateway.get("/v1/models").header("host", host)).await.status(),
            200,
            "{host}"
        );
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_refused_each_in_the_routes_own_dialect() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for origin in ["https://evil.example", "null", "http://localhost:1", "file://"] {
        let response = send(gateway.streamed().header("origin", origin)).await;
        assert_eq!(response.status(), 403, "{origin}");
        assert!(!response.headers().contains_key("access-control-allow-origin"));
        let error = &body(response).await["error"];
        let members: Vec<_> = error.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["message", "type", "param", "code"], "OpenAI's form");
        assert_eq!(error["code"], "forbidden");
        for path in ["/v1/channels/a", "/v1/channels/a/events", "/", "/healthz"] {
            let response = send(gateway.get(path).header("origin", origin)).await;
            assert_eq!(response.status(), 403, "{path}");
            let error = &body(response).await["error"];
            assert_eq!(error.as_object().map(|members| members.len()), Some(2), "our form");
        }
    }
    let own = format!("http://localhost:{}", gateway.addr.port());
    assert_eq!(send(gateway.get("/v1/models").header("origin", &own)).await.status(), 200);
    assert!(upstream.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_llm_call_must_be_json() {
    let (gateway, upstream) = gateway::with_upstream().await;
    // What a page may send anywhere without asking first.
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let request =
            gateway.http.post(gateway.url("/v1/chat/completions")).body(asked(true).to_string());
        let response = send(request.header("content-type", content_type)).await;
        assert_eq!(response.status(), 403, "{content_type}");
        assert_eq!(body(response).await["error"]["code"], "forbidden");
    }
    let request =
        gateway.http.post(gateway.url("/v1/chat/completions")).body(asked(true).to_string());
    assert_eq!(send(request).await.status(), 403, "none at all");
    let request = gateway.http.post(gateway.url("/v1/embeddings")).body("input=x");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(request).await.status(), 403);
    assert!(upstream.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_read_the_answers() {
    let allowed = "https://app.example";
    let (gateway, upstream) =
        gateway::with("", |config| config.access.allowed_origins = vec![allowed.to_owned()]).await;
    // The browser asks first, for all that an SDK in a page sends.
    let preflight = gateway.http.request(Method::OPTIONS, gateway.url("/v1/chat/completions"));
    let asked_for = "authorization,content-type,prefer,tokenway-channel,x-stainless-os";
    let preflight = preflight
        .header("origin", allowed)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", asked_for);
    let response = send(preflight).await;
    assert!(response.status().is_success(), "{}", response.status());
    assert_eq!(header(response.headers(), "access-control-allow-origin"), allowed);
    let granted = header(response.headers(), "access-control-allow-headers").to_ascii_lowercase();
    for name in asked_for.split(',') {
        assert!(granted.contains(name), "{name}: {granted}");
    }
    assert!(header(response.headers(), "access-control-allow-methods").contains("POST"));

    let call = gateway::sent(gateway.streamed().header("origin", allowed));
    let mut provider = upstream.call().await;
    assert_eq!(provider.header("origin"), None);
    provider.begin_with("access-control-allow-origin: *\r\n").await;
    provider.finish().await;
    let response = call.await.expect("a response");
    let origins: Vec<_> =
        response.headers().get_all("access-control-allow-origin").iter().collect();
    assert_eq!(origins, [allowed], "ours, and not the provider's");
    let exposed = header(response.headers(), "access-control-expose-headers");
    assert!(
        exposed.contains("tokenway-channel") && exposed.contains("tokenway-epoch"),
        "{exposed}"
    );

    // Refusals can be read, too.
    let response = send(gateway.get("/v1/channels/none").header("origin", allowed)).await;
    assert_eq!(response.status(), 404);
    assert_eq!(header(response.headers(), "access-control-allow-origin"), allowed);
    assert_eq!(body(response).await["error"]["code"], json!("channel_not_found"));

    // Another origin's browser is told nothing of the kind.
    let preflight = gateway.http.request(Method::OPTIONS, gateway.url("/v1/chat/completions"));
    let preflight = preflight
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    let response = send(preflight).await;
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_served_and_loads_nothing_from_elsewhere() {
    let (gateway, _upstream) = gateway::with_upstream().await;
    for (path, content_type) in
        [("/", "text/html"), ("/console.js", "text/javascript"), ("/console.css", "text/css")]
    {
        let response = send(gateway.get(path)).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(header(response.headers(), "content-type").starts_with(content_type));
        assert!(
            header(response.headers(), "content-security-policy").contains("default-src 'self'")
        );
    }
    let info = body(send(gateway.get("/v1/connect/info")).await).await;
    assert_eq!(info["protocol"], "tokenway.v1");
    assert_eq!(info["websocket"], format!("ws://{}/v1/connect", gateway.addr));
    assert_ne!(info["sse"], Value::Null);
    gateway.stop().await;
}
