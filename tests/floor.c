/* The floor of the benchmark: the least that a program can do to print a file on Linux.
 *
 * It opens, looks, reads, writes and exits, as a cached token does; no libc, so that nothing else
 * runs before or after. `speed.rs` builds it with
 * cc -O2 -static -nostdlib -ffreestanding
 */

enum { AT_FDCWD = -100, STDOUT = 1, LIMIT = 256 * 1024 };

#if defined(__linux__) && defined(__x86_64__)
enum { READ = 0, WRITE = 1, FSTAT = 5, EXIT_GROUP = 231, OPENAT = 257 };

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");

static long system_call(long number, long a, long b, long c) {
    long result;
    register long d __asm__("r10") = 0;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(d) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__linux__) && defined(__aarch64__)
enum { OPENAT = 56, READ = 63, WRITE = 64, FSTAT = 80, EXIT_GROUP = 94 };

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl start\n");

static long system_call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "the floor program is written for Linux on x86_64 and aarch64"
#endif

/* Not on the stack: compilers that guard arrays there want a libc. */
static char buffer[LIMIT] __attribute__((aligned(16)));

/* The stack as the kernel left it: the count of arguments, then the arguments. */
__attribute__((used)) void start(const long *stack) {
    long file = system_call(OPENAT, AT_FDCWD, stack[0] > 1 ? stack[2] : 0, 0);
    /* Its result is read over: only the call counts. */
    system_call(FSTAT, file, (long)buffer, 0);
    long size = system_call(READ, file, (long)buffer, LIMIT);
    long written = size > 0 ? system_call(WRITE, STDOUT, (long)buffer, size) : -1;
    system_call(EXIT_GROUP, written != size, 0, 0);
    __builtin_unreachable();
}
