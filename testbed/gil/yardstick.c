// Ground truth, preloaded into the interpreter: how long each thread waited for the GIL, exactly.
// The interpreter takes the GIL by pthread_cond_timedwait. Who was asked to let go of it waits by
// pthread_cond_wait until another has it, and both take the GIL's mutexes first, whose owner may lack a CPU:
// on a crowded machine those waits are as long. Native libraries' own waits have other callers.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef int (*timed_wait_fn)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
typedef int (*wait_fn)(pthread_cond_t *, pthread_mutex_t *);
typedef int (*lock_fn)(pthread_mutex_t *);

static timed_wait_fn real_timed_wait;
static wait_fn real_wait;
static lock_fn real_lock;

static uintptr_t python_from, python_to;
static __thread uint64_t waited_ns;
static __thread int schedstat = -1;

static int find_python(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size, (void)data;
    int is_main = info->dlpi_name[0] == 0;  // an interpreter without a shared library is the program itself
    if (!is_main && !strstr(info->dlpi_name, "libpython")) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        python_from = info->dlpi_addr + part->p_vaddr;
        python_to = python_from + part->p_memsz;
    }
    return 0;
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t run_queue_ns(void) {
    char text[96];
    if (schedstat < 0) {
        snprintf(text, sizeof text, "/proc/self/task/%ld/schedstat", syscall(SYS_gettid));
        schedstat = open(text, O_RDONLY | O_CLOEXEC);
    }
    ssize_t length = pread(schedstat, text, sizeof text - 1, 0);
    if (length <= 0) return 0;
    text[length] = 0;
    char *rest;
    strtoull(text, &rest, 10);
    return strtoull(rest, NULL, 10);
}

__attribute__((constructor)) static void find(void) {
    real_timed_wait = (timed_wait_fn)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    real_wait = (wait_fn)dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
    real_lock = (lock_fn)dlsym(RTLD_NEXT, "pthread_mutex_lock");
    dl_iterate_phdr(find_python, NULL);
}

static int is_python(const void *caller) {
    return (uintptr_t)caller >= python_from && (uintptr_t)caller < python_to;
}

typedef struct {
    uint64_t now, elsewhere;
} look_t;

// the time, and how much of it so far the thread was on a CPU or in line for one; both of the same moment:
// who loses its CPU between two readings would take that for a part of the wait
static look_t look(void) {
    for (int tries = 0;; tries++) {
        uint64_t begun = clock_ns(CLOCK_MONOTONIC);
        uint64_t elsewhere = clock_ns(CLOCK_THREAD_CPUTIME_ID) + run_queue_ns();
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        if (now - begun < 100000 || tries == 9) return (look_t){now, elsewhere};
    }
}

// adds what the thread was blocked since: neither on a CPU nor in line for one
static void add_since(look_t at) {
    look_t then = look();
    uint64_t whole = then.now - at.now, other = then.elsewhere - at.elsewhere;
    waited_ns += whole > other ? whole - other : 0;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
    if (!is_python(__builtin_return_address(0))) return real_timed_wait(cond, mutex, until);
    look_t at = look();
    int result = real_timed_wait(cond, mutex, until);
    add_since(at);
    return result;
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex) {
    if (!is_python(__builtin_return_address(0))) return real_wait(cond, mutex);
    look_t at = look();
    int result = real_wait(cond, mutex);
    add_since(at);
    return result;
}

int pthread_mutex_lock(pthread_mutex_t *mutex) {
    if (!is_python(__builtin_return_address(0))) return real_lock(mutex);
    if (pthread_mutex_trylock(mutex) == 0) return 0;
    look_t at = look();
    int result = real_lock(mutex);
    add_since(at);
    return result;
}

// what this thread has waited so far
uint64_t gil_waited_ns(void) { return waited_ns; }
