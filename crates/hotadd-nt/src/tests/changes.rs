//! A driver's callback for these tests: a closure that is registered in either of the two ways.

use crate::ground::abi::Abi;
use crate::ground::types::ProcessorNumber;
use crate::tests::{call, routine};

/// The arguments of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) state: u32,
    pub(super) index: u32,
    pub(super) status: u32,
    pub(super) number: ProcessorNumber,
}

pub(super) const START: u32 = 0;
pub(super) const COMPLETE: u32 = 1;
pub(super) const FAILURE: u32 = 2;

/// The action of the callback. Its result is written to the status argument.
type Act<'a> = Box<dyn Fn(Change) -> Option<u32> + Sync + 'a>;

/// A registration that ends when it is dropped.
pub(super) struct Listener<'a> {
    abi: Abi,
    handle: usize,
    by: By,
    _act: Box<Act<'a>>,
}

/// The way of registering.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Change,
    Object,
}

routine! {
    fn hear(context: usize, change: usize, status: usize) {
        // SAFETY: what a listener registers with.
        let act = unsafe { &*(context as *const Act<'static>) };
        // SAFETY: a KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT.
        let [state, index, failure, number] = unsafe { *(change as *const [u32; 4]) };
        let [low, high, number, reserved] = number.to_le_bytes();
        let number = ProcessorNumber { group: u16::from_le_bytes([low, high]), number, reserved };
        // SAFETY: the status that goes with the change.
        let answer = unsafe { &mut *(status as *mut u32) };
        assert_eq!(*answer, 0, "A2: it is STATUS_SUCCESS when the callback is called");
        if let Some(status) = act(Change { state, index, status: failure, number }) {
            *answer = status;
        }
    }
}

impl<'a> Listener<'a> {
    /// By KeRegisterProcessorChangeCallback, without the existing processors.
    pub(super) fn new(abi: Abi, act: impl Fn(Change) -> Option<u32> + Sync + 'a) -> Self {
        let act: Box<Act<'a>> = Box::new(Box::new(act));
        let handle = call!(abi, KeRegisterProcessorChangeCallback(
            hear(abi) => usize, &raw const *act as usize => usize, 0 => u32,
        ) -> usize);
        assert_ne!(handle, 0, "it is registered");
        Self { abi, handle, by: By::Change, _act: act }
    }

    /// By ExRegisterCallback, with this object.
    pub(super) fn with(
        abi: Abi,
        object: usize,
        act: impl Fn(Change) -> Option<u32> + Sync + 'a,
    ) -> Self {
        let act: Box<Act<'a>> = Box::new(Box::new(act));
        let handle = call!(abi, ExRegisterCallback(
            object => usize, hear(abi) => usize, &raw const *act as usize => usize,
        ) -> usize);
        assert_ne!(handle, 0, "it is registered");
        Self { abi, handle, by: By::Object, _act: act }
    }

    pub(super) fn handle(&self) -> usize {
        self.handle
    }

    /// Forgets the handle, because it was unregistered by other means.
    pub(super) fn forget(mut self) {
        self.handle = 0;
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        match self.by {
            _ if self.handle == 0 => {}
            By::Change => {
                call!(self.abi, KeDeregisterProcessorChangeCallback(self.handle => usize));
            }
            By::Object => call!(self.abi, ExUnregisterCallback(self.handle => usize)),
        }
    }
}
