//! What is measured: one token, its key, the events that carry it, and the bundle that answers them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::policies::PolicyVersion;
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::bundle::{Bundle, BundleFacts};
use cedar_gate::credential::BearerToken;
use cedar_gate::decision::{Candidates, Engine, OperationScope};
use cedar_gate::entities::{AccessRequest, EntityFactory, HttpFacts, OperationEntities, Principal};
use cedar_gate::fetch;
use cedar_gate::jose::{VerifiedClaims, verify};
use cedar_gate::path::RequestPath;
use cedar_gate::response::Reply;
use cedar_gate::route::{RouteMatch, Router};
use cedar_gate::time::Timestamp;
use serde_json::json;

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_200);
pub(crate) const METHOD_ARN: &str =
    "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders/4711";
const ISSUER: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123456";
const CLIENT: &str = "1example23456789";
const KEY_ID: &str = "yD2pHy0tSqxBCbG0Q4fXvjTQ0kZ0wzF5aV8o3uQ6h9E=";

pub(crate) struct Subject {
    pub(crate) key: ParsedPublicKey,
    pub(crate) signed: String,
    pub(crate) signature: Vec<u8>,
    pub(crate) files: SourceFiles,
    /// Verifies each token.
    pub(crate) authorizer: Authorizer,
    /// Knows the tokens that it has verified.
    pub(crate) remembering: Authorizer,
    /// The same, and answers for the whole API: it knows the documents that it has compiled.
    pub(crate) whole: Authorizer,
    pub(crate) token_event: Vec<u8>,
    pub(crate) request_event: Vec<u8>,
}

impl Subject {
    pub(crate) fn new() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair can be generated");
        let (signed, signature) = sign(&pair, ISSUER);
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature));
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
            .expect("the public key parses");
        let files = files(&pair);
        let authorizer = |files| Authorizer::new(load(files)).expect("the bundle can be prepared");
        let (alone, whole) = (without_cache(&files), for_the_whole_api(&files));
        let (authorizer, remembering, whole) = (authorizer(&alone), authorizer(&files), authorizer(&whole));
        let (token_event, request_event) = (token_event(&token), request_event(&token));
        let subject = Self {
            key,
            signed,
            signature,
            files,
            authorizer,
            remembering,
            whole,
            token_event,
            request_event,
        };
        subject.check();
        subject
    }

    /// The bundle that answers.
    pub(crate) fn bundle(&self) -> &Bundle {
        self.authorizer.read_bundle().expect("it was read from its sources")
    }

    /// What the token says, by the issuers and keys of a bundle.
    pub(crate) fn claims(&self, bundle: &BundleFacts) -> VerifiedClaims {
        let text = format!("{}.{}", self.signed, URL_SAFE_NO_PAD.encode(&self.signature));
        let token = BearerToken::new(&text).expect("the token has a token's length");
        verify(&token, bundle.issuers(), bundle.keys(), NOW).expect("the token is right")
    }

    /// A refusal is cheap: only an answer that allows shows what an answer costs.
    fn check(&self) {
        self.key.verify_sig(self.signed.as_bytes(), &self.signature).expect("the signature is right");
        for event in [&self.token_event, &self.request_event] {
            let reply = self.authorizer.answer(event, NOW).reply;
            let allows = matches!(&reply, Reply::Json(body) if body.as_str().contains(r#""Allow""#));
            assert!(allows, "the bundle refuses the event of this benchmark: {reply:?}");
            let known = |authorizer: &Authorizer| authorizer.answer(event, NOW).token_known;
            assert!(!known(&self.authorizer), "the first authorizer verifies each token");
            known(&self.remembering);
            assert!(known(&self.remembering), "the second one knows them");
            let document =
                || self.whole.answer(event, NOW).document.expect("the third one answers for the API");
            document();
            assert!(document().known && document().compiled.is_exact(), "and knows its documents");
        }
    }
}

/// What the authorizer has ready for one operation before the first event.
pub(crate) struct Prepared<'b> {
    pub(crate) version: &'b PolicyVersion,
    pub(crate) factory: EntityFactory,
    pub(crate) matched: RouteMatch<'b, 'b>,
    pub(crate) path: &'b RequestPath,
    pub(crate) operation: OperationEntities,
    pub(crate) engine: Engine,
    pub(crate) scope: OperationScope,
}

impl<'b> Prepared<'b> {
    pub(crate) fn new(bundle: &'b Bundle, path: &'b RequestPath) -> Self {
        let version = bundle.active("orders-rest", "prod").expect("a version is active");
        let verb = "GET".parse().expect("GET is a verb");
        let matched = bundle.routes().find(Router::Rest, &verb, path).expect("the table has the route");
        let actions = bundle.schema().action_entities().expect("the actions make a hierarchy");
        let operation =
            OperationEntities::new(matched.operation(), "orders-rest", "prod", bundle.vocabulary(), &actions)
                .expect("the operation has entities");
        let engine = Engine::new(version.policies().clone()).expect("the policies can be asked");
        let scope = engine.scope(&operation).expect("the scopes can be read");
        let factory = EntityFactory::new(bundle.vocabulary(), &version.roles).expect("the vocabulary is one");
        Self { version, factory, matched, path, operation, engine, scope }
    }

    /// The request as the authorizer makes it: with the volatile facts where a policy reads them.
    pub(crate) fn request(&self, claims: &VerifiedClaims) -> AccessRequest {
        let principal = self.principal(claims);
        let read_http = self.candidates(&principal).read_http();
        let facts = if read_http { facts() } else { HttpFacts::default() };
        self.request_with(&principal, &facts)
    }

    pub(crate) fn candidates(&self, principal: &Principal) -> Candidates<'_> {
        let principal = self.engine.principal(principal).expect("the index can be read");
        self.engine.candidates(&principal, &self.scope).expect("the index can be read")
    }

    pub(crate) fn principal(&self, claims: &VerifiedClaims) -> Principal {
        self.factory.principal(claims).expect("the claims fit the schema")
    }

    pub(crate) fn request_with(&self, principal: &Principal, facts: &HttpFacts) -> AccessRequest {
        self.factory
            .request(principal, &self.operation, &self.matched, self.path.as_str(), facts)
            .expect("the facts fit the schema")
    }
}

/// The volatile facts that a REQUEST event brings for the bundle's schema.
pub(crate) fn facts() -> HttpFacts {
    HttpFacts { source_ip: Some([192, 0, 2, 17].into()), time: Some(NOW), ..HttpFacts::default() }
}

pub(crate) fn load(files: &SourceFiles) -> Bundle {
    Bundle::load(files).unwrap_or_else(|errors| {
        println!("{errors}");
        std::process::abort()
    })
}

/// A token of the issuer: the one of [`Subject`] but for its `iss`.
pub(crate) fn signed_token(pair: &KeyPair, iss: &str) -> String {
    let (signed, signature) = sign(pair, iss);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The signed part of an access token as Cognito issues it, and its signature.
fn sign(pair: &KeyPair, iss: &str) -> (String, Vec<u8>) {
    let header = json!({ "kid": KEY_ID, "alg": "RS256" });
    let claims = claims(iss);
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let padding: &'static dyn RsaEncoding = &RSA_PKCS1_SHA256;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("the key signs");
    (signed, signature)
}

/// What an access token says as Cognito issues it.
pub(crate) fn claims(iss: &str) -> serde_json::Value {
    json!({
        "sub": "a1b2c3d4-1111-2222-3333-444455556666",
        "device_key": "eu-west-1_0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        "cognito:groups": ["clerk", "auditor", "eu-west-1_AbC123456_CorporateDirectory"],
        "iss": iss,
        "version": 2,
        "client_id": CLIENT,
        "origin_jti": "5b9f50a3-05da-454a-8b99-b79c2349de77",
        "event_id": "0ed5ad5c-7182-4ecf-bd3a-4d0d4a1d7a2b",
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin openid profile email orders/read orders/write",
        "auth_time": NOW.unix_seconds() - 600,
        "exp": NOW.unix_seconds() + 3_000,
        "iat": NOW.unix_seconds() - 600,
        "jti": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        "username": "a1b2c3d4-1111-2222-3333-444455556666",
    })
}

/// The bundle of this repository, whose Cognito issuer signs with the key made here.
fn files(pair: &KeyPair) -> SourceFiles {
    let mut files = fetch::read_bundle(env!("CARGO_MANIFEST_DIR").as_ref()).expect("the bundle can be read");
    files.insert("policies/issuers/acme.jwks.json", public_jwks(pair).to_string());
    files
}

/// The key set that its issuer publishes.
pub(crate) fn public_jwks(pair: &KeyPair) -> serde_json::Value {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = pair.public_key();
    json!({ "keys": [{
        "kid": KEY_ID,
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "n": part(public.modulus().big_endian_without_leading_zero()),
        "e": part(public.exponent().big_endian_without_leading_zero()),
    }] })
}

/// The same bundle, whose first API gets answers about all of it.
pub(crate) fn for_the_whole_api(files: &SourceFiles) -> SourceFiles {
    let path = "schema/authorizer.toml";
    let text = files.text(path).expect("the bundle has the file");
    let mut files = files.clone();
    files.insert(path, text.replacen("\"request\" ", "\"api\" ", 1));
    files
}

fn without_cache(files: &SourceFiles) -> SourceFiles {
    let path = "schema/authorizer.toml";
    let text = files.text(path).expect("the bundle has the file");
    assert!(text.contains("cache = 1000"), "{path} says how many tokens are remembered");
    let mut files = files.clone();
    files.insert(path, text.replace("cache = 1000", "cache = 0"));
    files
}

pub(crate) fn token_event(token: &str) -> Vec<u8> {
    let event =
        json!({ "type": "TOKEN", "authorizationToken": format!("Bearer {token}"), "methodArn": METHOD_ARN });
    event.to_string().into_bytes()
}

/// A REST REQUEST event as a browser behind CloudFront causes it: each header twice, as API Gateway sends them.
fn request_event(token: &str) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Accept", "application/json, text/plain, */*"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
        ("Authorization", bearer.as_str()),
        ("CloudFront-Forwarded-Proto", "https"),
        ("CloudFront-Is-Desktop-Viewer", "true"),
        ("CloudFront-Viewer-Country", "IE"),
        ("Host", "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"),
        ("Origin", "https://orders.example"),
        ("Referer", "https://orders.example/"),
        ("Sec-Ch-Ua", "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\""),
        ("Sec-Ch-Ua-Mobile", "?0"),
        ("Sec-Ch-Ua-Platform", "\"Linux\""),
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "cors"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Via", "2.0 8a5c1d3e7b9f2a4c6e8d0b1f3a5c7e9d.cloudfront.net (CloudFront)"),
        ("X-Amz-Cf-Id", "Q7rWm3xY9ZkT1vB5nH8jL2pD4sF6gA0cE_uIoK-yMtRwXqVzNbJhGf=="),
        ("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793"),
        ("X-Forwarded-For", "192.0.2.17, 198.51.100.4"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ];
    let single: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let multi: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let event = json!({
        "type": "REQUEST",
        "methodArn": METHOD_ARN,
        "resource": "/orders/{orderId}",
        "path": "/orders/4711",
        "httpMethod": "GET",
        "headers": single,
        "multiValueHeaders": multi,
        "queryStringParameters": { "expand": "lines" },
        "multiValueQueryStringParameters": { "expand": ["lines"] },
        "pathParameters": { "orderId": "4711" },
        "stageVariables": null,
        "requestContext": {
            "resourceId": "abc123",
            "resourcePath": "/orders/{orderId}",
            "httpMethod": "GET",
            "path": "/prod/orders/4711",
            "accountId": "123456789012",
            "stage": "prod",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "extendedRequestId": "NvWWKEZbliAFliA=",
            "requestTimeEpoch": NOW.unix_millis(),
            "apiId": "a1b2c3d4e5",
            "protocol": "HTTP/1.1",
            "domainName": "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
            "identity": { "sourceIp": "192.0.2.17", "userAgent": "Mozilla/5.0", "apiKey": null, "clientCert": null },
        },
    });
    event.to_string().into_bytes()
}
