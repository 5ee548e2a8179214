use super::{store::Store, *};
use crate::{fault::Severity, objects::ObjectKey};
use std::{fs, sync::Arc, time::Duration};

const WEB: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}\n";
const DNS: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: dns, namespace: kube-system}\nspec: {clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}\n";
const SLICE: &str = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nendpoints: [{addresses: [10.244.0.5]}]\nports: [{name: '', port: 8080}]\n";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }
    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }
    fn read(&self) -> Objects {
        read(self.dir.path()).unwrap()
    }
    fn folder(&self) -> Folder {
        Folder::open(self.dir.path()).unwrap()
    }
}

fn names(objects: &Objects) -> Vec<String> {
    objects
        .services
        .keys()
        .chain(objects.slices.keys())
        .chain(objects.nodes.keys())
        .map(ToString::to_string)
        .collect()
}

fn problems(objects: &Objects) -> Vec<String> {
    objects.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn documents_and_lists_and_both_notations_are_read() {
    let place = Place::new();
    place.write("a.yaml", &format!("# a comment first\n---\n{WEB}---\n{SLICE}---\n---\n"));
    place.write(
        "b.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [
	{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}},
	{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}]}"#,
    );
    place
        .write("c.yml", "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: typed}\n  spec: {}\n");
    place.write(".hidden.yaml", "not: [read");
    place.write("notes.txt", "not read either");
    fs::create_dir(place.dir.path().join("folder.yaml")).unwrap();
    let objects = place.read();
    assert_eq!(problems(&objects), [""; 0]);
    assert_eq!(names(&objects), ["default/typed", "default/web", "default/web-1", "n1"]);
    assert_eq!(objects.slices[&ObjectKey::new("default", "web-1")].origin.as_ref().unwrap().document, 2);
}

#[test]
fn a_port_without_a_name_has_the_empty_one() {
    let place = Place::new();
    place.write("a.yaml", &SLICE.replace("name: '', ", ""));
    let slice = &place.read().slices[&ObjectKey::new("default", "web-1")].value;
    assert_eq!(slice.slice().unwrap().ports[0].name, "");
}

#[test]
fn a_wrong_shape_names_file_document_object_and_field() {
    let place = Place::new();
    place.write("a.yaml", &format!("{DNS}---\n{}", WEB.replace("port: 80", "port: eighty")));
    let objects = place.read();
    assert_eq!(names(&objects), ["kube-system/dns"]);
    assert_eq!(
        problems(&objects),
        [
            "a.yaml: document 2: Service default/web: spec.ports[0].port: invalid type: string \"eighty\", expected i32"
        ]
    );
}

#[test]
fn a_broken_document_leaves_the_others_and_is_placed_by_line() {
    let place = Place::new();
    place.write("a.yaml", &format!("{WEB}---\nkind: [\n---\n{DNS}"));
    let objects = place.read();
    assert_eq!(names(&objects), ["default/web", "kube-system/dns"]);
    let problems = problems(&objects);
    assert!(
        problems.len() == 1 && problems[0].starts_with("a.yaml: document 2: not valid YAML: "),
        "{problems:?}"
    );
    assert!(problems[0].contains("line 7") || problems[0].contains("line 6"), "{problems:?}");
}

#[test]
fn what_is_no_object_is_said() {
    let place = Place::new();
    place.write("a.yaml", "just: text\n---\napiVersion: v1\nkind: Service\n---\napiVersion: v2\nkind: Service\nmetadata: {name: x}\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}\n");
    assert_eq!(
        problems(&place.read()),
        [
            "a.yaml: document 1: no Kubernetes object: apiVersion and kind are needed",
            "a.yaml: document 2: metadata.name: Required value: of a Service",
            "a.yaml: document 3: Service default/x: apiVersion: Unsupported value: \"v2\": supported values: \"v1\"",
        ]
    );
}

#[test]
fn unknown_fields_are_warned_of() {
    let place = Place::new();
    place.write("a.yaml", &WEB.replace("clusterIP:", "externalTrafficPolcy: Local, clusterIP:"));
    let objects = place.read();
    assert_eq!(objects.services.len(), 1);
    assert_eq!(objects.problems[0].severity, Severity::Warning);
    assert_eq!(
        problems(&objects),
        [
            "a.yaml: document 1: Service default/web: spec.externalTrafficPolcy: unknown field; it has no effect"
        ]
    );
}

#[test]
fn the_first_of_two_files_wins() {
    let place = Place::new();
    place.write("a.yaml", WEB);
    place.write("b.yaml", &WEB.replace("10.96.0.1", "10.96.0.2"));
    let objects = place.read();
    let service = &objects.services[&ObjectKey::new("default", "web")].value;
    assert_eq!(service.spec.as_ref().unwrap().cluster_ip.as_deref(), Some("10.96.0.1"));
    assert_eq!(
        problems(&objects),
        [
            "b.yaml: document 1: Service default/web: is defined in a.yaml (document 1) already; that one is used, remove either"
        ]
    );
}

#[test]
fn bad_text_keeps_the_last_good_objects() {
    let place = Place::new();
    place.write("a.yaml", &format!("{WEB}---\n{DNS}"));
    let mut folder = place.folder();
    let good = folder.load();
    assert_eq!(names(&good), ["default/web", "kube-system/dns"]);

    // Half of it, cut inside a value.
    place.write("a.yaml", &format!("{WEB}---\n{}", &DNS[..DNS.len() - 10]));
    let half = folder.load();
    assert_eq!(names(&half), names(&good));
    assert!(
        problems(&half)[0].ends_with("; the last good objects of this file stay"),
        "{:?}",
        problems(&half)
    );

    // Wrong in one object: the other is taken, the wrong one keeps its last good version.
    place.write("a.yaml", &format!("{}---\n{}", WEB.replace("80", "81"), DNS.replace("53", "dns")));
    let wrong = folder.load();
    let port = |objects: &Objects, key: &ObjectKey| {
        objects.services[key].value.spec.as_ref().unwrap().ports.as_ref().unwrap()[0].port
    };
    assert_eq!(port(&wrong, &ObjectKey::new("default", "web")), 81);
    assert_eq!(port(&wrong, &ObjectKey::new("kube-system", "dns")), 53);
    assert_eq!(wrong.problems.len(), 1);

    // Good again.
    place.write("a.yaml", WEB);
    let less = folder.load();
    assert_eq!(names(&less), ["default/web"]);
    assert!(less.problems.is_empty());

    fs::remove_file(place.dir.path().join("a.yaml")).unwrap();
    assert_eq!(names(&folder.load()), [""; 0]);
}

#[test]
fn what_did_not_change_is_the_same_object() {
    let place = Place::new();
    place.write("a.yaml", &format!("{WEB}---\n{SLICE}"));
    let mut folder = place.folder();
    let before = folder.load();
    place.write("a.yaml", &format!("{WEB}---\n{}", SLICE.replace("8080", "8081")));
    let after = folder.load();
    let (service, slice) = (ObjectKey::new("default", "web"), ObjectKey::new("default", "web-1"));
    assert!(Arc::ptr_eq(&before.services[&service].value, &after.services[&service].value));
    assert!(!Arc::ptr_eq(&before.slices[&slice].value, &after.slices[&slice].value));
}

async fn changed_within(folder: &mut Folder, limit: Duration) -> bool {
    tokio::time::timeout(limit, folder.changed()).await.is_ok()
}

/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn changes_are_seen_however_they_are_made() {
    let place = Place::new();
    let path = place.dir.path().to_owned();
    let mut folder = place.folder();
    assert_eq!(names(&folder.load()), [""; 0]);
    place.write("a.yaml", WEB);
    assert!(changed_within(&mut folder, SOON).await, "a new file");
    assert_eq!(names(&folder.load()), ["default/web"]);

    place.write(".tmp", DNS);
    fs::rename(path.join(".tmp"), path.join("b.yaml")).unwrap();
    assert!(changed_within(&mut folder, SOON).await, "a file renamed into place");
    assert_eq!(names(&folder.load()), ["default/web", "kube-system/dns"]);

    fs::remove_file(path.join("a.yaml")).unwrap();
    assert!(changed_within(&mut folder, SOON).await, "a file removed");
    assert_eq!(names(&folder.load()), ["kube-system/dns"]);
    assert!(!changed_within(&mut folder, Duration::from_millis(50)).await, "our own reading is no change");
}

#[tokio::test]
async fn a_file_is_read_when_its_writer_is_done() {
    use std::io::Write;
    let place = Place::new();
    place.write("a.yaml", &format!("{WEB}---\n{DNS}"));
    let mut folder = place.folder();
    folder.load();
    let begun = std::time::Instant::now();
    let mut file = fs::File::create(place.dir.path().join("a.yaml")).unwrap();
    file.write_all(WEB.as_bytes()).unwrap();
    file.flush().unwrap();
    // After two seconds, for which a busy machine may make us sleep, it is not waited for any more.
    let is_read = changed_within(&mut folder, Duration::from_millis(200)).await;
    assert!(!is_read || begun.elapsed() >= Duration::from_secs(2), "the writer is not done");
    file.write_all(format!("---\n{SLICE}").as_bytes()).unwrap();
    drop(file);
    assert!(changed_within(&mut folder, SOON).await);
    assert_eq!(names(&folder.load()), ["default/web", "default/web-1"]);
}

#[tokio::test]
async fn a_folder_that_goes_and_comes_back_is_followed() {
    let place = Place::new();
    let path = place.dir.path().join("manifests");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.yaml"), WEB).unwrap();
    let mut folder = Folder::open(&path).unwrap();
    folder.load();
    fs::remove_dir_all(&path).unwrap();
    assert!(changed_within(&mut folder, SOON).await);
    let gone = folder.load();
    assert_eq!(names(&gone), ["default/web"], "the last good objects stay");
    assert!(problems(&gone)[0].contains("cannot be read"), "{:?}", problems(&gone));
    fs::create_dir(&path).unwrap();
    fs::write(path.join("b.yaml"), DNS).unwrap();
    for _ in 0..3 {
        assert!(changed_within(&mut folder, SOON).await);
        if names(&folder.load()) == ["kube-system/dns"] {
            break;
        }
    }
    assert_eq!(names(&folder.load()), ["kube-system/dns"]);
    fs::write(path.join("c.yaml"), WEB).unwrap();
    assert!(changed_within(&mut folder, SOON).await, "the new folder is watched");
}

// S-58
#[test]
fn a_folder_that_was_never_read_holds_everything_back() {
    let place = Place::new();
    let path = place.dir.path().join("manifests");
    let mut store = Store::new(&path);
    assert!(store.refresh().is_err());
    assert!(store.objects().pending, "nobody knows what is in it");
    fs::create_dir(&path).unwrap();
    store.refresh().unwrap();
    assert!(!store.objects().pending);
    fs::remove_dir(&path).unwrap();
    assert!(store.refresh().is_err());
    assert!(!store.objects().pending, "from now on the last good objects stay");
}

#[test]
fn a_missing_folder_says_what_to_do() {
    let error = Folder::open(Path::new("/nowhere/at/all")).unwrap_err().to_string();
    assert!(
        error.starts_with("/nowhere/at/all: cannot be read: ") && error.contains("manifests.path"),
        "{error}"
    );
}

#[test]
fn pools_advertisements_and_namespaces_are_read() {
    let place = Place::new();
    place.write(
        "pools.yaml",
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: public, namespace: metallb-system}\nspec: {addresses: [192.0.2.0/28], avoidBuggyIPs: true}\n---\napiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: all, namespace: metallb-system}\nspec: {ipAddressPools: [public], nodeSelector: []}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n",
    );
    let objects = place.read();
    let pool = &objects.pools[&ObjectKey::new("metallb-system", "public")].value.spec;
    assert_eq!(
        (pool.addresses.as_slice(), pool.avoid_buggy_ips),
        (["192.0.2.0/28".to_owned()].as_slice(), true)
    );
    let advertisement = &objects.advertisements[&ObjectKey::new("metallb-system", "all")].value.spec;
    assert_eq!(advertisement.ip_address_pools, ["public"]);
    assert!(objects.namespaces.contains_key(&ObjectKey::new("", "shop")));
    assert_eq!(
        problems(&objects),
        [
            "pools.yaml: document 2: L2Advertisement metallb-system/all: spec.nodeSelector: unknown field; it has no effect"
        ]
    );
}
