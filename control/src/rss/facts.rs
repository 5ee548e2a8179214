//! What was told of an interface, made into what workers use, or the reason why not.

use super::{ask::Ethtool, fields, message::Answer};
use crate::genl::AskError;
use penstock_dataplane::table::{HashedFields, Rss, RssError};
use std::sync::Arc;

/// `ETH_RSS_HASH_TOP`.
const TOEPLITZ: u32 = 1;

/// An interface, and whose its queues are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name.
    pub interface: String,
    /// Its configured queues; that in place *i* belongs to worker *i mod workers*.
    pub queues: Vec<u32>,
    /// How many workers there are.
    pub workers: usize,
}

/// What is known of an interface.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Enough.
    Facts(Arc<Rss>),
    /// Not enough, and why.
    Nothing(Lack),
}

/// Why the choice of a queue is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// Nobody asked.
    #[error("not needed by a single worker")]
    OneWorker,
    /// A driver that has no such thing.
    #[error("its driver does not tell how it chooses queues")]
    Unsupported,
    /// The question failed.
    #[error("asking failed: {0}")]
    Refused(String),
    /// Another hash.
    #[error(
        "its hash function is not Toeplitz (bits {0:#x}); `ethtool -X {1} hfunc toeplitz` may change that"
    )]
    Function(u32, String),
    /// Fields are combined before they are hashed.
    #[error("its hash is symmetric (bits {0:#x}); `ethtool -X {1} xfrm none` may change that")]
    Transformation(u32, String),
    /// A key or a table that can't be used.
    #[error(transparent)]
    Unusable(#[from] RssError),
}

impl Told {
    /// Asks about an interface.
    pub(super) fn ask(question: &Question) -> Self {
        if question.workers == 1 {
            return Self::Nothing(Lack::OneWorker);
        }
        let answer = Ethtool::open().and_then(|ethtool| ethtool.rss(&question.interface));
        let told = answer.map_err(Lack::from).and_then(|answer| {
            let fields = fields::of(&question.interface, answer.fields.as_ref());
            judge(question, &answer, fields)
        });
        told.map_or_else(Self::Nothing, |rss| Self::Facts(Arc::new(rss)))
    }

    /// The facts.
    pub fn facts(&self) -> Option<&Arc<Rss>> {
        match self {
            Self::Facts(facts) => Some(facts),
            Self::Nothing(_) => None,
        }
    }
}

impl From<AskError> for Lack {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Refused(refused) if refused.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                Self::Unsupported
            }
            _ => Self::Refused(error.to_string()),
        }
    }
}

fn judge(question: &Question, answer: &Answer, fields: HashedFields) -> Result<Rss, Lack> {
    let Question { interface, queues, workers } = question;
    if answer.table.is_empty() || answer.key.is_empty() {
        return Err(Lack::Unsupported);
    }
    if answer.function != TOEPLITZ {
        return Err(Lack::Function(answer.function, interface.clone()));
    }
    if answer.transformation != 0 {
        return Err(Lack::Transformation(answer.transformation, interface.clone()));
    }
    let worker = |queue: &u32| Some((queues.iter().position(|mine| mine == queue)? % workers) as u16);
    Ok(Rss::new(&answer.key, answer.table.iter().map(worker).collect(), fields)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use penstock_dataplane::{
        table::{Hashed, Transport},
        wire::V4,
    };

    fn question() -> Question {
        Question { interface: "eth0".into(), queues: vec![2, 3, 4, 5], workers: 3 }
    }

    /// Microsoft's key: from 66.9.149.187:2794 to 161.142.100.80:1766 its hash is 0x51ccc178.
    fn answer() -> Answer {
        let key = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa";
        let key = key.as_bytes().chunks(2).map(|hex| std::str::from_utf8(hex).unwrap());
        Answer {
            function: TOEPLITZ,
            key: key.map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect(),
            table: (0..8).map(|entry| entry % 6).collect(),
            ..Answer::default()
        }
    }

    fn worker(table: Vec<u32>) -> Option<u16> {
        let fields = HashedFields::all(Hashed::AddressesAndPorts);
        let rss = judge(&question(), &Answer { table, ..answer() }, fields).unwrap();
        let (from, to) = (([66, 9, 149, 187].into(), 2794), ([161, 142, 100, 80].into(), 1766));
        rss.worker::<V4>(Transport::Tcp, from, to)
    }

    #[test]
    fn an_entry_names_a_queue_and_a_queue_its_worker() {
        // The last three bits of the hash are zero.
        for (queue, expected) in
            [(0, None), (2, Some(0)), (3, Some(1)), (4, Some(2)), (5, Some(0)), (6, None)]
        {
            assert_eq!(worker([&[queue][..], &[9; 7]].concat()), expected, "queue {queue}");
        }
    }

    #[test]
    fn what_can_not_be_computed_is_said() {
        let judged = |answer: &Answer| judge(&question(), answer, HashedFields::default()).unwrap_err();
        assert_eq!(judged(&Answer::default()), Lack::Unsupported);
        let xor = judged(&Answer { function: 2, ..answer() });
        assert!(xor.to_string().contains("`ethtool -X eth0 hfunc toeplitz`"), "{xor}");
        let symmetric = judged(&Answer { transformation: 1, ..answer() });
        assert!(symmetric.to_string().contains("`ethtool -X eth0 xfrm none`"), "{symmetric}");
        let odd = judged(&Answer { table: vec![0; 100], ..answer() });
        assert_eq!(odd, Lack::Unusable(RssError::TableSize(100)));
    }

    #[test]
    fn a_real_driver_without_the_feature_is_no_error() {
        let of = |interface: &str, workers| {
            Told::ask(&Question { interface: interface.into(), queues: vec![0, 1], workers })
        };
        assert_eq!(of("lo", 2), Told::Nothing(Lack::Unsupported));
        assert_eq!(of("lo", 1), Told::Nothing(Lack::OneWorker));
        assert!(matches!(of("nonesuch0", 2), Told::Nothing(Lack::Refused(_))));
    }
}
