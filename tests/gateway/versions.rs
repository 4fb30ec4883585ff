//! HTTP/2 and HTTP/1.0, TLS on both sides, Unix sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use coproc_core::threads::Stop;
use coproc_gateway::config::{Listen, Tls};
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::support::certificates::Certificates;
use crate::world::{Gate, OK, PATIENCE, answering, api};

type Sender = http2::SendRequest<Full<Bytes>>;

async fn http_2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Status, version and body of an answer.
async fn ask(sender: &mut Sender, request: Request<Full<Bytes>>) -> (u16, Version, Bytes) {
    let answer =
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    let (status, version) = (answer.status().as_u16(), answer.version());
    (status, version, answer.into_body().collect().await.unwrap().to_bytes())
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn http_2_without_tls_by_prior_knowledge() {
    let (up, asks) = answering(OK);
    let gate = Gate::to(up.address);
    block_on(async {
        let mut sender = http_2(TcpStream::connect(gate.address).await.unwrap()).await;
        let request = Request::post("http://gate.example/a/x?y")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("te", "trailers")
            .body(Full::from("body"));
        assert_eq!(
            ask(&mut sender, request.unwrap()).await,
            (200, Version::HTTP_2, Bytes::from("ok"))
        );
        let asked = asks.recv_timeout(PATIENCE).unwrap();
        assert_eq!((asked.first.as_str(), asked.text()), ("POST /x?y HTTP/1.1", "body"));
        assert_eq!(asked.all("cookie"), ["a=1; b=2"]);
        assert_eq!(asked.header("x-forwarded-host"), Some("gate.example"));
        assert_eq!(asked.header("te"), Some("trailers"));
        // One that is refused takes no other with it.
        let bad = Request::get("http://gate.example/a/../b").body(Full::default()).unwrap();
        assert_eq!(ask(&mut sender, bad).await.0, 400);
        let other = Request::get("http://gate.example/b").body(Full::default()).unwrap();
        assert_eq!(ask(&mut sender, other).await.0, 404);
        let all = (0..50).map(|_| {
            let mut sender = sender.clone();
            async move {
                let request = Request::get("http://gate.example/a/").body(Full::default()).unwrap();
                ask(&mut sender, request).await.0
            }
        });
        for one in all.map(tokio::spawn).collect::<Vec<_>>() {
            assert_eq!(one.await.unwrap(), 200);
        }
        // Told to go away, it takes no further request.
        gate.threads.stop(Stop::InOrder);
        tokio::time::timeout(PATIENCE, gate.threads.over()).await.unwrap();
        let late = Request::get("http://gate.example/a/").body(Full::default()).unwrap();
        assert!(sender.send_request(late).await.is_err());
    });
}

#[test]
fn http_1_0_is_answered_in_its_own_way() {
    let (up, asks) =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    client.send("GET /a/ HTTP/1.0\r\n\r\n");
    let head = client.head().unwrap();
    assert_eq!((head.first.as_str(), head.header("transfer-encoding")), ("HTTP/1.0 200 OK", None));
    let mut body = String::new();
    client.stream.read_to_string(&mut body).unwrap();
    assert_eq!(body, "ok");
    let asked = asks.recv_timeout(PATIENCE).unwrap();
    assert_eq!(asked.first, "GET / HTTP/1.1");
    assert_eq!(asked.header("x-forwarded-host"), None);
    assert_eq!(asked.all("host"), [up.address.to_string()]);
}

fn connector(made: &Certificates, protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(made.file("ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config).into()
}

#[test]
fn a_reload_takes_a_new_certificate_up_and_keeps_the_old_one_where_it_is_none() {
    let (old, new) = (Certificates::new(), Certificates::new());
    let folder = tempfile::tempdir().unwrap();
    let put = |made: &Certificates| {
        for name in ["cert.pem", "key.pem"] {
            std::fs::copy(made.file(name), folder.path().join(name)).unwrap();
        }
    };
    put(&old);
    let (up, _asks) = answering(OK);
    let gate = Gate::with(up.address, |config| {
        let file = |name| folder.path().join(name);
        config.tls = Some(Tls { certificate: file("cert.pem"), key: file("key.pem") });
    });
    let trusts = |made: &Certificates| {
        block_on(async {
            let stream = TcpStream::connect(gate.address).await.unwrap();
            let name = "localhost".try_into().unwrap();
            connector(made, &[b"h2"]).connect(name, stream).await.is_ok()
        })
    };
    assert!(trusts(&old) && !trusts(&new));
    put(&new);
    assert!(!trusts(&new), "nobody has said so yet");
    gate.bound.reload();
    assert!(trusts(&new) && !trusts(&old));
    std::fs::write(folder.path().join("cert.pem"), "none").unwrap();
    gate.bound.reload();
    assert!(trusts(&new));
}

#[test]
fn tls_on_both_sides_and_either_http_as_agreed() {
    let made = Certificates::new();
    let (up, asks) = answering(OK);
    let inner = Gate::with(up.address, |config| config.tls = made.tls());
    let url = format!("https://localhost:{}/a/", inner.address.port());
    let outer = Gate::serving(vec![api("a", "/a/", &url)], |config| {
        config.tls = made.tls();
        config.upstream_ca = Some(made.file("ca.pem"));
    });
    block_on(async {
        let connect = async |protocols: &[&[u8]]| {
            let stream = TcpStream::connect(outer.address).await.unwrap();
            let name = "localhost".try_into().unwrap();
            connector(&made, protocols).connect(name, stream).await.unwrap()
        };
        let mut sender = http_2(connect(&[b"h2", b"http/1.1"]).await).await;
        let request = Request::get("https://gate.example/a/x").body(Full::default()).unwrap();
        assert_eq!(ask(&mut sender, request).await, (200, Version::HTTP_2, Bytes::from("ok")));
        let asked = asks.recv_timeout(PATIENCE).unwrap();
        assert_eq!(asked.first, "GET /x HTTP/1.1");
        assert_eq!(asked.header("x-forwarded-proto"), Some("https"));
        assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1, 127.0.0.1"));

        let stream = TokioIo::new(connect(&[]).await);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Full<Bytes>>(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/a/y").header("host", "a").body(Full::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_11));
    });
    // Without a trusted root, and under a name that the certificate does not have.
    let untrusted = Gate::serving(vec![api("a", "/a/", &url)], |_| {});
    assert_eq!(untrusted.connect().get("/a/").status(), 502);
    let misnamed = format!("https://127.0.0.2:{}/a/", inner.address.port());
    let misnamed = Gate::serving(vec![api("a", "/a/", &misnamed)], |config| {
        config.upstream_ca = Some(made.file("ca.pem"));
    });
    assert_eq!(misnamed.connect().get("/a/").status(), 502);
}

#[test]
fn a_unix_socket_with_its_mode() {
    let (up, asks) = answering(OK);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    let gate = Gate::with(up.address, |config| {
        config.listen = vec![Listen::Unix(path.clone())];
        config.socket_mode = 0o604;
    });
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o604);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut first = String::new();
    BufReader::new(stream).read_line(&mut first).unwrap();
    assert_eq!(first, "HTTP/1.1 200 OK\r\n");
    assert_eq!(asks.recv_timeout(PATIENCE).unwrap().header("x-forwarded-for"), None);
    drop(gate);
    assert!(!path.exists());
}
