//! Responses in the form of certain products: each gives a token or the right verdict.

use super::{answered, refused};
use crate::server::Reply;

const HTML: &str = "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\"><html><head><title>401 - Unauthorized: Access is denied due to invalid credentials.</title></head></html>";

#[test]
fn each_product_gives_its_token() {
    let rows = [
        (
            "Auth0",
            r#"{"access_token":"the-token","scope":"USER","expires_in":86400,"token_type":"Bearer"}"#.to_owned(),
            "application/json",
        ),
        (
            "Apigee",
            r#"{"refresh_token_expires_in":"0","api_product_list":"[PremiumWeatherAPI]","api_product_list_json":["PremiumWeatherAPI"],"organization_name":"docs","developer.email":"a@b.example","token_type":"BearerToken","issued_at":"1795000000000","client_id":"app-1","access_token":"the-token","application_name":"x","scope":"","expires_in":"1799","refresh_count":"0","status":"approved"}"#.to_owned(),
            "application/json;charset=UTF-8",
        ),
        (
            "ASP.NET on IIS",
            "\u{feff}{\"access_token\":\"the-token\",\"token_type\":\"bearer\",\"expires_in\":1209599,\"userName\":\"M\u{fc}ller\",\".issued\":\"Wed, 18 Nov 2026 11:06:40 GMT\",\".expires\":\"Wed, 02 Dec 2099 11:06:40 GMT\"}".to_owned(),
            "application/json; charset=utf-8",
        ),
        (
            "Salesforce",
            r#"{"access_token":"the-token","signature":"x+/=","scope":"api","instance_url":"https:\/\/a.example","id":"https:\/\/login.example\/id\/00D","token_type":"Bearer"}"#.to_owned(),
            "application/json;charset=UTF-8",
        ),
        (
            "Entra ID, first version",
            r#"{"token_type":"Bearer","expires_in":"3599","ext_expires_in":"3599","expires_on":"4102444800","not_before":"1795000000","resource":"https://a.example","access_token":"the-token"}"#.to_owned(),
            "application/json",
        ),
        (
            "a portal of its own",
            "\r\n{\r\n\t\"success\" : true,\r\n\t\"expires_at\" : \"2099-01-01T00:00:00.000Z\",\r\n\t\"access_token\" : \"the-token\",\r\n\t\"token_type\" : \"\"\r\n}\r\n".to_owned(),
            "text/html",
        ),
    ];
    for (product, body, content_type) in rows {
        let reply = Reply::new(200).header("Content-Type", content_type);
        let (machine, server) = answered(reply.body(body));
        for _ in 0..2 {
            assert_eq!(machine.run(&["token"]).token(), "the-token", "{product}");
        }
        assert_eq!(server.requests().len(), 1, "{product}");
        let ran = machine.run(&["token", "--format", "header"]).success();
        assert_eq!(ran.stdout, "Authorization: Bearer the-token\n", "{product}");
    }
}

#[test]
fn each_product_gives_its_verdict() {
    let rows = [
        (
            "Auth0",
            401,
            r#"{"error":"access_denied","error_description":"Unauthorized"}"#,
            4,
            "the server refused the client: 401 access_denied (Unauthorized), at http",
        ),
        (
            "Apigee's policy",
            401,
            r#"{"ErrorCode" : "invalid_client", "Error" :"ClientId is Invalid"}"#,
            4,
            "the server refused the client: 401 invalid_client (ClientId is Invalid), at http",
        ),
        (
            "Apigee's policy",
            400,
            r#"{"ErrorCode" : "invalid_request", "Error" :"Required param : grant_type"}"#,
            4,
            "the server refused the request: 400 invalid_request (Required param : grant_type), at http",
        ),
        (
            "Apigee's gateway",
            500,
            r#"{"fault":{"faultstring":"Execution failed","detail":{"errorcode":"steps.jwt.Failed"}}}"#,
            5,
            "the server answered 500 steps.jwt.Failed (Execution failed), at http",
        ),
        (
            "ASP.NET",
            400,
            r#"{"error":"invalid_client"}"#,
            4,
            "the server refused the client: 400 invalid_client, at http",
        ),
        (
            "IIS",
            401,
            HTML,
            5,
            "the server answered 401 (unauthorized), at http",
        ),
        (
            "Spring",
            404,
            r#"{"timestamp":"2026-11-27T04:00:00.000+00:00","status":404,"error":"Not Found","path":"/oauth/tokn"}"#,
            4,
            "the server refused the request: 404 Not Found, at http",
        ),
        (
            "Spring",
            401,
            r#"{"timestamp":1795000000000,"status":401,"error":"Unauthorized","message":"Bad credentials","path":"/t"}"#,
            4,
            "the server refused the client: 401 Unauthorized (Bad credentials), at http",
        ),
        (
            "FastAPI",
            400,
            r#"{"detail":"Incorrect client id or secret"}"#,
            4,
            "the server refused the request: 400 (Incorrect client id or secret), at http",
        ),
        (
            "WeChat's kind",
            200,
            r#"{"errcode":40013,"errmsg":"invalid appid"}"#,
            4,
            "the server refused the request: 200 40013 (invalid appid), at http",
        ),
        (
            "a cloud's gateway",
            403,
            r#"{"message":"Forbidden"}"#,
            5,
            "the server answered 403 (Forbidden), at http",
        ),
    ];
    for (product, status, body, code, expected) in rows {
        let requests = if status == 500 { 2 } else { 1 };
        let ran = refused(Reply::new(status).body(body), code, requests);
        assert!(ran.stderr.contains(expected), "{product}: {ran:?}");
        assert!(
            !ran.stderr.contains("Access is denied"),
            "{product}: {ran:?}"
        );
    }
}
