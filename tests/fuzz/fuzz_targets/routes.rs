//! Any text is a route table or a stated reason why not; a route that is found is one of the table's, serves the verb
//! and binds exactly its template's parameters.
#![no_main]

use cedar_gate::path::RequestPath;
use cedar_gate::route::{RouteTable, Router};
use libfuzzer_sys::fuzz_target;

/// The most routes that are asked for; each is asked in both ways.
const ASKED: usize = 50;

// The table is what stands before the first NUL, and the path that is asked for is what stands behind it.
fuzz_target!(|text: &str| {
    let (table, asked) = text.split_once('\0').unwrap_or((text, "/"));
    let Ok(table) = RouteTable::from_toml(table) else { return };
    let _ = table.cedarschema();
    let Ok(path) = asked.parse::<RequestPath>() else { return };
    for operation in table.operations().iter().take(ASKED) {
        // `$connect` has no verb, and no path either.
        let Some(verb) = operation.verb() else { continue };
        for router in [Router::Rest, Router::Http] {
            let Some(found) = table.find(router, verb, &path) else { continue };
            let served = table.operation(found.operation().id()).expect("what is found is in the table");
            assert_eq!(Some(verb), served.verb());
            let bound: Vec<&str> = found.params().iter().map(|(name, _)| *name).collect();
            assert_eq!(served.param_names().collect::<Vec<_>>(), bound);
        }
    }
});
