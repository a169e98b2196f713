//! regorus: the grants are data, the rules are compiled to its virtual machine at the start.

use std::cell::RefCell;
use std::sync::Arc;

use peers_engines::{Asked, Error, Verifier, file, serve};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::{Engine, Value};
use serde_json::json;

const ENTRY: &str = "data.api.allow";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut engine = Engine::new();
    engine.add_policy("policy.rego".to_owned(), file("rego/policy.rego")?)?;
    engine.add_data_json(&file("rego/data.json")?)?;
    let compiled = engine.compile_with_entrypoint(&Arc::from(ENTRY))?;
    let program = Compiler::compile_from_policy(&compiled, &[ENTRY])?;
    let mut vm = RegoVM::new();
    vm.load_program(program);
    vm.set_data(engine.get_data())?;
    let vm = RefCell::new(vm);
    serve(Verifier::new()?, |asked| allows(&mut vm.borrow_mut(), asked)).await
}

fn allows(vm: &mut RegoVM, asked: &Asked<'_>) -> Result<bool, Error> {
    let input = json!({
        "claims": asked.claims,
        "service": asked.service,
        "access": asked.access,
        "params": asked.parameters,
    });
    vm.set_input(Value::from(input));
    Ok(vm.execute_entry_point_by_index(0)? == Value::Bool(true))
}
