//! How long an idle flow is kept, by protocol and state: Linux conntrack's values with kube-proxy's changes (§6.1, §6.2).

use super::{FlowState, SctpState, TcpState};
use std::time::Duration;

/// Idle timeouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, SYN seen.
    pub tcp_syn_sent: Duration,
    /// TCP, SYN seen from both sides.
    pub tcp_syn_sent2: Duration,
    /// TCP, SYN+ACK seen.
    pub tcp_syn_recv: Duration,
    /// TCP, open.
    pub tcp_established: Duration,
    /// TCP, one FIN seen.
    pub tcp_fin_wait: Duration,
    /// TCP, that FIN acknowledged.
    pub tcp_close_wait: Duration,
    /// TCP, both FINs seen.
    pub tcp_last_ack: Duration,
    /// TCP, both FINs acknowledged.
    pub tcp_time_wait: Duration,
    /// TCP, reset.
    pub tcp_close: Duration,
    /// UDP, no reply yet.
    pub udp: Duration,
    /// UDP, answered, and older than [`Self::UDP_STREAM_AGE`].
    pub udp_stream: Duration,
    /// SCTP, INIT or COOKIE ECHO seen.
    pub sctp_opening: Duration,
    /// SCTP, open.
    pub sctp_established: Duration,
    /// SCTP, shutting down.
    pub sctp_shutdown: Duration,
    /// SCTP, over.
    pub sctp_closed: Duration,
    /// SCTP, HEARTBEAT seen and nothing before it.
    pub sctp_heartbeat: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            tcp_syn_sent: seconds(120),
            tcp_syn_sent2: seconds(120),
            tcp_syn_recv: seconds(60),
            tcp_established: seconds(86_400),
            tcp_fin_wait: seconds(120),
            tcp_close_wait: seconds(3600),
            tcp_last_ack: seconds(30),
            tcp_time_wait: seconds(120),
            tcp_close: seconds(10),
            udp: seconds(30),
            udp_stream: seconds(120),
            sctp_opening: seconds(3),
            sctp_established: seconds(210),
            sctp_shutdown: seconds(3),
            sctp_closed: seconds(10),
            sctp_heartbeat: seconds(30),
        }
    }
}

impl Timeouts {
    /// The age from which an answered UDP flow counts as a stream.
    pub const UDP_STREAM_AGE: Duration = Duration::from_secs(2);
    /// The longest timeout that can be set: the flows' clock must not wrap within it.
    pub const LONGEST: Duration = Duration::from_secs(432_000);

    /// The timeout of a flow in `state`.
    #[inline]
    pub fn of(&self, state: FlowState) -> Duration {
        match state {
            FlowState::Tcp(TcpState::SynSent | TcpState::None) => self.tcp_syn_sent,
            FlowState::Tcp(TcpState::SynSent2) => self.tcp_syn_sent2,
            FlowState::Tcp(TcpState::SynRecv) => self.tcp_syn_recv,
            FlowState::Tcp(TcpState::Established) => self.tcp_established,
            FlowState::Tcp(TcpState::FinWait) => self.tcp_fin_wait,
            FlowState::Tcp(TcpState::CloseWait) => self.tcp_close_wait,
            FlowState::Tcp(TcpState::LastAck) => self.tcp_last_ack,
            FlowState::Tcp(TcpState::TimeWait) => self.tcp_time_wait,
            FlowState::Tcp(TcpState::Close) => self.tcp_close,
            FlowState::UdpUnreplied | FlowState::UdpReplied => self.udp,
            FlowState::UdpStream => self.udp_stream,
            FlowState::Sctp(SctpState::CookieWait | SctpState::CookieEchoed) => self.sctp_opening,
            FlowState::Sctp(SctpState::Established) => self.sctp_established,
            FlowState::Sctp(SctpState::Shutdown | SctpState::ShutdownAckSent) => self.sctp_shutdown,
            FlowState::Sctp(SctpState::Closed) => self.sctp_closed,
            FlowState::Sctp(SctpState::HeartbeatSent) => self.sctp_heartbeat,
        }
    }
}
