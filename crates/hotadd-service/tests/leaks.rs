//! Connections leave no resources behind. A separate test binary, because it counts what the whole process holds.

mod common;

use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use hotadd::EventKind;
use hotadd_wire as wire;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use zbus::Message;

use common::counts::Counts;
use common::{Peer, Served};

#[test]
fn connections_and_sent_descriptors_leave_nothing_behind() {
    let served = Served::new(1, 1);
    let round = |index: u32| {
        let peer: Peer = served.peer();
        peer.register("pool", wire::LATER_ONLY, 0, 0);
        if index.is_multiple_of(2) {
            peer.hang_up();
        } else {
            drop(peer);
        }
        served.wait(|event| event.kind == EventKind::Deregistered);
    };
    round(0);
    round(1);
    let before = Counts::settled(idle(&served));
    (0..200).for_each(round);
    let mut bare = served.bare();
    (0..50).for_each(|_| send_a_descriptor(&mut bare));
    drop(bare);
    let after = Counts::settled(before);
    assert!(after.is_within(before), "{before:?} became {after:?}");
    assert!(served.log().is_empty());
}

/// Sends a ping with an unrequested descriptor, and waits for the answer.
fn send_a_descriptor(stream: &mut UnixStream) {
    let ping = Message::method_call("/", "Ping").unwrap();
    let ping = ping.interface("org.freedesktop.DBus.Peer").unwrap().build(&()).unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [stream.as_fd()];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let bytes = [IoSlice::new(ping.data())];
    sendmsg(&*stream, &bytes, &mut ancillary, SendFlags::empty()).unwrap();
    // A reply without arguments: a header with the serial that it answers.
    stream.read_exact(&mut [0; 24]).unwrap();
}

/// The resources of an idle service, after the peer has left.
fn idle(served: &Served) -> Counts {
    served.peer().ping();
    Counts::now()
}
