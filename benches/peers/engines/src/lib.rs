//! What the authorizers with an engine of Rust have in common: the event, the token, the answer.
//!
//! The token is verified by `jsonwebtoken` on aws-lc, the event and the answer have the types of `aws_lambda_events`.

use std::collections::HashMap;

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerPolicy, ApiGatewayCustomAuthorizerRequestTypeRequest,
    ApiGatewayCustomAuthorizerResponse,
};
use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The claims that an authorizer reads; the others are kept for policies.
#[derive(Deserialize, Serialize)]
pub struct Claims {
    pub sub: String,
    client_id: String,
    token_use: String,
    #[serde(default, rename = "cognito:groups")]
    pub groups: Vec<String>,
    #[serde(rename = "custom:tenant")]
    pub tenant: String,
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// Whose tokens are believed.
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
    client: String,
}

#[derive(Deserialize)]
struct Settings {
    issuer: String,
    client: String,
}

impl Verifier {
    pub fn new() -> Result<Self, Error> {
        let settings: Settings = serde_json::from_str(&file("settings.json")?)?;
        let jwks: JwkSet = serde_json::from_str(&file("jwks.json")?)?;
        let mut keys = HashMap::new();
        for jwk in &jwks.keys {
            let kid = jwk.common.key_id.clone().ok_or("a key without a name")?;
            keys.insert(kid, DecodingKey::from_jwk(jwk)?);
        }
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = 0;
        validation.set_issuer(&[settings.issuer]);
        // Access tokens of Cognito have no `aud`: their client is in `client_id`.
        validation.validate_aud = false;
        Ok(Self { keys, validation, client: settings.client })
    }

    fn verify(&self, token: &str) -> Option<Claims> {
        let kid = decode_header(token).ok()?.kid?;
        let claims = decode::<Claims>(token, self.keys.get(&kid)?, &self.validation).ok()?.claims;
        (claims.client_id == self.client && claims.token_use == "access").then_some(claims)
    }
}

/// What is asked, in the words of the rules.
pub struct Asked<'a> {
    pub claims: &'a Claims,
    pub service: &'a str,
    pub access: &'static str,
    pub parameters: &'a HashMap<String, String>,
}

/// Serves with an engine that says whether a caller may.
pub async fn serve(
    verifier: Verifier,
    allows: impl Fn(&Asked<'_>) -> Result<bool, Error>,
) -> Result<(), Error> {
    let (verifier, allows) = (&verifier, &allows);
    let handler =
        service_fn(move |event: LambdaEvent<ApiGatewayCustomAuthorizerRequestTypeRequest>| async move {
            answer(verifier, allows, &event.payload)
        });
    Runtime::new(handler).run().await
}

fn answer(
    verifier: &Verifier,
    allows: impl Fn(&Asked<'_>) -> Result<bool, Error>,
    event: &ApiGatewayCustomAuthorizerRequestTypeRequest,
) -> Result<ApiGatewayCustomAuthorizerResponse, Diagnostic> {
    let header = event.headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    let claims = token.and_then(|token| verifier.verify(token)).ok_or_else(|| Diagnostic {
        error_type: "Unauthorized".to_owned(),
        error_message: "Unauthorized".to_owned(),
    })?;
    let fault =
        |message: &str| Diagnostic { error_type: "Fault".to_owned(), error_message: message.to_owned() };
    let resource = event.resource.as_deref().ok_or_else(|| fault("no resource"))?;
    let method = event.http_method.as_ref().map_or("", |method| method.as_str());
    let asked = Asked {
        claims: &claims,
        // /tenants/{tenant}/<service>/…
        service: resource.split('/').nth(3).unwrap_or_default(),
        access: if method == "GET" { "read" } else { "write" },
        parameters: &event.path_parameters,
    };
    let allowed = allows(&asked).map_err(|error| fault(&error.to_string()))?;
    Ok(response(&claims, allowed, event.method_arn.clone().unwrap_or_default()))
}

fn response(claims: &Claims, allowed: bool, method_arn: String) -> ApiGatewayCustomAuthorizerResponse {
    let mut statement = IamPolicyStatement::default();
    statement.action = vec!["execute-api:Invoke".to_owned()];
    statement.effect = if allowed { IamPolicyEffect::Allow } else { IamPolicyEffect::Deny };
    statement.resource = vec![method_arn];
    let mut document = ApiGatewayCustomAuthorizerPolicy::default();
    document.version = Some("2012-10-17".to_owned());
    document.statement = vec![statement];
    let mut response = ApiGatewayCustomAuthorizerResponse::default();
    response.principal_id = Some(claims.sub.clone());
    response.policy_document = document;
    response.context = json!({ "tenant": claims.tenant, "roles": serde_json::to_string(&claims.groups).unwrap_or_default() });
    response
}

/// A file of the workload.
pub fn file(name: &str) -> Result<String, Error> {
    let path = path(name)?;
    std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}").into())
}

pub fn path(name: &str) -> Result<String, Error> {
    Ok(format!("{}/{name}", std::env::var("PEERS_WORKLOAD")?))
}
