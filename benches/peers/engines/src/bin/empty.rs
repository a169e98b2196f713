//! The floor: lambda_runtime with a handler that reads nothing and answers the same to everybody.

use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use peers_engines::Error;
use serde_json::value::RawValue;

const ANSWER: &str = r#"{"principalId":"nobody","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Deny","Resource":["*"]}]}}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let answer = RawValue::from_string(ANSWER.to_owned())?;
    let answer = &answer;
    let handler =
        service_fn(move |_: LambdaEvent<Box<RawValue>>| async move { Ok::<_, Error>(answer.clone()) });
    Runtime::new(handler).run().await
}
