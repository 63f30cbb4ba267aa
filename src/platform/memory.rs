//! Where memory comes from: an arena that is part of the program, then the C library.
//!
//! musl asks the kernel for memory a few pages at a time, and gives it back before the process ends.
//! For a cached token that is 8 system calls of 32, and 27,000 instructions of 94,000: without the
//! arena it takes a fifth more time. `tests/speed/compare` measures that again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// In bytes: several times what a cached token of a thousand bytes takes. The kernel provides a page
/// of it when it is first touched.
const ARENA_SIZE: usize = 16 * 1024;

#[global_allocator]
static MEMORY: ArenaFirst = ArenaFirst::new();

/// Whether memory is overwritten when it is freed.
static WIPES: AtomicBool = AtomicBool::new(false);

/// From now on, overwrites all memory that is freed: the libraries on a secret's way to the keychain
/// or the server copy it, and wipe none of their copies.
pub(crate) fn wipe_what_is_freed() {
    WIPES.store(true, Relaxed);
}

/// Allocates from its arena, one block after the other, and from the system what does not fit. The
/// last block can grow, shrink and be freed; any other block that is freed is not used again, which
/// wastes little in a process that ends after a few milliseconds.
// In this order: the first blocks are on the same page as the count.
#[repr(C)]
struct ArenaFirst {
    /// How many bytes of the arena are in use, from the first on: the end of the last block.
    used: AtomicUsize,
    arena: UnsafeCell<[u8; ARENA_SIZE]>,
}

// SAFETY: each byte of the arena has one owner at a time, by `used`.
#[allow(unsafe_code, reason = "a static is shared")]
unsafe impl Sync for ArenaFirst {}

impl ArenaFirst {
    const fn new() -> Self {
        Self {
            used: AtomicUsize::new(0),
            arena: UnsafeCell::new([0; ARENA_SIZE]),
        }
    }

    fn start(&self) -> *mut u8 {
        self.arena.get().cast()
    }

    /// Where in the arena a block begins, if it is in the arena.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = block.addr().wrapping_sub(self.start().addr());
        (offset < ARENA_SIZE).then_some(offset)
    }

    fn allocate(&self, layout: Layout) -> Option<*mut u8> {
        loop {
            let used = self.used.load(Relaxed);
            let gap = self.start().wrapping_add(used).align_offset(layout.align());
            let begin = used.checked_add(gap)?;
            let end = begin.checked_add(layout.size())?;
            if end > ARENA_SIZE {
                return None;
            }
            if self.move_end(used, end) {
                return Some(self.start().wrapping_add(begin));
            }
        }
    }

    /// Moves the end of what is used, if it is still at `from`.
    fn move_end(&self, from: usize, to: usize) -> bool {
        let moved = self.used.compare_exchange(from, to, AcqRel, Relaxed);
        moved.is_ok()
    }
}

// SAFETY: a block has the size and the alignment of its layout, and one owner until it is freed.
#[allow(unsafe_code, reason = "what an allocator is")]
unsafe impl GlobalAlloc for ArenaFirst {
    // Not inlined, as the others: that would make the whole program a tenth larger.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.allocate(layout) {
            Some(block) => block,
            // SAFETY: the caller keeps the same promises.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WIPES.load(Relaxed) {
            // SAFETY: the caller owns the block, which is that long.
            unsafe { block.write_bytes(0, layout.size()) };
            // Without this the compiler removes a write that nothing reads.
            black_box(block);
        }
        match self.offset(block) {
            Some(begin) => {
                self.move_end(begin + layout.size(), begin);
            }
            // SAFETY: the caller keeps the same promises, and the block is the system's.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match self.offset(block) {
            Some(begin) => {
                let end = begin + layout.size();
                let fits = size <= ARENA_SIZE - begin && self.move_end(end, begin + size);
                if fits || size <= layout.size() {
                    return block;
                }
            }
            // The system would not overwrite the old block.
            None if WIPES.load(Relaxed) => {}
            // SAFETY: the caller keeps the same promises, and the block is the system's.
            None => return unsafe { System.realloc(block, layout, size) },
        }
        // SAFETY: the caller promises that this is a layout.
        let other = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: both blocks are at least as long as what is copied, and they do not overlap.
        unsafe {
            let new = self.alloc(other);
            if new.is_null() {
                return null_mut();
            }
            new.copy_from_nonoverlapping(block, size.min(layout.size()));
            self.dealloc(block, layout);
            new
        }
    }
}

#[cfg(test)]
mod tests;
