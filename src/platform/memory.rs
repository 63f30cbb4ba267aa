//! The memory allocator: an arena in the program's data, then the C library.
//!
//! musl requests a few pages at a time from the kernel, and returns them before the process ends. For a
//! cached token that was 8 of 32 system calls and 27,000 of 94,000 instructions; the arena saves a sixth
//! of the time. `tests/speed/compare` measures that again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// In bytes: more than a token of a thousand bytes needs, also one from the shared cache. The kernel maps a page when
/// it is first used.
const ARENA_SIZE: usize = 64 * 1024;

#[global_allocator]
static MEMORY: ArenaFirst = ArenaFirst::new();

/// Whether memory is overwritten when it is freed.
static WIPES: AtomicBool = AtomicBool::new(false);

/// From now on, overwrites all memory that is freed, because the libraries that pass a secret on do not
/// wipe their copies.
pub(crate) fn wipe_on_free() {
    WIPES.store(true, Relaxed);
}

/// A bump allocator: allocates blocks one after the other in its arena, and from the system if the
/// arena is full. Only the last block can be resized or freed. Other freed blocks are not reused, which
/// wastes little in a short process.
// In this order, so that the first blocks are on the same page as `used`.
#[repr(C)]
struct ArenaFirst {
    /// The end of the last block, in bytes from the start of the arena.
    used: AtomicUsize,
    arena: UnsafeCell<[u8; ARENA_SIZE]>,
}

// SAFETY: `used` gives each byte of the arena to one owner at a time.
#[allow(unsafe_code, reason = "a static is shared")]
unsafe impl Sync for ArenaFirst {}

impl ArenaFirst {
    #[allow(clippy::large_stack_arrays, reason = "it is for a static")]
    const fn new() -> Self {
        Self {
            used: AtomicUsize::new(0),
            arena: UnsafeCell::new([0; ARENA_SIZE]),
        }
    }

    fn start(&self) -> *mut u8 {
        self.arena.get().cast()
    }

    /// The offset of a block in the arena, if it is in the arena.
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

    /// Changes `used`, if it is still `from`.
    fn move_end(&self, from: usize, to: usize) -> bool {
        let moved = self.used.compare_exchange(from, to, AcqRel, Relaxed);
        moved.is_ok()
    }
}

// SAFETY: a block has the size and the alignment of its layout, and one owner until it is freed.
#[allow(unsafe_code, reason = "an allocator is unsafe")]
unsafe impl GlobalAlloc for ArenaFirst {
    // Not inlined, nor the others: that would make the program a tenth larger.
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
            // Otherwise the compiler removes the write, because nothing reads it.
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
            // The system's `realloc` would not overwrite the old block.
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
