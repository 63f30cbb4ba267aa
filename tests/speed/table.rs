//! What was measured, and how it is printed.

use std::time::Duration;

/// One line of a table: how long it took each time, and how often the server was asked.
pub(crate) struct Row {
    name: String,
    times: Vec<Duration>,
    requests: Vec<usize>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            times: Vec::new(),
            requests: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, time: Duration, requests: Option<usize>) {
        self.times.push(time);
        self.requests.extend(requests);
    }

    pub(crate) fn times(&self) -> &[Duration] {
        &self.times
    }
}

/// Medians, and how they compare with the rows above that the others are held against.
pub(crate) fn print(title: &str, rows: &[Row], baselines: &[&str]) {
    let headings = baselines
        .iter()
        .map(|name| format!("  x {name} (min, max)"));
    let headings: Vec<String> = headings.map(|heading| format!("{heading:>27}")).collect();
    println!(
        "\n{title:<56}{:>10}{:>10}{}",
        "median",
        "requests",
        headings.concat()
    );
    for (index, row) in rows.iter().enumerate() {
        print!(
            "{:<56}{:>10}{:>10}",
            row.name,
            in_words(median(&row.times)),
            range(&row.requests)
        );
        for (baseline, heading) in baselines.iter().zip(&headings) {
            let above = rows[..index].iter().find(|above| above.name == *baseline);
            let ratios = above.map(|above| ratios(row, above)).unwrap_or_default();
            print!("{ratios:>0$}", heading.len());
        }
        println!();
    }
}

/// Of the pairs that ran in the same round. A row with fewer rounds has the first ones.
fn ratios(row: &Row, baseline: &Row) -> String {
    let pairs = row.times.iter().zip(&baseline.times);
    let mut ratios: Vec<f64> = pairs
        .map(|(a, b)| a.as_secs_f64() / b.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    format!(
        "{:.2} ({:.2}, {:.2})",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    )
}

pub(crate) fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

pub(crate) fn in_words(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{} µs", time.as_micros())
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    }
}

fn range(numbers: &[usize]) -> String {
    let (least, most) = (numbers.iter().min(), numbers.iter().max());
    match (least, most) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        _ => most.map(usize::to_string).unwrap_or_default(),
    }
}
