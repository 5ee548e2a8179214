//! What is written, as others read it, with the permissions that the header of `watch` lists and no more.

use super::{
    gateway::{Gateway, Lab, OURS, key, pool, service},
    leasing::leases,
};
use penstock::{
    fault::Problem,
    ipam::Usage,
    watch::{Condition, ConditionStatus, Event, Level, Reference, WriteError, Writer},
};
use penstock_tests::{cluster::ServiceAccount, require_cluster};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};

const WEB: &str = "/api/v1/namespaces/default/services/web";

#[test]
fn answers_are_written_where_people_look_with_no_permission_too_many() {
    require_cluster!();
    let mut lab = Lab::new("psk-write");
    lab.cluster.install_metallb().unwrap();
    lab.cluster.apply(&[service("web", 80), pool("outside", "192.0.2.0/28")]).unwrap();
    let account = ServiceAccount::new(OURS, "gateway");
    let kubeconfig = grant(&lab, &account);
    let mut gateway = lab.gateway(kubeconfig);
    gateway.until("listed", |objects| !objects.pending);
    assert!(gateway.objects().problems.is_empty());

    addresses(&lab, &gateway);
    conditions(&lab, &mut gateway);
    annotations(&lab, &gateway);
    usage(&lab, &gateway);
    events(&lab, &mut gateway);
    leases(&lab, &gateway);
    gone(&lab, gateway);
    refused(&lab);

    let audit = lab.cluster.audit(&account, 0).unwrap();
    assert!(audit.forbidden.is_empty(), "{:?}", audit.forbidden);
    for granted in lab.cluster.granted(&account).unwrap() {
        assert!(audit.used.iter().any(|used| granted.covers(used)), "nobody needs to {granted}");
    }
}

/// Grants what the header of `watch` says.
fn grant(lab: &Lab, account: &ServiceAccount) -> PathBuf {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let everywhere = [
        rule("", &["services", "nodes", "namespaces"], &["list", "watch"]),
        rule("discovery.k8s.io", &["endpointslices"], &["list", "watch"]),
        rule("", &["services", "services/status"], &["patch"]),
        rule("", &["events"], &["create", "patch"]),
    ];
    let ours = [
        rule("metallb.io", &["ipaddresspools", "l2advertisements"], &["list", "watch"]),
        rule("metallb.io", &["ipaddresspools/status"], &["patch"]),
        rule(
            "coordination.k8s.io",
            &["leases"],
            &["get", "list", "watch", "create", "update", "patch", "delete"],
        ),
    ];
    let rbac = "rbac.authorization.k8s.io/v1";
    let name = &account.name;
    let subjects = json!([{"kind": "ServiceAccount", "namespace": OURS, "name": name}]);
    let role = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let inside = json!({"name": name, "namespace": OURS});
    lab.cluster
        .apply(&[
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": inside}),
            json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": name}, "rules": everywhere}),
            json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": role("ClusterRole"), "subjects": subjects}),
            json!({"apiVersion": rbac, "kind": "Role", "metadata": inside, "rules": ours}),
            json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": inside,
                "roleRef": role("Role"), "subjects": subjects}),
        ])
        .unwrap();
    lab.cluster.kubeconfig_as(&lab.admin, account).unwrap()
}

fn write<F>(gateway: &Gateway, work: impl FnOnce(Writer) -> F + Send + 'static) -> Result<(), WriteError>
where
    F: Future<Output = Result<(), WriteError>> + Send + 'static,
{
    gateway.ask(work(gateway.writer()))
}

fn addresses(lab: &Lab, gateway: &Gateway) {
    let set = |addresses: &[&str]| {
        let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        write(
            gateway,
            |writer| async move { writer.service_addresses(&key("default", "web"), &addresses).await },
        )
        .unwrap();
        let status = lab.cluster.api().get(WEB).unwrap()["status"]["loadBalancer"].clone();
        let ingress = status["ingress"].as_array().cloned().unwrap_or_default();
        ingress.iter().map(|entry| entry["ip"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(set(&["192.0.2.1", "2001:db8::1"]), ["192.0.2.1", "2001:db8::1"]);
    let version = || lab.cluster.api().get(WEB).unwrap()["metadata"]["resourceVersion"].clone();
    let before = version();
    assert_eq!(set(&["192.0.2.1", "2001:db8::1"]).len(), 2);
    assert_eq!(version(), before, "what is there already is no change");
    assert_eq!(set(&[]), [""; 0]);
    // Whoever wrote it.
    let theirs = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}});
    lab.cluster.api().patch(&format!("{WEB}/status"), &theirs).unwrap();
    assert_eq!(set(&["192.0.2.2"]), ["192.0.2.2"]);
    lab.cluster.api().patch(&format!("{WEB}/status"), &theirs).unwrap();
    assert_eq!(set(&[]), [""; 0]);
    assert_eq!(set(&["192.0.2.3"]), ["192.0.2.3"]);
}

fn condition(kind: &'static str, status: ConditionStatus, message: &str) -> Condition {
    Condition { kind, status, reason: "Test".into(), message: message.to_owned(), generation: Some(1) }
}

fn conditions(lab: &Lab, gateway: &mut Gateway) {
    let theirs = json!({"status": {"conditions": [{
        "type": "example.com/Theirs", "status": "True", "reason": "A", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    lab.cluster.api().patch(&format!("{WEB}/status"), &theirs).unwrap();
    let set = |gateway: &mut Gateway, condition: Condition| {
        let wanted = condition.message.clone();
        write(
            gateway,
            |writer| async move { writer.service_condition(&key("default", "web"), &condition).await },
        )
        .unwrap();
        gateway.until("the condition is seen", |objects| {
            let status = objects.services[&key("default", "web")].value.status.clone().unwrap_or_default();
            let mut conditions = status.conditions.into_iter().flatten();
            conditions.any(|condition| condition.message == wanted)
        });
        lab.cluster.api().get(WEB).unwrap()["status"].clone()
    };
    let assigned = "penstock.dev/AddressAssigned";
    let find = |status: &Value, kind: &str| {
        let conditions = status["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == kind).cloned().unwrap()
    };
    let status = set(gateway, condition(assigned, ConditionStatus::False, "pool is empty"));
    let first = find(&status, assigned);
    assert_eq!((&first["status"], &first["observedGeneration"]), (&json!("False"), &json!(1)));
    std::thread::sleep(Duration::from_millis(1100));
    let second = find(&set(gateway, condition(assigned, ConditionStatus::False, "still empty")), assigned);
    assert_eq!(second["lastTransitionTime"], first["lastTransitionTime"], "its status is the same");
    assert_eq!(second["message"], "still empty");
    set(gateway, condition("penstock.dev/Announced", ConditionStatus::True, "by gateway-1"));
    let status = set(gateway, condition(assigned, ConditionStatus::True, "192.0.2.3"));
    assert_ne!(find(&status, assigned)["lastTransitionTime"], first["lastTransitionTime"]);
    assert_eq!(status["conditions"].as_array().unwrap().len(), 3, "others' and ours: {status:#}");
    assert_eq!(status["loadBalancer"]["ingress"][0]["ip"], "192.0.2.3", "as it was");
}

fn annotations(lab: &Lab, gateway: &Gateway) {
    let set = |value: Option<&'static str>| {
        write(gateway, move |writer| async move {
            writer.annotate_service(&key("default", "web"), "penstock.dev/announced-by", value).await
        })
        .unwrap();
        lab.cluster.api().get(WEB).unwrap()["metadata"]["annotations"]["penstock.dev/announced-by"].clone()
    };
    assert_eq!(set(Some("gateway-1")), "gateway-1");
    assert_eq!(set(None), Value::Null);
    assert_eq!(set(None), Value::Null);
}

fn usage(lab: &Lab, gateway: &Gateway) {
    write(gateway, |writer| async move {
        let usage = Usage { assigned: [3, 0], available: [13, i64::MAX] };
        writer.pool_usage(&key(OURS, "outside"), &usage).await
    })
    .unwrap();
    let path = "/apis/metallb.io/v1beta1/namespaces/penstock/ipaddresspools/outside";
    let pool = lab.cluster.api().get(path).unwrap();
    let status = &pool["status"];
    assert_eq!((&status["assignedIPv4"], &status["availableIPv4"]), (&json!(3), &json!(13)), "{pool:#}");
    assert_eq!(status["availableIPv6"], i64::MAX);
}

fn events(lab: &Lab, gateway: &mut Gateway) {
    let uid = gateway.objects().services[&key("default", "web")].value.metadata.uid.clone();
    let about = Reference { kind: "Service", api_version: "v1", key: key("default", "web"), uid };
    let record = |reason: &'static str, note: &str| {
        let (about, note) = (about.clone(), note.to_owned());
        let event = Event { about, severity: Level::Warning, reason, note };
        write(gateway, |writer| async move { writer.event(&event).await }).unwrap();
    };
    let note = "Failed to allocate IP for \"default/web\": no available IPs";
    for _ in 0..3 {
        record("AllocationFailed", note);
    }
    record("IPAllocated", "Assigned IP [\"192.0.2.1\"]");
    let events = "/api/v1/namespaces/default/events";
    let list = lab.cluster.api().get(events).unwrap();
    let of = |list: &Value, reason: &str| {
        let items = list["items"].as_array().unwrap().iter();
        items.filter(|event| event["reason"] == reason).cloned().collect::<Vec<_>>()
    };
    let failed = of(&list, "AllocationFailed");
    assert_eq!(failed.len(), 1, "{list:#}");
    assert_eq!((&failed[0]["count"], &failed[0]["type"]), (&json!(3), &json!("Warning")));
    assert_eq!(failed[0]["source"], json!({"component": "penstock", "host": "gateway-1"}));
    assert_eq!(of(&list, "IPAllocated").len(), 1);
    let told = lab.cluster.kubectl(&["describe", "service", "web"]).unwrap();
    assert!(told.contains("AllocationFailed") && told.contains("x3 over") && told.contains(note), "{told}");

    // One that the API server has forgotten is made anew.
    let name = failed[0]["metadata"]["name"].as_str().unwrap();
    lab.cluster.api().delete(&format!("{events}/{name}")).unwrap();
    record("AllocationFailed", note);
    let failed = of(&lab.cluster.api().get(events).unwrap(), "AllocationFailed");
    assert_eq!(failed.iter().map(|event| &event["count"]).collect::<Vec<_>>(), [1]);
}

/// What is written to an object that is gone makes none anew, whether or not that has been seen.
fn gone(lab: &Lab, gateway: Gateway) {
    let writer = gateway.writer();
    let ask = |service: &'static str| {
        let writer = writer.clone();
        let work = async move {
            let service = key("default", service);
            (
                writer.annotate_service(&service, "penstock.dev/announced-by", Some("a")).await,
                writer.service_addresses(&service, &["192.0.2.1".parse().unwrap()]).await,
            )
        };
        lab.runtime.block_on(lab.runtime.spawn(work)).unwrap()
    };
    let errors = |service: &str| {
        let gone =
            |resource: &str| Err(WriteError::Gone { what: format!("patch {resource} default/{service}") });
        (gone("services"), gone("services/status"))
    };
    assert_eq!(ask("none"), errors("none"));
    // Nobody tells the writer any more that it is gone.
    drop(gateway);
    lab.cluster.api().delete(WEB).unwrap();
    assert_eq!(ask("web"), errors("web"));
    assert!(lab.cluster.api().get(WEB).is_err());
    lab.cluster.apply(&[service("web", 80)]).unwrap();
    let (annotated, addresses) = ask("web");
    assert_eq!((annotated, addresses), (Ok(()), errors("web").1), "another of the same name");
    assert_eq!(lab.cluster.api().get(WEB).unwrap()["status"]["loadBalancer"], json!({}));
}

/// Who may do nothing is told what to allow, and waits for it.
fn refused(lab: &Lab) {
    let nobody = ServiceAccount::new(OURS, "nobody");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": OURS}});
    lab.cluster.apply(&[account]).unwrap();
    let mut gateway = lab.gateway(lab.cluster.kubeconfig_as(&lab.admin, &nobody).unwrap());
    gateway.until("six kinds and the Leases are refused", |objects| {
        // Those that are not believed yet are one problem together, so that the number alone says nothing.
        let refused = |problem: &&Problem| problem.fault.message.contains("allow list and watch");
        objects.problems.iter().filter(refused).count() == 7
    });
    let objects = gateway.objects();
    assert!(objects.pending);
    let told: Vec<_> = objects.problems.iter().map(ToString::to_string).collect();
    let of_services = told.iter().find(|told| told.contains("\"services\"")).unwrap();
    assert!(of_services.contains("system:serviceaccount:penstock:nobody"), "{of_services}");
    assert!(
        of_services.contains("allow list and watch of services in the ClusterRole or Role"),
        "{of_services}"
    );
    let refused = write(&gateway, |writer| async move {
        writer.annotate_service(&key("default", "web"), "a.b/c", None).await
    });
    let Err(WriteError::Refused { message, .. }) = refused else { panic!("{refused:?}") };
    assert!(message.contains("cannot patch resource \"services\""), "{message}");
}
