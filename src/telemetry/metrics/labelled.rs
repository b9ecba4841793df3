//! A family of one kind of metric, its label names fixed where it is declared and its values given in their order.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder},
    metrics::{MetricType, TypedMetric, family::Family},
    registry::{Registry, Unit},
};

/// What is published under one name.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// As Prometheus shows it, with its unit, and with `_total` where it only rises.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricType,
    /// Its labels, each from a bounded set of values.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

/// Metrics of one kind, one for each set of label values that was ever asked for.
#[derive(Debug)]
pub struct Labelled<M, const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, M, fn() -> M>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels<const N: usize> {
    names: [&'static str; N],
    values: [Arc<str>; N],
}

impl<const N: usize> EncodeLabelSet for Labels<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let pairs = self.names.iter().zip(&self.values);
        pairs
            .into_iter()
            .try_for_each(|(name, value)| (*name, &**value).encode(encoder.encode_label()))
    }
}

impl<M, const N: usize> Labelled<M, N>
where
    M: EncodeMetric + TypedMetric + Clone + Send + Sync + std::fmt::Debug + 'static,
{
    /// Declares it; without labels it is there from the beginning.
    pub(super) fn declare(registry: &mut Registry, described: &Described, make: fn() -> M) -> Self {
        let names = described.labels.try_into().expect("as many names as the type says");
        let family = Family::new_with_constructor(make);
        let name = described.name.trim_end_matches("_total");
        let units = [Unit::Seconds, Unit::Bytes];
        let unit = units.into_iter().find_map(|unit| {
            let bare = name.strip_suffix(unit.as_str())?.strip_suffix('_')?;
            Some((bare, unit))
        });
        // The library ends each help with a full stop of its own.
        let help = described.help.trim().trim_end_matches('.');
        match unit {
            Some((bare, unit)) => registry.register_with_unit(bare, help, unit, family.clone()),
            None => registry.register(name, help, family.clone()),
        }
        let labelled = Self { names, family };
        if N == 0 {
            labelled.with(std::array::from_fn(|_| ""));
        }
        labelled
    }

    /// The one with these label values, in the order of the names. To be kept where it is used often: finding it takes a lock.
    pub fn with(&self, values: [&str; N]) -> M {
        self.family
            .get_or_create_owned(&Labels { names: self.names, values: values.map(Arc::from) })
    }

    /// Forgets all values, before those of now are set.
    pub fn clear(&self) {
        self.family.clear();
    }
}

impl<M> Labelled<M, 0>
where
    M: EncodeMetric + TypedMetric + Clone + Send + Sync + std::fmt::Debug + 'static,
{
    /// The only one.
    pub fn only(&self) -> M {
        self.with([])
    }
}
