//! The built bundle: it answers as its sources do, and nothing of it is believed that was not built and signed.

use std::fmt;
use std::sync::Arc;

use cedar_gate::authorizer::Authorizer;
use cedar_gate::bundle::built::{
    BuiltError, BuiltFile, Head, ReadAt, Signature, SigningKey, TrustedKeys, Writer, reads_section,
};
use cedar_gate::bundle::source::SourceFiles;
use cedar_gate::bundle::{BuiltBundle, Bundle};
use cedar_gate::fetch::read_bundle;
use cedar_gate::grants::PrincipalReads;
use cedar_gate::record::Outcome;
use cedar_gate::time::Timestamp;
use cedar_gate::tools::release::{Release, build, verify};

use crate::pipeline::{every_event, folder};
use crate::shadow::{alone, without_digests};

fn sources() -> SourceFiles {
    read_bundle(&folder().join("bundle")).unwrap()
}

fn built(files: &SourceFiles) -> Vec<u8> {
    build(files, &Release::new(Some(7))).unwrap_or_else(|error| panic!("{error}"))
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).unwrap()
}

fn trusting(keys: &[&SigningKey]) -> TrustedKeys {
    let keys: Vec<String> = keys.iter().map(|key| key.public().to_string()).collect();
    keys.join(",").parse().unwrap()
}

fn signed(bundle: &[u8], keys: &[&SigningKey]) -> Vec<u8> {
    let signatures = keys.iter().flat_map(|key| key.sign(bundle).unwrap().to_bytes());
    bundle.iter().copied().chain(signatures).collect()
}

fn open(bytes: &[u8], trusted: Option<&TrustedKeys>) -> Result<BuiltFile, BuiltError> {
    BuiltFile::open(Box::new(bytes.to_vec()), &[], trusted)
}

fn authorizer(file: BuiltFile) -> Authorizer {
    Authorizer::open(BuiltBundle::open(file).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// Bytes of which one is another.
struct Flipped {
    bytes: Arc<[u8]>,
    at: usize,
}

impl fmt::Debug for Flipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flipped({})", self.at)
    }
}

impl ReadAt for Flipped {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<(), String> {
        let at = usize::try_from(at).unwrap();
        into.copy_from_slice(&self.bytes[at..at + into.len()]);
        if let Some(flipped) = self.at.checked_sub(at).and_then(|at| into.get_mut(at)) {
            *flipped ^= 1 << (self.at % 8);
        }
        Ok(())
    }
}

#[test]
fn it_answers_every_event_as_its_sources_do() {
    let authorizer = authorizer(open(&built(&sources()), None).unwrap());
    assert!(authorizer.read_bundle().is_none() && authorizer.built_bundle().is_some());
    for turn in ["first", "again"] {
        for ((name, event, now), expected) in every_event().into_iter().zip(alone()) {
            let answered = authorizer.answer(&event, now);
            assert_eq!(without_digests(&answered, &authorizer), *expected, "{name}, {turn}");
        }
    }
}

#[test]
fn under_a_cross_check_it_answers_the_same() {
    let mut files = sources();
    let deployment = files.text("schema/authorizer.toml").unwrap().to_owned();
    files.insert("schema/authorizer.toml", format!("{deployment}\n[decisions]\ncross_check = true\n"));
    let authorizer = authorizer(open(&built(&files), None).unwrap());
    for ((name, event, now), expected) in every_event().into_iter().zip(alone()) {
        assert_eq!(without_digests(&authorizer.answer(&event, now), &authorizer), *expected, "{name}");
    }
}

#[test]
fn the_same_sources_make_the_same_bytes_and_give_them_back() {
    let files = sources();
    let bytes = built(&files);
    assert_eq!(bytes, built(&files));
    let file = open(&bytes, None).unwrap();
    let back = file.source_files().unwrap();
    let all = |files: &SourceFiles| {
        files.paths().map(|path| (path.to_owned(), files.bytes(path).unwrap().to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(all(&back), all(&files));
    verify(&bytes, &file).unwrap();
    file.check().unwrap();
    let head = file.head();
    assert_eq!((head.release, head.digest.as_str()), (Some(7), files.digest().as_str()));
    assert_eq!(file.unsigned_bytes(), bytes.len() as u64);
    let policies =
        Bundle::load(&files).unwrap().policy_versions().next().unwrap().policies().num_of_policies();
    assert_eq!(head.versions.iter().map(|version| version.policies as usize).collect::<Vec<_>>(), [policies]);
}

#[test]
fn who_signed_it_decides_whether_it_is_opened() {
    let bytes = built(&sources());
    let (one, two, other) = (key(1), key(2), key(3));
    let id = |key: &SigningKey| key.public().id();
    let cases = [
        (signed(&bytes, &[&one]), trusting(&[&one]), None),
        (signed(&bytes, &[&other, &one]), trusting(&[&two, &one]), None),
        (
            bytes.clone(),
            trusting(&[&one]),
            Some(format!(
                "the bundle is not signed, and this deployment trusts only what is signed by {}",
                id(&one)
            )),
        ),
        (
            signed(&bytes, &[&other]),
            trusting(&[&one, &two]),
            Some(format!(
                "the bundle is signed by {}, and this deployment trusts {}, {}",
                id(&other),
                id(&one),
                id(&two)
            )),
        ),
    ];
    for (bytes, trusted, expected) in cases {
        let said = open(&bytes, Some(&trusted)).map(|file| file.signed_by().unwrap().id());
        match expected {
            None => assert_eq!(said.unwrap(), id(&one)),
            Some(expected) => assert_eq!(said.unwrap_err().to_string(), expected),
        }
        assert!(open(&bytes, None).unwrap().signed_by().is_none(), "where no key is asked for, none vouches");
    }
    // A signature of another bundle, under the name of the trusted key.
    let other = build(&sources(), &Release::new(Some(8))).unwrap();
    let forged: Vec<u8> = bytes.iter().copied().chain(one.sign(&other).unwrap().to_bytes()).collect();
    assert!(
        matches!(open(&forged, Some(&trusting(&[&one]))), Err(BuiltError::WrongSignature { key }) if key == id(&one))
    );
    // One that stands in a file of its own.
    let detached = one.sign(&bytes).unwrap().to_bytes();
    let opened = BuiltFile::open(Box::new(bytes.clone()), &detached, Some(&trusting(&[&one])));
    assert_eq!(opened.unwrap().signatures().len(), 1);
    for garbage in [&b"x"[..], &[0; Signature::BYTES], &detached[..99]] {
        assert!(BuiltFile::open(Box::new(bytes.clone()), garbage, None).is_err());
    }
}

#[test]
fn keys_that_are_none_are_errors_and_trust_nobody() {
    for text in ["", " ", ",", "x", "AAAA", &"A".repeat(44), "§"] {
        assert!(text.parse::<TrustedKeys>().is_err(), "{text:?}");
    }
    let text = format!("{}\n {}", key(1).public(), key(2).public());
    assert_eq!(text.parse::<TrustedKeys>().unwrap(), trusting(&[&key(1), &key(2)]));
    // RFC 8037, appendix A.3: the thumbprint of the key of A.1.
    let public: cedar_gate::bundle::built::ReleaseKey =
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".parse().unwrap();
    assert_eq!(public.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let secret = format!("{:?}", key(9));
    assert!(!secret.contains("9, 9") && secret.contains(&key(9).public().id()), "{secret}");
}

/// A bundle as small as one can be.
fn small() -> SourceFiles {
    let mut files = sources();
    let own: Vec<String> = files.paths().map(str::to_owned).collect();
    for path in own.iter().filter(|path| path.starts_with("policies/v1/") && path.ends_with(".cedar")) {
        files.insert(path.as_str(), "");
    }
    files.insert(
        "policies/v1/a.cedar",
        "@id(\"all\") permit (principal, action, resource) when { principal.sub != \"\" };",
    );
    files
}

#[test]
fn whichever_bit_is_flipped_it_is_never_believed() {
    let trusted = trusting(&[&key(1)]);
    let unsigned = built(&small());
    let bytes: Arc<[u8]> = signed(&unsigned, &[&key(1)]).into();
    let mut refused = 0;
    for at in 0..bytes.len() {
        let flipped = || Box::new(Flipped { bytes: Arc::clone(&bytes), at });
        match BuiltFile::open(flipped(), &[], Some(&trusted)) {
            Err(_) => refused += 1,
            // What is not read with the opening is found when it is read.
            Ok(file) => assert!(file.check().is_err(), "byte {at} of {}", bytes.len()),
        }
        // Where nobody has to have signed it, the signatures say nothing.
        if at < unsigned.len() {
            let whole = BuiltFile::open(flipped(), &[], None).is_ok_and(|file| file.check().is_ok());
            assert!(!whole, "byte {at} of {}", bytes.len());
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn wherever_it_is_cut_off_it_is_refused() {
    let unsigned = built(&small());
    let bytes = signed(&unsigned, &[&key(1)]);
    let trusted = trusting(&[&key(1)]);
    for length in 0..bytes.len() {
        assert!(open(&bytes[..length], Some(&trusted)).is_err(), "{length}");
        assert_eq!(open(&bytes[..length], None).is_ok(), length == unsigned.len(), "{length}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(open(&longer, None), Err(BuiltError::Length { .. })));
    let one = key(1);
    assert!(open(&signed(&unsigned, &[&one; Signature::MOST]), None).is_ok());
    assert!(open(&signed(&unsigned, &[&one; Signature::MOST + 1]), None).is_err());
    for text in ["", "CEDARGATE-BUNDLE", "PK\u{3}\u{4}", &"x".repeat(200)] {
        assert_eq!(open(text.as_bytes(), None).unwrap_err(), BuiltError::NotABundle, "{text:?}");
    }
}

/// Each block in turn is another: whatever is asked then, the answer is the right one or a fault.
#[test]
fn a_block_that_is_damaged_under_way_makes_faults_and_no_answers() {
    let files = sources();
    let bytes: Arc<[u8]> = built(&files).into();
    let first = usize::try_from(open(&bytes, None).unwrap().unsigned_bytes()).unwrap() / 4_096;
    let read = Authorizer::new(Bundle::load(&files).unwrap()).unwrap();
    let events: Vec<_> = every_event()
        .into_iter()
        .step_by(3)
        .map(|asked| {
            let answered = without_digests(&read.answer(&asked.1, asked.2), &read);
            (asked, answered)
        })
        .collect();
    let (mut opened, mut faults, mut right) = (0, 0, 0);
    for block in 0..=first {
        let at = bytes.len().saturating_sub(1 + block * 4_096);
        let flipped = Flipped { bytes: Arc::clone(&bytes), at };
        let file = BuiltFile::open(Box::new(flipped), &[], None);
        let Ok(Ok(bundle)) = file.map(BuiltBundle::open) else { continue };
        let Ok(authorizer) = Authorizer::open(bundle) else { continue };
        opened += 1;
        for ((name, event, now), expected) in &events {
            let answered = authorizer.answer(event, *now);
            let same = without_digests(&answered, &authorizer) == *expected;
            let damaged = answered.record.reason == "bundle_damaged";
            assert!(same || (damaged && answered.record.outcome == Outcome::Fault), "{name}, block {block}");
            faults += u32::from(damaged);
            right += u32::from(same);
        }
    }
    assert!(opened > 0 && faults > 0 && right > 0, "{opened} opened, {faults} faults, {right} right");
}

/// Builds a file with another head.
fn with_head(change: impl FnOnce(&mut Head)) -> Vec<u8> {
    let mut head = open(&built(&small()), None).unwrap().head().clone();
    change(&mut head);
    Writer::default().finish(&head).unwrap()
}

#[test]
fn what_another_version_built_is_refused_in_words() {
    let other = with_head(|head| {
        head.cedar = "4.99.0".to_owned();
        head.built_by = "9.9.9".to_owned();
    });
    let this = env!("CARGO_PKG_VERSION");
    assert_eq!(
        open(&other, None).unwrap_err().to_string(),
        format!(
            "the bundle was built by cedar-gate 9.9.9 for Cedar 4.99.0, and this is cedar-gate {this} with Cedar 4.14.1: build it with this version"
        )
    );
    let mut format = built(&small());
    format[16] = 9;
    assert_eq!(
        open(&format, None).unwrap_err().to_string(),
        format!(
            "the bundle has format 9, and this version of cedar-gate opens format 2: build it with version {this}"
        )
    );
}

/// A principal's documents are found by what the policies read of it: a built bundle has that written down.
#[test]
fn what_its_policies_read_of_a_principal_is_written_down() {
    let files = sources();
    let bundle = Bundle::load(&files).unwrap();
    let file = open(&built(&files), None).unwrap();
    for version in bundle.policy_versions() {
        let section = file.section(&reads_section(&version.name)).unwrap().all().unwrap();
        let read: PrincipalReads = serde_json::from_slice(&section).unwrap();
        assert_eq!(read, PrincipalReads::of_policies(version.policies()), "{}", version.name);
        assert_ne!(read, PrincipalReads::default(), "{}", version.name);
    }
}

/// Who holds the key could sign a file whose index says something else than its policies: `verify` builds them once more.
#[test]
fn an_index_that_is_not_of_its_policies_is_found_out() {
    let mut files = sources();
    let orders = files.text("policies/v1/orders.cedar").unwrap().to_owned();
    files.insert(
        "policies/v1/orders.cedar",
        format!("{orders}\n@id(\"closed\") forbid (principal, action, resource);"),
    );
    let closed = built(&files);
    let open_one = built(&sources());
    let (closed_file, open_file) = (open(&closed, None).unwrap(), open(&open_one, None).unwrap());
    // The index and the rules without the forbid, in a file whose sources have it.
    let mut writer = Writer::default();
    let mut head = closed_file.head().clone();
    let texts = closed_file.section("texts").unwrap().all().unwrap();
    let files_at: Vec<_> = head
        .files
        .iter()
        .map(|span| {
            writer.file(span.name.as_str(), closed_file.opening_files().unwrap().bytes(&span.name).unwrap())
        })
        .collect();
    head.files = files_at;
    let sections = head.sections.iter().map(|span| {
        let from = if span.name.starts_with("sources") { &closed_file } else { &open_file };
        let bytes = match span.name.as_str() {
            "texts" => texts.clone(),
            name => from.section(name).unwrap().all().unwrap(),
        };
        writer.section(span.name.as_str(), &bytes)
    });
    head.sections = sections.collect();
    let bytes = writer.finish(&head).unwrap();
    let file = open(&bytes, None).unwrap();
    assert!(verify(&bytes, &file).is_err());
    verify(&closed, &closed_file).unwrap();
}

#[test]
fn many_threads_open_and_ask_it_at_once() {
    let authorizer = authorizer(open(&built(&sources()), None).unwrap());
    let events: Vec<(String, Vec<u8>, Timestamp)> = every_event();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (authorizer, events) = (&authorizer, &events);
            scope.spawn(move || {
                for ((name, event, now), expected) in events.iter().zip(alone()).skip(thread) {
                    assert_eq!(
                        without_digests(&authorizer.answer(event, *now), authorizer),
                        *expected,
                        "{name}"
                    );
                }
            });
        }
    });
}
