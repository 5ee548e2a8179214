//! A real Prometheus in a namespace, and questions to it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use penstock::netns::{Child, Namespace};
use penstock_tests::{AN_ANSWER, PATIENCE};
use serde_json::Value;

const ADDRESS: &str = "127.0.0.1:9090";

/// A running Prometheus. It ends with the value.
pub(crate) struct Prometheus<'a> {
    namespace: &'a Namespace,
    child: Child,
}

impl Prometheus<'_> {
    /// Starts it in `namespace`, with its data and these rules in `folder`, asking the metrics of the appliance there
    /// five times a second.
    pub(crate) fn start<'a>(namespace: &'a Namespace, folder: &Path, rules: &Value) -> Prometheus<'a> {
        // JSON is YAML.
        fs::write(folder.join("rules.yaml"), rules.to_string()).unwrap();
        let config = serde_json::json!({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
            "rule_files": [folder.join("rules.yaml")],
            "scrape_configs": [{"job_name": "penstock", "static_configs": [{"targets": ["127.0.0.1:10249"]}]}],
        });
        let file = folder.join("prometheus.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let line = [
            "prometheus".to_owned(),
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address={ADDRESS}"),
        ];
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let child = namespace.spawn(&line, Some(&folder.join("prometheus.log"))).unwrap();
        let mut prometheus = Prometheus { namespace, child };
        prometheus.wait_for("a scrape", |prometheus| {
            prometheus.try_query("up == 1").is_ok_and(|found| !found.is_empty())
        });
        prometheus
    }

    /// The series of an instant query; why there is no answer otherwise.
    pub(crate) fn try_query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(expression)))?;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        // A scalar is one value.
        match answer["data"]["resultType"].as_str() {
            Some("vector") => Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default()),
            _ => Ok(vec![answer["data"]["result"].clone()]),
        }
    }

    /// The series of an instant query.
    #[track_caller]
    pub(crate) fn query(&self, expression: &str) -> Vec<Value> {
        self.try_query(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The rules as it has loaded them, with their health.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/rules").unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, is_so: impl Fn(&Prometheus<'_>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(self.child.ended().is_none(), "Prometheus has ended:\n{}", self.child.output());
            assert!(Instant::now() < deadline, "no {what}:\n{}", self.child.output());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(ADDRESS)?;
            stream.set_read_timeout(Some(AN_ANSWER))?;
            write!(stream, "GET {path} HTTP/1.0\r\nHost: {ADDRESS}\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = self.namespace.enter(exchange).unwrap().map_err(|error| error.to_string())?;
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|error| format!("{error}: {text}"))
    }
}

/// Percent-encoded, all but letters and digits.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
