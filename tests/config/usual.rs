//! A config from the environment alone.

use tokenway::{
    config::{Config, Environment},
    route::Routes,
};

use crate::http;

fn of_environment(variables: &[(&str, &str)]) -> Result<Config, String> {
    let environment: Environment = variables.iter().copied().collect();
    Config::from_env(&environment).map_err(|error| error.to_string())
}

/// The base URL and the key of a provider over HTTP.
fn endpoint<'a>(config: &'a Config, name: &str) -> (&'a str, Option<&'a str>) {
    let http = http(config, name);
    (http.base_url.as_str(), http.api_keys.first().map(|key| key.expose()))
}

#[test]
fn the_usual_environment_variables_make_a_config() {
    let config = of_environment(&[
        ("GROQ_API_KEY", "k-groq"),
        ("ANTHROPIC_API_KEY", "k-anthropic"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:8001/"),
        ("OPENAI_API_KEY", "k-openai"),
        ("GEMINI_API_KEY", "k-gemini"),
        ("AWS_BEARER_TOKEN_BEDROCK", "k-bedrock"),
        ("AWS_REGION", "eu-central-1"),
        ("OLLAMA_HOST", "box"),
    ])
    .expect("a config");
    for (name, url, key) in [
        ("openai", "https://api.openai.com/v1", Some("k-openai")),
        ("anthropic", "http://127.0.0.1:8001/", Some("k-anthropic")),
        ("gemini", "https://generativelanguage.googleapis.com/", Some("k-gemini")),
        ("groq", "https://api.groq.com/openai/v1", Some("k-groq")),
        ("bedrock", "https://bedrock-runtime.eu-central-1.amazonaws.com/", Some("k-bedrock")),
        ("ollama", "http://box:11434/", None),
    ] {
        assert_eq!(endpoint(&config, name), (url, key), "{name}");
    }
    assert_eq!(config.providers.len(), 6);
    let routes = Routes::new(&config);
    for (asked, provider, model) in [
        ("groq/llama-3.3-70b", "groq", "llama-3.3-70b"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("ollama/library/qwen3:8b", "ollama", "library/qwen3:8b"),
        ("gpt-5", "openai", "gpt-5"),
        ("mistral-large", "openai", "mistral-large"),
    ] {
        let plan = routes.plan(asked, 0).expect(asked);
        let [target] = &plan.targets[..] else { panic!("{asked}: {:?}", plan.targets) };
        assert_eq!((target.provider.as_str(), target.model.as_str()), (provider, model), "{asked}");
    }
}

#[test]
fn each_usual_variable_alone_makes_a_provider_that_takes_every_name() {
    for (variable, provider) in [
        ("OPENAI_API_KEY", "openai"),
        ("ANTHROPIC_API_KEY", "anthropic"),
        ("GEMINI_API_KEY", "gemini"),
        ("GOOGLE_API_KEY", "gemini"),
        ("MISTRAL_API_KEY", "mistral"),
        ("GROQ_API_KEY", "groq"),
        ("DEEPSEEK_API_KEY", "deepseek"),
        ("XAI_API_KEY", "xai"),
        ("OPENROUTER_API_KEY", "openrouter"),
        ("TOGETHER_API_KEY", "together"),
        ("OLLAMA_HOST", "ollama"),
    ] {
        let config = of_environment(&[(variable, "box")]).expect(variable);
        let plan = Routes::new(&config).plan("any-name", 0).expect("every name goes there");
        assert_eq!((plan.targets[0].provider.as_str(), config.providers.len()), (provider, 1));
    }
    let config = of_environment(&[("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/")]);
    let config = config.expect("a local server");
    assert_eq!(endpoint(&config, "openai"), ("http://127.0.0.1:8000/v1", None));
}

#[test]
fn an_environment_that_makes_no_config_is_told_without_its_values() {
    for (variables, told) in [
        (&[][..], "tokenway demo"),
        (&[("OPENAI_API_KEY", " ")], "set OPENAI_API_KEY"),
        (&[("AWS_BEARER_TOKEN_BEDROCK", "sk-3")], "set AWS_REGION"),
        (&[("AWS_BEARER_TOKEN_BEDROCK", "sk-3"), ("AWS_REGION", "a.b/sk")], "such as `us-east-1`"),
        (&[("OPENAI_BASE_URL", "here")], "OPENAI_BASE_URL: expected a URL"),
        (&[("OPENAI_API_KEY", "sk\n4")], "OPENAI_API_KEY: holds characters that cannot be sent"),
    ] {
        let error = of_environment(variables).expect_err(told);
        assert!(error.contains(told) && !error.contains("sk"), "{error}");
    }
}

#[test]
fn a_proxy_for_other_programs_is_not_used_and_that_is_said() {
    let variables = [("OPENAI_API_KEY", "sk-1"), ("HTTPS_PROXY", "http://me:sk-2@proxy:1")];
    let environment: Environment = variables.into_iter().collect();
    let notes =
        |text: &str| Config::parse("gateway.yaml", text, &environment).expect("a config").notes;
    let file = "version: 1\nproviders: { o: { dialect: openai } }\nmodels: { m: { targets: [{ provider: o }] } }";
    let told = Config::from_env(&environment).expect("a config").notes;
    assert_eq!(told, notes(file));
    assert!(told.len() == 1 && told[0].starts_with("HTTPS_PROXY is set and not read"), "{told:?}");
    assert!(!told[0].contains("sk-2"));
    let through = file.replace("dialect: openai", "dialect: openai, proxy: \"http://proxy:1\"");
    assert_eq!(notes(&through), Vec::<String>::new());
}
