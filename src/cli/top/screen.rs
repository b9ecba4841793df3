//! Draws. Knows no gateway: figures and state come in.

use std::time::Duration;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Paragraph, Row, Sparkline, Table},
};
use serde::Deserialize;

use super::figures::History;

/// What the gateway says of its parts.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    version: String,
    up_ms: u64,
    draining: bool,
    providers: Vec<Provider>,
    channels: Listed<Channel>,
    sessions: Listed<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Listed<T> {
    count: usize,
    shown: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Provider {
    name: String,
    dialect: String,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    model: String,
    breaker: String,
    in_flight: u32,
}

#[derive(Debug, Deserialize)]
struct Channel {
    id: String,
    model: Option<String>,
    provider: Option<String>,
    last_seq: u64,
    bytes: u64,
    viewers: usize,
    running: usize,
    closed: bool,
    idle_ms: u64,
}

const SOFT: Style = Style::new().fg(Color::DarkGray);

/// The whole screen. `title`: the gateway, or what is wrong with it.
pub(super) fn draw(frame: &mut Frame<'_>, history: &History, state: &State, title: &str) {
    let providers = state.providers.iter().map(|it| it.targets.len().max(1)).sum::<usize>();
    let [top, tiles, chart, health, channels] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(4),
        Constraint::Length(7),
        Constraint::Length(u16::try_from(providers).unwrap_or(u16::MAX).min(8) + 3),
        Constraint::Min(4),
    ])
    .areas(frame.area());
    frame.render_widget(header(state, title), top);
    figures(frame, history, state, tiles);
    let tokens: Vec<u64> = newest(history, usize::from(chart.width.saturating_sub(2)));
    let peak = tokens.iter().max().copied().unwrap_or_default();
    let line = Sparkline::default()
        .block(
            Block::bordered().border_style(SOFT).title(format!(" tokens per second, peak {peak} ")),
        )
        .data(&tokens)
        .style(Style::new().fg(Color::Green));
    frame.render_widget(line, chart);
    frame.render_widget(targets(history, state), health);
    frame.render_widget(table_of(state), channels);
}

/// The last points, at the right edge.
fn newest(history: &History, width: usize) -> Vec<u64> {
    let points = history.tokens.len().min(width);
    let blank = std::iter::repeat_n(0, width - points);
    blank.chain(history.tokens.iter().skip(history.tokens.len() - points).copied()).collect()
}

fn header(state: &State, title: &str) -> Paragraph<'static> {
    let serving = match state.draining {
        true => Span::from(" stopping ").black().on_yellow(),
        false => Span::from(" serving ").black().on_green(),
    };
    let up = age(Duration::from_millis(state.up_ms));
    Paragraph::new(Line::from(vec![
        Span::from(" tokenway ").bold(),
        serving,
        Span::styled(format!("  {}  up {up}  {title}", state.version), SOFT),
    ]))
}

fn figures(frame: &mut Frame<'_>, history: &History, state: &State, area: Rect) {
    let shown = |name, share| history.percentile(name, share).map_or("–".to_owned(), latency);
    let sessions = |transport: &str| {
        let label = format!("transport=\"{transport}\"");
        history.now("tokenway_sessions", &label)
    };
    let failed: f64 = ["upstream_error", "upstream_cut", "timeout", "limit", "gateway_lost"]
        .iter()
        .map(|end| history.rate("tokenway_generations_ended_total", &format!("end=\"{end}\"")))
        .sum();
    let tiles = [
        ("tokens/s", format!("{:.0}", history.rate("tokenway_deltas_total", "")), String::new()),
        (
            "running",
            format!("{:.0}", history.now("tokenway_generations_running", "")),
            format!("{:.1}/s begun", history.rate("tokenway_generations_started_total", "")),
        ),
        (
            "first token",
            shown("tokenway_time_to_first_token_seconds", 0.5),
            format!("p95 {}", shown("tokenway_time_to_first_token_seconds", 0.95)),
        ),
        (
            "token gap",
            shown("tokenway_inter_token_gap_seconds", 0.5),
            format!("p99 {}", shown("tokenway_inter_token_gap_seconds", 0.99)),
        ),
        (
            "sessions",
            format!("{}", state.sessions.count),
            format!(
                "WT {} WS {} SSE {}",
                sessions("webtransport"),
                sessions("websocket"),
                sessions("sse")
            ),
        ),
        (
            "recoveries/s",
            format!("{:.1}", history.rate("tokenway_resumes_total", "")),
            format!(
                "{:.1}/s refused",
                history.rate("tokenway_resumes_total", "outcome=\"refused\"")
            ),
        ),
        ("failing/s", format!("{failed:.1}"), String::new()),
        (
            "memory",
            bytes(history.now("process_resident_memory_bytes", "")),
            format!("logs {}", bytes(history.now("tokenway_log_bytes", ""))),
        ),
    ];
    // Three transports take the most room.
    let widths = tiles.each_ref().map(|(name, ..)| match *name {
        "sessions" => Constraint::Length(20),
        _ => Constraint::Fill(1),
    });
    let areas = Layout::horizontal(widths).spacing(1).split(area);
    for ((name, value, more), area) in tiles.into_iter().zip(areas.iter()) {
        let look = if name == "failing/s" && failed > 0.0 { Color::Red } else { Color::Reset };
        let lines = vec![
            Line::styled(name, SOFT),
            Line::from(value.bold().fg(look)),
            Line::styled(more, SOFT),
        ];
        frame.render_widget(Paragraph::new(lines).block(Block::new().title("")), *area);
    }
}

fn targets<'a>(history: &History, state: &'a State) -> Table<'a> {
    let rows = state.providers.iter().flat_map(|provider| {
        let label = format!("provider=\"{}\"", provider.name);
        let calls = format!("{:.0}", history.now("tokenway_provider_calls_total", &label));
        let errors = format!("{:.0}", history.now("tokenway_provider_errors_total", &label));
        // What is counted of a provider stands on its first row, and is of all its models.
        let whole = [provider.name.clone(), provider.dialect.clone(), calls, errors];
        let row = |at: usize, model: String, breaker: Span<'static>, in_flight: String| {
            let [name, dialect, calls, errors] = match at {
                0 => whole.clone(),
                _ => std::array::from_fn(|_| String::new()),
            };
            let head = [name, dialect, model].map(Span::from);
            let tail = [in_flight, calls, errors].map(Span::from);
            Row::new(head.into_iter().chain([breaker]).chain(tail))
        };
        match provider.targets.is_empty() {
            true => vec![row(0, "–".into(), Span::styled("not called yet", SOFT), "0".into())],
            false => provider
                .targets
                .iter()
                .enumerate()
                .map(|(at, it)| {
                    row(at, it.model.clone(), breaker(&it.breaker), it.in_flight.to_string())
                })
                .collect(),
        }
    });
    let widths = [18, 11, 26, 15, 10, 9, 9].map(Constraint::Length);
    let titles = ["PROVIDER", "DIALECT", "MODEL", "BREAKER", "IN FLIGHT", "CALLS", "ERRORS"];
    Table::new(rows.collect::<Vec<_>>(), widths)
        .header(Row::new(titles).style(SOFT))
        .block(Block::bordered().border_style(SOFT).title(" providers "))
}

fn breaker(state: &str) -> Span<'static> {
    match state {
        "closed" => Span::from("closed").green(),
        "open" => Span::from("open").red().bold(),
        _ => Span::from("half-open").yellow(),
    }
}

fn table_of(state: &State) -> Table<'_> {
    let rows = state.channels.shown.iter().map(|channel| {
        let how = match (channel.running, channel.closed) {
            (0, true) => Span::styled("closed", SOFT),
            (0, false) => Span::styled("open", SOFT),
            (running, _) => Span::from(format!("{running} running")).green(),
        };
        let idle = match channel.running {
            0 => age(Duration::from_millis(channel.idle_ms)),
            _ => "now".to_owned(),
        };
        let of = |text: &Option<String>| Span::from(text.clone().unwrap_or("–".to_owned()));
        Row::new([
            Span::from(channel.id.clone()),
            how,
            of(&channel.model),
            of(&channel.provider),
            Span::from(channel.last_seq.to_string()),
            Span::from(bytes(channel.bytes as f64)),
            Span::from(channel.viewers.to_string()),
            Span::styled(idle, SOFT),
        ])
    });
    let widths = [
        Constraint::Fill(2),
        Constraint::Length(11),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    let titles = ["CHANNEL", "STATE", "MODEL", "PROVIDER", "SEQ", "LOG", "VIEWERS", "LAST"];
    Table::new(rows.collect::<Vec<_>>(), widths).header(Row::new(titles).style(SOFT)).block(
        Block::bordered().border_style(SOFT).title(format!(" channels: {} ", state.channels.count)),
    )
}

/// What a terminal would show, line by line.
pub(super) fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let lines = buffer.content.chunks(width).map(|cells| {
        let line: String = cells.iter().map(|cell| cell.symbol()).collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

fn latency(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1e3),
    }
}

fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let mut scaled = (bytes, units[0]);
    for unit in &units[1..] {
        if scaled.0 >= 1024.0 {
            scaled = (scaled.0 / 1024.0, unit);
        }
    }
    match scaled {
        (bytes, "B") => format!("{bytes:.0} B"),
        (scaled, unit) => format!("{scaled:.1} {unit}"),
    }
}

fn age(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds < 3_600 => format!("{} min", seconds / 60),
        seconds if seconds < 86_400 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_has_its_place_on_screens_of_any_size() {
        let state = json!({
            "version": "0.1.0",
            "up_ms": 61_000,
            "draining": false,
            "providers": [
                { "name": "main", "dialect": "openai", "targets": [
                    { "model": "m-1", "breaker": "open", "opens_in_ms": 9, "in_flight": 2 },
                ] },
                { "name": "spare", "dialect": "anthropic", "targets": [] },
            ],
            "channels": { "count": 7, "shown": [{
                "id": "chat-42", "model": "fast", "provider": "main", "last_seq": 214, "bytes": 2_048,
                "viewers": 3, "running": 1, "closed": false, "idle_ms": 5,
            }] },
            "sessions": { "count": 4, "shown": [] },
        });
        let state: State = serde_json::from_value(state).expect("a state");
        for (width, height) in [(120, 36), (80, 24), (20, 5), (1, 1)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a backend");
            let drawn = terminal.draw(|frame| draw(frame, &History::default(), &state, "here"));
            drawn.expect("it fits");
            let text = text_of(terminal.backend().buffer());
            assert_eq!(text.lines().count(), usize::from(height));
            if width < 100 {
                continue;
            }
            for shown in
                ["serving", "up 1 min", "open", "not called yet", "chat-42", "1 running", "2.0 KiB"]
            {
                assert!(text.contains(shown), "{shown}:\n{text}");
            }
        }
    }
}
