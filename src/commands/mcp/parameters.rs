//! Arguments of tools that are repeated in headers, as the tools' definitions say (MCP 2026-07-28, "Custom
//! Headers from Tool Parameters"). A client that starts a program does not send them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use hyper::header::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use super::headers::encode;
use super::jsonrpc::Params;

/// How deep an annotated property may be.
const DEPTH_LIMIT: usize = 32;

/// A header, and where its value is in the arguments.
struct Parameter {
    header: HeaderName,
    path: Vec<String>,
}

/// The annotated tools that the server has listed.
#[derive(Default)]
pub(super) struct ToolParameters(Mutex<HashMap<String, Vec<Parameter>>>);

impl ToolParameters {
    /// Reads the result of `tools/list`.
    pub(super) fn read(&self, result: &str) {
        if !result.contains("x-mcp-header") {
            return;
        }
        let result: Value = serde_json::from_str(result).unwrap_or_default();
        let tools = result["tools"].as_array().into_iter().flatten();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in tools {
            let Some(name) = tool["name"].as_str() else {
                continue;
            };
            let mut found = Vec::new();
            let is_valid = find(&tool["inputSchema"], &mut Vec::new(), &mut found).is_some();
            let headers: BTreeSet<_> = found.iter().map(|it| it.header.as_str()).collect();
            if is_valid && headers.len() == found.len() && !found.is_empty() {
                known.insert(name.to_owned(), found);
            } else {
                known.remove(name);
            }
        }
    }

    /// Adds the headers of a call.
    pub(super) fn add(&self, params: &Params<'_>, headers: &mut HeaderMap) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parameters = params.name().and_then(|name| known.get(&name));
        let (Some(parameters), Some(arguments)) = (parameters, params.arguments) else {
            return;
        };
        let arguments: Value = serde_json::from_str(arguments.get()).unwrap_or_default();
        for Parameter { header, path } in parameters {
            let value = path
                .iter()
                .try_fold(&arguments, |value, name| value.get(name));
            let text = match value {
                Some(Value::String(text)) => text.clone(),
                Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
                _ => continue,
            };
            if let Some(value) = encode(&text) {
                headers.insert(header.clone(), value);
            }
        }
    }
}

/// Finds the annotations below the properties of a schema. None if one of them is not valid.
fn find(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Parameter>) -> Option<()> {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(annotation) = property.get("x-mcp-header") {
            let is_simple = matches!(
                property["type"].as_str(),
                Some("string" | "integer" | "boolean")
            );
            let name = annotation
                .as_str()
                .filter(|name| is_simple && !name.is_empty())?;
            let header = HeaderName::try_from(format!("mcp-param-{name}")).ok()?;
            found.push(Parameter {
                header,
                path: path.clone(),
            });
        }
        if path.len() < DEPTH_LIMIT {
            find(property, path, found)?;
        }
        path.pop();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderMap;
    use serde_json::{Value, json};

    use super::ToolParameters;

    fn headers(schema: &Value, arguments: &Value) -> Vec<String> {
        let tools = ToolParameters::default();
        tools.read(&json!({"tools": [{"name": "t", "inputSchema": schema}]}).to_string());
        let mut headers = HeaderMap::new();
        let params = json!({"name": "t", "arguments": arguments}).to_string();
        tools.add(
            &serde_json::from_str(&params).expect("parameters"),
            &mut headers,
        );
        let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            format!("{name}: {}", value.to_str().expect("ASCII"))
        };
        headers.iter().map(text).collect()
    }

    #[test]
    fn annotated_arguments_become_headers() {
        let schema = json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "query": {"type": "string"},
            "options": {"type": "object", "properties": {
                "dry": {"type": "boolean", "x-mcp-header": "Dry"},
                "count": {"type": "integer", "x-mcp-header": "Count"},
            }},
        }});
        let arguments = json!({"region": "ü", "query": "q", "options": {"dry": true, "count": 7}});
        let mut found = headers(&schema, &arguments);
        found.sort();
        let region = "mcp-param-region: =?base64?w7w=?=";
        assert_eq!(found, ["mcp-param-count: 7", "mcp-param-dry: true", region]);
        assert_eq!(
            headers(&schema, &json!({"region": null})),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_definition_that_is_not_valid_has_no_headers() {
        for property in [
            json!({"type": "string", "x-mcp-header": "a b"}),
            json!({"type": "string", "x-mcp-header": ""}),
            json!({"type": "number", "x-mcp-header": "A"}),
            json!({"type": "string", "x-mcp-header": 1}),
        ] {
            let schema = json!({"properties": {"a": property, "b": {"type": "string", "x-mcp-header": "B"}}});
            assert!(
                headers(&schema, &json!({"a": "1", "b": "2"})).is_empty(),
                "{schema}"
            );
        }
        let twice = json!({"type": "string", "x-mcp-header": "A"});
        let schema =
            json!({"properties": {"a": twice, "b": {"type": "string", "x-mcp-header": "a"}}});
        assert!(headers(&schema, &json!({"a": "1", "b": "2"})).is_empty());
    }
}
