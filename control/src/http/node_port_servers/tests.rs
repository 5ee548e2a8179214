use super::{super::testing::*, *};
use axum::http::Method;
use std::time::{Duration, Instant};

/// Services by name: the port, and the count of a family.
type Wanted<'a> = &'a [(&'a str, IpFamily, u16, usize)];

struct Node {
    health: Arc<Health>,
    servers: NodePortServers,
    places: Places,
}

impl Node {
    fn new() -> Self {
        let health = Arc::new(Health::new(Duration::from_secs(60), ""));
        health.updated(Moment::now());
        let servers = NodePortServers::new("n1", Arc::clone(&health));
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        Self { health, servers, places: Places::Only(both.into()) }
    }

    async fn sync(&mut self, wanted: Wanted<'_>) -> Vec<String> {
        let services = wanted
            .iter()
            .map(|(name, family, port, count)| {
                let health = NodePortHealth { port: *port, local_endpoints: *count };
                ((ObjectKey::new("default", *name), *family), health)
            })
            .collect();
        let problems = self.servers.sync(&services, &self.places).await;
        problems.iter().map(ToString::to_string).collect()
    }
}

fn v4(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn v6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

async fn is_closed(at: SocketAddr) -> bool {
    ask(Method::GET, at, "/").await.is_err()
}

use IpFamily::{V4, V6};

// S-159, S-160
#[tokio::test]
async fn a_node_with_endpoints_says_so_in_kube_proxys_words() {
    let mut node = Node::new();
    let port = free_port();
    assert!(node.sync(&[("web", V4, port, 2)]).await.is_empty());
    for (method, path) in [(Method::GET, "/"), (Method::GET, "/any/path?at=all"), (Method::POST, "/healthz")]
    {
        let answer = ask(method, v4(port), path).await.unwrap();
        assert_eq!(answer.code, 200, "{path}");
        assert_eq!(
            answer.body,
            "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}"
        );
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-load-balancing-endpoint-weight"), "2");
    }
    node.sync(&[("web", V4, port, 0)]).await;
    let none = get(v4(port), "/").await;
    assert_eq!((none.code, none.header("x-load-balancing-endpoint-weight")), (503, "0"));
    assert!(none.body.contains("\"localEndpoints\": 0,\n\t\"serviceProxyHealthy\": true"), "{}", none.body);
}

// S-163
#[tokio::test]
async fn a_stuck_appliance_wants_no_traffic() {
    let mut node = Node::new();
    let port = free_port();
    node.sync(&[("web", V4, port, 1)]).await;
    let Some(past) = Instant::now().checked_sub(Duration::from_secs(60)) else { return };
    node.health.queued(Moment { instant: past, ..Moment::now() });
    let stuck = get(v4(port), "/").await;
    assert_eq!(stuck.code, 503);
    assert!(
        stuck.body.contains("\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": false"),
        "{}",
        stuck.body
    );
    assert_eq!(stuck.header("x-load-balancing-endpoint-weight"), "1");
}

// S-214
#[tokio::test]
async fn each_family_answers_for_itself() {
    let mut node = Node::new();
    let port = free_port();
    node.sync(&[("web", V4, port, 0), ("web", V6, port, 3)]).await;
    assert_eq!(get(v4(port), "/").await.code, 503);
    assert_eq!(get(v6(port), "/").await.header("x-load-balancing-endpoint-weight"), "3");
    node.sync(&[("web", V6, port, 3)]).await;
    assert!(is_closed(v4(port)).await, "no cluster IP, no listener");
    assert_eq!(get(v6(port), "/").await.code, 200);
}

// S-214
#[tokio::test]
async fn everywhere_is_two_sockets_of_a_family_each() {
    let mut node = Node { places: Places::Everywhere, ..Node::new() };
    let port = free_port();
    assert!(node.sync(&[("web", V4, port, 1), ("web", V6, port, 2)]).await.is_empty());
    assert_eq!(get(v4(port), "/").await.header("x-load-balancing-endpoint-weight"), "1");
    assert_eq!(get(v6(port), "/").await.header("x-load-balancing-endpoint-weight"), "2");
    assert_eq!(node.servers.sockets().count(), 2);
}

// S-162
#[tokio::test]
async fn another_port_is_opened_and_what_is_gone_is_closed() {
    let mut node = Node::new();
    let (first, second) = (free_port(), free_port());
    node.sync(&[("web", V4, first, 1)]).await;
    assert_eq!(get(v4(first), "/").await.code, 200);
    node.sync(&[("web", V4, second, 1)]).await;
    assert!(is_closed(v4(first)).await);
    assert_eq!(get(v4(second), "/").await.code, 200);

    node.sync(&[("web", V4, second, 1), ("api", V4, first, 1)]).await;
    let problems = node.sync(&[("web", V4, first, 1), ("api", V4, second, 1)]).await;
    assert!(problems.is_empty(), "two Services may change places: {problems:?}");
    assert!(get(v4(first), "/").await.body.contains("\"name\": \"web\""));

    node.sync(&[]).await;
    assert!(is_closed(v4(first)).await && is_closed(v4(second)).await);
    let problems = node.sync(&[("web", V4, first, 1)]).await;
    assert!(problems.is_empty(), "what was closed is free at once: {problems:?}");
}

// S-162
#[tokio::test]
async fn a_taken_port_is_a_problem_of_its_service_and_tried_again() {
    let mut node = Node::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let wanted = [("web", V4, port, 1)];
    let problems = node.sync(&wanted).await;
    let text = format!(
        "Service default/web: spec.healthCheckNodePort: FailedToStartServiceHealthcheck: node n1 failed to start \
         healthcheck \"default/web\" on port {port}: listen on 127.0.0.1:{port}: "
    );
    assert!(problems.len() == 1 && problems[0].starts_with(&text), "{problems:?}");
    drop(other);
    assert!(node.sync(&wanted).await.is_empty());
    assert_eq!(get(v4(port), "/").await.code, 200);
}

#[tokio::test]
async fn two_services_of_one_port_are_told_apart() {
    let mut node = Node::new();
    let port = free_port();
    let problems = node.sync(&[("api", V4, port, 1), ("web", V4, port, 1)]).await;
    assert!(problems.len() == 1 && problems[0].starts_with("Service default/web: "), "{problems:?}");
    assert!(problems[0].contains("it is the healthCheckNodePort of Service default/api"), "{problems:?}");
    assert!(get(v4(port), "/").await.body.contains("\"name\": \"api\""));
}

#[test]
fn servers_are_where_node_ports_are() {
    let own = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let places = |configured| Places::of(&configured, own.into_iter());
    let everywhere = places(NodePortAddresses::Cidrs(Vec::new()));
    assert_eq!(everywhere.addresses(V4), [IpAddr::from(Ipv4Addr::UNSPECIFIED)]);
    assert_eq!(everywhere.addresses(V6), [IpAddr::from(Ipv6Addr::UNSPECIFIED)]);
    for restricted in
        [NodePortAddresses::Primary, NodePortAddresses::Cidrs(vec!["192.0.2.0/24".parse().unwrap()])]
    {
        assert_eq!(places(restricted.clone()).addresses(V4), [own[0]]);
        assert_eq!(places(restricted).addresses(V6), [own[1]]);
    }
}
