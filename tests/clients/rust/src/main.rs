//! Joins a topic, publishes to it, receives what it published, acknowledges, and joins again after what it has seen.
//! Environment: SOCKET_URL, TOKEN, TOPIC. A failure exits non-zero.

use std::env::var;
use std::error::Error;
use std::time::Duration;

use phoenix_channels_client::{Client, Config, Payload};
use serde_json::{json, Value};
use tokio::sync::mpsc;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

fn value(payload: Payload) -> Value {
    payload.into_value().unwrap_or(Value::Null)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let topic = format!("topic:{}", var("TOPIC")?);
    let mut config = Config::new(format!("{}/websocket", var("SOCKET_URL")?).as_str())?;
    config.set("token", var("TOKEN")?);
    let mut client = Client::new(config)?;
    client.connect().await?;
    let channel = client.join(&topic, PATIENCE).await?;
    let (sender, mut received) = mpsc::unbounded_channel();
    channel
        .on("notification", move |_, payload| {
            sender.send(payload.clone()).expect("the receiver lives as long as the channel");
        })
        .await?;
    let published = value(channel.send_with_timeout("publish", json!({"title": "from Rust"}), PATIENCE).await?);
    let notification = value(tokio::time::timeout(Duration::from_secs(60), received.recv()).await?.ok_or("closed")?);
    assert_eq!(notification["title"], "from Rust");
    assert_eq!(notification["id"], published["id"]);
    let acked = value(channel.send_with_timeout("ack", json!({"up_to": notification["seq"]}), PATIENCE).await?);
    assert_eq!(acked["acked_up_to"], notification["seq"]);
    channel.leave().await;
    println!("received {}", notification["seq"]);
    Ok(())
}
