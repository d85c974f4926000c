/** Git repositories as artifacts, by the git program of the machine. Blocking; for threads that may wait. */
#ifndef CLIENT_ARTIFACT_GIT_H_
#define CLIENT_ARTIFACT_GIT_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct git_args {
	int root;         /* The directory in which to make... */
	const char *name; /* ...the one that gets the repository's files. */
	const char *url;  /* As git takes it; nothing is executed that it might name. A password in it stays secret. */
	const char *ref;  /* A branch, a tag or a commit; "": the repository's default. */
	long depth;       /* So many commits of history; 0: all. */
	const atomic_bool *canceled;
};

enum { GIT_WHY = 256 };

/* 0; ERR_UNSUPPORTED: git is not installed; ERR_IO, with a text that is git's own. What was made before a failure stays. */
int git_clone(const struct git_args *args, char why[GIT_WHY]);

/* The URL of a repository that is written without one, as "github.com/org/repo" with or without a directory in it, or
 * "git@host:org/repo.git": copied to `out`, with "//" before the directory. Returns whether it is such. */
bool git_detect(const char *source, char *out, size_t size);

#endif /* CLIENT_ARTIFACT_GIT_H_ */
