//! Unwinds one frame by an image's function table: it reverses the effects of a function's prologue on the registers.

use crate::ground::context::{Context, RSP};
use crate::ground::images::Image;

/// An entry of a function table. All offsets are from the image's lowest address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    begin: usize,
    end: usize,
    info: usize,
    /// The offset of the entry itself.
    pub(super) entry: usize,
}

/// The result of unwinding a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The address by which a handler finds its function's variables.
    pub(super) establisher: u64,
    /// The handler of exceptions in this frame, if there is one.
    pub(super) handler: Option<Handler>,
}

/// A function's own handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handler {
    /// Its address.
    pub(super) address: usize,
    /// The address of its data about the function.
    pub(super) data: usize,
    /// Whether it is called in the search for a handler.
    pub(super) searching: bool,
    /// Whether it is called when its frame is unwound.
    pub(super) unwinding: bool,
}

/// A table or a stack that cannot be used for unwinding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// The stack's limits, outside of which an unwinder never reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    pub(super) low: usize,
    pub(super) high: usize,
}

impl Stack {
    /// The value at this address.
    fn word(self, at: u64) -> Result<u64, Damaged> {
        let at = usize::try_from(at).map_err(|_| Damaged)?;
        if at < self.low || at > self.high.saturating_sub(8) {
            return Err(Damaged);
        }
        // SAFETY: the address is within this thread's stack.
        Ok(unsafe { std::ptr::with_exposed_provenance::<u64>(at).read_unaligned() })
    }

    fn pop(self, context: &mut Context) -> Result<u64, Damaged> {
        let value = self.word(context.general[RSP])?;
        context.general[RSP] += 8;
        Ok(value)
    }
}

/// Bits of the first byte of unwind information.
const HANDLES: u8 = 1;
const TERMINATES: u8 = 2;
const CHAINED: u8 = 4;

/// The maximum number of parts of a function.
const MOST_PIECES: usize = 32;

/// The function that contains an address. `None` for a function that changes neither the stack nor a register that it
/// must preserve.
pub(super) fn lookup(image: &Image, address: usize) -> Option<Function> {
    let place = address.checked_sub(image.base)?;
    let count = image.functions.len() / 12;
    let entry = |number: usize| function(image, image.functions.start + 12 * number);
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let function = entry(middle)?;
        if place < function.begin {
            high = middle;
        } else if place >= function.end {
            low = middle + 1;
        } else {
            return Some(function);
        }
    }
    None
}

/// The entry at this offset.
fn function(image: &Image, entry: usize) -> Option<Function> {
    let words = image.value::<[[u8; 4]; 3]>(entry)?;
    let [begin, end, info] = words.map(|word| u32::from_le_bytes(word) as usize);
    // An odd value is the offset of another entry plus one.
    if info & 1 != 0 {
        let [_, _, info] =
            image.value::<[[u8; 4]; 3]>(info - 1)?.map(|word| u32::from_le_bytes(word) as usize);
        return Some(Function { begin, end, info, entry });
    }
    Some(Function { begin, end, info, entry })
}

/// A function's unwind information.
struct Info {
    flags: u8,
    prologue: usize,
    count: usize,
    register: usize,
    /// The distance of the frame register from the frame.
    offset: u64,
    /// The offset of its codes.
    codes: usize,
}

impl Info {
    fn read(image: &Image, place: usize) -> Result<Self, Damaged> {
        let [first, prologue, count, frame] = image.value::<[u8; 4]>(place).ok_or(Damaged)?;
        if !matches!(first & 7, 1 | 2) {
            return Err(Damaged);
        }
        Ok(Self {
            flags: first >> 3,
            prologue: prologue.into(),
            count: count.into(),
            register: usize::from(frame & 15),
            offset: u64::from(frame >> 4) * 16,
            codes: place + 4,
        })
    }

    fn code(&self, image: &Image, number: usize) -> Result<[u8; 2], Damaged> {
        image.value::<[u8; 2]>(self.codes + 2 * number).ok_or(Damaged)
    }

    /// The offset of the data after the codes, whose number is rounded up to an even one.
    fn behind(&self) -> usize {
        self.codes + 2 * self.count.next_multiple_of(2)
    }
}

/// Unwinds a function that has no entry in the table: it only returns.
pub(super) fn leaf(context: &mut Context, stack: Stack) -> Result<(), Damaged> {
    context.rip = stack.pop(context)?;
    Ok(())
}

/// Reverses what a function did up to the current instruction: the registers become those of its caller after the
/// return.
pub(super) fn step(
    image: &Image,
    function: Function,
    context: &mut Context,
    stack: Stack,
) -> Result<Frame, Damaged> {
    let offset = context.rip as usize - image.base - function.begin;
    let mut info = Info::read(image, function.info)?;
    let in_prologue = offset < info.prologue;
    let establisher = establisher(image, &info, offset, context)?;
    if !in_prologue && finish(image, &info, function, context, stack)? {
        return Ok(Frame { establisher, handler: None });
    }
    let mut done = if in_prologue { offset } else { usize::MAX };
    let mut pieces = 0;
    loop {
        undo(image, &info, done, establisher, context, stack)?;
        if info.flags & CHAINED == 0 {
            break;
        }
        pieces += 1;
        if pieces > MOST_PIECES {
            return Err(Damaged);
        }
        // The preceding part of the function, whose prologue ran completely.
        let first = self::function(image, info.behind()).ok_or(Damaged)?;
        info = Info::read(image, first.info)?;
        done = usize::MAX;
    }
    context.rip = stack.pop(context)?;
    let asked = info.flags & (HANDLES | TERMINATES) != 0 && !in_prologue;
    let handler = if asked { Some(handler(image, &info)?) } else { None };
    Ok(Frame { establisher, handler })
}

fn handler(image: &Image, info: &Info) -> Result<Handler, Damaged> {
    let place = image.value::<u32>(info.behind()).ok_or(Damaged)? as usize;
    let address = image.base + place;
    if !image.executes(address) {
        return Err(Damaged);
    }
    Ok(Handler {
        address,
        data: image.base + info.behind() + 4,
        searching: info.flags & HANDLES != 0,
        unwinding: info.flags & TERMINATES != 0,
    })
}

/// The base address of the function's variables: the frame register once it is set, or the stack pointer.
fn establisher(
    image: &Image,
    info: &Info,
    offset: usize,
    context: &Context,
) -> Result<u64, Damaged> {
    if info.register == 0 {
        return Ok(context.general[RSP]);
    }
    let mut set = offset >= info.prologue || info.flags & CHAINED != 0;
    let mut number = 0;
    while !set && number < info.count {
        let [at, code] = info.code(image, number)?;
        set = code & 15 == 3 && usize::from(at) <= offset;
        number += slots(code)?;
    }
    let value = if set {
        context.general[info.register].wrapping_sub(info.offset)
    } else {
        context.general[RSP]
    };
    Ok(value)
}

/// How many slots a code takes.
fn slots(code: u8) -> Result<usize, Damaged> {
    match (code & 15, code >> 4) {
        (0 | 2 | 3 | 6 | 10, _) => Ok(1),
        (4 | 8, _) | (1, 0) => Ok(2),
        (5 | 9, _) | (1, 1) => Ok(3),
        _ => Err(Damaged),
    }
}

/// Reverses the steps of a prologue that were executed, last first. The codes are in this order.
fn undo(
    image: &Image,
    info: &Info,
    done: usize,
    establisher: u64,
    context: &mut Context,
    stack: Stack,
) -> Result<(), Damaged> {
    let mut number = 0;
    while number < info.count {
        let [at, code] = info.code(image, number)?;
        let length = slots(code)?;
        if number + length > info.count {
            return Err(Damaged);
        }
        let first = number;
        let operand = |at: usize| {
            info.code(image, first + at).map(|bytes| u64::from(u16::from_le_bytes(bytes)))
        };
        let long = || Ok(operand(1)? | operand(2)? << 16);
        let register = usize::from(code >> 4);
        number += length;
        if usize::from(at) > done {
            continue;
        }
        let rsp = context.general[RSP];
        match (code & 15, register) {
            // A register was pushed.
            (0, _) => context.general[register] = stack.pop(context)?,
            // Stack was allocated.
            (1, 0) => context.general[RSP] = rsp.wrapping_add(operand(1)? * 8),
            (1, _) => context.general[RSP] = rsp.wrapping_add(long()?),
            (2, _) => context.general[RSP] = rsp.wrapping_add(register as u64 * 8 + 8),
            // The frame register was set.
            (3, _) => {
                context.general[RSP] = context.general[info.register].wrapping_sub(info.offset);
            }
            // A register was saved into stack that was allocated before.
            (4, _) => {
                context.general[register] =
                    stack.word(establisher.wrapping_add(operand(1)? * 8))?;
            }
            (5, _) => context.general[register] = stack.word(establisher.wrapping_add(long()?))?,
            (8 | 9, _) => {
                let distance = if code & 15 == 8 { operand(1)? * 16 } else { long()? };
                let at = establisher.wrapping_add(distance);
                let low = stack.word(at)?;
                let high = stack.word(at.wrapping_add(8))?;
                context.xmm[register] = u128::from(low) | u128::from(high) << 64;
            }
            // The epilogue is recognised by its instructions.
            (6, _) => {}
            // The frame of an interrupt: there are no interrupts.
            _ => return Err(Damaged),
        }
    }
    Ok(())
}

/// The signed number at this offset, which is part of an instruction.
fn signed(image: &Image, place: usize) -> Result<i32, Damaged> {
    image.value::<u32>(place).map(u32::cast_signed).ok_or(Damaged)
}

/// Executes the rest of a function's epilogue if the registers are in it. An epilogue has one of a few forms, by
/// which it is recognised: the stack pointer is moved, registers are popped, and the function returns or jumps away.
fn finish(
    image: &Image,
    info: &Info,
    function: Function,
    context: &mut Context,
    stack: Stack,
) -> Result<bool, Damaged> {
    let mut place = context.rip as usize - image.base;
    let byte = |place: usize| image.value::<u8>(place).unwrap_or(0xcc);
    let mut rsp = context.general[RSP];
    let bytes = [0, 1, 2, 3].map(|at| byte(place + at));
    match bytes {
        // add rsp, N
        [0x48, 0x83, 0xc4, distance] => {
            rsp = rsp.wrapping_add_signed(i64::from(distance.cast_signed()));
            place += 4;
        }
        [0x48, 0x81, 0xc4, _] => {
            let distance = signed(image, place + 3)?;
            rsp = rsp.wrapping_add_signed(distance.into());
            place += 7;
        }
        // lea rsp, [register + N]
        [rex @ (0x48 | 0x49), 0x8d, modes, distance]
            if modes >> 3 & 7 == 4 && info.register != 0 =>
        {
            let register = usize::from(modes & 7 | (rex & 1) << 3);
            if register != info.register || modes & 7 == 4 {
                return Ok(false);
            }
            let (length, distance) = match modes >> 6 {
                0 => (3, 0),
                1 => (4, i64::from(distance.cast_signed())),
                2 => (7, signed(image, place + 3)?.into()),
                _ => return Ok(false),
            };
            rsp = context.general[register].wrapping_add_signed(distance);
            place += length;
        }
        _ => {}
    }
    let mut general = context.general;
    // No function pops more registers than there are.
    for _ in 0..16 {
        let (register, length) = match [byte(place), byte(place + 1)] {
            [code @ 0x58..=0x5f, _] => (code & 7, 1),
            [0x41, code @ 0x58..=0x5f] => (code & 7 | 8, 2),
            _ => break,
        };
        let Ok(value) = stack.word(rsp) else { return Ok(false) };
        general[usize::from(register)] = value;
        rsp = rsp.wrapping_add(8);
        place += length;
    }
    let inside = |from: usize, distance: i64| {
        let target = (from as i64).wrapping_add(distance);
        (function.begin as i64..function.end as i64).contains(&target)
    };
    let ends = match [0, 1, 2].map(|at| byte(place + at)) {
        [0xc3 | 0xc2, ..] | [0xf3, 0xc3, _] => true,
        // A jump inside the function does not end it.
        [0xeb, distance, _] => !inside(place + 2, distance.cast_signed().into()),
        [0xe9, ..] => !inside(place + 5, signed(image, place + 1)?.into()),
        [0xff, modes, _] | [0x48, 0xff, modes] => {
            modes & 0xf8 == 0x20 || modes & 0xf8 == 0xe0 && byte(place) == 0x48
        }
        _ => false,
    };
    if !ends {
        return Ok(false);
    }
    general[RSP] = rsp;
    context.general = general;
    context.rip = stack.pop(context)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pe;

    /// A driver with all kinds of frames.
    const DRIVER: &[u8] = include_bytes!("../../../tests/fixtures/seh.sys");

    /// The ranges that the unwinder reads: the tables in the file, and the code in memory.
    fn tables() -> Vec<std::ops::Range<usize>> {
        let places = |name: &str| {
            let at = DRIVER.windows(8).position(|window| window == name.as_bytes()).unwrap();
            let number =
                |at: usize| u32::from_le_bytes(DRIVER[at..at + 4].try_into().unwrap()) as usize;
            number(at + 20)..number(at + 20) + number(at + 16)
        };
        vec![places(".rdata\0\0"), places(".pdata\0\0"), places(".text\0\0\0")]
    }

    #[test]
    fn damaged_tables_end_unwinding_without_leaving_the_stack() {
        let mut stack_memory = vec![0_u64; 4096];
        let low = stack_memory.as_ptr().expose_provenance();
        let stack = Stack { low, high: low + 8 * stack_memory.len() };
        let tables = tables();
        let mut number = 1_u64;
        // The random generator of Numerical Recipes. Its upper bits are good enough.
        let mut random = move |end: usize| {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (number >> 33) as usize % end
        };
        let (mut unwound, mut damaged) = (0, 0);
        for _ in 0..300 {
            let mut file = DRIVER.to_vec();
            for _ in 0..random(64) {
                let table = tables[random(tables.len())].clone();
                file[table.start + random(table.len())] = random(256) as u8;
            }
            // A changed import table may be refused. Another test covers this.
            let Ok(loaded) = pe::load(&file, "changed.sys", false) else { continue };
            let image = loaded.image();
            for _ in 0..300 {
                let mut context = Context::zero();
                for register in &mut context.general {
                    *register = (low + random(8 * stack_memory.len())) as u64;
                }
                // Return addresses lead back into the image, so that unwinding continues for a while.
                for word in stack_memory.iter_mut().step_by(7) {
                    *word = (image.base + 0x1000 + random(0x1000)) as u64;
                }
                context.rip = (image.base + 0x1000 + random(0x1000)) as u64;
                for _ in 0..8 {
                    let Some(function) = lookup(image, context.rip as usize) else { break };
                    match step(image, function, &mut context, stack) {
                        Ok(_) => unwound += 1,
                        Err(Damaged) => {
                            damaged += 1;
                            break;
                        }
                    }
                }
            }
        }
        assert!(unwound > 1000, "only {unwound} frames were unwound");
        assert!(damaged > 500, "only {damaged} were damaged");
    }
}
