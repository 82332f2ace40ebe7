// Ground truth, preloaded into the interpreter: how long each thread waited for the GIL, exactly.
// The interpreter takes the GIL by pthread_cond_timedwait; native libraries' own waits have other callers.
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

typedef int (*wait_fn)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

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

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
    static wait_fn real;
    if (!real) {
        dl_iterate_phdr(find_python, NULL);
        real = (wait_fn)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    }
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    if (caller < python_from || caller >= python_to) return real(cond, mutex, until);
    uint64_t queued = run_queue_ns(), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), begun = clock_ns(CLOCK_MONOTONIC);
    int result = real(cond, mutex, until);
    uint64_t ended = clock_ns(CLOCK_MONOTONIC);
    uint64_t other = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu + run_queue_ns() - queued;
    uint64_t whole = ended - begun;
    waited_ns += whole > other ? whole - other : 0;
    return result;
}

// what this thread has waited so far
uint64_t gil_waited_ns(void) { return waited_ns; }
