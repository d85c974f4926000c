/**
 * A list of errors as text, told all together:
 *
 *     2 errors occurred:
 *     	* Missing job ID
 *     	* Task group g validation failed: 1 error occurred:
 *     	* Missing task driver
 *
 * A nested list is an item like any other, and its lines are not indented further: that is how clients know it.
 */
#ifndef PROTO_FAULTS_H_
#define PROTO_FAULTS_H_

#include <stdbool.h>

#include "lib/buf.h"

/* What does not fit into so many bytes of one list is counted, but not told. */
enum { FAULTS_TEXT_MAX = 64 << 10 };

/* All zero is an empty list. */
struct faults {
	unsigned n;
	bool warnings;   /* Told as "1 warning:", without the indent. */
	struct buf body; /* "\n\t* item" for each. */
};

void faults_add(struct faults *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What `inner` holds becomes one item, behind the formatted text and ": ", or nothing when it is empty. `inner` is
 * closed. */
void faults_nest(struct faults *f, struct faults *inner, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What `inner` holds becomes one item as it is, or nothing when it is empty. `inner` is closed. */
void faults_inline(struct faults *f, struct faults *inner);

/* Append the list; nothing when it is empty. */
void faults_text(const struct faults *f, struct buf *out);

void faults_close(struct faults *f);

#endif /* PROTO_FAULTS_H_ */
