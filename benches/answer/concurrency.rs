//! What many threads answer together, as on managed instances, where a process has several invocations at a time: that nothing
//! which all of them need is held by one.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use cedar_gate::authorizer::Authorizer;

use crate::subject::{NOW, Subject};

/// How long each is measured.
const TURN: Duration = Duration::from_millis(400);

/// Turns of each, of which the best counts: what disturbs one only ever takes from it.
const TURNS: usize = 7;

/// Prints what one thread answers, and what as many as there are cores do together.
pub(crate) fn print(subject: &Subject) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{:<36}{:>14}{:>14}{:>10}",
        "answers a second",
        "1 thread",
        format!("{cores} threads"),
        "scales"
    );
    let rows: [(&str, &Authorizer, &[u8]); 3] = [
        ("TOKEN event", &subject.authorizer, &subject.token_event),
        ("REQUEST event, token known", &subject.remembering, &subject.request_event),
        ("REQUEST event, document known", &subject.whole, &subject.request_event),
    ];
    for (name, authorizer, event) in rows {
        let best = |threads: usize| {
            (0..TURNS).map(|_| answers_a_second(authorizer, event, threads)).fold(0.0, f64::max)
        };
        let (one, all) = (best(1), best(cores));
        println!("{name:<36}{one:>14.0}{all:>14.0}{:>9.2}x", all / one);
    }
    println!();
}

fn answers_a_second(authorizer: &Authorizer, event: &[u8], threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let rate = || {
        barrier.wait();
        let started = Instant::now();
        let mut answers = 0_u32;
        while started.elapsed() < TURN {
            for _ in 0..16 {
                std::hint::black_box(authorizer.answer(event, NOW));
            }
            answers += 16;
        }
        f64::from(answers) / started.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(rate)).collect();
        running.into_iter().map(|thread| thread.join().expect("no answer panics")).sum()
    })
}
