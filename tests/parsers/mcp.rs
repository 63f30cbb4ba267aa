//! Messages between an MCP client and its server.

use super::jsonrpc::{Batch, error, id_of_request, is_damaged_response};

pub(crate) fn messages(bytes: &[u8]) {
    let id = id_of_request(bytes);
    if let Some(id) = &id {
        let _ = is_damaged_response(bytes, id);
    }
    let _ = error(id.as_ref(), 0, &String::from_utf8_lossy(bytes));
    let Ok(batch) = Batch::parse(bytes) else {
        return;
    };
    assert!(batch.is_array || batch.messages.len() == 1);
    for (text, message) in &batch.messages {
        assert!(
            serde_json::from_str::<serde_json::Value>(text).is_ok(),
            "{text}"
        );
        let params = message.params();
        let _ = (
            params.version(),
            params.name(),
            params.uri(),
            params.request_id(),
        );
        let _ = (message.has_null_id(), message.error_code());
        assert_eq!(
            message.request_id().is_some(),
            message.method.is_some() && message.id().is_some()
        );
    }
}
