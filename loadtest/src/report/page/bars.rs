//! Bars: one figure of several targets side by side, each with the range over its rounds.
//!
//! Owns their geometry and words. A bar begins at zero, always; its length is the median and the whisker the least and the most.

use super::axis::Scale;
use super::escape;
use super::plot::colour;
use crate::report::Unit;

/// One figure of all targets.
pub(crate) struct Bars {
    pub(crate) title: String,
    /// What a reader should look for: «lower is better».
    pub(crate) hint: &'static str,
    pub(crate) unit: Unit,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// Beside the value: `1.08 ×`.
    pub(crate) ratio: Option<String>,
}

const WIDTH: f64 = 340.0;
const ROW: f64 = 46.0;
const NAME_CHARS_MAX: usize = 22;

impl Bars {
    /// A `<figure>`.
    pub(super) fn draw(&self) -> String {
        let most = self.bars.iter().map(|bar| bar.most.max(bar.median)).fold(0.0, f64::max);
        let scale = Scale::Linear(0.0, if most > 0.0 { most } else { 1.0 });
        let height = ROW * self.bars.len() as f64;
        let (title, hint) = (escape(&self.title), escape(self.hint));
        let told: Vec<_> = self.bars.iter().map(|bar| self.tell(bar)).collect();
        let label = escape(&format!("{}. {}", self.title, told.join("; ")));
        let mut out = format!(
            "<figure class=\"bars\">\n<figcaption>{title} <small>{hint}</small></figcaption>\n\
             <svg role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {WIDTH} {height}\">\n"
        );
        for (index, bar) in self.bars.iter().enumerate() {
            self.draw_bar(&mut out, scale, index, bar);
        }
        out.push_str("</svg>\n</figure>\n");
        out
    }

    fn draw_bar(&self, out: &mut String, scale: Scale, index: usize, bar: &Bar) {
        let (top, colour) = (ROW * index as f64, colour(index));
        let at = |value: f64| scale.place(value) * (WIDTH - 2.0);
        let (text, upper, middle) = (top + 15.0, top + 22.0, top + 30.0);
        let (name, value) = (escape(&shortened(&bar.name)), escape(&self.value(bar)));
        let (length, least, most) = (at(bar.median).max(1.0), at(bar.least), at(bar.most));
        let (high, low) = (upper + 3.0, upper + 13.0);
        draw!(out, "<text class=\"name\" x=\"0\" y=\"{text}\">{name}</text>");
        draw!(out, "<text class=\"value\" x=\"{WIDTH}\" y=\"{text}\" text-anchor=\"end\">{value}</text>");
        draw!(out, "<rect class=\"track\" x=\"0\" y=\"{upper}\" width=\"{WIDTH}\" height=\"16\"/>");
        draw!(
            out,
            "<rect class=\"bar {colour}\" x=\"0\" y=\"{upper}\" width=\"{length:.1}\" height=\"16\"/>"
        );
        let range = format!("M{least:.1} {middle}H{most:.1}");
        let ends = format!("M{least:.1} {high}V{low}M{most:.1} {high}V{low}");
        // In the colour of the ground first, so that it shows on a bar of any colour.
        for class in ["halo", "whisker"] {
            draw!(out, "<path class=\"{class}\" d=\"{range}{ends}\"/>");
        }
    }

    fn value(&self, bar: &Bar) -> String {
        let value = self.unit.show(bar.median);
        bar.ratio.as_ref().map_or_else(|| value.clone(), |ratio| format!("{value} · {ratio}"))
    }

    fn tell(&self, bar: &Bar) -> String {
        let (least, most) = (self.unit.show(bar.least), self.unit.show(bar.most));
        format!("{}: {}, from {least} to {most}", bar.name, self.value(bar))
    }
}

/// A name leaves room for the value beside it.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
