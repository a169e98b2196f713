//! The lines of logs, one after another, however long the logs are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};

use crate::shell::Failure;

/// The longest line that is looked at, in bytes. CloudWatch Logs cuts an event at 256 KiB; a subscription's line holds many.
const LINE_LIMIT: u64 = 32 * 1024 * 1024;

/// How a gzip stream begins (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Hands each line of the logs over, and counts them. On a terminal, a bar on stderr shows how far it has come.
pub(super) fn each_line(paths: &[String], mut take: impl FnMut(&str)) -> Result<u64, Failure> {
    let sizes = paths.iter().map(|path| std::fs::metadata(path).map_or(0, |file| file.len()));
    let bar = progress(sizes.sum());
    let mut lines = 0;
    for path in paths {
        let unread = |error| Failure::Message(format!("cannot read `{path}`: {error}"));
        let source = open(path).map_err(unread)?;
        let mut raw = BufReader::with_capacity(256 * 1024, bar.wrap_read(source));
        let is_gzip = raw.fill_buf().map_err(unread)?.starts_with(&GZIP);
        let mut reader: Box<dyn BufRead> = match is_gzip {
            true => Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(raw))),
            false => Box::new(raw),
        };
        lines += lines_of(&mut reader, &mut take).map_err(unread)?;
    }
    bar.finish_and_clear();
    Ok(lines)
}

#[expect(clippy::disallowed_methods, reason = "the command line is where files are read")]
fn open(path: &str) -> io::Result<Box<dyn Read>> {
    Ok(match path {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path)?),
    })
}

/// A line that is too long is passed over without being kept.
fn lines_of(reader: &mut impl BufRead, take: &mut impl FnMut(&str)) -> io::Result<u64> {
    let (mut lines, mut line) = (0, Vec::new());
    loop {
        line.clear();
        if reader.take(LINE_LIMIT).read_until(b'\n', &mut line)? == 0 {
            return Ok(lines);
        }
        lines += 1;
        if line.len() as u64 == LINE_LIMIT && !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
            continue;
        }
        take(&String::from_utf8_lossy(&line));
    }
}

/// Hidden where stderr is no terminal.
fn progress(bytes: u64) -> ProgressBar {
    let template = "{bar:40} {bytes} of {total_bytes}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}
