//! What is done with messages of the server.

use super::bridge::Bridge;
use super::jsonrpc::{Batch, Id, Message, error_for};
use super::line::Line;
use super::pending::Kind;
use crate::message;

impl Bridge {
    /// Writes a message or a batch for the client. `ids` are the requests of the exchange that it came
    /// in. False if it is no message.
    pub(super) async fn forward(&self, bytes: &[u8], ids: &[Id]) -> bool {
        let Ok(batch) = Batch::parse(bytes) else {
            return false;
        };
        let permit = self.output.permit().await;
        let received = batch.messages.iter();
        let mut lines: Vec<_> = received
            .filter_map(|(text, message)| self.received(text, message, ids))
            .collect();
        if batch.is_array && !lines.is_empty() {
            lines = vec![Line::batch(&lines)];
        }
        if let Some(line) = lines.pop() {
            permit.fill(line);
        }
        true
    }

    /// The line for the client. None for a response that nobody waits for.
    fn received(&self, text: &str, message: &Message<'_>, ids: &[Id]) -> Option<Line> {
        if message.method.is_some() {
            return Some(Line::of(text));
        }
        let Some(id) = message.id() else {
            // An error about the only request that was sent.
            let ([id], Some(error)) = (ids, message.error) else {
                return None;
            };
            let request = self.pending.take(id)?;
            return self.respond(request.kind, message, || error_for(id, error));
        };
        let Some(request) = self.pending.take(&id) else {
            message::step(|| "dropped a response that nobody waits for".to_owned());
            return None;
        };
        self.respond(request.kind, message, || Line::of(text))
    }

    fn respond(
        &self,
        kind: Kind,
        message: &Message<'_>,
        line: impl FnOnce() -> Line,
    ) -> Option<Line> {
        let result = message.result.map(serde_json::value::RawValue::get);
        match (kind, result) {
            (Kind::Renewal(renewal), result) => {
                let version = result.and_then(|result| self.sessions.set_version(result));
                let refused = "the server refused `initialize`".to_owned();
                // Its receiver may be gone.
                let _ = renewal.send(version.ok_or(refused));
                return None;
            }
            (Kind::Initialize, Some(result)) => drop(self.sessions.set_version(result)),
            (Kind::ListTools, Some(result)) => self.tools.read(result),
            _ => {}
        }
        Some(line())
    }
}
