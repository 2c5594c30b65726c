//! Calls of a peer: finds the method of an interface that a call means, and answers some methods at once.

use std::sync::Arc;

use hotadd_wire::{self as wire, DirectBus, Message, Properties, Request};
use rustix::process::geteuid;

use crate::access::authority::Authority;
use crate::access::policy::Right;
use crate::lock::lock;
use crate::object::reply::{Refusal, Reply, answer};
use crate::object::requests::{self, Prepared};
use crate::object::session::Session;
use crate::parties::loss::Loss;
use crate::transport::reader::Lost;

/// Serves a call. A request that waits runs on a thread of its own.
///
/// # Errors
/// If the call has no path or no method, or if its peer may not make it.
pub(crate) fn call(session: &Arc<Session>, call: &Message) -> Result<(), Loss> {
    let head = call.head();
    if head.path().is_empty() || head.member().is_empty() {
        return Err(Lost::Garbled("a call without a path or a method").into());
    }
    let core = &session.core;
    if session.connection.route.peer().is_none() {
        if let Some(reply) = as_bus(session).answer(call) {
            let is_hello = reply.is_ok() && DirectBus::is_hello(call);
            session.reply(call, reply.map_err(Refusal::from));
            if is_hello {
                session.connection.greet();
            }
            session.connection.open();
            return Ok(());
        }
        session.connection.open();
    }
    let (hardware, epoch) = (core.partition.hardware(), core.partition.epoch().0);
    let machine = core.machine.as_deref();
    if let Some(reply) = (Properties { name: &core.name, hardware, epoch, machine }).answer(call) {
        session.reply(call, reply.map_err(Refusal::from));
        return Ok(());
    }
    session.authority.lets_call(head.member())?;
    let reply = match Request::read(call, head.member()) {
        Err(error) => Err(error.into()),
        Ok(request) => match at_once(session, call, &request) {
            Some(reply) => reply,
            None => match requests::prepare(session, call, request) {
                // The prepared request sends its own reply.
                Ok(prepared) => return settle(session, prepared),
                Err(refusal) => Err(refusal),
            },
        },
    };
    session.reply(call, reply);
    Ok(())
}

/// A direct connection as its peer sees it, if the peer treats it as a bus.
fn as_bus(session: &Session) -> DirectBus<'_> {
    let (core, connection) = (&session.core, &session.connection);
    DirectBus {
        partition: &core.bus_name,
        client: connection.id,
        is_greeted: connection.is_greeted(),
        guid: &core.guid,
        user: geteuid().as_raw(),
        process: std::process::id(),
        machine: core.machine.as_deref(),
    }
}

/// Answers the requests that do not wait. Returns `None` for the others.
fn at_once(session: &Session, call: &Message, request: &Request) -> Option<Reply> {
    let core = &session.core;
    Some(match request {
        Request::GetSet => answer(call, &wire::set(&core.partition.active())),
        Request::GetPage => page(session, call),
        Request::OpenBoard => board(session, call),
        Request::Deregister(party) if session.deregister(*party) => answer(call, &()),
        Request::Deregister(party) => Err(Refusal::NotRegistered(*party)),
        Request::GetParties => answer(call, &lock(&core.ledger).parties()),
        Request::GetWaiting => answer(call, &lock(&core.ledger).waiting()),
        _ => return None,
    })
}

/// Hands out a descriptor of the page.
fn page(session: &Session, call: &Message) -> Reply {
    passes_descriptors(session)?;
    let descriptor = session.core.page().map_err(|why| Refusal::Standard("Failed", why))?;
    Ok(call.reply_descriptor(descriptor)?)
}

/// Hands out the board of the connection.
fn board(session: &Session, call: &Message) -> Reply {
    passes_descriptors(session)?;
    let board = session.connection.open_board();
    let board = board.map_err(|error| Refusal::Standard("Failed", error.to_string()))?;
    Ok(call.reply_descriptors(board.descriptors())?)
}

fn passes_descriptors(session: &Session) -> Result<(), Refusal> {
    if session.connection.passes_descriptors() {
        return Ok(());
    }
    let why = "this connection passes no descriptors: negotiate UNIX_FD in its handshake";
    Err(Refusal::Standard("NotSupported", why.to_owned()))
}

/// Does what was asked for, at once or as soon as it is allowed.
///
/// # Errors
/// If it is not allowed and the peer must not be served any longer.
fn settle(session: &Session, mut prepared: Prepared) -> Result<(), Loss> {
    match &session.authority {
        Authority::Driver(rights) => {
            prepared.hold_to(rights)?;
            prepared.begin();
        }
        Authority::Asked(claim) if prepared.right() != Right::Look => {
            let (core, peer) = (Arc::clone(&session.core), claim.peer.clone());
            claim.ask(prepared.right(), prepared.is_interactive(), move |verdict| {
                if let Err(why) = &verdict {
                    core.refused(&peer, why);
                }
                prepared.settle(verdict);
            });
        }
        Authority::Full | Authority::Asked(_) => prepared.begin(),
    }
    Ok(())
}
