//! From what was sent to the use case it names, and back to the answer.

use std::str::FromStr;

use game_realtime_domain::{Author, CommandLimits, EventType};
use serde_json::value::RawValue;
use tracing::warn;

use super::{Answer, ErrorCode, Failure, FieldFault, command};
use crate::{
    ports::Appended,
    use_cases::{Broadcast, BuyGood, PublishError, SendMessage},
};

/// The use cases that are reached by sending an event.
pub struct Events {
    /// `core.game.state.broadcast`
    pub broadcast: Broadcast,
    /// `core.game.state.send_message`
    pub send_message: SendMessage,
    /// `core.game.state.buy_good`
    pub buy_good: BuyGood,
    /// What commands may contain.
    pub limits: CommandLimits,
}

enum EventError {
    Faults(Vec<FieldFault>),
    Publish(PublishError),
}

impl Events {
    /// Carries out an event, by its name and its one argument.
    pub async fn execute(
        &self,
        author: Author<'_>,
        name: &str,
        argument: Option<&RawValue>,
    ) -> Answer {
        let Ok(event_type) = EventType::from_str(name) else {
            count_event("unknown", ErrorCode::Forbidden.as_str());
            return Answer::Failed(Failure::of(ErrorCode::Forbidden));
        };
        let name = event_type.as_str();
        match self.publish(author, event_type, argument).await {
            Ok(appended) => {
                count_event(name, if appended.duplicate { "duplicate" } else { "committed" });
                Answer::Committed { event_type: name, appended }
            }
            Err(EventError::Faults(faults)) => {
                count_event(name, ErrorCode::InvalidPayload.as_str());
                Answer::Failed(Failure::invalid(faults))
            }
            Err(EventError::Publish(error)) => {
                let code = ErrorCode::from(&error);
                count_event(name, code.as_str());
                report(author, name, &error);
                Answer::Failed(Failure::of(code))
            }
        }
    }

    async fn publish(
        &self,
        author: Author<'_>,
        event_type: EventType,
        argument: Option<&RawValue>,
    ) -> Result<Appended, EventError> {
        let limits = &self.limits;
        let published = match event_type {
            EventType::Broadcast => {
                let command = command(argument, limits).map_err(EventError::Faults)?;
                self.broadcast.execute(author, command).await
            }
            EventType::SendMessage => {
                let command = command(argument, limits).map_err(EventError::Faults)?;
                self.send_message.execute(author, command).await
            }
            EventType::BuyGood => {
                let command = command(argument, limits).map_err(EventError::Faults)?;
                self.buy_good.execute(author, command).await
            }
        };
        published.map_err(EventError::Publish)
    }
}

/// Counts an event that was answered without being carried out.
pub fn count_event(event_type: &'static str, outcome: &'static str) {
    metrics::counter!("game_realtime_events_total", "type" => event_type, "outcome" => outcome)
        .increment(1);
}

fn report(author: Author<'_>, event_type: &str, error: &PublishError) {
    let connection_id = author.sender().connection_id;
    match error {
        PublishError::Forbidden | PublishError::RateLimited | PublishError::IdempotencyConflict => {
        }
        PublishError::Store(cause) => warn!(
            connection.id = %connection_id,
            event.r#type = event_type,
            error = %error,
            cause = %cause.source,
            "event not committed"
        ),
        PublishError::Encode(_) => warn!(
            connection.id = %connection_id,
            event.r#type = event_type,
            %error,
            "event not committed"
        ),
    }
}
