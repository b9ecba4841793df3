//! What the gateway says of itself, and where: the file's word, else that of OpenTelemetry's usual variables.

use std::path::PathBuf;

use reqwest::header::{HeaderName, HeaderValue};

use super::{
    super::{Environment, Telemetry, file, problem::choice},
    Resolver, http_url, place,
};
use crate::telemetry::{
    access_log::{self, Sink},
    otlp::{self, Conventions},
};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const SERVICE: &str = "OTEL_SERVICE_NAME";
const OPT_IN: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";
/// Turns everything off, by the standard.
const DISABLED: &str = "OTEL_SDK_DISABLED";
const CONVENTIONS: [&str; 2] = ["published", "latest"];

/// What the environment alone says. Err: what is wrong with it.
pub(in crate::config) fn of_environment(environment: &Environment) -> Result<Telemetry, String> {
    let endpoint = environment.filled(ENDPOINT).filter(|_| !is_disabled(environment));
    let Some(endpoint) = endpoint else { return Ok(Telemetry::default()) };
    if http_url(endpoint).is_none() {
        return Err(format!("{ENDPOINT} is not a URL such as `http://127.0.0.1:4318`"));
    }
    let otlp = otlp::Settings {
        endpoint: endpoint.to_owned(),
        headers: headers(environment)?,
        service: service(environment),
        conventions: conventions(environment),
    };
    Ok(Telemetry { otlp: Some(otlp), access_log: None })
}

fn is_disabled(environment: &Environment) -> bool {
    environment.filled(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn service(environment: &Environment) -> String {
    environment.filled(SERVICE).unwrap_or("tokenway").to_owned()
}

fn conventions(environment: &Environment) -> Conventions {
    let mut words = environment.filled(OPT_IN).unwrap_or_default().split(',').map(str::trim);
    match words.any(|word| word == "gen_ai_latest_experimental") {
        true => Conventions::Latest,
        false => Conventions::Published,
    }
}

/// `name=value,name=value`; what is wrong is said without the values.
fn headers(environment: &Environment) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let pairs = environment.filled(HEADERS).unwrap_or_default().split(',');
    let pairs = pairs.filter(|pair| !pair.trim().is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let mut value = HeaderValue::try_from(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    });
    let wrong = || format!("{HEADERS} is not of the form `name=value,name=value`");
    pairs.collect::<Option<_>>().ok_or_else(wrong)
}

impl Resolver<'_> {
    pub(super) fn telemetry(&mut self, telemetry: &file::Telemetry) -> Telemetry {
        Telemetry {
            otlp: self.otlp(&telemetry.otlp),
            access_log: self.access_log(&telemetry.access_log),
        }
    }

    fn otlp(&mut self, otlp: &file::Otlp) -> Option<otlp::Settings> {
        let told = self.read(&otlp.endpoint, |text| match http_url(text) {
            Some(_) => Ok(text.to_owned()),
            None => Err("a URL such as `http://127.0.0.1:4318`".to_owned()),
        });
        let named = self.read(&otlp.conventions, |text| match text {
            "published" => Ok(Conventions::Published),
            "latest" => Ok(Conventions::Latest),
            other => Err(format!("a version of the conventions; {}", choice(other, &CONVENTIONS))),
        });
        let own = self.headers(&otlp.headers);
        let usual = match of_environment(self.environment) {
            Ok(usual) => usual.otlp,
            Err(fault) => {
                self.wrong(place(&otlp.endpoint), fault);
                None
            }
        };
        let environment = self.environment;
        let mut settings = match (told, usual) {
            (Some(endpoint), usual) => otlp::Settings {
                endpoint,
                headers: usual.map(|usual| usual.headers).unwrap_or_default(),
                service: service(environment),
                conventions: conventions(environment),
            },
            (None, Some(usual)) => usual,
            (None, None) => return None,
        };
        settings.conventions = named.unwrap_or(settings.conventions);
        for (name, value) in own {
            settings.headers.retain(|(other, _)| *other != name);
            settings.headers.push((name, value));
        }
        Some(settings)
    }

    fn access_log(&mut self, log: &file::AccessLog) -> Option<access_log::Settings> {
        let prompts = self.read(&log.prompts, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("`true` or `false`".to_owned()),
        });
        let directory = self.directory;
        let sink = self.read(&log.to, |text| match text.trim() {
            "" => Err("a path, or `stdout`".to_owned()),
            "stdout" => Ok(Sink::Stdout),
            path => Ok(Sink::File(directory.join(PathBuf::from(path)))),
        });
        if let (None, Some(place)) = (&log.to.0, place(&log.prompts)) {
            self.wrong(
                Some(place),
                "`prompts` has no effect without `to`; give it, or take it out",
            );
        }
        sink.map(|sink| access_log::Settings { sink, prompts: prompts.unwrap_or(false) })
    }
}
