//! Every tab of this page joins one bus. Each sends itself and the others a live message, puts a
//! job into the shared queue, works on what the queue gives it, and calls a service that one of
//! them runs. What happens is written to the page.
#![cfg(target_arch = "wasm32")]

use futures::StreamExt;
use js_sys::futures::spawn_local;
use tabmq::web::bus::{CallError, Consumer, Error, Heard, Service, Subscription};
use tabmq::{Bus, Options, connect};
use wasm_bindgen::prelude::*;

const CONCURRENCY: u32 = 4;

#[wasm_bindgen(start)]
pub fn start() {
    spawn_local(async {
        match run().await {
            Ok(()) => write("every part has answered"),
            Err(error) => write(&format!("failed: {error}")),
        }
    });
}

async fn run() -> Result<(), Error> {
    let bus = connect("rust-app", Options::default()).await?;
    write("on the bus");

    spawn_local(write_greetings(bus.subscribe("greeting.#").await?));
    bus.publish("greeting.rust", b"hello from Rust").await?;

    let jobs = bus.queue("jobs");
    spawn_local(work(jobs.consume(CONCURRENCY).await?));
    let receipt = jobs.send(b"21").await?;
    write(&format!("job {} is stored", receipt.sequence.0));

    spawn_local(add(bus.serve("calculator", CONCURRENCY).await?));
    write(&format!("2 + 3 = {}", call_add(&bus, 2, 3).await?));
    Ok(())
}

async fn write_greetings(mut greetings: Subscription) {
    while let Some(heard) = greetings.next().await {
        match heard {
            Heard::Message(message) => {
                write(&format!("{}: {}", message.topic, String::from_utf8_lossy(&message.body)));
            }
            Heard::Lost(count) => write(&format!("{count} greetings are lost")),
        }
    }
}

async fn work(mut jobs: Consumer) {
    while let Some(job) = jobs.next().await {
        let number = String::from_utf8_lossy(&job.body).parse::<u64>();
        let settled = match number {
            Ok(number) => {
                write(&format!("a job says {}", number * 2));
                job.ack().await
            }
            Err(_) => job.reject("no number").await,
        };
        if let Err(error) = settled {
            write(&format!("the job went to another: {error}"));
        }
    }
}

async fn add(mut calls: Service) {
    while let Some(call) = calls.next().await {
        let sum = match (call.method.as_str(), &call.arguments[..]) {
            ("add", [left, right]) => left.checked_add(*right),
            _ => None,
        };
        let answered = match sum {
            Some(sum) => call.reply(&[sum]),
            None => call.throw(b"add takes two numbers with a sum below 256"),
        };
        if let Err(error) = answered {
            write(&format!("an answer was refused: {error}"));
        }
    }
}

async fn call_add(bus: &Bus, left: u8, right: u8) -> Result<u8, Error> {
    match bus.call("calculator", "add", &[left, right]).await {
        Ok(value) => Ok(value.first().copied().unwrap_or_default()),
        Err(CallError::Threw(reason)) => {
            write(&String::from_utf8_lossy(&reason));
            Ok(0)
        }
        Err(CallError::Failed(error)) => Err(error),
    }
}

/// Adds a line to the page.
fn write(text: &str) {
    let document = web_sys::window().and_then(|window| window.document());
    let line = document.as_ref().and_then(|document| document.create_element("li").ok());
    let list = document.and_then(|document| document.get_element_by_id("log"));
    if let (Some(line), Some(list)) = (line, list) {
        line.set_text_content(Some(text));
        // Fails only for a node that can't be in a list.
        let _ = list.append_child(&line);
    }
}
