//! More uevents than the daemon can receive, on real kernels: messages about processors are lost, but no
//! processor is.

use lab::Kernel;

use crate::common::on_each_kernel;
use crate::common::overflow::nothing_is_missed_when_messages_are_lost;

on_each_kernel!(sixty_four_are_plugged_in_while_messages_are_lost);

fn sixty_four_are_plugged_in_while_messages_are_lost(kernel: Kernel) {
    nothing_is_missed_when_messages_are_lost(kernel, 64);
}
