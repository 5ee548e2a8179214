use super::*;
use serde_json::json;

fn lease(renewed: &str, macs: &str) -> Lease {
    serde_json::from_value(json!({
        "metadata": {"name": "penstock-gateway-a", "annotations": {"penstock.dev/macs": macs}},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 4, "renewTime": renewed},
    }))
    .unwrap()
}

#[test]
fn only_a_renewal_counts_as_a_sign_of_life() {
    let (mut seen, mut known) = (Seen::default(), SeenLeases::new());
    assert!(seen.take(&mut known, Event::Apply(lease("2026-01-01T00:00:00.000000Z", "1"))));
    let first = known["penstock-gateway-a"].clone();
    assert_eq!((first.holder.as_str(), first.duration), ("a", Duration::from_secs(4)));
    // After an outage it is listed as it was: the outage does not make it younger.
    for event in [Event::Init, Event::InitApply(lease("2026-01-01T00:00:00.000000Z", "1"))] {
        assert!(!seen.take(&mut known, event));
    }
    assert!(!seen.take(&mut known, Event::InitDone));
    assert_eq!(known["penstock-gateway-a"], first);
    // Nor do other fields.
    assert!(seen.take(&mut known, Event::Apply(lease("2026-01-01T00:00:00.000000Z", "2"))));
    assert_eq!(known["penstock-gateway-a"].changed, first.changed);
    assert_eq!(known["penstock-gateway-a"].annotations["penstock.dev/macs"], "2");

    assert!(seen.take(&mut known, Event::Apply(lease("2026-01-01T00:00:01.000000Z", "2"))));
    assert!(known["penstock-gateway-a"].changed > first.changed);
    assert!(!seen.take(&mut known, Event::Init));
    assert!(seen.take(&mut known, Event::InitDone), "it is gone");
    assert!(known.is_empty());
}
