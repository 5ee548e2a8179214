//! Clients that have the same source port get translations of their own, behind one SNAT address.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use penstock_tests::{
    Lab, LabOptions, PATIENCE, ports, raise_file_limit, require_root, tcp_connect_from, udp_connect_from,
    udp_receive,
};

const CLIENTS: u16 = 2000;
const SOURCE_PORT: u16 = 40_000;

/// What the backend saw: the translated sources, and the connections in the order of their clients.
type Seen = (BTreeSet<SocketAddr>, Vec<TcpStream>);

/// Takes connections, and answers each with the number it sends, until there are `CLIENTS` or `over`.
fn accept_all(listener: &TcpListener, over: &AtomicBool) -> Seen {
    let mut seen: Seen = (BTreeSet::new(), Vec::new());
    listener.set_nonblocking(true).unwrap();
    while seen.1.len() < usize::from(CLIENTS) && !over.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((mut stream, peer)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                if echo(&mut stream).is_ok() {
                    seen.0.insert(peer);
                    seen.1.push(stream);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(error) => panic!("accept: {error}"),
        }
    }
    seen
}

/// The server's part of an exchange.
fn echo(stream: &mut TcpStream) -> io::Result<()> {
    let mut number = [0; 2];
    stream.read_exact(&mut number)?;
    stream.write_all(&number)
}

/// The client's part.
fn hear(stream: &mut TcpStream, number: u16) -> io::Result<()> {
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    if u16::from_be_bytes(answer) == number {
        Ok(())
    } else {
        Err(io::Error::other("another client's answer"))
    }
}

/// Makes `CLIENTS` clients by `connect`, in order, up to the first that fails.
fn connect_all<T: Send>(
    lab: &Lab,
    over: &AtomicBool,
    connect: impl Fn(u16) -> io::Result<T> + Sync,
) -> Result<Vec<T>, String> {
    let result = lab.world.client.enter(|| {
        let one = |index| connect(index).map_err(|error| format!("client {index}: {error}"));
        (0..CLIENTS).map(one).collect::<Result<Vec<T>, String>>()
    });
    over.store(true, Ordering::Release);
    result.unwrap()
}

fn client(lab: &Lab, vip: SocketAddr, index: u16) -> SocketAddr {
    let plan = lab.world.plan;
    let address: IpAddr =
        if vip.is_ipv4() { plan.many_clients(index).into() } else { plan.many_clients_v6(index).into() };
    SocketAddr::new(address, SOURCE_PORT)
}

fn check_sources(lab: &Lab, vip: SocketAddr, sources: &BTreeSet<SocketAddr>) {
    assert_eq!(sources.len(), usize::from(CLIENTS), "{vip}: translations collide");
    let snat = lab.snat_address(vip.ip()).unwrap();
    assert!(sources.iter().all(|source| source.ip() == snat), "{vip}: not all from {snat}");
}

fn lab(label: &'static str) -> Lab {
    raise_file_limit().unwrap();
    let lab = Lab::start(LabOptions { backends: 1, ..LabOptions::new(label) }).unwrap();
    lab.world.add_clients(CLIENTS).unwrap();
    lab
}

#[test]
fn netns_2000_tcp_clients_with_one_source_port() {
    require_root!();
    let lab = lab("tcp");
    let backend = &lab.world.backends[0];
    for (vip, address) in lab.vips(ports::TCP).into_iter().zip(&backend.addresses) {
        let to = SocketAddr::new(*address, ports::TCP.1);
        let listener = backend.namespace.enter(|| TcpListener::bind(to)).unwrap().unwrap();
        let over = AtomicBool::new(false);
        let ((sources, mut accepted), clients) = std::thread::scope(|scope| {
            let server = scope.spawn(|| accept_all(&listener, &over));
            let clients = connect_all(&lab, &over, |index| {
                let mut stream = tcp_connect_from(client(&lab, vip, index), vip)?;
                stream.write_all(&index.to_be_bytes())?;
                hear(&mut stream, index)?;
                Ok(stream)
            });
            (server.join().unwrap(), clients)
        });
        let mut clients = clients.unwrap_or_else(|error| panic!("{vip}: {error}"));
        check_sources(&lab, vip, &sources);
        // All of them are open now: each still reaches its own end.
        for (index, (stream, accepted)) in clients.iter_mut().zip(&mut accepted).enumerate() {
            let number = 10_000 + u16::try_from(index).unwrap();
            stream.write_all(&number.to_be_bytes()).unwrap();
            echo(accepted).unwrap();
            hear(stream, number).unwrap_or_else(|error| panic!("{vip}: client {index}: {error}"));
        }
    }
}

#[test]
fn netns_2000_udp_clients_with_one_source_port() {
    require_root!();
    let lab = lab("udp");
    let backend = &lab.world.backends[0];
    for (vip, address) in lab.vips(ports::UDP).into_iter().zip(&backend.addresses) {
        let to = SocketAddr::new(*address, ports::UDP.1);
        let server = backend.namespace.enter(|| UdpSocket::bind(to)).unwrap().unwrap();
        server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let over = AtomicBool::new(false);
        let (sources, clients) = std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let mut sources = BTreeSet::new();
                while !over.load(Ordering::Acquire) {
                    let mut number = [0; 2];
                    if let Ok((length, peer)) = server.recv_from(&mut number) {
                        server.send_to(&number[..length], peer).unwrap();
                        sources.insert(peer);
                    }
                }
                sources
            });
            // The sockets stay open until all have been used.
            let clients = connect_all(&lab, &over, |index| {
                let socket = udp_connect_from(client(&lab, vip, index), vip)?;
                socket.send(&index.to_be_bytes())?;
                let mut answer = [0; 2];
                udp_receive(&socket, &mut answer)?;
                if u16::from_be_bytes(answer) == index {
                    Ok(socket)
                } else {
                    Err(io::Error::other("another client's"))
                }
            });
            (server.join().unwrap(), clients)
        });
        clients.unwrap_or_else(|error| panic!("{vip}: {error}"));
        check_sources(&lab, vip, &sources);
    }
}
