//! When an interface that loses redirected packets is taken out of the lane, and when it is tried again.
//!
//! The rule: out, as soon as ten were refused within less than half a second and they are more than a hundredth of all, or ten
//! with none sent in between, however long that takes; or ten were lost for want of room, and none was sent for nearly half a
//! second. A ring that is full while it is emptied is load, and workers would not get more through it.
//!
//! It is tried again after half a minute; each time that it fails soon after, twice as long, up to ten minutes. Pure: the
//! caller tells the time and what was counted.

use std::time::{Duration, Instant};

/// Fewer may be bad luck: a ring that was full for a moment.
const FEWEST: u64 = 10;
/// More than one of so many.
const SHARE: u64 = 100;
/// What is looked at together.
const WINDOW: Duration = Duration::from_millis(400);
/// The first pause, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// Packets that were redirected to an interface, counted from whenever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Redirected {
    /// The driver took them.
    pub(crate) sent: u64,
    /// They were lost: it does not take such, or not now.
    pub(crate) refused: u64,
    /// They were lost: it had no room.
    pub(crate) overrun: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is out of the lane.
    Out {
        /// So many were lost.
        dropped: u64,
        /// Of so many.
        all: u64,
        /// How long it is left alone.
        pause: Duration,
    },
    /// It is tried again.
    Again,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FallBack {
    /// The counts at the beginning of the window.
    from: Option<(Instant, Redirected)>,
    /// In the lane since, or out of it until.
    state: State,
    /// The next one.
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    In { since: Option<Instant> },
    Out { until: Instant },
}

impl Default for FallBack {
    fn default() -> Self {
        Self { from: None, state: State::In { since: None }, pause: PAUSE.0 }
    }
}

impl FallBack {
    /// Whether it is in the lane, as far as this goes.
    pub(crate) fn is_in(&self) -> bool {
        matches!(self.state, State::In { .. })
    }

    /// Looks at what was counted up to now.
    pub(crate) fn look(&mut self, now: Instant, counted: Redirected) -> Option<Event> {
        let since = match self.state {
            State::Out { until } if now < until => return None,
            State::Out { .. } => {
                self.state = State::In { since: Some(now) };
                // What was underway when it was taken out is forgiven.
                self.from = Some((now, counted));
                return Some(Event::Again);
            }
            State::In { since } => since,
        };
        let (begun, from) = *self.from.get_or_insert((now, counted));
        let sent = counted.sent.saturating_sub(from.sent);
        let refused = counted.refused.saturating_sub(from.refused);
        let dropped = refused + counted.overrun.saturating_sub(from.overrun);
        let all = sent + dropped;
        let looked = now - begun;
        let refuses = refused >= FEWEST && refused * SHARE > all;
        if refuses || (sent == 0 && dropped >= FEWEST && looked >= WINDOW) {
            // Soon after it was tried: it is no better.
            self.pause = match since {
                Some(since) if now - since < self.pause => (self.pause * 2).min(PAUSE.1),
                _ => PAUSE.0,
            };
            self.state = State::Out { until: now + self.pause };
            return Some(Event::Out { dropped, all, pause: self.pause });
        }
        // What was lost with nothing sent is not forgotten.
        if looked >= WINDOW && (sent > 0 || dropped == 0) {
            self.from = Some((now, counted));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// Counts on, a tenth of a second at a time; says what came of it.
    struct Watched {
        fall_back: FallBack,
        now: Instant,
        counted: Redirected,
    }

    impl Watched {
        fn new() -> Self {
            let mut watched =
                Self { fall_back: FallBack::default(), now: Instant::now(), counted: Redirected::default() };
            assert_eq!(watched.tick(0, 0), None);
            watched
        }

        fn tick(&mut self, sent: u64, refused: u64) -> Option<Event> {
            self.counted.refused += refused;
            self.overrun(sent, 0)
        }

        fn overrun(&mut self, sent: u64, overrun: u64) -> Option<Event> {
            self.now += TICK;
            self.counted.sent += sent;
            self.counted.overrun += overrun;
            self.fall_back.look(self.now, self.counted)
        }

        /// Until something happens: what, and after how long.
        fn until(&mut self, sent: u64, dropped: u64) -> (Event, Duration) {
            let begun = self.now;
            loop {
                if let Some(event) = self.tick(sent, dropped) {
                    return (event, self.now - begun);
                }
                assert!(self.now - begun < Duration::from_secs(3600), "nothing happens");
            }
        }
    }

    #[test]
    fn an_interface_that_sends_stays() {
        let mut watched = Watched::new();
        for _ in 0..1000 {
            assert_eq!(watched.tick(10_000, 100), None, "a hundredth");
            assert_eq!(watched.tick(0, 0), None);
            assert_eq!(watched.overrun(1000, 9000), None, "this is load");
        }
        for _ in 0..1000 {
            assert_eq!(watched.tick(1, 0), None);
            assert_eq!(watched.tick(0, 1), None, "few are no sign");
            watched.now += WINDOW;
        }
    }

    #[test]
    fn one_that_drops_is_out_within_a_second() {
        for (sent, dropped) in [(0, 100), (1000, 12), (0, 2)] {
            let (event, took) = Watched::new().until(sent, dropped);
            assert!(matches!(event, Event::Out { pause, .. } if pause == PAUSE.0), "{event:?}");
            assert!(took < Duration::from_secs(1), "{sent}, {dropped}: {took:?}");
        }
        let mut watched = Watched::new();
        watched.overrun(100, 100);
        let stuck = (0..10).find(|_| watched.overrun(0, 20).is_some());
        assert!(stuck.is_some_and(|tick| tick < 9), "nobody empties the ring: {stuck:?}");
    }

    #[test]
    fn ten_lost_in_a_row_are_enough_however_long_it_takes() {
        let mut watched = Watched::new();
        for lost in 1..=10 {
            watched.now += 10 * WINDOW;
            let event = watched.tick(0, 1);
            assert_eq!(event.is_some(), lost == 10, "{lost}");
        }
        assert!(!watched.fall_back.is_in());
    }

    #[test]
    fn it_is_tried_again_ever_more_seldom() {
        let mut watched = Watched::new();
        let mut expected = 30;
        for _ in 0..8 {
            let (Event::Out { pause, .. }, _) = watched.until(0, 100) else { panic!("it should be out") };
            assert_eq!(pause.as_secs(), expected);
            assert_eq!(watched.until(0, 0), (Event::Again, pause));
            expected = (expected * 2).min(600);
        }
        for _ in 0..6100 {
            assert_eq!(watched.tick(1000, 0), None);
        }
        let (Event::Out { pause, .. }, _) = watched.until(0, 100) else { panic!("it should be out") };
        assert_eq!(pause, PAUSE.0, "it was well for long");
    }
}
