//! The way through a SOCKS proxy, version 5: <https://www.rfc-editor.org/rfc/rfc1928>.
//!
//! Each answer is read to its end and no further, so what comes behind the last one is the server's. Its length is
//! known from its first bytes and at most 262.

use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ProxyError;
use super::route::Target;

const VERSION: u8 = 5;
/// Methods of section 3.
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_OF_THESE: u8 = 0xff;
/// Of [RFC 1929](https://www.rfc-editor.org/rfc/rfc1929).
const PASSWORD_VERSION: u8 = 1;
/// CONNECT, of section 4.
const CONNECT: u8 = 1;
/// Kinds of addresses, of section 5.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The request of RFC 1929, which is a user and a password with their lengths.
#[derive(Clone)]
pub(super) struct Credentials(Vec<u8>);

impl Credentials {
    pub(super) fn new(user: &str, password: &str) -> Result<Self, &'static str> {
        let mut request = vec![PASSWORD_VERSION];
        for text in [user, password] {
            let length = u8::try_from(text.len()).ok().filter(|length| *length > 0);
            request.push(length.ok_or("SOCKS has users and passwords of 1 to 255 bytes")?);
            request.extend_from_slice(text.as_bytes());
        }
        Ok(Self(request))
    }
}

/// The same stream, once the proxy has connected it to `target`, whose name it looks up.
pub(super) async fn through<S>(
    mut stream: S,
    target: Target<'_>,
    credentials: Option<&Credentials>,
) -> Result<S, ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = request(target)?;
    let methods: &[u8] = if credentials.is_some() { &[NO_AUTHENTICATION, PASSWORD] } else { &[NO_AUTHENTICATION] };
    let count = u8::try_from(methods.len()).unwrap_or_default();
    send(&mut stream, &[&[VERSION, count], methods].concat()).await?;
    let [version, method] = receive(&mut stream).await?;
    check_version(version)?;
    match (method, credentials) {
        (NO_AUTHENTICATION, _) => {}
        (PASSWORD, Some(Credentials(request))) => {
            send(&mut stream, request).await?;
            let [_, status] = receive(&mut stream).await?;
            if status != 0 {
                return Err(ProxyError::Unauthorized);
            }
        }
        (NONE_OF_THESE, _) => return Err(ProxyError::Unauthorized),
        _ => return Err(ProxyError::Protocol("asked for what was not offered")),
    }
    send(&mut stream, &request).await?;
    let [version, reply, _, kind] = receive(&mut stream).await?;
    check_version(version)?;
    // A proxy that refuses need not say what it is bound to.
    if reply != 0 {
        return Err(ProxyError::Reply(reply));
    }
    let address = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => receive::<1>(&mut stream).await?.map(usize::from).iter().sum(),
        _ => return Err(ProxyError::Protocol("is bound to no kind of address")),
    };
    let mut bound = vec![0; address + 2];
    stream.read_exact(&mut bound).await.map_err(broken)?;
    Ok(stream)
}

fn request(Target { host, port }: Target<'_>) -> Result<Vec<u8>, ProxyError> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            let length = u8::try_from(host.len()).map_err(|_| ProxyError::NameTooLong)?;
            request.extend_from_slice(&[NAME, length]);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), ProxyError> {
    stream.write_all(bytes).await.map_err(broken)?;
    stream.flush().await.map_err(broken)
}

async fn receive<const LENGTH: usize>(stream: &mut (impl AsyncRead + Unpin)) -> Result<[u8; LENGTH], ProxyError> {
    let mut bytes = [0; LENGTH];
    stream.read_exact(&mut bytes).await.map_err(broken)?;
    Ok(bytes)
}

fn check_version(version: u8) -> Result<(), ProxyError> {
    if version == VERSION { Ok(()) } else { Err(ProxyError::Protocol("does not speak SOCKS 5")) }
}

fn broken(error: std::io::Error) -> ProxyError {
    ProxyError::Broken(error.into())
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// A proxy that answers each step, and what it has got by then: the lengths say how much is read before.
    async fn talk(answers: &[(usize, &[u8])], host: &str, password: Option<&str>) -> (Result<(), String>, Vec<u8>) {
        let credentials = password.map(|password| Credentials::new("user", password).unwrap());
        let (ours, mut theirs): (DuplexStream, _) = duplex(1024);
        let proxy = async {
            let mut got = Vec::new();
            for (length, answer) in answers {
                let mut step = vec![0; *length];
                if theirs.read_exact(&mut step).await.is_err() {
                    break;
                }
                got.extend(step);
                theirs.write_all(answer).await.unwrap();
            }
            // And ends.
            drop(theirs);
            got
        };
        let target = Target { host, port: 0x1234 };
        let client = async {
            let stream = through(ours, target, credentials.as_ref()).await.map_err(|error| error.to_string());
            let mut rest = Vec::new();
            if let Ok(mut stream) = stream {
                stream.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, b"server", "what is behind the answer is the server's");
                return Ok(());
            }
            stream.map(drop)
        };
        tokio::join!(client, proxy)
    }

    #[tokio::test]
    async fn names_addresses_and_passwords() {
        let ok = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50server".as_slice();
        let (result, got) = talk(&[(3, b"\x05\x00"), (11, ok)], "abcd", None).await;
        assert_eq!((result, got.as_slice()), (Ok(()), b"\x05\x01\x00\x05\x01\x00\x03\x04abcd\x12\x34".as_slice()));
        let named = b"\x05\x00\x00\x03\x02ab\x00\x50server".as_slice();
        let (result, got) = talk(&[(3, b"\x05\x00"), (10, named)], "127.0.0.1", None).await;
        assert_eq!((result, &got[3..]), (Ok(()), b"\x05\x01\x00\x01\x7f\x00\x00\x01\x12\x34".as_slice()));
        let six = [b"\x05\x00\x00\x04".as_slice(), &[0; 18], b"server"].concat();
        let (result, got) = talk(&[(3, b"\x05\x00"), (22, &six)], "::1", None).await;
        assert_eq!((result, got[6], got[22]), (Ok(()), 4, 1));
        let (result, got) = talk(&[(4, b"\x05\x02"), (10, b"\x01\x00"), (8, ok)], "a", Some("123")).await;
        let expected = b"\x05\x02\x00\x02\x01\x04user\x03123\x05\x01\x00\x03\x01a\x12\x34".as_slice();
        assert_eq!((result, got.as_slice()), (Ok(()), expected));
        // Credentials that nobody asks for are not sent.
        let (result, got) = talk(&[(4, b"\x05\x00"), (8, ok)], "a", Some("123")).await;
        assert_eq!((result, got.len()), (Ok(()), 12));
    }

    #[tokio::test]
    async fn what_a_proxy_may_do_wrong() {
        async fn check(answers: &[(usize, &[u8])], password: Option<&str>, expected: &str) {
            assert_eq!(talk(answers, "a", password).await.0, Err(expected.to_owned()), "{answers:?}");
        }
        let unauthorized = "wants a user and a password, or others than these";
        check(&[(3, b"\x05\xff")], None, unauthorized).await;
        check(&[(4, b"\x05\x02"), (10, b"\x01\x01")], Some("123"), unauthorized).await;
        check(&[(3, b"\x05\x02")], None, "asked for what was not offered").await;
        check(&[(3, b"\x05\x01")], None, "asked for what was not offered").await;
        check(&[(3, b"HTTP/1.1 400 Bad Request\r\n\r\n")], None, "does not speak SOCKS 5").await;
        check(&[(3, b"\x05\x00"), (8, b"\x05\x02\x00\x01")], None, "answered: its rules do not allow it").await;
        check(&[(3, b"\x05\x00"), (8, b"\x05\x05\x00\x01\x00")], None, "answered: the host refused the connection")
            .await;
        check(&[(3, b"\x05\x00"), (8, b"\x05\x63\x00\x01")], None, "answered with the unknown code 99").await;
        check(&[(3, b"\x05\x00"), (8, b"\x05\x00\x00\x07")], None, "is bound to no kind of address").await;
        for cut in [b"\x05".as_slice(), b"\x05\x00\x00\x01\x7f"] {
            check(&[(3, b"\x05\x00"), (8, cut)], None, "broke off: early eof").await;
        }
        check(&[(3, b"")], None, "broke off: early eof").await;
        let name = "a".repeat(256);
        let (result, got) = talk(&[(1, b"")], &name, None).await;
        assert_eq!(result, Err("takes no name of a host of more than 255 bytes".to_owned()));
        assert_eq!(got, b"", "nothing was sent");
    }
}
