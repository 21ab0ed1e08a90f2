//! Says hello from a Rust binary that AWS's own runtime client drives.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(hello)).await
}

async fn hello(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let name = event.payload.get("name").and_then(Value::as_str).unwrap_or("world");
    println!("greeting {name}");
    Ok(json!({
        "message": format!("Hello, {name}!"),
        "memory_mb": event.context.env_config.memory,
        "log_stream": event.context.env_config.log_stream,
    }))
}
