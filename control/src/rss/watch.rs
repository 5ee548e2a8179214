//! Asks at the start, when interfaces have changed, and every half minute: tables are changed by hand, and by drivers.
//!
//! The start waits for the answers; later a thread asks, as a driver may take its time. A change is logged once, for
//! each interface that it is about.

use super::facts::{Lack, Question, Told};
use penstock_dataplane::table::RssPorts;
use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_secs(30);

/// What is known of all interfaces, by port.
#[derive(Debug)]
pub struct RssWatch {
    told: Arc<[(String, Told)]>,
    facts: Arc<RssPorts>,
    running: Option<mpsc::Receiver<Vec<(String, Told)>>>,
    asked: Instant,
}

impl RssWatch {
    /// Asks, and waits for the answers.
    pub fn start(questions: Vec<Question>) -> Self {
        let mut watch =
            Self { told: Arc::from([]), facts: Arc::default(), running: None, asked: Instant::now() };
        watch.take_in(ask(questions));
        watch
    }

    /// For the packet path.
    pub fn facts(&self) -> &Arc<RssPorts> {
        &self.facts
    }

    /// For people: each interface's name, and what is known of it.
    pub fn told(&self) -> &Arc<[(String, Told)]> {
        &self.told
    }

    /// Asks again with the next [`go_on`](Self::go_on).
    pub fn hurry(&mut self) {
        self.asked = Instant::now().checked_sub(EVERY).unwrap_or(self.asked);
    }

    /// Goes on with the work. Whether the packet path must know.
    pub fn go_on(&mut self, questions: impl FnOnce() -> Vec<Question>) -> bool {
        match self.running.as_ref().map(mpsc::Receiver::try_recv) {
            Some(Ok(told)) => {
                self.running = None;
                return self.take_in(told);
            }
            Some(Err(mpsc::TryRecvError::Empty)) => return false,
            Some(Err(mpsc::TryRecvError::Disconnected)) => self.running = None,
            None => {}
        }
        // A single worker has been told all there is to know.
        let alone = self.told.iter().all(|(_, told)| *told == Told::Nothing(Lack::OneWorker));
        if !alone && self.asked.elapsed() >= EVERY {
            self.asked = Instant::now();
            let (answer, answers) = mpsc::sync_channel(1);
            let questions = questions();
            // Without a thread the facts stay as they are until the next time.
            let asking = thread::Builder::new()
                .name("rss".to_owned())
                .spawn(move || drop(answer.send(ask(questions))));
            self.running = asking.is_ok().then_some(answers);
        }
        false
    }

    fn take_in(&mut self, told: Vec<(String, Told)>) -> bool {
        let mut facts_differ = false;
        for (port, new) in told.iter().enumerate() {
            let old = self.told.get(port);
            if old != Some(new) {
                log(new, old.is_some());
                facts_differ |= old.and_then(|(_, told)| told.facts()) != new.1.facts();
            }
        }
        self.told = told.into();
        if facts_differ {
            let facts = self.told.iter().map(|(_, told)| told.facts().cloned());
            self.facts = Arc::new(RssPorts::new(facts.collect()));
        }
        facts_differ
    }
}

fn ask(questions: Vec<Question>) -> Vec<(String, Told)> {
    questions.into_iter().map(|question| (question.interface.clone(), Told::ask(&question))).collect()
}

fn log((interface, told): &(String, Told), again: bool) {
    match told {
        Told::Facts(_) if again => tracing::warn!(
            interface,
            "receive-side scaling has changed: flows whose packets now come on another worker's queue begin anew there"
        ),
        Told::Facts(_) => {
            tracing::info!(
                interface,
                "receive-side scaling is known: SNAT ports are chosen so that replies come home"
            );
        }
        Told::Nothing(Lack::OneWorker) => {}
        Told::Nothing(lack) => tracing::info!(
            interface,
            %lack,
            "receive-side scaling is not known: workers hand packets over to their owners"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use penstock_dataplane::{
        io::PortId,
        table::{HashedFields, Rss},
    };

    fn told(workers: Vec<Option<u16>>) -> (String, Told) {
        let rss = Rss::new(&[1; 40], workers, HashedFields::default()).unwrap();
        ("eth0".to_owned(), Told::Facts(Arc::new(rss)))
    }

    #[test]
    fn only_a_change_is_news() {
        let question = |workers| Question { interface: "lo".into(), queues: vec![0, 1], workers };
        let mut watch = RssWatch::start(vec![question(2)]);
        assert!(watch.facts().of(PortId(0)).is_none());
        assert!(watch.take_in(vec![told(vec![Some(0), Some(1)])]));
        assert!(watch.facts().of(PortId(0)).is_some());
        assert!(!watch.take_in(vec![told(vec![Some(0), Some(1)])]), "the same, made anew");
        assert!(watch.take_in(vec![told(vec![Some(1), Some(0)])]));

        watch.hurry();
        let end = Instant::now() + Duration::from_secs(10);
        while !watch.go_on(|| vec![question(2)]) {
            assert!(Instant::now() < end, "nobody answers");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(watch.facts().of(PortId(0)).is_none(), "lo tells nothing");
        assert!(!watch.go_on(|| panic!("it was asked just now")));

        let mut alone = RssWatch::start(vec![question(1)]);
        alone.hurry();
        assert!(!alone.go_on(|| panic!("nobody wants to know")));
    }
}
