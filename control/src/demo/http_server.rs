//! An nginx in a backend's namespace that answers with the backend's name, and serves files.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::netns::{Backend, Child, find_program};

/// A running server. It ends with the value.
#[derive(Debug)]
pub struct HttpServer {
    child: Child,
}

impl HttpServer {
    /// The port that backends listen on.
    pub const PORT: u16 = 8080;

    /// Starts nginx in the namespace of `backend`, with its files below `folder`, and returns when it listens.
    /// `/` answers the backend's name, `/peer` the address it is asked from; `/files/` serves `folder/files`.
    pub fn start(backend: &Backend, folder: &Path) -> Result<HttpServer> {
        find_program("nginx")?;
        let home = folder.join(backend.name());
        fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
        let config = home.join("nginx.conf");
        fs::write(&config, configuration(backend, folder, &home))
            .with_context(|| format!("cannot write {}", config.display()))?;
        let line = ["nginx", "-e", "stderr", "-p", &home.to_string_lossy(), "-c", &config.to_string_lossy()];
        let child = backend.namespace.spawn(&line, Some(&home.join("nginx.log")))?;
        let mut server = HttpServer { child };
        server.wait_until_it_listens(backend)?;
        Ok(server)
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    fn wait_until_it_listens(&mut self, backend: &Backend) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let listens = |address| {
            let to = SocketAddr::new(address, HttpServer::PORT);
            backend.namespace.enter(move || TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_ok())
        };
        for address in &backend.addresses {
            while !listens(*address)? {
                if self.child.ended().is_some() || Instant::now() > deadline {
                    bail!("nginx of {} does not listen: {}", backend.name(), self.child.output().trim());
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }
}

/// One process, no daemon, no user switch: what we start is what we end.
fn configuration(backend: &Backend, folder: &Path, home: &Path) -> String {
    let listens: String = backend
        .addresses
        .iter()
        .map(|address| format!("    listen {} backlog=4096;\n", SocketAddr::new(*address, HttpServer::PORT)))
        .collect();
    format!(
        r#"daemon off;
master_process off;
pid {home}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  default_type text/plain;
  keepalive_timeout 3600s;
  keepalive_requests 100000000;
  client_max_body_size 0;
  server {{
{listens}    location / {{ return 200 "{name}\n"; }}
    location = /peer {{ return 200 "$remote_addr\n"; }}
    location /files/ {{ alias {folder}/files/; }}
  }}
}}
"#,
        home = home.display(),
        name = backend.name(),
        folder = folder.display(),
    )
}
