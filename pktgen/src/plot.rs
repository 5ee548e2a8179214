//! Rate and latency over time, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::measure::Sample;

const SIZE: (u32, u32) = (960, 640);
const FONT: (&str, u32) = ("sans-serif", 14);
const TITLE: (&str, u32) = ("sans-serif", 18);
const MARGIN: u32 = 12;
const LEFT: u32 = 72;
const BOTTOM: u32 = 40;

/// A line of a chart: its name, its colour, its value in a sample.
type Line = (&'static str, RGBColor, fn(&Sample) -> Option<f64>);

const RATES: [Line; 2] = [
    ("sent", BLUE, |sample| Some(sample.sent_per_second / 1e3)),
    ("received", GREEN, |sample| Some(sample.received_per_second / 1e3)),
];
const LATENCIES: [Line; 2] = [("p50", BLUE, |sample| sample.p50_us), ("p99", RED, |sample| sample.p99_us)];

/// Writes a chart of rates, and below one of latency.
pub fn write(file: &Path, title: &str, samples: &[Sample]) -> Result<()> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    let failed = |error: &dyn std::error::Error| anyhow!("cannot draw {}: {error}", file.display());
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let (upper, lower) = area.split_vertically(SIZE.1 / 2);
    chart(&upper, title, "thousand packets/s", samples, RATES)?;
    chart(&lower, "latency", "µs", samples, LATENCIES)?;
    area.present().map_err(|error| failed(&error))
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    unit: &str,
    samples: &[Sample],
    lines: [Line; 2],
) -> Result<()> {
    let failed = |error: &dyn std::error::Error| anyhow!("cannot draw: {error}");
    let end = samples.last().map_or(1.0, |sample| sample.seconds.max(0.1));
    let values =
        samples.iter().flat_map(|sample| lines.iter().filter_map(move |(_, _, value)| value(sample)));
    let top = values.fold(0.0_f64, f64::max).max(1.0) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(title, TITLE)
        .margin(MARGIN)
        .x_label_area_size(BOTTOM)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .y_desc(unit)
        .label_style(FONT)
        .axis_desc_style(FONT)
        .draw()
        .map_err(|error| failed(&error))?;
    for (name, colour, value) in lines {
        let points = samples.iter().filter_map(|sample| Some((sample.seconds, value(sample)?)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))
            .map_err(|error| failed(&error))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font(FONT)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()
        .map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_lines_and_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.svg");
        let sample = |seconds| Sample {
            seconds,
            sent_per_second: 1000.0 * seconds,
            received_per_second: 900.0,
            p50_us: Some(5.0),
            p99_us: None,
        };
        write(&file, "eth0 to eth1", &[sample(0.5), sample(1.0), sample(1.5)]).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        for part in ["<svg", "eth0 to eth1", "thousand packets/s", "p99", "<polyline", "seconds"] {
            assert!(text.contains(part), "{part}");
        }
        write(&file, "nothing", &[]).unwrap();
        assert!(write(Path::new("/nowhere/run.svg"), "x", &[]).is_err());
    }
}
