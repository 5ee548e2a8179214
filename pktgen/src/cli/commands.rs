//! What the commands do.

use std::{
    fs,
    io::Write,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use penstock_pktgen::{
    plot,
    report::{self, Report},
    request::{Requests, request},
    search::{Range, Trial, search},
    spec::{Bound, Rate, RawSpec, RawTraffic, Span, Spec},
    trial,
};

use super::{
    args::{Cli, Command, Format, Output, RequestArguments, RunArguments, SearchArguments, Traffic},
    bar::Bar,
    signals::{self, STOP},
};

/// The longest that TCP connections are made for, where only their number is given.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Runs a command; false if it did what it was to do and the result is bad.
pub(crate) fn run(cli: Cli) -> Result<bool> {
    signals::watch()?;
    match cli.command {
        Command::Run(arguments) => run_once(arguments),
        Command::Search(arguments) => run_search(arguments),
        Command::Request(arguments) => run_requests(&arguments),
    }
}

fn spec(traffic: Traffic) -> Result<Spec> {
    let file = match &traffic.file {
        None => RawSpec::default(),
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            RawSpec::parse(&text).with_context(|| path.display().to_string())?
        }
    };
    let mut options = traffic.spec;
    if traffic.flows != RawTraffic::default() {
        options.traffic = vec![traffic.flows];
    }
    Ok(Spec::try_from(options.over(file))?)
}

fn run_once(arguments: RunArguments) -> Result<bool> {
    let spec = spec(arguments.traffic)?;
    let bar = Bar::new(&spec.interface, spec.bound)?;
    let outcome = trial::run(&spec, &STOP, |tick| bar.tick(tick))?;
    drop(bar);
    if let Some(file) = &arguments.plot {
        plot::write(file, &format!("{}: rate", spec.interface), &outcome.series)?;
    }
    tell(&report::of_run(&spec, &outcome), &arguments.output)?;
    Ok(arguments.max_loss.is_none_or(|most| outcome.loss() * 100.0 <= most))
}

fn run_search(arguments: SearchArguments) -> Result<bool> {
    let mut spec = spec(arguments.traffic)?;
    if spec.receive.is_none() {
        bail!("receive: a search needs to know what arrives: name the interface where it does");
    }
    let number = |rate: Rate| match rate {
        Rate::PerSecond(rate) => rate as f64,
        Rate::Max => 1e8,
    };
    let lowest: Rate = arguments.lowest.parse().map_err(|remedy| anyhow!("lowest: {remedy}"))?;
    let range = Range {
        low: number(lowest),
        high: number(spec.rate),
        resolution: arguments.resolution / 100.0,
        tolerance: arguments.tolerance / 100.0,
    };
    if range.low >= range.high || !(0.0..1.0).contains(&range.resolution) {
        bail!("rate: must be above --lowest, and --resolution less than 100");
    }
    let mut best = None;
    let found = search(range, |rate| {
        if STOP.load(Ordering::Acquire) {
            return Ok(None);
        }
        spec.rate = Rate::PerSecond(rate as u64);
        let bar = Bar::new(&format!("{:.3} Mpps", rate / 1e6), spec.bound)?;
        let outcome = trial::run(&spec, &STOP, |tick| bar.tick(tick))?;
        if outcome.interrupted {
            return Ok(None);
        }
        let trial = Trial { asked: rate, offered: outcome.offered_per_second(), loss: outcome.loss() };
        if trial.loss <= range.tolerance {
            best = Some(outcome);
        }
        Ok(Some(trial))
    })?;
    tell(&report::of_search(&spec, &found, best.as_ref()), &arguments.output)?;
    Ok(found.rate > 0.0)
}

fn run_requests(arguments: &RequestArguments) -> Result<bool> {
    let span = |field: &str, text: &str| {
        text.parse::<Span>().map(|span| span.0).map_err(|remedy| anyhow!("{field}: {text}: {remedy}"))
    };
    let rate: Rate = arguments.rate.parse().map_err(|remedy| anyhow!("rate: {remedy}"))?;
    let duration = arguments.duration.as_deref().map(|text| span("duration", text)).transpose()?;
    let http = "GET / HTTP/1.1\r\nHost: penstock-pktgen\r\nConnection: close\r\n\r\n";
    let requests = Requests {
        interface: arguments.interface.clone(),
        targets: arguments.to.clone(),
        per_second: match rate {
            Rate::PerSecond(rate) => rate,
            Rate::Max => 0,
        },
        at_once: arguments.at_once.into(),
        request: arguments.send.as_deref().unwrap_or(http).as_bytes().to_vec(),
        patience: span("patience", &arguments.patience)?,
        bound: Bound {
            duration: duration.unwrap_or(LONGEST),
            packets: arguments.count.unwrap_or(u64::MAX / 2),
        },
    };
    let bar = Bar::new(&requests.interface, requests.bound)?;
    let began = Instant::now();
    let answers = request(&requests, &STOP, |begun, answered| {
        bar.show(began.elapsed(), begun, format!("{answered} answered"));
    })?;
    drop(bar);
    tell(&report::of_requests(&requests.interface, &answers), &arguments.output)?;
    Ok(answers.failures.is_empty())
}

fn tell(report: &Report, output: &Output) -> Result<()> {
    let json = serde_json::to_string_pretty(report.json())?;
    if let Some(file) = &output.json {
        fs::write(file, &json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let text = match output.output {
        Format::Json => json,
        Format::Table => report.table(),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("cannot print the result")
}
