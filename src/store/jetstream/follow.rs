//! A channel that another node writes: what that says is told to the channel here, until this node takes over or nobody looks any
//! more.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    super::{Following, News, Progress, StoreError},
    inner::{Inner, away, full},
    lines::Line,
    nats::{Message, NotTaken},
    record::{self, Record, Told},
    tail::{Tail, WentBack},
};
use crate::ident::ChannelKey;

/// What a follower is told to do.
pub(super) enum Command {
    /// To tell what comes.
    ReportTo(Weak<dyn Progress>),
    /// To take the channel over.
    TakeOver(oneshot::Sender<Result<(), StoreError>>),
}

/// What comes of a message.
enum Heard {
    On,
    /// The channel is gone, or nobody looks any more.
    Over,
    /// It does not fit what was told before.
    Unfit,
}

/// So many commands wait, at most.
const COMMANDS_MAX: usize = 16;

/// How often it is tried anew to take over what another node has spoken on meanwhile.
const TRIES: usize = 8;

/// How long what was said may take to come here.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(5);

/// Follows a channel.
pub(super) struct Follow {
    inner: Arc<Inner>,
    key: ChannelKey,
    line: u64,
    told: Told,
    tail: Tail,
    commands: mpsc::Receiver<Command>,
    progress: Option<Weak<dyn Progress>>,
}

/// As long as this is held, the channel is followed.
struct Held {
    commands: mpsc::Sender<Command>,
    _stop: DropGuard,
}

impl Following for Held {
    fn report_to(&mut self, progress: Weak<dyn Progress>) {
        // It is the first command that there is.
        let _ = self.commands.try_send(Command::ReportTo(progress));
    }
}

impl Follow {
    /// Begins to follow a channel after what was told of it so far.
    pub(super) fn begin(
        inner: &Arc<Inner>,
        key: &ChannelKey,
        told: Told,
        tail: Tail,
    ) -> impl Following + use<> {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let stop = CancellationToken::new();
        let line = inner.lines.open(key, Line::Follows(sender.clone()));
        let (inner, key) = (Arc::clone(inner), key.clone());
        let tasks = inner.tasks.clone();
        let follow = Self { inner, key, line, told, tail, commands, progress: None };
        tasks.spawn(follow.run(stop.clone()));
        Held { commands: sender, _stop: stop.drop_guard() }
    }

    async fn run(mut self, stop: CancellationToken) {
        let closing = self.inner.closing.clone();
        loop {
            let follows = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = closing.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(Command::ReportTo(progress)) => {
                        self.progress = Some(progress);
                        true
                    }
                    Some(Command::TakeOver(done)) => match self.take_over().await {
                        Some(taken) => {
                            let follows = taken.is_err() && self.told.gone.is_none();
                            // Whoever asked may have gone.
                            let _ = done.send(taken);
                            follows
                        }
                        // Whoever asked finds what it is now.
                        None => return self.begin_anew().await,
                    },
                    None => false,
                },
                message = self.tail.next(), if self.progress.is_some() => {
                    match message.map(|message| self.hear(message)) {
                        Ok(Heard::On) => true,
                        Ok(Heard::Over) => false,
                        Ok(Heard::Unfit) | Err(WentBack) => return self.begin_anew().await,
                    }
                }
            };
            if !follows {
                break;
            }
        }
        self.inner.lines.close(&self.key, self.line);
    }

    /// NATS does not hold what was told of the channel: it is told what it is now.
    async fn begin_anew(self) {
        self.inner.lines.close(&self.key, self.line);
        let Some(progress) = self.progress else { return };
        tracing::warn!(channel = %self.key.id, "what NATS holds of a channel does not follow what was heard of it");
        self.inner.tell_anew(&self.key, &progress).await;
    }

    /// Takes in what another node said.
    fn hear(&mut self, message: Message) -> Heard {
        let Some(records) = record::read(message.payload.clone()) else {
            return Heard::Unfit;
        };
        self.told.come_to(&message);
        let Some(progress) = self.progress.as_ref().and_then(Weak::upgrade) else {
            return Heard::Over;
        };
        let running = self.told.kept.running;
        let mut turns = false;
        for record in records {
            let counts = self.told.apply(&record, false);
            if self.told.broken {
                return Heard::Unfit;
            }
            match record {
                _ if !counts => {}
                Record::Tenure(_) => {
                    let (epoch, past) = (self.told.kept.epoch, self.told.kept.past.clone());
                    progress.news(News::Succeeded { epoch, past });
                    turns = true;
                }
                Record::Said(said) => progress.news(News::Said(said.slice)),
                Record::Gone(why) => {
                    progress.news(News::Forgotten(why));
                    return Heard::Over;
                }
            }
        }
        if turns || running != self.told.kept.running {
            self.inner.hears(self.told.entry(&self.key));
        }
        Heard::On
    }

    /// Begins a tenure of this node's, behind all that was said. `None`: what was told of it is not what NATS holds.
    async fn take_over(&mut self) -> Option<Result<(), StoreError>> {
        let subject = self.inner.nats.log_of(&self.key);
        for _ in 0..TRIES {
            let last = match self.inner.nats.last(&subject).await {
                Ok(last) => last?.at,
                Err(error) => return Some(Err(error)),
            };
            if last < self.told.at {
                return None;
            }
            while self.told.at < last {
                match timeout(CATCHES_UP_WITHIN, self.tail.next()).await {
                    Err(_) => return Some(Err(away())),
                    Ok(Err(WentBack)) => return None,
                    Ok(Ok(message)) => match self.hear(message) {
                        Heard::On => {}
                        Heard::Over => return Some(Err(forgotten())),
                        Heard::Unfit => return None,
                    },
                }
            }
            let lease = &self.inner.lease;
            let (ours, runs) = (self.told.node == lease.node(), self.told.kept.running > 0);
            if runs && !ours && lease.is_alive(&self.told.node, Instant::now()) {
                return Some(Err(StoreError::Elsewhere));
            }
            match self.inner.begin_tenure(&self.key, &mut self.told, false).await {
                Ok(()) => {
                    self.appoint();
                    return Some(Ok(()));
                }
                Err(NotTaken::Overtaken) => {}
                Err(NotTaken::Unknown) => return Some(Err(away())),
                Err(NotTaken::Full) => return Some(Err(full())),
            }
        }
        Some(Err(StoreError::Elsewhere))
    }

    fn appoint(&self) {
        let pen = self.inner.write(&self.key, &self.told, None);
        self.inner.stands(self.told.entry(&self.key));
        // Where nobody looks any more the pen is put down again.
        if let Some(progress) = self.progress.as_ref().and_then(Weak::upgrade) {
            let (epoch, past) = (self.told.kept.epoch, self.told.kept.past.clone());
            progress.news(News::Appointed { epoch, past, writer: Box::new(pen) });
        }
    }
}

fn forgotten() -> StoreError {
    StoreError::Unavailable("the channel was forgotten meanwhile".to_owned())
}
