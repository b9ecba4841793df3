//! What keys with a budget cannot use: models of which nobody wrote the price.

use crate::config::{Key, Model, Price};

/// So many models are named; of more the first.
const NAMED_MAX: usize = 8;

/// What is to be said of each key that has a budget and may use models without a price.
pub(super) fn notes(keys: &[Key], models: &[Model], prices: &[(String, Price)]) -> Vec<String> {
    let limited = keys.iter().filter(|key| key.limits.needs_prices());
    let notes = limited.filter_map(|key| {
        let unpriced = models.iter().filter(|model| may_use(key, model) && !is_priced(model, prices));
        let names: Vec<_> = unpriced.map(|model| format!("`{}`", model.name)).collect();
        let more = match names.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let listed = names[..names.len().min(NAMED_MAX)].join(", ");
        let name = &key.name;
        (!names.is_empty()).then(|| {
            format!(
                "the access key `{name}` has a budget, and so no use of {listed}{more}, which has no price; write it under \
                 `prices`, 0 where it is nothing"
            )
        })
    });
    notes.collect()
}

/// Whether some name that the model stands for may be asked for with the key.
fn may_use(key: &Key, model: &Model) -> bool {
    let Some(patterns) = &key.models else { return true };
    let own = model.name.strip_suffix('*');
    patterns.iter().any(|pattern| match (pattern.strip_suffix('*'), own) {
        (None, None) => *pattern == model.name,
        (Some(prefix), None) => model.name.starts_with(prefix),
        (None, Some(own)) => pattern.starts_with(own),
        (Some(prefix), Some(own)) => prefix.starts_with(own) || own.starts_with(prefix),
    })
}

/// Whether every target of a model has a price. What a pattern stands for is known only where `prices` names it: one name is
/// taken for a sign that all were thought of.
fn is_priced(model: &Model, prices: &[(String, Price)]) -> bool {
    if prices.iter().any(|(name, _)| *name == model.name) {
        return true;
    }
    model.targets.iter().all(|target| {
        let own = target.model.as_deref().unwrap_or(&model.name);
        let priced = format!("{}/{own}", target.provider);
        prices.iter().any(|(name, _)| match priced.strip_suffix('*') {
            Some(prefix) => {
                let public = model.name.strip_suffix('*').filter(|public| !public.is_empty());
                name.starts_with(prefix) || public.is_some_and(|public| name.starts_with(public))
            }
            None => *name == priced,
        })
    })
}
