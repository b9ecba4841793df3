//! Delivery over a network that loses, doubles, re-orders and moves: real QUIC through the impairing proxy.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use impair::{Conditions, Kind, Proxy};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokenway::{
    native::{Client, SubscriptionId, Target},
    sequence::From,
};

use super::{Gateway, State, any_port, channels, named};
use crate::support::{Checked, Told};

const SOON: Duration = Duration::from_secs(30);

/// A client behind a proxy, following channels on which things are said.
struct Behind {
    proxy: Proxy,
    client: Client,
    told: Vec<Told>,
    checked: HashMap<SubscriptionId, Checked>,
    random: StdRng,
    /// What it talks to; dropped last.
    _gateway: Gateway,
}

impl Behind {
    async fn start(seed: u64, conditions: Conditions) -> Self {
        let channels = channels(8 << 20);
        let gateway = Gateway::start(&channels, &State::new()).await;
        let to = gateway.endpoint.local_addr();
        let proxy = Proxy::open(Kind::Udp, any_port(), to, seed).await.expect("loopback");
        proxy.set(conditions.clone(), conditions).await;
        let port = proxy.local_addr().port();
        let target = Target {
            url: format!("https://127.0.0.1:{port}/v1/connect"),
            trust: gateway.trust.clone(),
            token: None,
        };
        let mut client = Client::connect(target).await.expect("QUIC sends again what is lost");
        let told: Vec<_> =
            (0..4).map(|n| Told::new(named(&channels, &format!("chat-{n}")))).collect();
        let mut checked = HashMap::new();
        for (at, one) in told.iter().enumerate() {
            let id = client.subscribe(&one.id(), From::Beginning, false);
            checked.insert(id, Checked::new(at, From::Beginning));
        }
        let random = StdRng::seed_from_u64(seed);
        Self { proxy, client, told, checked, random, _gateway: gateway }
    }

    /// Something is said on every channel.
    fn say(&mut self) {
        self.told.iter_mut().for_each(|one| one.say(&mut self.random));
    }

    /// Takes what comes for a while.
    async fn look(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        while let Ok(next) = tokio::time::timeout_at(until, self.client.next()).await {
            let (id, item) = next.expect("the gateway keeps to the protocol");
            let one = self.checked.get_mut(&id).expect("subscribed");
            one.check(item, &self.told[one.channel]);
        }
    }

    /// Until everything said has been told.
    async fn catch_up(&mut self) {
        let until = tokio::time::Instant::now() + SOON;
        while self.checked.values().any(|one| one.told < self.told[one.channel].channel.head()) {
            assert!(tokio::time::Instant::now() < until, "it does not catch up");
            self.look(Duration::from_millis(20)).await;
        }
        self.checked.values().for_each(|one| one.assert_caught_up(&self.told[one.channel]));
    }
}

#[tokio::test]
async fn over_a_bad_network_each_event_comes_once_and_in_order() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let bad = Conditions {
        delay_ms: 5.0,
        jitter_ms: 3.0,
        loss: 0.1,
        duplicate: 0.05,
        reorder: 0.1,
        reorder_ms: 8.0,
        ..Conditions::default()
    };
    let mut behind = Behind::start(seed, bad).await;
    for _ in 0..250 {
        behind.say();
        let time = Duration::from_millis(behind.random.random_range(0..12));
        behind.look(time).await;
    }
    behind.catch_up().await;
    let counts = behind.proxy.counts().await.expect("it runs");
    println!("{counts:?}, {} new connections", behind.client.reconnects());
    assert!(counts.lost > 10 && counts.doubled > 2, "the network was bad: {counts:?}");
}

#[tokio::test]
async fn a_client_whose_address_changes_keeps_its_session() {
    let mut behind = Behind::start(5, Conditions::default()).await;
    for last in 2..12u8 {
        behind.say();
        behind.look(Duration::from_millis(60)).await;
        behind.proxy.rebind(IpAddr::from([127, 0, 0, last])).await;
    }
    behind.say();
    behind.catch_up().await;
    assert_eq!(behind.client.reconnects(), 0, "QUIC knows a connection by its id");
}

#[tokio::test]
async fn after_a_silent_network_the_client_is_back_and_has_everything() {
    let mut behind = Behind::start(6, Conditions::default()).await;
    behind.say();
    behind.catch_up().await;
    let hole = Conditions { blackhole: true, ..Conditions::default() };
    behind.proxy.set(hole.clone(), hole).await;
    behind.say();
    behind.look(Duration::from_millis(2_500)).await;
    assert!(!behind.client.is_connected(), "silence is noticed");
    behind.proxy.set(Conditions::default(), Conditions::default()).await;
    behind.say();
    behind.catch_up().await;
    assert_eq!(behind.client.reconnects(), 1);
}
