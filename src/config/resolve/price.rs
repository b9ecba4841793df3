//! Prices: whose they are, and what each kind of token costs.

use super::{
    super::{
        Model, Price, Rate, file,
        located::{At, Given},
        problem::choice,
        units,
    },
    Resolver,
};

impl Resolver<'_> {
    pub(super) fn price(
        &mut self,
        name: &At<String>,
        price: &At<file::Price>,
        providers: &[String],
        models: &[Model],
    ) -> (String, Price) {
        let text = name.value.as_str();
        let public = models.iter().any(|model| match model.name.strip_suffix('*') {
            Some(prefix) => text.len() > prefix.len() && text.starts_with(prefix),
            None => model.name == text,
        });
        let at_provider = text.split_once('/').is_some_and(|(provider, model)| {
            !model.is_empty() && providers.iter().any(|known| known == provider)
        });
        if !public && !at_provider {
            let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
            let message = format!(
                "`{text}` is neither a model that can be asked for nor `provider/model`; {}",
                choice(text, &names)
            );
            self.wrong(Some(name.place), message);
        }
        let At { value: price, place } = price;
        for (key, given) in [("input", &price.input), ("output", &price.output)] {
            if given.0.is_none() {
                self.wrong(
                    Some(*place),
                    format!("the price of `{text}` has no `{key}`; give it, or 0"),
                );
            }
        }
        let mut read = |given: &Given<String>| self.read(given, units::rate);
        let (input, output) = (read(&price.input), read(&price.output));
        let (input, output) = (input.unwrap_or_default(), output.unwrap_or_default());
        let mut or = |given, default: Rate| read(given).unwrap_or(default);
        let price = Price {
            input,
            cached_input: or(&price.cached_input, input),
            cache_write: or(&price.cache_write, input),
            output,
            reasoning: or(&price.reasoning, output),
        };
        (name.value.clone(), price)
    }
}
