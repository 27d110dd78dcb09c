//! The verbs of schedules.

use alloc::string::String;

use wasm_bindgen::prelude::*;

use crate::cbor;
use crate::error::{Code, Refused};
use crate::id::MessageNumber;
use crate::js::options;
use crate::js::raw_bus::{Answer, RawBus, to_error};
use crate::web::zones;
use crate::wire::frame::{Scheduling, When};

#[wasm_bindgen]
impl RawBus {
    /// `scheduling` is an encoded `Scheduling`. A zone that the runtime does not know is refused.
    pub fn schedule(
        &self,
        queue: &str,
        scheduling: &[u8],
        durability: Option<String>,
    ) -> Answer<u32> {
        let scheduling: Scheduling<'_> = cbor::decode(scheduling)
            .map_err(|_| to_error(Refused::new(Code::Invalid, "schedule")))?;
        if let When::Cron { zone: Some(zone), .. } = scheduling.when
            && !zones::is_known(zone)
        {
            return Err(to_error(Refused::new(Code::Invalid, "timeZone")));
        }
        let durability = self.level(durability.as_deref())?;
        self.ask(|client, now| client.schedule(now, queue, &scheduling, durability))
            .map(|request| request.0)
    }

    pub fn unschedule(&self, queue: &str, number: f64) -> Answer<u32> {
        let number = MessageNumber(options::number(number, "number").map_err(to_error)?);
        self.ask(|client, now| client.unschedule(now, queue, number)).map(|request| request.0)
    }

    #[wasm_bindgen(js_name = listSchedules)]
    pub fn list_schedules(&self, queue: &str, after: Option<String>) -> Answer<u32> {
        self.ask(|client, now| client.list_schedules(now, queue, after.as_deref()))
            .map(|request| request.0)
    }
}
