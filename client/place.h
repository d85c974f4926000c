/**
 * Putting files into an allocation's directory, whose content is in part its tasks': no link is followed on the way,
 * nothing is put outside of it or among the agent's own records. Blocking; for worker threads.
 */
#ifndef CLIENT_PLACE_H_
#define CLIENT_PLACE_H_

#include <stddef.h>
#include <sys/types.h>

enum { PLACE_WHY = 256, PLACE_PATH = 4096 };

struct place_owner {
	mode_t mode;
	long uid, gid; /* -1: as it comes. */
};

/* The path that a specification names, relative to the allocation's directory and clean: relative ones are the task's
 * own, absolute ones lie in the allocation's directory if they begin with its path (`alloc_path`) or with /alloc, else
 * in the task's. 0, or ERR_INVALID when it leads out of the directory or to the agent's records. */
int place_path(const char *alloc_path, const char *task, const char *given, char out[PLACE_PATH]);

/* These take the directory's descriptor and a path from place_path(). 0 or a negative ERR_ code with a text. */

/* Write a file as a whole, making the directories to it where they are missing. */
int place_file(int root, const char *path, const void *data, size_t len, const struct place_owner *owner,
               char why[PLACE_WHY]);

/* The directory as a descriptor, made where it is missing. */
int place_dir(int root, const char *path, char why[PLACE_WHY]);

/* As a descriptor the directory that a path's last component is in, made where it is missing, and that component. */
int place_parent(int root, const char *path, const char **name, char why[PLACE_WHY]);

/* Tell what the system said: "open PATH: no such file or directory". Returns the ERR_ code for it. */
int place_fail(char why[PLACE_WHY], const char *verb, const char *path, int error);

#endif /* CLIENT_PLACE_H_ */
