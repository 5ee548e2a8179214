//! The pages of the two ports that every node has.

use super::{Health, Metrics, Moment, health::Question};
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;
use std::sync::Arc;

/// What `/proxyMode` says, where kube-proxy says `iptables`, `ipvs` or `nftables`.
const PROXY_MODE: &str = "penstock";
/// What Prometheus knows the format of [`Metrics::text`] by.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages tell of.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Health.
    pub health: Arc<Health>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The configuration.
    pub config: Arc<Value>,
}

/// The pages of `metricsBindAddress`.
pub fn metrics_pages(pages: &Pages) -> Router {
    const NOSNIFF: (header::HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    const TEXT: (header::HeaderName, &str) = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
    let (metrics, config) = (Arc::clone(&pages.metrics), Arc::clone(&pages.config));
    Router::new()
        .route(
            "/metrics",
            get(move || async move { ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text()) }),
        )
        .route("/proxyMode", get(async || ([TEXT, NOSNIFF], PROXY_MODE)))
        .route("/healthz", get(async || ([TEXT, NOSNIFF], "ok")))
        .route(
            "/configz",
            get(move || async move {
                ([(header::CONTENT_TYPE, "application/json"), NOSNIFF], config.to_string())
            }),
        )
}

/// The pages of `healthzBindAddress`.
pub fn healthz_pages(health: &Arc<Health>) -> Router {
    let page = |question| {
        let health = Arc::clone(health);
        axum::routing::any(move || async move { health_page(&health, question) })
    };
    Router::new().route("/healthz", page(Question::Healthz)).route("/livez", page(Question::Livez))
}

fn health_page(health: &Health, question: Question) -> Response {
    let (good, status) = health.status(question, Moment::now());
    health.count(question, good);
    let code = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (code, headers, serde_json::to_string(&status).unwrap_or_default()).into_response()
}

#[cfg(test)]
mod tests;
