//! The proxies on real sockets, and the program that steers them.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr},
    process::{Command, Stdio},
    time::Duration,
};

use impair::{Conditions, Kind, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, timeout},
};

const SOON: Duration = Duration::from_secs(10);

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Sends back what comes, with the port it came from before it.
async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind(any_port()).await.expect("loopback");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut packet = [0; 2_048];
        while let Ok((len, from)) = socket.recv_from(&mut packet).await {
            let answer = [from.to_string().as_bytes(), b" ", &packet[..len]].concat();
            let _ = socket.send_to(&answer, from).await;
        }
    });
    address
}

/// Sends back what comes.
async fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind(any_port()).await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn proxy(kind: Kind, to: SocketAddr) -> Proxy {
    Proxy::open(kind, any_port(), to, 7).await.expect("loopback")
}

async fn client(of: &Proxy) -> UdpSocket {
    let socket = UdpSocket::bind(any_port()).await.expect("loopback");
    socket.connect(of.local_addr()).await.expect("loopback");
    socket
}

/// What comes back, and from which address the other side saw it sent.
async fn ask(client: &UdpSocket, text: &str) -> (SocketAddr, String) {
    client.send(text.as_bytes()).await.expect("sent");
    let mut answer = [0; 2_048];
    let len = timeout(SOON, client.recv(&mut answer)).await.expect("in time").expect("received");
    let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
    let (from, text) = answer.split_once(' ').expect("two words");
    (from.parse().expect("an address"), text.to_owned())
}

fn late(delay_ms: f64) -> Conditions {
    Conditions { delay_ms, ..Conditions::default() }
}

#[tokio::test]
async fn packets_take_their_time_both_ways() {
    let proxy = proxy(Kind::Udp, udp_echo().await).await;
    proxy.set(late(30.0), late(20.0)).await;
    let client = client(&proxy).await;
    let sent = Instant::now();
    assert_eq!(ask(&client, "hello").await.1, "hello");
    assert!(sent.elapsed() >= Duration::from_millis(50), "{:?}", sent.elapsed());
}

#[tokio::test]
async fn packets_are_lost_doubled_and_overtaken_and_counted() {
    let proxy = proxy(Kind::Udp, udp_echo().await).await;
    let down = Conditions { loss: 0.2, duplicate: 0.1, reorder: 0.2, ..late(5.0) };
    proxy.set(Conditions::default(), down).await;
    let client = client(&proxy).await;
    let mut seen = Vec::new();
    let mut answer = [0; 2_048];
    for number in 0..400u32 {
        client.send(format!("{number}").as_bytes()).await.expect("sent");
        while let Ok(Ok(len)) = timeout(Duration::from_millis(1), client.recv(&mut answer)).await {
            seen.push(String::from_utf8_lossy(&answer[..len]).into_owned());
        }
    }
    while let Ok(Ok(len)) = timeout(Duration::from_millis(300), client.recv(&mut answer)).await {
        seen.push(String::from_utf8_lossy(&answer[..len]).into_owned());
    }
    let numbers: Vec<u32> =
        seen.iter().filter_map(|one| one.split_once(' ')?.1.parse().ok()).collect();
    let mut distinct = numbers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let counts = proxy.counts().await.expect("it runs");
    assert!((280..=360).contains(&distinct.len()), "{} of 400", distinct.len());
    assert_eq!(counts.lost as usize, 400 - distinct.len(), "{counts:?}");
    assert!(counts.doubled > 10 && numbers.len() as u64 > distinct.len() as u64 + 10);
    assert!(!numbers.is_sorted(), "some were overtaken");
}

#[tokio::test]
async fn after_a_rebind_the_other_side_sees_another_address() {
    let proxy = proxy(Kind::Udp, udp_echo().await).await;
    let client = client(&proxy).await;
    let (before, _) = ask(&client, "a").await;
    let elsewhere: IpAddr = [127, 0, 0, 2].into();
    proxy.rebind(elsewhere).await;
    let (after, text) = ask(&client, "b").await;
    assert_eq!((after.ip(), text.as_str()), (elsewhere, "b"));
    assert_ne!(before.port(), after.port());
}

#[tokio::test]
async fn a_closed_proxy_refuses_and_a_reopened_one_is_at_the_same_place() {
    let udp = proxy(Kind::Udp, udp_echo().await).await;
    let tcp = proxy(Kind::Tcp, tcp_echo().await).await;
    for proxy in [&udp, &tcp] {
        proxy.close().await;
        proxy.counts().await.expect("it still obeys");
    }
    let packets = client(&udp).await;
    packets.send(b"x").await.expect("the first one is sent");
    let refused = timeout(SOON, packets.recv(&mut [0; 10])).await.expect("in time");
    assert_eq!(refused.expect_err("closed").kind(), std::io::ErrorKind::ConnectionRefused);
    TcpStream::connect(tcp.local_addr()).await.expect_err("closed");
    for proxy in [&udp, &tcp] {
        proxy.reopen().await.expect("the place is free");
    }
    assert_eq!(ask(&packets, "again").await.1, "again");
    TcpStream::connect(tcp.local_addr()).await.expect("open");
}

async fn echoed(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).await.expect("written");
    let mut answer = vec![0; bytes.len()];
    timeout(SOON, stream.read_exact(&mut answer)).await.expect("in time").expect("whole");
    answer
}

#[tokio::test]
async fn a_stream_is_late_and_whole() {
    let proxy = proxy(Kind::Tcp, tcp_echo().await).await;
    let lossy = Conditions { loss: 0.05, jitter_ms: 5.0, ..late(10.0) };
    proxy.set(lossy.clone(), lossy).await;
    let mut stream = TcpStream::connect(proxy.local_addr()).await.expect("open");
    let began = Instant::now();
    let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    assert_eq!(echoed(&mut stream, &bytes).await, bytes);
    assert!(began.elapsed() >= Duration::from_millis(40), "a handshake and a round trip");
}

#[tokio::test]
async fn a_blackhole_is_silent_and_streams_go_on_after_it() {
    let proxy = proxy(Kind::Tcp, tcp_echo().await).await;
    let mut stream = TcpStream::connect(proxy.local_addr()).await.expect("open");
    assert_eq!(echoed(&mut stream, b"before").await, b"before");
    let hole = Conditions { blackhole: true, ..Conditions::default() };
    proxy.set(hole.clone(), hole).await;
    proxy.counts().await.expect("it obeys in order");
    stream.write_all(b"during").await.expect("the kernel takes it");
    let mut answer = [0; 6];
    let silence = timeout(Duration::from_millis(250), stream.read_exact(&mut answer)).await;
    silence.expect_err("nothing passes");
    proxy.set(Conditions::default(), Conditions::default()).await;
    timeout(SOON, stream.read_exact(&mut answer)).await.expect("in time").expect("whole");
    assert_eq!(&answer, b"during");
}

#[tokio::test]
async fn a_cut_ends_connections_and_takes_new_ones() {
    let proxy = proxy(Kind::Tcp, tcp_echo().await).await;
    let mut stream = TcpStream::connect(proxy.local_addr()).await.expect("open");
    assert_eq!(echoed(&mut stream, b"x").await, b"x");
    proxy.cut().await;
    let ended = timeout(SOON, stream.read(&mut [0; 1])).await.expect("in time");
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    let mut stream = TcpStream::connect(proxy.local_addr()).await.expect("open");
    assert_eq!(echoed(&mut stream, b"y").await, b"y");
}

#[test]
fn the_program_obeys_line_by_line_and_says_what_is_wrong() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_impair"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is built");
    let mut orders = program.stdin.take().expect("piped");
    let mut answers = BufReader::new(program.stdout.take().expect("piped")).lines();
    let mut tell = |order: &str| -> String {
        writeln!(orders, "{order}").expect("it reads");
        answers.next().expect("an answer").expect("text")
    };
    let open = r#"{"do":"open","name":"a","kind":"udp","listen":"127.0.0.1:0","to":"127.0.0.1:9","seed":1}"#;
    assert!(tell(open).starts_with(r#"{"ok":"127.0.0.1:"#));
    let set = r#"{"do":"set","name":"a","up":{"delay_ms":25,"loss":0.02},"down":{}}"#;
    assert_eq!(tell(set), r#"{"ok":null}"#);
    // Its members come in whatever order: that depends on what else is built along with this.
    let counts: serde_json::Value =
        serde_json::from_str(&tell(r#"{"do":"counts","name":"a"}"#)).expect("JSON");
    let none = serde_json::json!({ "clients": 0, "doubled": 0, "lost": 0, "passed": 0 });
    assert_eq!(counts, serde_json::json!({ "ok": none }));
    assert_eq!(tell(r#"{"do":"cut","name":"b"}"#), r#"{"error":"no proxy is named \"b\""}"#);
    assert!(tell(r#"{"do":"fly"}"#).starts_with(r#"{"error":"not an order: "#));
    drop(orders);
    assert!(program.wait().expect("it ends with its input").success());
}
