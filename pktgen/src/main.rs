//! `penstock-pktgen`: sends datagrams that account for themselves, or receives them and closes the account.

use std::{
    io::Write,
    net::SocketAddr,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use penstock_pktgen::{Bound, FrameTemplate, Ledger, PacketSocket, Transport, receive, send};

/// Send and receive datagrams that account for themselves.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send datagrams and print how many of each flow, as JSON
    Send(SendArguments),
    /// Receive datagrams and print what became of them, as JSON; fails if any was lost, duplicated or changed
    Receive(ReceiveArguments),
}

#[derive(Args)]
struct Common {
    /// The interface
    #[arg(long, short)]
    interface: String,
    /// Flows, each with a source port of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    flows: u32,
    /// Stop after this many datagrams
    #[arg(long, required_unless_present = "seconds", conflicts_with = "seconds")]
    count: Option<u64>,
    /// Stop after this long
    #[arg(long)]
    seconds: Option<u64>,
}

#[derive(Args)]
struct SendArguments {
    #[command(flatten)]
    common: Common,
    /// Source address and first source port
    #[arg(long)]
    source: SocketAddr,
    /// Destination address and port
    #[arg(long)]
    destination: SocketAddr,
    /// Source MAC address
    #[arg(long, value_parser = mac)]
    source_mac: [u8; 6],
    /// Destination MAC address: the next hop's
    #[arg(long, value_parser = mac)]
    destination_mac: [u8; 6],
    /// What carries the payload
    #[arg(long, value_enum, default_value_t = Transport::Udp)]
    transport: Transport,
    /// Length of the payload
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Datagrams a second
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
}

#[derive(Args)]
struct ReceiveArguments {
    #[command(flatten)]
    common: Common,
    /// Datagrams that each flow is sent, to close the account with
    #[arg(long)]
    expect_each: u64,
}

static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "penstock-pktgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<bool> {
    stop_on_signals()?;
    let (json, good) = match &cli.command {
        Command::Send(arguments) => {
            let template = FrameTemplate {
                macs: (arguments.source_mac, arguments.destination_mac),
                source: arguments.source,
                destination: arguments.destination,
                transport: arguments.transport,
                payload_bytes: arguments.payload,
            };
            let common = &arguments.common;
            let socket = PacketSocket::open(&common.interface)?;
            let sent = send(&socket, &template, common.flows, arguments.rate, bound(common)?, &STOP)?;
            (serde_json::to_string_pretty(&sent)?, true)
        }
        Command::Receive(arguments) => {
            let common = &arguments.common;
            let socket = PacketSocket::open(&common.interface)?;
            let ledger = Ledger::new(common.flows, arguments.expect_each);
            let received = receive(&socket, ledger, bound(common)?, &STOP)?;
            let summary = received.ledger.close(&vec![arguments.expect_each; common.flows as usize]);
            let mut value = serde_json::to_value(summary)?;
            value["missed"] = received.missed.into();
            (serde_json::to_string_pretty(&value)?, summary.is_complete() && received.missed == 0)
        }
    };
    writeln!(std::io::stdout(), "{json}").context("cannot print the result")?;
    Ok(good)
}

fn bound(common: &Common) -> Result<Bound> {
    match (common.count, common.seconds) {
        (Some(count), None) => Ok(Bound::Count(count)),
        (None, Some(seconds)) => Ok(Bound::Time(Duration::from_secs(seconds))),
        _ => bail!("give either --count or --seconds"),
    }
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let wrong = || format!("{text}: a MAC address is six bytes in hexadecimal, like 02:00:00:00:00:01");
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
}

/// The account is printed also when somebody is tired of waiting.
#[expect(unsafe_code, reason = "a signal handler is installed")]
fn stop_on_signals() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler only stores into an atomic.
        unsafe { sigaction(signal, &action) }.context("cannot watch for signals")?;
    }
    Ok(())
}

extern "C" fn on_signal(_: libc::c_int) {
    STOP.store(true, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        assert_eq!(mac("02:70:65:6e:01:ff").unwrap(), [2, 0x70, 0x65, 0x6e, 1, 0xff]);
        assert!(mac("02:70:65:6e:01").is_err() && mac("x").is_err());
    }
}
