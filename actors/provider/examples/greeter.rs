//! Greets: `{"name": "you"}` becomes `{"greeting": "Hello, you!"}`.

use coproc_provider::{Config, Error, Provider, Request, Value, json};

async fn greet(request: Request) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let args: Value = request.args()?;
    let name = args["name"].as_str().ok_or("`name` is not a text")?;
    Ok(json!({ "greeting": format!("Hello, {name}!") }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // Such as: greeter -n greeter -s /run/tasks
    Provider::new(Config::from_args()?).task("Greet", greet).run().await
}
