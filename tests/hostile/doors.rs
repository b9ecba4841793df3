//! The ports of a gateway that gets its certificate from an authority: the one for TLS, and the one for HTTP-01, which
//! strangers reach as a matter of course.

use std::{net::SocketAddr, time::Duration};

use crate::{
    Table,
    gateway::{Answer, Gateway, exchange},
    http::{hello, junk},
};

/// A gateway with both, which waits for an authority that is not there: it shows a makeshift meanwhile.
pub(crate) struct Doors {
    gateway: Gateway,
    /// Where HTTP-01 is answered.
    plain: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Doors {
    pub(crate) fn open() -> Self {
        let [plain, nobody] = [free_port(), free_port()];
        let gateway = Gateway::of(&format!(
            "tls: {{ acme: {{ domains: [gateway.example], directory: \"https://{nobody}/\", http: \"{plain}\" }} }}\n\
             limits: {{ body: 1MiB, headers: 16KiB, header_timeout: 2s, body_timeout: 2s }}\n"
        ));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { gateway, plain, runtime: runtime.expect("a runtime") }
    }

    pub(crate) fn close(self, patience: Duration) {
        self.gateway.stop(patience);
    }

    pub(crate) fn try_all(&self, table: &mut Table<'_>) {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let get = |path: &str| {
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").into_bytes()
        };
        for (input, said) in [
            ("HTTP in the clear", get("/healthz")),
            ("HTTP/2 in the clear", preface.to_vec()),
            ("4 KiB of junk", junk(4_096)),
            ("a greeting of junk", hello()),
            (
                "a greeting of SSL 3.0",
                [&[0x16, 3, 0, 0, 42, 1, 0, 0, 38, 3, 0][..], &[0; 36]].concat(),
            ),
            ("a record larger than any", vec![0x16, 3, 1, 0xff, 0xff]),
            ("words without a handshake", [&[0x17, 3, 3, 0, 64][..], &[7; 64]].concat()),
            ("20,000 alerts", [0x15, 3, 3, 0, 2, 1, 0].repeat(20_000)),
        ] {
            let answer = exchange(self.gateway.http, &said);
            self.note(table, format!("on the TLS port, {input}"), "closed", &answer);
        }
        let proof = "/.well-known/acme-challenge";
        let post = format!("POST {proof}/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n");
        for (input, said, expected) in [
            ("a token that nobody asked for", get(&format!("{proof}/{}", "a".repeat(43))), "404"),
            ("a token of 70,000", get(&format!("{proof}/{}", "a".repeat(70_000))), "414|431"),
            ("a token with a NUL", get(&format!("{proof}/%00")), "404"),
            ("a token that is no UTF-8", get(&format!("{proof}/%ff%fe")), "400"),
            ("a token out of the directory", get(&format!("{proof}/..%2f..%2fcert.pem")), "404"),
            ("a path out of the directory", get(&format!("{proof}/../../cert.pem")), "404"),
            ("the gateway's own routes", get("/v1/models"), "404"),
            ("its metrics", get("/metrics"), "404"),
            (
                "a proof that is sent",
                format!("{post}content-length: 0\r\n\r\n").into_bytes(),
                "405",
            ),
            (
                "two lengths",
                format!("{post}content-length: 1\r\ncontent-length: 2\r\n\r\n").into_bytes(),
                "400",
            ),
            ("a head that stands still", post.clone().into_bytes(), "closed|408"),
            (
                "a header of 100,000",
                format!("{post}x-a: {}\r\n\r\n", "a".repeat(100_000)).into_bytes(),
                "431",
            ),
            ("TLS", hello(), "400|closed"),
            ("4 KiB of junk", junk(4_096), "400|closed"),
            ("HTTP/2, then junk", [&preface[..], &[0xee; 64]].concat(), "closed"),
        ] {
            let answer = exchange(self.plain, &said);
            self.note(table, format!("on the HTTP-01 port, {input}"), expected, &answer);
        }
    }

    /// What came of it, and whether this gateway still shakes hands and answers an authority.
    fn note(&self, table: &mut Table<'_>, input: String, expected: &str, answer: &Answer) {
        let shown = if answer.hung { "hung".to_owned() } else { answer.shown() };
        let got = match self.is_healthy() {
            true => shown,
            false => format!("ill after {shown}"),
        };
        table.note(input, expected, got);
    }

    fn is_healthy(&self) -> bool {
        let asked =
            b"GET /.well-known/acme-challenge/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let url = format!("https://{}/healthz", self.gateway.http);
        let served = self.runtime.block_on(async {
            let careless =
                reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
            let careless = careless.timeout(Duration::from_secs(5)).build().expect("a client");
            careless.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
        });
        served && exchange(self.plain, asked).status == 404
    }
}

fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}
