/**
 * Opening files beneath a directory whose content is somebody else's: tasks put there what they like, links above all.
 *
 * The kernel does it (openat2 with RESOLVE_BENEATH); where it cannot, or must not (containers that filter system calls),
 * each component is walked by hand. Either way a path that leads out, by "..", by an absolute link or by a mount's
 * magic, is refused with EXDEV.
 */
#ifndef CLIENT_BENEATH_H_
#define CLIENT_BENEATH_H_

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum beneath_how {
	BENEATH_LINKS = 0,    /* Links are followed as long as they stay inside. */
	BENEATH_NO_LINKS = 1, /* Any link is refused with ELOOP. */
	BENEATH_BY_HAND = 2,  /* For tests: do not ask the kernel. */
};

/* A descriptor, or a negative errno value; `flags` as for open(), without O_CREAT. O_CLOEXEC is added. */
int beneath_open(int root, const char *path, int flags, unsigned how);

/* The path without ".", empty and ".." components, and without slashes at its ends; "." for the root itself. 0;
 * ERR_RANGE if it leads out of the root, as "a/../.." does; ERR_TOOBIG. */
int beneath_clean(const char *path, char *out, size_t size);

/* Where an open file lies beneath the root, as far as the kernel knows: "t/local/f". 0, or ERR_NOTFOUND if it was
 * removed or lies elsewhere. */
int beneath_where(int root, int fd, char *out, size_t size);

#endif /* CLIENT_BENEATH_H_ */
