//! What `deploy/` says agrees with what the gateway does: its config, its ports, its probes, and who runs it.

use std::fs;

use serde_json::Value;

use crate::{environment, in_repository};
use tokenway::config::{Config, Store};

fn read(path: &str) -> String {
    fs::read_to_string(in_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn manifests() -> Vec<Value> {
    let text = read("deploy/kubernetes/tokenway.yaml");
    let documents = text.split("\n---\n").map(|text| serde_saphyr::from_str(text).expect("YAML"));
    documents.collect()
}

#[test]
fn kubernetes_runs_a_config_that_holds_with_its_ports_and_probes() {
    let manifests = manifests();
    let of = |kind: &str, at: usize| {
        let mut found = manifests.iter().filter(|it| it["kind"] == kind);
        found.nth(at).unwrap_or_else(|| panic!("no {kind}"))
    };
    let pod = &of("Deployment", 0)["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let config = of("ConfigMap", 0)["data"]["tokenway.yaml"].as_str().expect("a config");
    // A certificate where the secret is mounted.
    let mounted = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).expect("one");
    for (name, text) in
        [("tls.crt", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem())]
    {
        fs::write(mounted.path().join(name), text).expect("a file");
    }
    let mount = container["volumeMounts"]
        .as_array()
        .and_then(|all| all.iter().find(|it| it["name"] == "tls"));
    let mount = mount.and_then(|it| it["mountPath"].as_str()).expect("where the certificate is");
    let config = config.replace(mount, &mounted.path().display().to_string());
    let config = Config::parse("tokenway.yaml", &config, &environment());
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert!(config.access.admin_key.is_some() && config.tls.is_some());
    let ports = [config.listen.http, config.listen.webtransport].map(|it| u64::from(it.port()));
    for (at, (port, protocol)) in ports.into_iter().zip(["TCP", "UDP"]).enumerate() {
        let told = &container["ports"][at];
        assert_eq!((&told["containerPort"], &told["protocol"]), (&port.into(), &protocol.into()));
        let service = &of("Service", at)["spec"]["ports"][0];
        assert_eq!(
            (&service["targetPort"], &service["protocol"]),
            (&told["name"], &told["protocol"])
        );
    }
    for (probe, path) in
        [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]
    {
        let get = &container[probe]["httpGet"];
        assert_eq!((&get["path"], &get["scheme"]), (&path.into(), &"HTTPS".into()), "{probe}");
    }
    // Each name is for one address: one cannot point at two.
    let public = &config.listen.public;
    let host =
        |url: &Option<reqwest::Url>| url.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    assert!(host(&public.http).is_some() && host(&public.http) != host(&public.webtransport));
    for at in [0, 1] {
        assert_eq!(of("Service", at)["spec"]["type"], "LoadBalancer");
    }
    // What it may take fits: a call up to five times its body (measured), and logs.
    let memory = container["resources"]["limits"]["memory"].as_str().expect("a limit");
    let memory = memory.strip_suffix("Gi").and_then(|gib| gib.parse::<usize>().ok());
    let memory = memory.expect("Gi") << 30;
    assert!(5 * config.limits.bodies + config.limits.logs < memory / 4 * 3);
    // What was spent outlives the pod.
    let state =
        pod["volumes"].as_array().and_then(|all| all.iter().find(|it| it["name"] == "state"));
    let claim = state.map(|it| &it["persistentVolumeClaim"]["claimName"]).expect("a volume");
    assert_eq!(claim, &of("PersistentVolumeClaim", 0)["metadata"]["name"]);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    // The drain's 10 s, the 2 s for responses, and the 5 s for the load balancer before them.
    assert!(pod["terminationGracePeriodSeconds"].as_u64() >= Some(17 + 5));
}

#[test]
fn the_examples_of_several_gateways_have_configs_that_hold() {
    for (config, told) in [("tokenway.yaml", "run.sh"), ("compose.tokenway.yaml", "compose.yaml")] {
        let text = read(&format!("examples/cluster/{config}"));
        let text = text.replace("${NATS_URL}", "nats://127.0.0.1:4222");
        let parsed = Config::parse(config, &text, &environment());
        let parsed = parsed.unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(parsed.store, Store::JetStream(_)), "{config}");
        assert!(read(&format!("examples/cluster/{told}")).contains(config), "{told}");
    }
    let compose: Value =
        serde_saphyr::from_str(&read("examples/cluster/compose.yaml")).expect("YAML");
    for node in ["a", "b"] {
        let ports = compose["services"][node]["ports"].as_array().expect("a list");
        let ports: Vec<&str> = ports.iter().filter_map(Value::as_str).collect();
        assert!(ports[0].ends_with(":8080/tcp") && ports[1].ends_with(":4433/udp"), "{ports:?}");
    }
}

#[test]
fn the_image_and_the_unit_say_the_same_places() {
    let image = read("deploy/Dockerfile");
    assert!(image.contains("\nUSER 65532:65532\n") && image.contains("\nFROM scratch\n"));
    let pod = &manifests()[1]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsUser"], 65532);
    assert!(image.contains("\nEXPOSE 8080/tcp 4433/udp\n"));
    let unit = read("deploy/systemd/tokenway.service");
    for line in ["Type=notify", "DynamicUser=yes", "ExecReload=/bin/kill -HUP $MAINPID"] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
}
