//! Any bytes are an event of a known kind or a stated reason why not, and no reader of an event panics.
#![no_main]

use cedar_gate::credential::{self, TokenSource};
use cedar_gate::event::AuthorizerEvent;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = AuthorizerEvent::text(bytes);
    let event = match AuthorizerEvent::parse(&text) {
        Ok(event) => event,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "a message is one line");
            return;
        }
    };
    let _ = (event.kind(), event.method_arn(), event.path(), event.route_template(), event.api_id());
    let _ = (event.account_id(), event.request_id(), event.source_ip(), event.client_cert_subject());
    let _ = (event.header("authorization"), event.query("token"), event.stage_variable("tenant"));
    match credential::find(&event, &[TokenSource::authorization()]) {
        // INVARIANT: a token is in no Debug output, unless it is so short that other text contains it.
        Ok(token) if token.expose().len() > 16 => assert!(!format!("{token:?}").contains(token.expose())),
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().contains('\n'), "a message is one line"),
    }
});
