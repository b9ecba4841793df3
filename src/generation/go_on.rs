//! Goes on with a generation whose gateway was lost, where its model has `on_break: continue`: for the provider that is called
//! then, and for whoever looks on, it is a break like any other.

use std::time::Duration;

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{
    Generations, OnBreak, Order,
    said::Said,
    task::{Begun, Task},
    tee, vigil, voice,
};
use crate::{
    channel::Orphan,
    clock,
    ident::GenerationId,
    snapshot::{End, Generation},
};

/// Why a generation went on, in its `resumed` event.
pub const LOST: &str = "the gateway that ran it was lost";

/// A generation that so many gateways were lost with is not tried with another one: it may be what they are lost by.
const LOST_MAX: usize = 2;

/// Why a generation ends with the gateway that ran it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotGoOn {
    /// Its model has no `on_break: continue` here.
    #[error("its model does not go on after a break")]
    Model,
    /// Something that was said stands in the way.
    #[error("{0}")]
    Said(&'static str),
    /// It was lost too often.
    #[error("{LOST_MAX} gateways were lost with it already")]
    LostAgain,
}

impl Generations {
    /// Goes on with a generation. Its caller is gone; what becomes of it then is its order's to say. Err: it has ended, as
    /// `failed: gateway_lost`.
    pub fn go_on(&self, order: Order, orphan: Orphan) -> Result<(), CannotGoOn> {
        let Orphan { producer, started, .. } = orphan;
        let (_, _, state) = order.channel.fold();
        let before = state.generations.get(producer.index() as usize);
        let before = before.ok_or(CannotGoOn::Said("what it said is not there"))?;
        let said = may_go_on(&order, before)?;

        let id = GenerationId::claimed(&started.id);
        let mut recorder = self.recorder(&order, &id);
        recorder.begun();
        let stop = self.stop.child_token();
        producer.stop_by(&stop);
        let deposit = order.handover.clone();
        let deposit = deposit.map(|it| it.deposit(order.channel.key().clone(), id.clone()));
        // Nobody waits at this end.
        let (head, _) = oneshot::channel();
        let (tee, _) = tee::tee(&self.telemetry.metrics);
        let (present, caller) = watch::channel(());
        drop(present);
        let stop = vigil::Stop { own: stop, gateway: self.stop.clone() };
        let ends = voice::Ends { producer, head, tee, recorder };
        let speaker = before.resumed.last().map_or(&started.provider, |resumed| &resumed.to);
        let (now, ran) = (Instant::now(), clock::now_ms().saturating_sub(started.created_ms));
        let at = now.checked_sub(Duration::from_millis(ran)).unwrap_or(now);
        let begun = Begun { at, said, speaker: speaker.clone(), why: LOST };
        let task = Task::new(order, id, ends, stop, caller, deposit).go_on(begun, now);
        self.tasks.spawn(task.run());
        Ok(())
    }
}

/// What was said, if it can be gone on from.
fn may_go_on(order: &Order, before: &Generation) -> Result<Said, CannotGoOn> {
    if order.failover.on_break != OnBreak::Continue {
        return Err(CannotGoOn::Model);
    }
    let lost = before.resumed.iter().filter(|resumed| resumed.reason == LOST).count();
    if lost >= LOST_MAX {
        return Err(CannotGoOn::LostAgain);
    }
    let said = Said::of(before);
    match (&before.end, said.obstacle()) {
        (None, None) => Ok(said),
        (_, Some(obstacle)) => Err(CannotGoOn::Said(obstacle)),
        (Some(End::Finished(_) | End::Failed(_)), None) => {
            Err(CannotGoOn::Said("it has ended already"))
        }
    }
}
