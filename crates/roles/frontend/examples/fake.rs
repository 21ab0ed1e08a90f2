//! A front end over fakes, to be tried with real clients:
//!
//! ```text
//! cargo run -p hearth-frontend --example fake -- 127.0.0.1:9070
//! AWS_ACCESS_KEY_ID=AKIA111111111111 AWS_SECRET_ACCESS_KEY=secret-of-111111111111 \
//!   AWS_DEFAULT_REGION=local AWS_ENDPOINT_URL=http://127.0.0.1:9070 aws lambda list-functions
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().init();
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9070".into());
    let stage = support::Stage::start_at(&listen, Default::default()).await;
    println!("listening on http://{}", stage.address);
    tokio::select! {
        served = stage.served => println!("{served:?}"),
        _ = tokio::signal::ctrl_c() => stage.shutdown.cancel(),
    }
}
