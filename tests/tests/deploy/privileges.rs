//! The process as its pod has it: user 65532, five capabilities by way of the file, no new privileges, and everything
//! read-only but the control socket's folder, sysctls included. It serves; and with any one capability less it does not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use penstock::{
    demo::{
        Appliance, ApplianceConfig, Endpoint, HttpServer, ManifestFolder, ServiceManifest, ServicePort, get,
        node,
    },
    netns::{self, Owner, World, WorldOptions},
};
use penstock_tests::{AN_ANSWER, PATIENCE, fast_lane, penstock, require_root};

use crate::shipped::{documents, object, text};

/// What is needed, as Kubernetes writes it. The order is that of every file of `deploy/`.
pub(crate) const CAPABILITIES: [&str; 5] = ["NET_ADMIN", "NET_RAW", "BPF", "PERFMON", "IPC_LOCK"];

/// The user of the image.
const USER: &str = "65532";

/// The device that packets go back to the kernel by: major and minor number.
const TUN: [&str; 2] = ["10", "200"];

fn file_capabilities() -> String {
    CAPABILITIES.map(|name| format!("cap_{}", name.to_lowercase())).join(",")
}

/// A gateway with backends and a Service, for an appliance that is started by some other program.
struct Scene {
    world: World,
    manifests: ManifestFolder,
    service: ServiceManifest,
    _servers: Vec<HttpServer>,
}

impl Scene {
    fn build(label: &str) -> Scene {
        let owner = Owner::new("psk-privileges");
        let world = World::build(WorldOptions { backends: 2, ..WorldOptions::new(owner, label) }).unwrap();
        let folder = world.folder.path();
        // A stranger must get in, and make a socket.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        let servers =
            world.backends.iter().map(|backend| HttpServer::start(backend, folder).unwrap()).collect();
        let manifests = ManifestFolder::create(&folder.join("manifests")).unwrap();
        let service = ServiceManifest {
            name: "web".to_owned(),
            ports: vec![ServicePort {
                name: "http",
                protocol: "TCP",
                port: 80,
                target_port: 8080,
                node_port: None,
            }],
            cluster_ips: world.plan.cluster_ip(10),
            load_balancer_ips: world.plan.load_balancer_ip(10),
        };
        let endpoint = |backend: &netns::Backend| Endpoint {
            node: format!("node-{}", backend.number),
            addresses: backend.addresses.clone(),
        };
        let endpoints: Vec<Endpoint> = world.backends.iter().map(endpoint).collect();
        manifests
            .write("node.yaml", &[node(Appliance::NODE_NAME, &world.plan.gateway_client_side())])
            .unwrap();
        manifests
            .write("web.yaml", &[&[service.service()][..], &service.slices(&endpoints)].concat())
            .unwrap();
        Scene { world, manifests, service, _servers: servers }
    }

    /// A script that is run in place of the appliance, as root.
    fn script(&self, name: &str, body: &str) -> PathBuf {
        let file = self.world.folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\nset -e\n{body}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn start(&self, program: &Path) -> anyhow::Result<Appliance> {
        let fields = fast_lane().into_iter().map(|wanted| ("fastLane".to_owned(), wanted)).collect();
        let config = ApplianceConfig { fields, ..ApplianceConfig::default() };
        Appliance::start(program, &self.world, &self.manifests, &config)
    }

    #[track_caller]
    fn assert_served(&self, appliance: &Appliance) {
        for ip in self.service.cluster_ips.iter().chain(&self.service.load_balancer_ips) {
            let to = std::net::SocketAddr::new(*ip, 80);
            let deadline = Instant::now() + PATIENCE;
            loop {
                match self.world.client.enter(|| get(to, AN_ANSWER)).unwrap() {
                    Ok(answer) if answer.body.starts_with("backend-") => break,
                    other => assert!(
                        Instant::now() < deadline,
                        "{to} is not served: {other:?}\n{}",
                        appliance.last_lines()
                    ),
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A copy of the program with the capabilities of the image, and a TUN device as udev makes it.
fn image(scene: &Scene) -> PathBuf {
    let folder = scene.world.folder.path();
    let program = folder.join("penstock");
    fs::copy(penstock(), &program).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(netns::find_program(program).unwrap());
        command.args(arguments);
        netns::run(command).unwrap()
    };
    run("setcap", &[&format!("{}+ep", file_capabilities()), &program.to_string_lossy()]);
    run("mknod", &["-m", "0666", &folder.join("tun").to_string_lossy(), "c", TUN[0], TUN[1]]);
    program
}

/// What a container runtime does before it executes the program, in the mount namespace that `ip netns exec` has made.
/// `show` and the like are for root, outside.
fn as_in_a_pod(scene: &Scene, program: &Path) -> PathBuf {
    let folder = scene.world.folder.path().display();
    let program = program.display();
    let capabilities = file_capabilities();
    scene.script(
        "pod",
        &format!(
            "case $1 in run|doctor) ;; *) exec {program} \"$@\" ;; esac\n\
             mount --bind {folder} {folder}\n\
             mount -o remount,bind,suid,exec {folder}\n\
             mount --bind {folder}/tun /dev/net/tun\n\
             mount --bind /proc/sys /proc/sys\n\
             mount -o remount,bind,ro /proc/sys\n\
             mount -o remount,bind,ro /\n\
             for number in $(seq 0 \"$(cat /proc/sys/kernel/cap_last_cap)\"); do\n\
               case $number in 12|13|14|38|39) ;; *) others=$others,$number ;; esac\n\
             done\n\
             exec capsh --keep=1 --drop=\"${{others#,}}\" --gid={USER} --groups={USER} --uid={USER} \\\n\
               --caps={capabilities}=pe --no-new-privs --shell={program} -- \"$@\""
        ),
    )
}

#[test]
fn netns_the_appliance_serves_with_the_privileges_of_its_pod() {
    require_root!("capsh", "setcap");
    let scene = Scene::build("pod");
    let program = image(&scene);
    let mut appliance = scene.start(&as_in_a_pod(&scene, &program)).unwrap();
    scene.assert_served(&appliance);

    let status = fs::read_to_string(format!("/proc/{}/status", appliance.child().id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(field("Uid"), USER, "{status}");
    assert_eq!(field("NoNewPrivs"), "1", "{status}");
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        // Bits 12, 13, 14, 38 and 39 of linux/capability.h.
        assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), 0xc0_0000_7000, "{set} in {status}");
    }
    assert_eq!(field("CapAmb"), "0000000000000000", "the file gives them: {status}");
    let log = appliance.child().output();
    assert!(log.contains("go back to the kernel") && !log.contains("there is no way to give"), "{log}");
    appliance.stop().unwrap();
    // The init container, on the same machine.
    let script = as_in_a_pod(&scene, &program);
    let config = scene.world.folder.path().join("penstock.yaml");
    let examined = scene.world.gateway.run(&[
        &script.to_string_lossy(),
        "doctor",
        "--init",
        "--config",
        &config.to_string_lossy(),
    ]);
    let examined = examined.unwrap();
    assert!(
        examined.contains("CAP_IPC_LOCK lifts the limit") || examined.contains("unlimited"),
        "{examined}"
    );
    assert!(examined.contains("/dev/net/tun") && examined.contains("0 failures"), "{examined}");
    assert!(!scene.world.gateway.ip("-d link show client0").unwrap().contains("prog/xdp"), "detached");
}

#[test]
fn netns_with_one_capability_less_it_does_not_start_and_says_which() {
    require_root!("setpriv", "prlimit");
    let scene = Scene::build("less");
    let program = penstock();
    for missing in CAPABILITIES {
        let kept: Vec<String> = CAPABILITIES
            .iter()
            .filter(|name| **name != missing)
            .map(|name| format!("+{}", name.to_lowercase()))
            .collect();
        let kept = kept.join(",");
        // Root without a limit of locked memory would lack nothing.
        let body = format!(
            "exec prlimit --memlock=65536 setpriv --no-new-privs --bounding-set=-all,{kept} {} \"$@\"",
            program.display()
        );
        let script = scene.script(&format!("without-{missing}"), &body);
        let log = scene.world.folder.path().join("penstock.log");
        let _ = fs::remove_file(&log);
        let error = scene.start(&script).unwrap_err().to_string();
        assert!(error.contains("has ended"), "without CAP_{missing}: {error}");
        let said = fs::read_to_string(&log).unwrap();
        assert!(said.contains(&format!("CAP_{missing}")), "it names CAP_{missing}: {said}");
    }
}

/// Every place that lists them has the same list.
#[test]
fn the_pod_the_file_and_the_unit_agree_on_capabilities() {
    let dockerfile = text("deploy/Dockerfile");
    assert!(dockerfile.contains(&format!("setcap {}+ep usr/bin/penstock", file_capabilities())));
    let pods = documents(&text("deploy/kustomize/base/daemon-set.yaml"));
    let pod = &object(&pods, "DaemonSet", "penstock")["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsUser"].to_string(), USER);
    for container in [&pod["containers"][0], &pod["initContainers"][0]] {
        let security = &container["securityContext"];
        assert_eq!(security["capabilities"], serde_json::json!({"drop": ["ALL"], "add": CAPABILITIES}));
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
    }
}
