//! Flows of UDP leave a backend that is no endpoint any more, within a millisecond of the publication, in the lane as
//! elsewhere.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use penstock_tests::{Lab, PATIENCE, ports, require_root, udp_connect_from};
use serde_json::json;

use crate::{flows, is_fast, options, wait_for_the_lane};

/// Each sends a datagram every [`PAUSE`].
const SENDERS: u16 = 8;
const PAUSE: Duration = Duration::from_micros(200);
/// How often the endpoints change.
const CHANGES: usize = 10;
/// The promise.
const BOUND: Duration = Duration::from_millis(1);
/// A flow is this old before it may be promoted.
const SETTLES: Duration = Duration::from_millis(2500);

/// A datagram, as a backend received it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    backend: u8,
    sent: Duration,
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Sends the time, and reads what comes back, which makes the flow one of two directions.
fn send_until(socket: &UdpSocket, stop: &AtomicBool) {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 16];
    while !stop.load(Ordering::Acquire) {
        // A full buffer is as good as a loss.
        let _ = socket.send(&now().as_nanos().to_be_bytes());
        while socket.recv(&mut buffer).is_ok() {}
        std::thread::sleep(PAUSE);
    }
}

/// Sends back what comes, and notes it.
fn echo_until(socket: &UdpSocket, backend: u8, seen: &Mutex<Vec<Seen>>, stop: &AtomicBool) {
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 16];
    while !stop.load(Ordering::Acquire) {
        let Ok((16, from)) = socket.recv_from(&mut buffer) else { continue };
        let sent = Duration::from_nanos(u128::from_be_bytes(buffer) as u64);
        seen.lock().unwrap().push(Seen { backend, sent });
        let _ = socket.send_to(&buffer, from);
    }
}

/// When the last line of the log that says so was written.
fn published_at(lab: &mut Lab, after: Duration) -> Duration {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let log = lab.appliance.child().output();
        let lines = log.lines().filter(|line| line.contains("published"));
        let times = lines.filter_map(|line| {
            let written: serde_json::Value = serde_json::from_str(line).ok()?;
            since_1970(written["timestamp"].as_str()?)
        });
        if let Some(time) = times.filter(|time| *time > after).min() {
            return time;
        }
        assert!(std::time::Instant::now() < deadline, "nothing is published:\n{log}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `2026-11-23T02:48:45.123456Z`. Days are counted as in Howard Hinnant's `days_from_civil`.
fn since_1970(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (century, of_century) = (year / 100, year % 100);
    let days = century * 146_097 / 4 + of_century * 1461 / 4 + (153 * month + 2) / 5 + day - 719_469;
    let mut time = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    Some(
        Duration::from_secs(days * 86400)
            + Duration::from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds),
    )
}

#[test]
fn times_of_the_log_are_read() {
    let nanoseconds = |text| since_1970(text).unwrap().as_micros();
    assert_eq!(nanoseconds("1970-01-01T00:00:00.000000Z"), 0);
    assert_eq!(nanoseconds("2026-11-22T12:00:00.250000Z"), 1_795_348_800_250_000);
    assert_eq!(nanoseconds("2024-02-29T23:59:59.000001Z"), 1_709_251_199_000_001);
}

#[test]
fn netns_datagrams_leave_a_removed_backend_within_a_millisecond() {
    require_root!();
    let fields =
        json!({"logging": {"format": "json", "level": "info"}, "timeouts": {"udp": {"unreplied": "30s"}}});
    let mut lab = Lab::start(options("udp-endpoints", fields)).unwrap();
    wait_for_the_lane(&mut lab);
    let vips = lab.vips(ports::UDP);
    let clients = lab.world.plan.client();
    let (stop, seen) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let listening: Vec<(u8, UdpSocket)> = lab
        .world
        .backends
        .iter()
        .flat_map(|backend| {
            let open = |address| {
                let socket =
                    backend.namespace.enter(|| UdpSocket::bind(SocketAddr::new(address, ports::UDP.1)));
                (backend.number, socket.unwrap().unwrap())
            };
            backend.addresses.iter().copied().map(open).collect::<Vec<_>>()
        })
        .collect();
    let sending: Vec<UdpSocket> = (0..SENDERS)
        .map(|number| {
            let (vip, client) =
                (vips[usize::from(number) % vips.len()], clients[usize::from(number) % vips.len()]);
            let connect = || udp_connect_from(SocketAddr::new(client, 30_000 + number), vip);
            lab.world.client.enter(connect).unwrap().unwrap()
        })
        .collect();
    let is_ours = |flow: &serde_json::Value| {
        flow["transport"] == "udp" || flow["transport"] == "Udp" || flow["transport"] == "UDP"
    };
    let mut worst = Vec::new();
    std::thread::scope(|scope| {
        for (backend, socket) in &listening {
            scope.spawn(|| echo_until(socket, *backend, &seen, &stop));
        }
        for socket in &sending {
            scope.spawn(|| send_until(socket, &stop));
        }
        let all = [1, 2, 3];
        for change in 0..CHANGES {
            let gone = all[change % all.len()];
            std::thread::sleep(SETTLES);
            lab.wait_until("all in the lane", |lab| {
                flows(lab, |flow| is_ours(flow) && is_fast(flow)).len() == usize::from(SENDERS)
            })
            .unwrap();
            let asked = now();
            let others: Vec<u8> = all.into_iter().filter(|number| *number != gone).collect();
            lab.set_endpoints(&others).unwrap();
            let published = published_at(&mut lab, asked);
            std::thread::sleep(Duration::from_millis(200));
            let seen = seen.lock().unwrap().clone();
            let late = seen.iter().filter(|seen| seen.backend == gone && seen.sent > asked);
            let last = late.map(|seen| seen.sent.saturating_sub(published)).max().unwrap_or_default();
            let elsewhere =
                seen.iter().filter(|seen| seen.backend != gone && seen.sent > published + BOUND).count();
            assert!(elsewhere > 100, "after change {change} hardly anything arrives: {elsewhere}");
            worst.push(last);
            lab.set_endpoints(&all).unwrap();
            published_at(&mut lab, published);
        }
        stop.store(true, Ordering::Release);
    });
    assert!(
        worst.iter().all(|late| *late <= BOUND),
        "sent after the publication, and still to the old backend: {worst:?}"
    );
}
