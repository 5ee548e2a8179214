use super::*;

fn status(code: u16, reason: &str) -> Box<Status> {
    Status::failure("it is so", reason).with_code(code).boxed()
}

fn api(code: u16, reason: &str) -> kube::Error {
    kube::Error::Api(status(code, reason))
}

fn broken() -> kube::Error {
    kube::Error::ReadEvents(std::io::Error::other("connection reset"))
}

#[test]
fn an_outage_ends_in_a_new_list_and_a_broken_watch_is_resumed() {
    use watcher::Error as E;
    let garbled = serde_json::from_str::<u8>("x").unwrap_err();
    for (error, wanted) in [
        (E::WatchFailed(broken()), Remedy::Resume),
        (E::WatchStartFailed(api(429, "TooManyRequests")), Remedy::Resume),
        (E::WatchFailed(kube::Error::SerdeError(garbled)), Remedy::Anew),
        (E::WatchStartFailed(broken()), Remedy::Anew),
        (E::WatchStartFailed(api(503, "ServiceUnavailable")), Remedy::Anew),
        (E::WatchError(status(410, "Expired")), Remedy::Anew),
        (E::WatchError(status(504, "Timeout")), Remedy::Anew),
        (E::InitialListFailed(api(403, "Forbidden")), Remedy::Anew),
        (E::InitialListFailed(api(404, "NotFound")), Remedy::Absent),
        (E::NoResourceVersion, Remedy::Anew),
    ] {
        assert_eq!(remedy(&error, true), wanted, "{error}");
    }
    assert_eq!(
        remedy(&E::InitialListFailed(api(404, "NotFound")), false),
        Remedy::Anew,
        "no Services at all?"
    );
}

#[test]
fn a_refusal_says_what_to_allow_and_all_else_is_an_absence() {
    use watcher::Error as E;
    let told = |error: E| trouble("services", &error);
    let Trouble::Refused { cause, remedy } = told(E::InitialListFailed(api(403, "Forbidden"))) else {
        panic!("no refusal")
    };
    assert_eq!(cause, "it is so");
    assert_eq!(remedy, "allow list and watch of services in the ClusterRole or Role that Penstock has");
    let Trouble::Refused { remedy, .. } = told(E::InitialListFailed(api(401, "Unauthorized"))) else {
        panic!("no refusal")
    };
    assert!(remedy.contains("renew the credentials"), "{remedy}");
    assert_eq!(
        told(E::InitialListFailed(api(500, "InternalError"))),
        Trouble::Away("services: 500 it is so".to_owned())
    );
    let Trouble::Away(text) = told(E::WatchStartFailed(broken())) else { panic!("no absence") };
    assert!(text.ends_with("connection reset"), "{text}");
}

#[test]
fn tries_are_apart_by_100_ms_to_10_s_and_not_all_at_once() {
    for (failures, longest) in [(0, 100), (1, 200), (3, 800), (7, 10_000), (10, 10_000), (u32::MAX, 10_000)] {
        let longest = Duration::from_millis(longest);
        let delays: Vec<_> = (0..50).map(|_| delay(failures)).collect();
        assert!(delays.iter().all(|delay| (longest / 2..=longest).contains(delay)), "{failures}: {delays:?}");
        assert!(delays.iter().any(|delay| *delay != delays[0]), "{delays:?}");
    }
}
