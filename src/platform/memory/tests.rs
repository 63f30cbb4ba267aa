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
    #[allow(unsafe_code, reason = "it tests the allocator")]
    fn new(memory: &'a ArenaFirst, size: usize, align: usize) -> Self {
        let layout = Layout::from_size_align(size, align).expect("a layout");
        // SAFETY: no test uses a size of 0.
        let start = unsafe { memory.alloc(layout) };
        assert!(!start.is_null());
        Self {
            memory,
            start,
            layout,
        }
    }

    #[allow(unsafe_code, reason = "it tests the allocator")]
    fn resize(&mut self, size: usize) {
        // SAFETY: it was allocated with this layout, and the size is a small one.
        self.start = unsafe { self.memory.realloc(self.start, self.layout, size) };
        assert!(!self.start.is_null());
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("a layout");
    }

    #[allow(unsafe_code, reason = "it tests the allocator")]
    fn fill(&mut self, byte: u8) {
        // SAFETY: this owns the block, which is as long as that.
        unsafe { self.start.write_bytes(byte, self.layout.size()) }
    }

    /// The first bytes, which must have been written.
    #[allow(unsafe_code, reason = "it tests the allocator")]
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
    #[allow(unsafe_code, reason = "it tests the allocator")]
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
