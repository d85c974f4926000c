/**
 * Which process is which: what /proc tells of processes, read without stdio and malloc().
 *
 * A PID alone does not identify a process, because the kernel uses the numbers again. A PID with the process's start
 * time (in ticks since the machine started) does, until the machine is restarted; with the boot ID it does for good.
 */
#ifndef CLIENT_PROCFS_H_
#define CLIENT_PROCFS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BOOT_ID_TEXT = 37, PROC_FILE_MAX = 1024 };

struct proc_stat {
	char state; /* 'Z' is dead and not yet waited for. */
	pid_t parent;
	uint64_t start; /* Ticks since the machine started; never 0. */
	uint64_t user_ticks, system_ticks; /* Its own, and of its children that it has waited for. */
	uint64_t rss_pages;
};

/* 0, or ERR_NOTFOUND when there is no such process. */
int proc_stat(pid_t pid, struct proc_stat *out);

/* Whether that very process exists and has not ended. */
bool proc_alive(pid_t pid, uint64_t start);

/* 0 or ERR_IO. */
int proc_boot_id(char out[BOOT_ID_TEXT]);

/* Call `each` for every PID in a file that lists numbers separated by spaces or newlines, until it returns false:
 * /proc/PID/task/TID/children, a cgroup's cgroup.procs. The file is read in pieces, so its length has no bound.
 * `path` is as for openat(). False when the file cannot be read. */
bool proc_each_pid(int dir, const char *path, bool (*each)(void *ctx, pid_t pid), void *ctx);

/* Read a small file into `out`, closed by a zero byte; its length, or -1. */
ssize_t proc_read(int dir, const char *path, char *out, size_t size);

/* SIGKILL for the process group that this very process leads. False, and nobody was signalled, when it is not there.
 * It is stopped before it is looked at, so it cannot end and its number pass on in between. */
bool proc_kill_group(pid_t pid, uint64_t start);

/* A signal for this very process; false when it is not there. */
bool proc_signal(pid_t pid, uint64_t start, int signal);

#endif /* CLIENT_PROCFS_H_ */
