//! One Service by itself: who announces it, or why nobody does (§5.4 to §5.6).

use super::{
    decision::{Decision, Reason},
    election::elect,
    endpoints::Endpoints,
    ground::{Field, Ground},
    services::Facts,
};
use crate::objects::ObjectKey;
use std::{net::IpAddr, sync::Arc};

/// The decision about one Service, and who might have announced it.
pub(super) fn decide(
    key: &ObjectKey,
    facts: &Facts,
    endpoints: &Endpoints,
    ground: &mut Ground,
) -> (Decision, Option<Arc<Field>>) {
    let pool = ground.pool(&facts.addresses);
    let mut decision =
        Decision { owner: None, why: Reason::NoAddress, addresses: facts.addresses.clone(), pool };
    let Some(first) = facts.addresses.first() else {
        return (decision, None);
    };
    let outcome = entitled(facts, decision.pool.as_ref(), ground).and_then(|field| {
        let (owner, why) = winner(key, facts, *first, endpoints, &field)?;
        Ok((owner, why, field))
    });
    match outcome {
        Ok((owner, why, field)) => {
            (decision.owner, decision.why) = (Some(owner), why);
            (decision, Some(field))
        }
        Err(why) => {
            decision.why = why;
            (decision, None)
        }
    }
}

/// Who may announce it, by the advertisements.
fn entitled(facts: &Facts, pool: Option<&Arc<str>>, ground: &mut Ground) -> Result<Arc<Field>, Reason> {
    let pool = pool.ok_or(Reason::NoPool)?;
    let covering = ground.covering(pool);
    if covering.is_empty() {
        return Err(Reason::NotAdvertised { pool: Arc::clone(pool) });
    }
    let applying: Vec<_> = covering.iter().filter(|one| one.selects(&facts.labels)).collect();
    if applying.is_empty() {
        let advertisements = covering.iter().map(|one| Arc::clone(&one.name)).collect();
        return Err(Reason::NotSelected { pool: Arc::clone(pool), advertisements });
    }
    if let Some(choosy) = applying.iter().find(|one| facts.may_share && one.chooses_services()) {
        return Err(Reason::Ambiguous { advertisement: Arc::clone(&choosy.name) });
    }
    Ok(ground.field(&applying))
}

fn winner(
    key: &ObjectKey,
    facts: &Facts,
    first: IpAddr,
    endpoints: &Endpoints,
    field: &Field,
) -> Result<(Arc<str>, Reason), Reason> {
    if !endpoints.any(key) {
        return Err(Reason::NoEndpoint);
    }
    if let Some(reason) = &field.nobody {
        return Err(reason.clone());
    }
    let local: Vec<_>;
    let (candidates, names) = if facts.is_local {
        local = endpoints.local_to(key, &field.candidates);
        (&local, local.iter().map(|candidate| Arc::clone(&candidate.node)).collect())
    } else {
        (&field.candidates, Arc::clone(&field.names))
    };
    let Some(elected) = elect(candidates, first) else {
        return Err(Reason::NoLocalEndpoint { candidates: Arc::clone(&field.names) });
    };
    let why = match elected.equals {
        _ if candidates.len() == 1 => Reason::Only,
        0 => Reason::Preferred { score: elected.winner.preference, candidates: names },
        _ => Reason::Hash { candidates: names },
    };
    Ok((Arc::clone(&elected.winner.node), why))
}
