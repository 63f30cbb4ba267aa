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
mod tests {
    use std::slice;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn blocks_do_not_overlap_and_are_aligned() {
        let memory = ArenaFirst::new();
        let mut blocks = Vec::new();
        for (size, align) in [
            (1, 1),
            (7, 2),
            (1, 16),
            (3, 64),
            (100, 8),
            (5, 1),
            (9, 4096),
        ] {
            let block = Block::new(&memory, size, align);
            assert!(block.is_in_arena());
            assert_eq!(block.start.addr() % align, 0);
            blocks.push(block);
        }
        for (byte, block) in (1..).zip(&mut blocks) {
            block.fill(byte);
        }
        for (byte, block) in (1..).zip(&mut blocks) {
            let size = block.layout.size();
            assert_eq!(block.first(size), vec![byte; size]);
        }
    }

    #[test]
    fn what_does_not_fit_comes_from_the_system() {
        let memory = ArenaFirst::new();
        let all = Block::new(&memory, ARENA_SIZE, 1);
        assert!(all.is_in_arena());
        let more = Block::new(&memory, 1, 1);
        assert!(!more.is_in_arena());
        drop(all);
        assert!(!Block::new(&memory, ARENA_SIZE + 1, 1).is_in_arena());
        assert!(Block::new(&memory, 1, 1).is_in_arena());
    }

    #[test]
    fn the_last_block_grows_and_shrinks_in_place() {
        let memory = ArenaFirst::new();
        let mut block = Block::new(&memory, 10, 1);
        let start = block.start;
        for size in [20, ARENA_SIZE, 5] {
            block.resize(size);
            assert_eq!((block.start, memory.used()), (start, size));
        }
        block.resize(ARENA_SIZE + 1);
        assert!(!block.is_in_arena());
        assert_eq!(memory.used(), 0, "a block that moves out is freed");
    }

    #[test]
    fn a_block_keeps_its_content_when_it_moves() {
        let memory = ArenaFirst::new();
        let mut block = Block::new(&memory, 4, 1);
        block.fill(b'a');
        block.first(4).copy_from_slice(b"abcd");
        let next = Block::new(&memory, 1, 1);
        for (size, in_arena) in [
            (8, true),
            (ARENA_SIZE, false),
            (2 * ARENA_SIZE, false),
            (4, false),
        ] {
            block.resize(size);
            assert_eq!(block.is_in_arena(), in_arena, "{size}");
            assert_eq!(block.first(4), b"abcd");
        }
        drop(next);
    }

    #[test]
    fn a_block_in_the_middle_shrinks_in_place() {
        let memory = ArenaFirst::new();
        let mut block = Block::new(&memory, 10, 1);
        let next = Block::new(&memory, 10, 1);
        let start = block.start;
        block.resize(5);
        assert_eq!((block.start, memory.used()), (start, 20));
        drop(block);
        assert_eq!(memory.used(), 20);
        drop(next);
        assert_eq!(memory.used(), 10);
    }

    #[test]
    fn no_two_threads_get_the_same_block() {
        const THREADS: u8 = 4;
        // Soon full: so many arenas, and each time all begin at once.
        for _ in 0..50 {
            let memory = ArenaFirst::new();
            let together = Barrier::new(THREADS.into());
            thread::scope(|scope| {
                for thread in 1..=THREADS {
                    let (memory, together) = (&memory, &together);
                    scope.spawn(move || {
                        let mut kept = Vec::with_capacity(100);
                        together.wait();
                        for size in 1..=100 {
                            let mut block = Block::new(memory, size, 4);
                            block.fill(thread);
                            block.resize(size + 8);
                            assert_eq!(block.first(size), vec![thread; size]);
                            if size % 3 == 0 {
                                kept.push((block, size));
                            }
                        }
                        for (block, size) in &mut kept {
                            assert_eq!(block.first(*size), vec![thread; *size]);
                        }
                    });
                }
            });
        }
    }

    /// A block of memory, freed when it is dropped.
    struct Block<'a> {
        memory: &'a ArenaFirst,
        start: *mut u8,
        layout: Layout,
    }

    impl<'a> Block<'a> {
        #[allow(unsafe_code, reason = "it is what is tested")]
        fn new(memory: &'a ArenaFirst, size: usize, align: usize) -> Self {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            // SAFETY: no test asks for a size of 0.
            let start = unsafe { memory.alloc(layout) };
            assert!(!start.is_null());
            Self {
                memory,
                start,
                layout,
            }
        }

        #[allow(unsafe_code, reason = "it is what is tested")]
        fn resize(&mut self, size: usize) {
            // SAFETY: it was allocated with this layout, and the size is a small one.
            self.start = unsafe { self.memory.realloc(self.start, self.layout, size) };
            assert!(!self.start.is_null());
            self.layout = Layout::from_size_align(size, self.layout.align()).expect("a layout");
        }

        #[allow(unsafe_code, reason = "it is what is tested")]
        fn fill(&mut self, byte: u8) {
            // SAFETY: this owns the block, which is as long as that.
            unsafe { self.start.write_bytes(byte, self.layout.size()) }
        }

        /// Its first bytes, which have been written.
        #[allow(unsafe_code, reason = "it is what is tested")]
        fn first(&mut self, count: usize) -> &mut [u8] {
            assert!(count <= self.layout.size());
            // SAFETY: this owns the block, which is as long as that.
            unsafe { slice::from_raw_parts_mut(self.start, count) }
        }

        fn is_in_arena(&self) -> bool {
            self.memory.offset(self.start).is_some()
        }
    }

    impl Drop for Block<'_> {
        #[allow(unsafe_code, reason = "it is what is tested")]
        fn drop(&mut self) {
            // SAFETY: it was allocated with this layout.
            unsafe { self.memory.dealloc(self.start, self.layout) };
        }
    }

    impl ArenaFirst {
        fn used(&self) -> usize {
            self.used.load(Relaxed)
        }
    }
}
