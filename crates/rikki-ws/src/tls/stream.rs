//! A TLS stream after its handshake, for HTTP, WebSockets and the client: read in large steps, several records at once.
//!
//! rustls takes 4 KiB at a time, and tokio-rustls makes a system call for each of them and hands out one record at
//! most, so that a message of 16 KiB, which takes two, costs five calls and comes in pieces.

use std::io::{self, BufRead as _, ErrorKind, IoSlice, Write};
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::{ClientConnection, ConnectionCommon, ServerConnection, SideData};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use super::copying;
use crate::buffers::READ_SIZE;
use crate::local::Local;

/// What comes out of rustls beyond what goes in, in bytes: the part of a record that came before. One has at most 16
/// KiB, a header and 2 KiB of overhead ([RFC 5246 section
/// 6.2.3](https://www.rfc-editor.org/rfc/rfc5246#section-6.2.3)).
const LEFT_OVER: usize = 20 * 1024;

/// How much is read at once from TCP, in bytes, where there is room for all that comes of it.
const SEALED_SIZE: usize = READ_SIZE - LEFT_OVER;

/// How much is read at a time where there is little room, in bytes; no more than rustls can keep of what comes of it.
const LITTLE: std::ops::RangeInclusive<usize> = 1024..=4096;

/// One end of a TLS connection, whose session is a `ServerConnection` or a `ClientConnection`.
#[derive(Debug)]
pub struct TlsStream<C> {
    tcp: TcpStream,
    session: C,
    /// The alert `close_notify` has been given to rustls.
    closing: bool,
    /// rustls has failed, and says why whenever it is asked.
    failed: bool,
}

impl From<server::TlsStream<TcpStream>> for TlsStream<ServerConnection> {
    fn from(stream: server::TlsStream<TcpStream>) -> Self {
        Self::new(stream.into_inner())
    }
}

impl From<client::TlsStream<TcpStream>> for TlsStream<ClientConnection> {
    fn from(stream: client::TlsStream<TcpStream>) -> Self {
        Self::new(stream.into_inner())
    }
}

impl<C> TlsStream<C> {
    fn new((tcp, session): (TcpStream, C)) -> Self {
        Self { tcp, session, closing: false, failed: false }
    }

    /// What it goes through.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// What was agreed on, and the keys.
    pub fn session(&self) -> &C {
        &self.session
    }
}

impl<C, D> TlsStream<C>
where
    C: DerefMut<Target = ConnectionCommon<D>> + Unpin,
    D: SideData,
{
    /// Hands out what has been decrypted, as far as there is room; `false` at the end of the stream.
    fn take_plaintext(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            let mut reader = self.session.reader();
            let count = match reader.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(chunk) => {
                    let count = chunk.len().min(buffer.remaining());
                    buffer.put_slice(chunk.get(..count).unwrap_or_default());
                    count
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // What came before the end of TCP is read first.
                Err(_) if buffer.filled().len() > before => break,
                Err(error) => return Err(error),
            };
            reader.consume(count);
        }
        Ok(true)
    }

    /// Reads from TCP once, and decrypts and hands out what there is of it.
    fn poll_tcp(
        &mut self,
        cx: &mut Context<'_>,
        sealed: &mut [u8],
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        if self.failed {
            return Poll::Ready(self.process(cx).map(|()| false));
        }
        let mut sealed = ReadBuf::new(sealed);
        ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut sealed))?;
        let mut input = sealed.filled();
        loop {
            // At the end of TCP it is told so by a read of nothing.
            let taken = self.session.read_tls(&mut input)?;
            let processed = self.process(cx);
            // What came before an error too.
            let open = self.take_plaintext(buffer);
            let open = processed.and(open)?;
            // After a `close_notify` rustls takes no more.
            if taken == 0 || input.is_empty() {
                return Poll::Ready(Ok(open));
            }
        }
    }

    /// Decrypts what has been read.
    fn process(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Err(error) = self.session.process_new_packets() else { return Ok(()) };
        self.failed = true;
        // The alert that says why, if there is one and it can be written now.
        let _ = self.poll_write_tls(cx);
        Err(io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Writes what has been encrypted.
    fn poll_write_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Writer { tcp: &mut self.tcp, cx }) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<C, D> AsyncRead for TlsStream<C>
where
    C: DerefMut<Target = ConnectionCommon<D>> + Unpin,
    D: SideData,
{
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut open = self.take_plaintext(buffer)?;
        while open && buffer.filled().len() == before && buffer.remaining() > 0 {
            let mut sealed = Local::with(|local| local.sealed.take()).unwrap_or_default();
            sealed.resize(SEALED_SIZE, 0);
            // All that comes of it has to find room: rustls keeps no more than one record.
            let little = buffer.remaining().clamp(*LITTLE.start(), *LITTLE.end());
            let most = buffer.remaining().saturating_sub(LEFT_OVER).clamp(little, SEALED_SIZE);
            let read = self.poll_tcp(cx, sealed.get_mut(..most).unwrap_or_default(), buffer);
            let _ = Local::with(|local| local.sealed.set(sealed));
            open = match read {
                // What came before an error is read first: rustls repeats it.
                Poll::Ready(Err(_)) if buffer.filled().len() > before => true,
                read => ready!(read)?,
            };
        }
        Poll::Ready(Ok(()))
    }
}

impl<C, D> AsyncWrite for TlsStream<C>
where
    C: DerefMut<Target = ConnectionCommon<D>> + Unpin,
    D: SideData,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // rustls takes 64 KiB, and has room for them when what it took before is written.
        ready!(self.poll_write_tls(cx))?;
        let count = copying::write(pieces, |some| self.session.writer().write_vectored(some))?;
        match self.poll_write_tls(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_tls(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            self.session.send_close_notify();
            self.closing = true;
        }
        ready!(self.poll_write_tls(cx))?;
        match ready!(Pin::new(&mut self.tcp).poll_shutdown(cx)) {
            // The peer was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

/// TCP as rustls writes to it: what has to wait is an error.
struct Writer<'a, 'b> {
    tcp: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

impl Write for Writer<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match Pin::new(&mut *self.tcp).poll_write_vectored(self.cx, pieces) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::tls::provider;

    /// A client of somebody else's, and the server's end.
    async fn pair() -> (client::TlsStream<TcpStream>, TlsStream<ServerConnection>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let server_config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], made.signing_key.into())
            .unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = async {
            let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
        };
        let server = async {
            let (tcp, _) = listener.accept().await.unwrap();
            TlsAcceptor::from(Arc::new(server_config)).accept(tcp).await.unwrap()
        };
        let (client, server) = tokio::join!(client, server);
        (client, server.into())
    }

    fn payload(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
    }

    /// Reads with room for `most` bytes until the end of the stream.
    async fn read_all(tls: &mut (impl AsyncRead + Unpin), most: usize) -> (Vec<u8>, io::Result<()>) {
        let (mut all, mut buffer) = (Vec::new(), vec![0; most]);
        loop {
            match tls.read(&mut buffer).await {
                Ok(0) => return (all, Ok(())),
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) => return (all, Err(error)),
            }
        }
    }

    #[tokio::test]
    async fn reads_all_in_buffers_of_every_size() {
        for most in [1, 1023, 4097, 16 * 1024, LEFT_OVER + 4097, READ_SIZE, 1 << 20] {
            let (mut client, mut server) = pair().await;
            let sent = payload(if most == 1 { 40_000 } else { 1_000_003 });
            let send = async {
                // Many small records, and such as are as large as can be.
                for piece in sent[..10_000].chunks(7).chain([&sent[10_000..]]) {
                    client.write_all(piece).await.unwrap();
                }
                client.shutdown().await.unwrap();
            };
            let ((), (received, end)) = tokio::join!(send, read_all(&mut server, most));
            assert!(received == sent, "room for {most}: {} bytes", received.len());
            end.unwrap();
        }
    }

    /// What takes two records, and four reads of rustls's own size.
    #[tokio::test]
    async fn what_has_come_is_read_at_once_by_both_ends() {
        async fn check<C, D>(stream: &mut TlsStream<C>, sent: &[u8])
        where
            C: DerefMut<Target = ConnectionCommon<D>> + Unpin,
            D: SideData,
        {
            let mut sealed = vec![0; 2 * sent.len()];
            while stream.tcp.peek(&mut sealed).await.unwrap() < sent.len() {
                tokio::task::yield_now().await;
            }
            let mut received = vec![0; READ_SIZE];
            let count = stream.read(&mut received).await.unwrap();
            assert!(received[..count] == *sent, "{count} bytes of {}", sent.len());
        }
        let (client, mut server) = pair().await;
        // The tickets that follow the handshake are read with it.
        let mut client = TlsStream::from(client);
        let sent = payload(17_000);
        client.write_all(&sent).await.unwrap();
        check(&mut server, &sent).await;
        server.write_all(&sent).await.unwrap();
        check(&mut client, &sent).await;
    }

    #[tokio::test]
    async fn an_end_of_tcp_without_a_word_is_an_error_after_all_that_came() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"half a ").await.unwrap();
        client.get_mut().0.shutdown().await.unwrap();
        let (received, end) = read_all(&mut server, READ_SIZE).await;
        assert_eq!((&received[..], end.unwrap_err().kind()), (&b"half a "[..], ErrorKind::UnexpectedEof));
    }

    #[tokio::test]
    async fn what_came_before_an_error_is_read_first() {
        // In the same step as the error, and several steps before it.
        for length in [7, 10_000] {
            for most in [1, 4097, READ_SIZE] {
                let (mut client, mut server) = pair().await;
                let sent = payload(length);
                let (tcp, session) = client.get_mut();
                session.writer().write_all(&sent).unwrap();
                let mut sealed = Vec::new();
                session.write_tls(&mut sealed).unwrap();
                sealed.extend_from_slice(&[&[0x17, 3, 3, 0, 32][..], &[7; 32]].concat());
                tcp.write_all(&sealed).await.unwrap();
                let (received, end) = read_all(&mut server, most).await;
                assert!(received == sent, "{} bytes of {length}, room for {most}", received.len());
                assert_eq!(end.unwrap_err().kind(), ErrorKind::InvalidData);
                let again = server.read(&mut [0]).await.unwrap_err();
                assert_eq!(again.kind(), ErrorKind::InvalidData, "it stays failed");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_tls_is_answered_with_an_alert() {
        let (mut client, mut server) = pair().await;
        client.get_mut().0.write_all(&[0x17, 3, 3, 0, 32]).await.unwrap();
        client.get_mut().0.write_all(&[7; 32]).await.unwrap();
        let (received, end) = read_all(&mut server, READ_SIZE).await;
        assert_eq!((received.len(), end.unwrap_err().kind()), (0, ErrorKind::InvalidData));
        let told = client.read(&mut [0]).await.unwrap_err().to_string();
        assert!(told.contains("BadRecordMac"), "{told}");
    }

    #[tokio::test]
    async fn writes_pieces_and_says_when_it_ends() {
        let (mut client, mut server) = pair().await;
        let sent = payload(1_000_003);
        let send = async {
            let (mut first, mut rest) = sent.split_at(10);
            while !first.is_empty() || !rest.is_empty() {
                let count = server.write_vectored(&[IoSlice::new(first), IoSlice::new(rest)]).await.unwrap();
                let of_first = count.min(first.len());
                (first, rest) = (&first[of_first..], &rest[count - of_first..]);
            }
            server.flush().await.unwrap();
            server.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), end) = tokio::join!(send, client.read_to_end(&mut received));
        assert!(received == sent, "{} bytes", received.len());
        end.unwrap();
    }
}
