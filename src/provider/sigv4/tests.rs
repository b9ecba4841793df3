use super::*;

/// 2015-08-30 12:36:00 UTC, the time of Amazon's published vectors.
const PUBLISHED: Duration = Duration::from_secs(1_440_938_160);
const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

fn signer(token: Option<&str>) -> Signer {
    Signer::new("us-east-1", "AKIDEXAMPLE", KEY, token.map(str::to_owned))
}

impl Signer {
    /// Signs what has arrived, at the time that it says.
    pub(in crate::provider) fn sign_again(
        &self,
        date: &HeaderValue,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
    ) {
        // Only the seconds since the gateway's own clock are unknown: the signature was made within this minute.
        let now = crate::clock::now_ms();
        let text = date.to_str().expect("text");
        for back in 0..60 {
            let now = UNIX_EPOCH + Duration::from_millis(now) - Duration::from_secs(back);
            let mut tried = headers.clone();
            self.sign_at(now, SERVICE, &Method::POST, url, &mut tried, body).expect("it can be");
            if header(&tried, "x-amz-date") == text {
                *headers = tried;
                return;
            }
        }
        panic!("{text} is not of this minute");
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).expect("it was added").to_str().expect("text")
}

/// Amazon's Signature Version 4 test suite: `get-vanilla`, `post-vanilla-query`, `post-sts-header-before`.
#[test]
fn amazons_published_vectors_come_out() {
    for (method, address, token, names, signature) in [
        (
            Method::GET,
            "https://example.amazonaws.com/",
            None,
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            Method::POST,
            "https://example.amazonaws.com/?Param1=value1",
            None,
            "host;x-amz-date",
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        ),
        (
            Method::POST,
            "https://example.amazonaws.com/",
            Some(TOKEN),
            "host;x-amz-date;x-amz-security-token",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ] {
        let (mut headers, now) = (HeaderMap::new(), UNIX_EPOCH + PUBLISHED);
        let signed =
            signer(token).sign_at(now, "service", &method, &url(address), &mut headers, b"");
        assert_eq!(signed, Ok(()));
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        );
        assert_eq!(header(&headers, "authorization"), expected);
        assert_eq!(header(&headers, "x-amz-date"), "20150830T123600Z");
        assert_eq!(headers.contains_key("x-amz-security-token"), token.is_some());
    }
}

/// The signature is botocore's (1.44.5, `SigV4Auth`) for the same request: a colon in the model's id, a body, and headers
/// of which only some are signed.
#[test]
fn a_call_of_bedrock_is_signed_as_botocore_signs_it() {
    let address = "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse-stream";
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("accept", HeaderValue::from_static("application/vnd.amazon.eventstream"));
    headers.insert("user-agent", HeaderValue::from_static("an app"));
    let body = r#"{"messages":[{"role":"user","content":[{"text":"日本"}]}]}"#.as_bytes();
    let (method, now) = (Method::POST, UNIX_EPOCH + PUBLISHED);
    let signed =
        signer(Some("token")).sign_at(now, SERVICE, &method, &url(address), &mut headers, body);
    assert_eq!(signed, Ok(()));
    assert_eq!(
        header(&headers, "authorization"),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
         Signature=a4106f05e2f272838728db819d37a00b464053b521105c131efebd948d672f6d"
    );
    assert!(headers["authorization"].is_sensitive());
}

#[test]
fn a_signer_shows_no_secret() {
    let shown = format!("{:?}", signer(Some(TOKEN)));
    assert!(!shown.contains(KEY) && !shown.contains(TOKEN), "{shown}");
}
