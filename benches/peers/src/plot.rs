//! Plots as SVG: both axes logarithmic, time upwards.
//!
//! They have a background of their own, so that they can be read on light and on dark pages. The colours also differ in brightness,
//! and each series has its own mark: filled, or hollow.

use std::error::Error;

use plotters::prelude::*;

/// A plot of times over sizes.
#[derive(Debug)]
pub(crate) struct Plot {
    /// The file without `.svg`.
    pub(crate) file: &'static str,
    pub(crate) title: String,
    /// What the sizes are of.
    pub(crate) x: &'static str,
    pub(crate) series: Vec<Series>,
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Size and nanoseconds.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Series {
    /// The exponent by which the time grows with the size, between each two points: 1 is linear, 0 is flat.
    pub(crate) fn exponents(&self) -> Vec<f64> {
        let exponent =
            |pair: &[(f64, f64)]| (pair[1].1 / pair[0].1).ln() / (pair[1].0 / pair[0].0).ln();
        self.points.windows(2).map(exponent).collect()
    }
}

const SIZE: (u32, u32) = (860, 460);
const PAPER: RGBColor = RGBColor(252, 252, 250);
const INK: RGBColor = RGBColor(40, 40, 46);
const GRID: RGBColor = RGBColor(222, 222, 218);

/// Blue, vermilion, green, purple, orange, sky, black, brown: told apart by people with any colour vision.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 95, 160),
    RGBColor(200, 75, 0),
    RGBColor(0, 130, 95),
    RGBColor(150, 60, 130),
    RGBColor(205, 140, 0),
    RGBColor(70, 160, 215),
    RGBColor(40, 40, 46),
    RGBColor(130, 90, 60),
];

/// The plot as the text of an SVG file.
pub(crate) fn svg(plot: &Plot) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&PAPER)?;
        draw(plot, &area)?;
        area.present()?;
    }
    Ok(text)
}

fn draw<B: DrawingBackend>(
    plot: &Plot,
    area: &DrawingArea<B, plotters::coord::Shift>,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let points = || plot.series.iter().flat_map(|series| series.points.iter().copied());
    let around = |all: Vec<f64>, step: f64| {
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let most = all.iter().copied().fold(0.0, f64::max);
        // Whole decades, so that the grid has a line at each end.
        if most > 0.0 {
            (step.powf(least.log(step).floor()), step.powf(most.log(step).ceil()))
        } else {
            (1.0, 10.0)
        }
    };
    let (x0, _) = around(points().map(|p| p.0).collect(), 10.0);
    let x1 = points().map(|p| p.0).fold(2.0 * x0, f64::max);
    let (y0, y1) = around(points().map(|p| p.1).collect(), 10.0);
    let text = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .caption(&plot.title, ("sans-serif", 18).into_font().color(&INK))
        .margin(14)
        .margin_right(280)
        .x_label_area_size(44)
        .y_label_area_size(78)
        .build_cartesian_2d((x0..x1 * 1.1).log_scale(), (y0..y1.max(10.0 * y0)).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(plot.x)
        .y_desc("time")
        .axis_desc_style(text(14))
        .label_style(text(13))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(PAPER)
        .x_label_formatter(&|x| crate::transactions::thousands(whole(*x)))
        .y_label_formatter(&|y| unit(*y))
        .draw()?;
    let mut legend = Vec::new();
    for (at, series) in plot.series.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(series.points.iter().copied(), colour.stroke_width(2)))?;
        chart.draw_series(series.points.iter().map(|point| mark(at, *point, colour)))?;
        legend.push((at, &series.name, colour));
    }
    // Beside the chart, so that it hides no line.
    let left = i32::try_from(SIZE.0)? - 268;
    for (at, name, colour) in legend {
        let y = 62 + 24 * i32::try_from(at)?;
        area.draw(&PathElement::new([(left, y), (left + 26, y)], colour.stroke_width(2)))?;
        area.draw(&mark(at, (left + 13, y), colour))?;
        area.draw(&Text::new(name.clone(), (left + 34, y - 7), text(13)))?;
    }
    Ok(())
}

/// The mark of a point: filled for every other series, hollow for the rest.
fn mark<P>(at: usize, point: P, colour: RGBColor) -> Circle<P, i32> {
    let style = if at.is_multiple_of(2) { colour.filled() } else { colour.stroke_width(2) };
    Circle::new(point, 4, style)
}

/// A time on the axis: a power of ten with its unit.
fn unit(nanos: f64) -> String {
    let (value, unit) = match nanos {
        n if n < 0.99e3 => (n, "ns"),
        n if n < 0.99e6 => (n / 1e3, "µs"),
        n if n < 0.99e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{} {unit}", (value * 100.0).round() / 100.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size on an axis")]
fn whole(size: f64) -> usize {
    size.round() as usize
}

#[cfg(test)]
mod tests {
    use super::{Plot, Series, svg, unit};

    #[test]
    fn the_exponent_of_a_line_is_one_and_of_a_constant_is_zero() {
        let series = |points: &[(f64, f64)]| Series { name: String::new(), points: points.into() };
        let exponents = series(&[(1.0, 3.0), (10.0, 30.0), (100.0, 30.0)]).exponents();
        assert!((exponents[0] - 1.0).abs() < 1e-9 && exponents[1].abs() < 1e-9, "{exponents:?}");
        assert!(series(&[(1.0, 3.0)]).exponents().is_empty());
    }

    #[test]
    fn a_plot_is_drawn_with_its_names_and_without_points_too() {
        let series =
            vec![Series { name: "mine".to_owned(), points: vec![(1.0, 5.0), (1_000.0, 7e6)] }];
        let plot = Plot { file: "x", title: "Title".to_owned(), x: "callbacks", series };
        let drawn = svg(&plot).unwrap();
        for word in ["<svg", "mine", "Title", "callbacks", "1,000", "ms"] {
            assert!(drawn.contains(word), "no {word} in {drawn}");
        }
        svg(&Plot { series: vec![], ..plot }).unwrap();
    }

    #[test]
    fn the_axis_names_units() {
        assert_eq!([0.1, 1.0, 1e3, 1e7, 1e9].map(unit), ["0.1 ns", "1 ns", "1 µs", "10 ms", "1 s"]);
    }
}
