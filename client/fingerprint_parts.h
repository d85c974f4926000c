/** The parts that fingerprint.c puts together; each adds what it finds to the node and its attributes. */
#ifndef CLIENT_FINGERPRINT_PARTS_H_
#define CLIENT_FINGERPRINT_PARTS_H_

#include <stdio.h>

#include "client/fingerprint.h"
#include "client/vars.h"

struct fp {
	const struct fingerprint_args *args;
	const struct client_config *config;
	struct node *node;
	struct vars attributes;
	struct arena *mem;
};

void fingerprint_cpu(struct fp *fp);
void fingerprint_network(struct fp *fp);

/* A file under the root: opened for reading, or NULL. */
FILE *fp_open(const struct fp *fp, const char *path);

/* The first line of a file without its end, in the arena; NULL when there is none. */
const char *fp_line(const struct fp *fp, const char *path);

/* The number that a file begins with; `otherwise` when there is none. */
int64_t fp_number(const struct fp *fp, const char *path, int64_t otherwise);

/* Cleared memory, or NULL with the attributes marked as failed. */
void *fp_alloc(struct fp *fp, size_t count, size_t size);

/* Numbers of a list as the kernel writes them, "0-3,8", in the arena, at most 4096; of no list the number 0. */
struct ints fp_cpu_list(struct fp *fp, const char *text);

#endif /* CLIENT_FINGERPRINT_PARTS_H_ */
