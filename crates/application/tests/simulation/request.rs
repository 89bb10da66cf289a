//! What clients ask for, and what they learn of it.

use std::sync::Arc;

use game_realtime_application::{ports::Appended, use_cases::PublishError};
use game_realtime_domain::{
    Author, BroadcastCommand, BuyGoodCommand, CommandLimits, Connection, RequestId,
    SendMessageCommand, UserId,
};
use garde::{Unvalidated, Valid, Validate};

use crate::node::Node;

const LIMITS: CommandLimits =
    CommandLimits { message_length: 100, text_length: 100, good_id_length: 100 };

#[derive(Clone)]
pub(crate) struct Request {
    /// Said by nobody else, and by this client only in this request.
    pub(crate) text: String,
    pub(crate) kind: Kind,
    pub(crate) request_id: Option<String>,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Broadcast,
    SendMessage(UserId),
    BuyGood,
}

impl Request {
    /// Carries it out through the use case.
    pub(crate) async fn execute(
        &self,
        node: &Arc<Node>,
        sender: &Connection,
    ) -> Result<Appended, PublishError> {
        let text = self.text.clone();
        let request_id = self.request_id.clone().map(|id| RequestId::try_from(id).unwrap());
        let author = Author::Connection(sender);
        match &self.kind {
            Kind::Broadcast => {
                let command = BroadcastCommand { message: text, request_id };
                node.broadcast.execute(author, valid(command)).await
            }
            Kind::SendMessage(target) => {
                let target_user_id = target.clone();
                let command = SendMessageCommand { target_user_id, text, request_id };
                node.send_message.execute(author, valid(command)).await
            }
            Kind::BuyGood => {
                let command = BuyGoodCommand { good_id: text, count: 1, request_id };
                node.buy_good.execute(author, valid(command)).await
            }
        }
    }
}

fn valid<T: Validate<Context = CommandLimits>>(command: T) -> Valid<T> {
    match Unvalidated::new(command).validate_with(&LIMITS) {
        Ok(valid) => valid,
        Err(report) => panic!("{report}"),
    }
}
