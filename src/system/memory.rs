//! Where memory comes from. To ask the kernel for pages, and to give them back just before the
//! end, is a sixth of what a cached token takes: so the first of it lies in a room that the program
//! brings along.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// In bytes: several times what a cached token of a thousand bytes takes. A page of it that nobody
/// touches costs nothing.
const ROOM: usize = 16 * 1024;

#[global_allocator]
static MEMORY: RoomFirst = RoomFirst::new();

/// Whether a piece is overwritten before it is given back.
static WIPES: AtomicBool = AtomicBool::new(false);

/// From now on, overwrites all memory that is freed: the libraries on a secret's way to the keychain
/// or the server copy it, and wipe none of their copies.
pub(crate) fn wipe_what_is_freed() {
    WIPES.store(true, Relaxed);
}

/// Gives what fits from its room, one piece after the other, and all else from the system. What is
/// freed out of turn stays taken: there is not much of it.
// In this order: what is given first lies on the page of the count.
#[repr(C)]
struct RoomFirst {
    /// How many bytes of the room, from the first on. Never less than where a piece ends that
    /// somebody has: where it is the end of a piece, nothing lies behind that.
    taken: AtomicUsize,
    room: UnsafeCell<[u8; ROOM]>,
}

// SAFETY: each byte of the room is one owner's at a time, by `taken`.
#[allow(unsafe_code, reason = "a static is shared")]
unsafe impl Sync for RoomFirst {}

impl RoomFirst {
    const fn new() -> Self {
        Self {
            taken: AtomicUsize::new(0),
            room: UnsafeCell::new([0; ROOM]),
        }
    }

    fn start(&self) -> *mut u8 {
        self.room.get().cast()
    }

    /// Where in the room a piece begins, if it was given from it.
    fn place(&self, piece: *mut u8) -> Option<usize> {
        let place = piece.addr().wrapping_sub(self.start().addr());
        (place < ROOM).then_some(place)
    }

    fn take(&self, layout: Layout) -> Option<*mut u8> {
        loop {
            let taken = self.taken.load(Relaxed);
            let gap = self
                .start()
                .wrapping_add(taken)
                .align_offset(layout.align());
            let begin = taken.checked_add(gap)?;
            let end = begin.checked_add(layout.size())?;
            if end > ROOM {
                return None;
            }
            if self.move_end(taken, end) {
                return Some(self.start().wrapping_add(begin));
            }
        }
    }

    /// Moves the end of what is taken, if it is there.
    fn move_end(&self, from: usize, to: usize) -> bool {
        let moved = self.taken.compare_exchange(from, to, AcqRel, Relaxed);
        moved.is_ok()
    }
}

// SAFETY: a piece is as long and as aligned as was asked for, and one owner's until it is freed.
#[allow(unsafe_code, reason = "what an allocator is")]
unsafe impl GlobalAlloc for RoomFirst {
    // Not inlined, as the others: that would make the whole program a tenth larger.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(piece) => piece,
            // SAFETY: as we were called.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if WIPES.load(Relaxed) {
            // SAFETY: as we were called, it is that long, and nobody else's.
            unsafe { piece.write_bytes(0, layout.size()) };
            // Else the compiler leaves out what nobody reads.
            black_box(piece);
        }
        match self.place(piece) {
            Some(begin) => {
                self.move_end(begin + layout.size(), begin);
            }
            // SAFETY: as we were called, and the system gave it.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match self.place(piece) {
            Some(begin) => {
                let end = begin + layout.size();
                let fits = size <= ROOM - begin && self.move_end(end, begin + size);
                if fits || size <= layout.size() {
                    return piece;
                }
            }
            // The system would leave the old piece as it is.
            None if WIPES.load(Relaxed) => {}
            // SAFETY: as we were called, and the system gave it.
            None => return unsafe { System.realloc(piece, layout, size) },
        }
        // SAFETY: whoever calls us promises that this is a layout.
        let other = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: both pieces are at least as long as what is copied, and they are two.
        unsafe {
            let new = self.alloc(other);
            if new.is_null() {
                return null_mut();
            }
            new.copy_from_nonoverlapping(piece, size.min(layout.size()));
            self.dealloc(piece, layout);
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
    fn pieces_lie_apart_and_as_they_were_asked_for() {
        let memory = RoomFirst::new();
        let mut pieces = Vec::new();
        for (size, align) in [
            (1, 1),
            (7, 2),
            (1, 16),
            (3, 64),
            (100, 8),
            (5, 1),
            (9, 4096),
        ] {
            let piece = Piece::new(&memory, size, align);
            assert!(piece.is_in_room());
            assert_eq!(piece.start.addr() % align, 0);
            pieces.push(piece);
        }
        for (byte, piece) in (1..).zip(&mut pieces) {
            piece.fill(byte);
        }
        for (byte, piece) in (1..).zip(&mut pieces) {
            let size = piece.layout.size();
            assert_eq!(piece.first(size), vec![byte; size]);
        }
    }

    #[test]
    fn what_does_not_fit_comes_from_the_system() {
        let memory = RoomFirst::new();
        let all = Piece::new(&memory, ROOM, 1);
        assert!(all.is_in_room());
        let more = Piece::new(&memory, 1, 1);
        assert!(!more.is_in_room());
        drop(all);
        assert!(!Piece::new(&memory, ROOM + 1, 1).is_in_room());
        assert!(Piece::new(&memory, 1, 1).is_in_room());
    }

    #[test]
    fn the_last_piece_grows_and_shrinks_where_it_is() {
        let memory = RoomFirst::new();
        let mut piece = Piece::new(&memory, 10, 1);
        let start = piece.start;
        for size in [20, ROOM, 5] {
            piece.resize(size);
            assert_eq!((piece.start, memory.taken()), (start, size));
        }
        piece.resize(ROOM + 1);
        assert!(!piece.is_in_room());
        assert_eq!(memory.taken(), 0, "what leaves gives its place back");
    }

    #[test]
    fn a_piece_keeps_its_content_wherever_it_moves() {
        let memory = RoomFirst::new();
        let mut piece = Piece::new(&memory, 4, 1);
        piece.fill(b'a');
        piece.first(4).copy_from_slice(b"abcd");
        let next = Piece::new(&memory, 1, 1);
        for (size, in_room) in [(8, true), (ROOM, false), (2 * ROOM, false), (4, false)] {
            piece.resize(size);
            assert_eq!(piece.is_in_room(), in_room, "{size}");
            assert_eq!(piece.first(4), b"abcd");
        }
        drop(next);
    }

    #[test]
    fn a_piece_in_the_middle_shrinks_and_stays() {
        let memory = RoomFirst::new();
        let mut piece = Piece::new(&memory, 10, 1);
        let next = Piece::new(&memory, 10, 1);
        let start = piece.start;
        piece.resize(5);
        assert_eq!((piece.start, memory.taken()), (start, 20));
        drop(piece);
        assert_eq!(memory.taken(), 20);
        drop(next);
        assert_eq!(memory.taken(), 10);
    }

    #[test]
    fn no_two_threads_have_the_same_piece() {
        const THREADS: u8 = 4;
        // Soon full: so many rooms, and each time all begin at once.
        for _ in 0..50 {
            let memory = RoomFirst::new();
            let together = Barrier::new(THREADS.into());
            thread::scope(|scope| {
                for thread in 1..=THREADS {
                    let (memory, together) = (&memory, &together);
                    scope.spawn(move || {
                        let mut kept = Vec::with_capacity(100);
                        together.wait();
                        for size in 1..=100 {
                            let mut piece = Piece::new(memory, size, 4);
                            piece.fill(thread);
                            piece.resize(size + 8);
                            assert_eq!(piece.first(size), vec![thread; size]);
                            if size % 3 == 0 {
                                kept.push((piece, size));
                            }
                        }
                        for (piece, size) in &mut kept {
                            assert_eq!(piece.first(*size), vec![thread; *size]);
                        }
                    });
                }
            });
        }
    }

    /// A piece of memory that somebody has.
    struct Piece<'a> {
        memory: &'a RoomFirst,
        start: *mut u8,
        layout: Layout,
    }

    impl<'a> Piece<'a> {
        #[allow(unsafe_code, reason = "it is what is tested")]
        fn new(memory: &'a RoomFirst, size: usize, align: usize) -> Self {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            // SAFETY: there is no size of 0 here.
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
            // SAFETY: it was given with this layout, and the size is a small one.
            self.start = unsafe { self.memory.realloc(self.start, self.layout, size) };
            assert!(!self.start.is_null());
            self.layout = Layout::from_size_align(size, self.layout.align()).expect("a layout");
        }

        #[allow(unsafe_code, reason = "it is what is tested")]
        fn fill(&mut self, byte: u8) {
            // SAFETY: it is ours, and as long as that.
            unsafe { self.start.write_bytes(byte, self.layout.size()) }
        }

        /// Its first bytes, which have been written.
        #[allow(unsafe_code, reason = "it is what is tested")]
        fn first(&mut self, count: usize) -> &mut [u8] {
            assert!(count <= self.layout.size());
            // SAFETY: it is ours, and as long as that.
            unsafe { slice::from_raw_parts_mut(self.start, count) }
        }

        fn is_in_room(&self) -> bool {
            self.memory.place(self.start).is_some()
        }
    }

    impl Drop for Piece<'_> {
        #[allow(unsafe_code, reason = "it is what is tested")]
        fn drop(&mut self) {
            // SAFETY: it was given with this layout.
            unsafe { self.memory.dealloc(self.start, self.layout) };
        }
    }

    impl RoomFirst {
        fn taken(&self) -> usize {
            self.taken.load(Relaxed)
        }
    }
}
