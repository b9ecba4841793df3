//! What a client asks of channels, carried out once the channel is there: subscribe, unsubscribe, cancel, publish.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    super::{
        reach::{self, Reach},
        refusals::{Closing, Refusal},
        rights::Permitted,
        search::{Found, Wanted},
        subscription::Subscription,
    },
    Answer, Phase, SUBSCRIPTIONS_MAX, Session,
};
use crate::{access::Action, channel::Channel, frame::Form, sequence::From, wire::proto};

impl Session {
    /// Carries out a request on a channel, once that is in memory.
    pub(super) fn want(&mut self, request: u64, wanted: Wanted) {
        let meant = match self.reach.meant(wanted.action(), wanted.channel()) {
            Ok(meant) => meant,
            Err(refusal) => return self.do_with(request, wanted, Err(refusal)),
        };
        match self.reach.live(&meant).filter(|_| !self.search.awaits(wanted.channel())) {
            Some(channel) => self.do_with(request, wanted, Ok(channel)),
            None => {
                let reach = &self.reach;
                self.search.wait(request, wanted, |ticket| reach.look_for(meant, ticket));
                // Where nothing has to be fetched it is answered in its turn.
                let found = self.search.found();
                self.carry_out(found);
            }
        }
        if self.search.is_flooded() {
            self.close(&Closing::Limit("too many requests wait for their channels"));
        }
    }

    pub(super) fn carry_out(&mut self, found: Vec<Found>) {
        for Found { request, wanted, channel } in found {
            if self.phase == Phase::Open {
                self.do_with(request, wanted, channel);
            }
        }
    }

    fn do_with(&mut self, request: u64, wanted: Wanted, channel: Result<Arc<Channel>, Refusal>) {
        match wanted {
            Wanted::Subscribe(wanted) => {
                let alias = wanted.alias;
                let resumes = matches!(wanted.from, Some(proto::subscribe::From::Cursor(_)));
                let subscribed = channel.and_then(|it| self.try_subscribe(wanted, &it));
                if resumes {
                    let one = self.subscriptions.last().filter(|_| subscribed.is_ok());
                    self.delivery.resumed(one.map_or("refused", Subscription::outcome));
                }
                let answer = match subscribed {
                    Ok(subscribed) => Answer::Subscribed(subscribed),
                    Err(refusal) => self.refused(&refusal, alias),
                };
                self.answers.push(request, answer);
            }
            Wanted::Cancel(cancel) => {
                match channel.and_then(|it| self.reach.cancel(&it, &cancel)) {
                    Ok(Some(errand)) => self.search.send(request, errand),
                    done => self.answer(request, done.map(|_| Answer::Done(proto::Done {}))),
                }
            }
            Wanted::Publish(publish) => {
                let published = channel.and_then(|it| {
                    let custom = Reach::custom(publish)?;
                    if it.follows() {
                        let errand = self.reach.publish_there(it, custom);
                        self.search.send(request, errand);
                        return Ok(());
                    }
                    let watch = it.watch(&self.signal);
                    let replaced = it.replaced();
                    let seq = it.publish(custom)?.seq;
                    self.search.publish(request, it, (seq, replaced), watch);
                    Ok(())
                });
                if let Err(refusal) = published {
                    self.answer(request, Err(refusal));
                }
                for (request, published) in self.search.shown() {
                    self.answer(request, published.map(Answer::Published));
                }
            }
        }
    }

    pub(super) fn subscribe(&mut self, request: u64, wanted: proto::Subscribe) {
        let alias = wanted.alias;
        match self.aliases.take(alias) {
            Ok(()) => {
                self.want(request, Wanted::Subscribe(wanted));
            }
            Err(not_taken) => {
                let refused = self.refused(&Refusal::from(not_taken), alias);
                self.answers.push(request, refused);
            }
        }
    }

    fn try_subscribe(
        &mut self,
        wanted: proto::Subscribe,
        channel: &Arc<Channel>,
    ) -> Result<proto::Subscribed, Refusal> {
        if self.reach.may_read(channel, Instant::now()) == Permitted::Never {
            // The right to has ended while the channel was looked for.
            return Err(self.reach.rights.forbidden(Action::Read, &channel.key().id));
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(Refusal::new(
                "limit",
                format!("a session carries at most {SUBSCRIPTIONS_MAX} subscriptions"),
            ));
        }
        // Only a carrier whose frames have streams of their own has datagrams, too.
        let by_datagram = wanted.delivery() == proto::Delivery::Datagram
            && self.form == Form::Frame
            && !wanted.times;
        let from = reach::parse_from(wanted.from)?;
        let places = self.seats.subscribe()?;
        // Watched before it is read: what is said in between raises the signal.
        let watch = channel.watch(&self.signal);
        let reader = channel.read(from)?;
        let begins_after = reader.seq();
        let lane = self.lanes.assign();
        let present = self.delivery.subscribed();
        let ties = (watch, present);
        let one = Subscription::new(wanted.alias, lane, reader, ties, wanted.times).at(places);
        let one = if by_datagram { one.by_datagram() } else { one };
        self.subscriptions.push(one);
        self.changed = true;
        let status = channel.status();
        let heads = (0..).zip(&status.generations);
        let heads = heads
            .map(|(index, started)| proto::GenerationHead { index, started: Some(started.into()) });
        Ok(proto::Subscribed {
            alias: wanted.alias,
            epoch: status.epoch.to_string(),
            first_seq: status.first_seq,
            // A tail begins after this one, whatever was said in the meantime.
            last_seq: if from == From::Tail { begins_after } else { status.last_seq },
            generations: heads.collect(),
            delivery: i32::from(by_datagram),
        })
    }

    pub(super) fn unsubscribe(&mut self, alias: u32) -> Result<(), Refusal> {
        match self.place(alias) {
            Some(place) => {
                self.subscriptions[place].leave();
                self.changed = true;
                Ok(())
            }
            None if let Some(request) = self.search.take_back(alias) => {
                let refusal = Refusal::new("bad_request", "it was unsubscribed meanwhile");
                self.answers.push(request, Answer::Refused(refusal.to_wire(alias)));
                Ok(())
            }
            // Its End crossed the request, or it was refused: the client has what it wanted.
            None if self.aliases.was_used(alias) => Ok(()),
            None => Err(Refusal::new("bad_request", "no subscription has this alias")),
        }
    }
}
