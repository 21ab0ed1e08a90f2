//! A real scrape, and the page that documents every metric.

use super::{MetricsServer, register_all};
use crate::written::check_page;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_scrape_shows_what_was_recorded_and_what_is() {
    let server = MetricsServer::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.pages.address().unwrap();
    let stop = CancellationToken::new();
    let observe = || metrics::gauge!("hearth_assignment_sandboxes", "state" => "idle").set(3);
    let serving = tokio::spawn(server.serve(observe, stop.clone()));

    metrics::histogram!("hearth_worker_create_seconds").record(0.3);
    let answer = get(address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for line in [
        "# TYPE hearth_frontend_throttles_total counter",
        // Known before it first happens, so that a rate can be told from nothing.
        "hearth_frontend_throttles_total{reason=\"capacity\"} 0",
        "hearth_assignment_sandboxes{state=\"idle\"} 3",
        "hearth_worker_create_seconds_bucket{le=\"0.25\"} 0",
        "hearth_worker_create_seconds_bucket{le=\"0.5\"} 1",
    ] {
        assert!(answer.lines().any(|l| l == line), "no {line} in {answer}");
    }
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));

    // One who says nothing keeps nobody from stopping.
    let _silent = TcpStream::connect(address).await.unwrap();
    stop.cancel();
    serving.await.unwrap();
}

/// What a metric is, as the roles register it.
#[derive(Default)]
struct Metric {
    kind: &'static str,
    unit: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Default)]
struct Catalogue(Mutex<BTreeMap<String, Metric>>);

impl Catalogue {
    fn describe(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, help: &str) {
        let mut all = self.0.lock().unwrap();
        let metric = all.entry(name.as_str().to_owned()).or_default();
        let unit = unit.map_or("", |unit| unit.as_str()).to_owned();
        (metric.kind, metric.unit, metric.help) = (kind, unit, help.to_owned());
    }

    fn register(&self, key: &Key) {
        let mut all = self.0.lock().unwrap();
        let metric = all.entry(key.name().to_owned()).or_default();
        for label in key.labels() {
            let values = metric.labels.entry(label.key().to_owned()).or_default();
            values.insert(label.value().to_owned());
        }
    }
}

impl Recorder for Catalogue {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe("counter", &name, unit, &help);
    }
    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe("gauge", &name, unit, &help);
    }
    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe("histogram", &name, unit, &help);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.register(key);
        Counter::noop()
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.register(key);
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.register(key);
        Histogram::noop()
    }
}

#[test]
fn the_page_of_metrics_is_what_the_roles_register() {
    let catalogue = Catalogue::default();
    metrics::with_local_recorder(&catalogue, register_all);
    let mut page = "# Metrics\n\n\
        `hearth up --metrics-listen 127.0.0.1:9071` serves these at `/metrics`, for Prometheus.\n\
        Only loopback addresses are taken: whoever reaches it may read them. Labels have\n\
        no other values than those listed.\n\n\
        | metric | kind | unit | labels | what |\n|---|---|---|---|---|\n"
        .to_owned();
    for (name, metric) in catalogue.0.into_inner().unwrap() {
        let Metric { kind, unit, help, labels } = metric;
        assert!(!help.is_empty(), "{name} is not described");
        let suffix = match (kind, unit.as_str()) {
            ("counter", _) => "_total",
            (_, "seconds") => "_seconds",
            (_, "bytes") => "_bytes",
            _ => "",
        };
        assert!(name.starts_with("hearth_") && name.ends_with(suffix), "{name}: {kind}, {unit}");
        let labels = labels.into_iter().map(|(label, values)| {
            let values: Vec<_> = values.into_iter().map(|value| format!("`{value}`")).collect();
            format!("{label}: {}", values.join(", "))
        });
        let labels = labels.collect::<Vec<_>>().join("; ");
        page += &format!("| `{name}` | {kind} | {unit} | {labels} | {help} |\n");
    }
    check_page("docs/metrics.md", &page);
}
