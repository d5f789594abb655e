//! The picture: drain and latency of everybody in all scenarios, as dots with their ranges on logarithmic axes, since the best
//! and the worst lie orders of magnitude apart.

use std::fmt::{self, Write};

use super::Scenario;
use super::figures::{Figure, Figures};

const WIDTH: f64 = 960.0;
/// Where the names end and the axis begins, and where it ends.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 870.0;
const HEAD: f64 = 64.0;
/// Between two dots of a name, and between two names.
const LINE: f64 = 15.0;
const GAP: f64 = 12.0;
/// The heading above a panel and the axis below it.
const TITLE: f64 = 34.0;
const AXIS: f64 = 44.0;

const STYLE: &str = "text{font:13px sans-serif;fill:#222}.title{font-weight:bold;font-size:15px}.small{font-size:11px;fill:#555}\
                     .grid{stroke:#ddd}.row{fill:#f6f6f6}";

/// The scenarios, their colours and names.
const SERIES: [(Scenario, &str); 3] =
    [(Scenario::Plain, "#1b6ca8"), (Scenario::History, "#d1711b"), (Scenario::Open, "#7a3b9a")];

/// One dot with its range.
struct Dot {
    at: f64,
    from: f64,
    to: f64,
}

/// A panel: what is on the axis, and the dot of a name in a scenario.
struct Panel<'a> {
    title: &'a str,
    unit: &'a str,
    dot: &'a dyn Fn(Scenario, &str) -> Option<Dot>,
}

/// The picture as SVG; `names` in the order of the rows.
pub(super) fn svg(figures: &Figures, names: &[&str]) -> String {
    let drain = |scenario, name: &str| {
        let one = figures.summary(Figure::DrainRate, scenario, name, 0.5)?;
        Some(Dot { at: one.median, from: one.least, to: one.most })
    };
    let latency = |scenario, name: &str| {
        let at = |share| Some(figures.summary(Figure::LatencyAfterCommit, scenario, name, share)?.median);
        let median = at(0.5)?.max(0.01);
        Some(Dot { at: median, from: median, to: at(0.95)?.max(median) })
    };
    let panels = [
        Panel {
            title: "Waiting jobs finished by one worker process (median; line: all rounds). More is better.",
            unit: "jobs per second",
            dot: &drain,
        },
        Panel {
            title: "From the commit to the job's first instruction (dot: median; line: to the 95th percentile). Less is better.",
            unit: "milliseconds",
            dot: &latency,
        },
    ];
    let mut picture = String::new();
    // Writing into a String does not fail.
    let _ = draw(&mut picture, names, &panels);
    picture
}

fn draw(out: &mut String, names: &[&str], panels: &[Panel<'_>]) -> fmt::Result {
    let rows = f64::from(u32::try_from(names.len()).unwrap_or(u32::MAX));
    let panel_height = TITLE + rows * row_height() + AXIS;
    let height = HEAD + panel_height * 2.0;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    )?;
    let mut x = LEFT;
    for (scenario, colour) in SERIES {
        let words = scenario.words();
        writeln!(
            out,
            "<circle cx=\"{x}\" cy=\"30\" r=\"5\" fill=\"{colour}\"/><text x=\"{}\" y=\"34\">{words}</text>",
            x + 12.0
        )?;
        x += 200.0;
    }
    let mut top = HEAD;
    for panel in panels {
        draw_panel(out, top, names, panel)?;
        top += panel_height;
    }
    writeln!(out, "</svg>")
}

fn row_height() -> f64 {
    LINE * 3.0 + GAP
}

fn draw_panel(out: &mut String, top: f64, names: &[&str], panel: &Panel<'_>) -> fmt::Result {
    let dots = || {
        names.iter().flat_map(|name| SERIES.iter().filter_map(|(scenario, _)| (panel.dot)(*scenario, name)))
    };
    let Some(least) = dots().map(|dot| dot.from).filter(|value| *value > 0.0).reduce(f64::min) else {
        return Ok(());
    };
    let most = dots().map(|dot| dot.to).fold(least, f64::max);
    // Whole powers of ten, at least one.
    let (low, high) = (least.log10().floor(), (most.log10() + 1e-9).ceil().max(least.log10().floor() + 1.0));
    let x = |value: f64| LEFT + (value.max(least).log10() - low) / (high - low) * (RIGHT - LEFT);

    writeln!(out, "<text class=\"title\" x=\"16\" y=\"{}\">{}</text>", top + 18.0, panel.title)?;
    let (first, bottom) =
        (top + TITLE, top + TITLE + row_height() * f64::from(u32::try_from(names.len()).unwrap_or(0)));
    let mut y = first;
    for (number, name) in names.iter().enumerate() {
        if number % 2 == 0 {
            writeln!(
                out,
                "<rect class=\"row\" x=\"8\" y=\"{y}\" width=\"{}\" height=\"{}\"/>",
                WIDTH - 16.0,
                row_height()
            )?;
        }
        writeln!(out, "<text x=\"16\" y=\"{}\">{name}</text>", y + row_height() / 2.0 + 4.0)?;
        y += row_height();
    }
    let mut power = low;
    while power <= high {
        let (value, at) = (10_f64.powf(power), x(10_f64.powf(power)).max(LEFT));
        writeln!(
            out,
            "<line class=\"grid\" x1=\"{at}\" x2=\"{at}\" y1=\"{first}\" y2=\"{bottom}\"/>\
             <text class=\"small\" x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
            bottom + 15.0
        )?;
        power += 1.0;
    }
    writeln!(
        out,
        "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}, logarithmic</text>",
        f64::midpoint(LEFT, RIGHT),
        bottom + 30.0,
        panel.unit
    )?;
    let mut y = first + GAP / 2.0 + LINE / 2.0;
    for name in names {
        for (scenario, colour) in SERIES {
            if let Some(dot) = (panel.dot)(scenario, name) {
                let digits = if dot.at < 100.0 { 1 } else { 0 };
                writeln!(
                    out,
                    "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"/>\
                     <circle cx=\"{:.1}\" cy=\"{y}\" r=\"4.5\" fill=\"{colour}\"/>\
                     <text class=\"small\" x=\"{:.1}\" y=\"{}\">{:.digits$}</text>",
                    x(dot.from),
                    x(dot.to),
                    x(dot.at),
                    x(dot.to) + 9.0,
                    y + 4.0,
                    dot.at
                )?;
            }
            y += LINE;
        }
        y += GAP;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_has_a_dot_and_more_lies_further_right() {
        let mut figures = Figures::default();
        for (name, rate) in [("ours", 30_000.0), ("other", 300.0)] {
            figures.add(Figure::DrainRate, Scenario::Plain, name, 1, vec![rate]);
        }
        figures.add(Figure::LatencyAfterCommit, Scenario::Open, "ours", 1, vec![1.0, 2.0]);
        let picture = svg(&figures, &["ours", "other"]);
        let dots: Vec<f64> = picture
            .lines()
            .filter(|line| line.contains("r=\"4.5\""))
            .filter_map(|line| line.split("cx=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        let [ours, other, latency] = dots.as_slice() else { panic!("{picture}") };
        assert!(other < ours && *ours <= RIGHT && *latency >= LEFT);
    }

    #[test]
    fn a_run_without_a_measurement_gives_an_empty_picture() {
        let picture = svg(&Figures::default(), &["ours"]);
        assert!(picture.starts_with("<svg") && !picture.contains("r=\"4.5\""));
    }
}
