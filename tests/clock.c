/* clock SECONDS[@FILE] PROGRAM ARGUMENT...: runs a program for which the wall clock stands still, so many seconds after
 * 1970 (before, if negative). All other clocks run, and the dates of files are what they are.
 *
 * With a FILE, the clock goes on when the program wants to wait: to the moment for which it sets a timer (timerfd), which
 * then expires at once. FILE always has the seconds, as a number of eight bytes.
 *
 * As a debugger does it, so that it works for a static program too: a call of the kernel gets this answer, and nobody finds
 * the page that tells the time without asking.
 */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 1024 };

/* Where a thread that is just asking wants the answer. */
static struct { pid_t thread; void *answer; } asking[MOST_THREADS];

static long standing;
static volatile long *seconds = &standing;
static int goes_on;

/* Lets the clock be read in a file from now on. */
static void show_in(const char *path) {
    int file = open(path, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof standing) < 0) exit(125);
    void *shared = mmap(0, sizeof standing, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) exit(125);
    seconds = shared;
    *seconds = standing;
    goes_on = 1;
}

static void **asked_by(pid_t thread) {
    int i = 0;
    while (asking[i].thread != thread && asking[i].thread != 0)
        if (++i == MOST_THREADS) exit(125);
    asking[i].thread = thread;
    return &asking[i].answer;
}

static struct __ptrace_syscall_info stopped_at(pid_t thread) {
    struct __ptrace_syscall_info info = {0};
    ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info);
    return info;
}

/* A new program: the words on its stack are arguments, variables, and what else the kernel tells it. */
static void hide_the_page(pid_t thread) {
    long *word = (long *)stopped_at(thread).stack_pointer + 1;
    for (int ends = 0; ends < 2; word++)
        ends += ptrace(PTRACE_PEEKDATA, thread, word, 0) == 0;
    for (long kind; (kind = ptrace(PTRACE_PEEKDATA, thread, word, 0)) != AT_NULL; word += 2)
        if (kind == AT_SYSINFO_EHDR) ptrace(PTRACE_POKEDATA, thread, word, AT_IGNORE);
}

/* A timer that was set for a moment to come expires now, and it is that moment. */
static void go_on(pid_t thread, struct __ptrace_syscall_info *info) {
    int is_moment = info->entry.nr == SYS_timerfd_settime && info->entry.args[1] & TFD_TIMER_ABSTIME;
    if (!goes_on || !is_moment) return;
    /* The interval comes before the moment. */
    long *moment = (long *)info->entry.args[2] + 2;
    long wanted = ptrace(PTRACE_PEEKDATA, thread, moment, 0) + (ptrace(PTRACE_PEEKDATA, thread, moment + 1, 0) > 0);
    if (wanted <= *seconds) return;
    *seconds = wanted;
    ptrace(PTRACE_POKEDATA, thread, moment, 1);
}

static void answer(pid_t thread) {
    struct __ptrace_syscall_info info = stopped_at(thread);
    void **wanted = asked_by(thread);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        int is_it = info.entry.nr == SYS_clock_gettime && info.entry.args[0] == CLOCK_REALTIME;
        *wanted = is_it ? (void *)info.entry.args[1] : 0;
        go_on(thread, &info);
    } else if (*wanted) {
        ptrace(PTRACE_POKEDATA, thread, *wanted, *seconds);
        ptrace(PTRACE_POKEDATA, thread, (long *)*wanted + 1, 0);
    }
}

int main(int count, char **words) {
    if (count < 3) return 125;
    standing = atol(words[1]);
    char *file = strchr(words[1], '@');
    if (file) show_in(file + 1);
    pid_t program = fork();
    if (program == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execvp(words[2], words + 2);
        perror(words[2]);
        _exit(127);
    }
    int status, code = 125;
    waitpid(program, &status, 0);
    long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
    ptrace(PTRACE_SETOPTIONS, program, 0, options);
    ptrace(PTRACE_SYSCALL, program, 0, 0);
    for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (thread < 0) continue;
        if (!WIFSTOPPED(status)) {
            *asked_by(thread) = 0;
            if (thread == program) code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        if (signal == (SIGTRAP | 0x80)) answer(thread);
        if (event == PTRACE_EVENT_EXEC) hide_the_page(thread);
        /* Our own stops, and how a new thread begins, are no signals of the program's. */
        if (signal == (SIGTRAP | 0x80) || event || signal == SIGSTOP) signal = 0;
        ptrace(PTRACE_SYSCALL, thread, 0, signal);
    }
    return code;
}
