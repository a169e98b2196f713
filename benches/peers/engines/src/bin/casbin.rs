//! casbin: a line a grant, all rules in the matcher of the model.

use casbin::{CoreApi, Enforcer};
use peers_engines::{Asked, Error, Verifier, path, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (model, policy) = (path("casbin/model.conf")?, path("casbin/policy.csv")?);
    let enforcer =
        Enforcer::new(casbin::DefaultModel::from_file(model).await?, casbin::FileAdapter::new(policy))
            .await?;
    serve(Verifier::new()?, |asked| allows(&enforcer, asked)).await
}

fn allows(enforcer: &Enforcer, asked: &Asked<'_>) -> Result<bool, Error> {
    let parameter = |name: &str| asked.parameters.get(name).map(String::as_str).unwrap_or_default();
    let claims = asked.claims;
    Ok(enforcer.enforce((
        &claims.sub,
        &claims.groups,
        &claims.tenant,
        parameter("tenant"),
        parameter("user"),
        asked.service,
        asked.access,
    ))?)
}
